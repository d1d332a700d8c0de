//! `tidegate drill list`.

use clap::{Args, CommandFactory};

use super::Drill;
use crate::exit::Failure;

/// The drills, and what each shows.
#[derive(Debug, Args)]
pub(super) struct List {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let drills = drills();
        if self.json {
            let list: Vec<_> = drills
                .iter()
                .map(|(name, about)| serde_json::json!({ "name": name, "about": about }))
                .collect();
            println!("{}", serde_json::to_string_pretty(&list).map_err(anyhow::Error::from)?);
            return Ok(());
        }
        for (name, about) in drills {
            println!("{name:<10} {about}");
        }
        println!(
            "\nEach runs on private servers on loopback that end with it: tidegate drill NAME --help."
        );
        Ok(())
    }
}

/// Subcommands that are no drills.
const OTHERS: [&str; 2] = ["list", "report"];

/// Names, and the first sentence of their help.
fn drills() -> Vec<(String, String)> {
    #[derive(clap::Parser)]
    struct Root {
        #[command(flatten)]
        drill: Drill,
    }
    let root = Root::command();
    let all = root.get_subcommands().filter(|one| !OTHERS.contains(&one.get_name()));
    let about = |one: &clap::Command| one.get_about().map(ToString::to_string).unwrap_or_default();
    all.map(|one| (one.get_name().to_owned(), about(one))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drill_is_listed_and_says_what_it_shows() {
        let drills = drills();
        let names: Vec<&str> = drills.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["herd", "holder", "hotrow", "mixshift", "sicklag", "stampede", "tipping", "zombie"]
        );
        assert!(drills.iter().all(|(_, about)| about.len() > 40), "{drills:?}");
    }
}

//! `tidegate switch`: turns some traffic off or down, and on again.

use std::time::Duration;

use clap::{Args, Subcommand};
use guard::config::TargetText;
use guard::config::value::parse_duration;
use guard::control::{SwitchStatus, whole_ms};
use serde_json::json;

use crate::client::Client;
use crate::exit::Failure;
use crate::show::{Table, plain, time};

/// Turn some traffic off or down, and on again.
///
/// A target is two words: class NAME, tag KEY=VALUE, user NAME, table NAME, digest DIGEST or
/// kind KIND. "*" stands for any characters in a value, user or table.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the switches that are set (the default).
    List,
    /// Turn traffic off, or down with --keep.
    Off(Off),
    /// Turn traffic on again.
    On {
        /// The target, as given to `off`.
        #[arg(required = true, num_args = 1.., value_name = "TARGET")]
        target: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Off {
    /// What to turn off, for example: class batch
    #[arg(required = true, num_args = 1.., value_name = "TARGET")]
    target: Vec<String>,
    /// The share that may still pass, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "RATIO", value_parser = ratio)]
    keep: f64,
    /// When it ends by itself, for example 10m. Without it the switch stays until it is cleared.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// Why. Clients read it in the refusal.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who does it.
    #[arg(long, env = "USER", default_value = "unknown")]
    author: String,
}

const PATH: &str = "/api/v1/switches";

impl Switch {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let client = &self.client;
        match self.action {
            None | Some(Action::List) => client.print("GET", PATH, None, show),
            Some(Action::Off(off)) => {
                let order = json!({
                    "target": parse(&off.target)?,
                    "keep_ratio": off.keep,
                    "ttl_ms": off.ttl.map(whole_ms),
                    "reason": off.reason,
                    "author": off.author,
                });
                client.print("POST", PATH, Some(&order), show)
            }
            Some(Action::On { target }) => {
                client.print("DELETE", PATH, Some(&json!({ "target": parse(&target)? })), show)
            }
        }
    }
}

fn parse(words: &[String]) -> Result<TargetText, Failure> {
    let text = words.join(" ");
    text.parse().map_err(|why| Failure::Usage(format!("\"{text}\": {why}")))
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "expected a number from 0 to 1".into())
}

fn show(switches: &Vec<SwitchStatus>) -> String {
    let mut table = Table::new(&["target", ">keep", ">ends in", "author", "reason"]);
    for switch in switches {
        table.row([
            plain(&switch.target, 60),
            format!("{}%", (switch.keep_ratio * 1000.0).round() / 10.0),
            switch.ends_in_ms.map_or_else(|| "-".into(), time),
            plain(&switch.author, 32),
            plain(&switch.reason, 60),
        ]);
    }
    table.show("no switch is set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_this() {
        let switch = SwitchStatus {
            target: "tag job=reminders".into(),
            keep_ratio: 0.125,
            ends_in_ms: Some(540_000),
            reason: "storm".into(),
            author: "ann".into(),
        };
        assert_eq!(
            show(&vec![switch]),
            "target              keep  ends in  author  reason\n\
             tag job=reminders  12.5%    9m00s  ann     storm\n"
        );
        assert_eq!(show(&vec![]), "no switch is set\n");
    }

    #[test]
    fn a_target_is_two_words() {
        let parsed = parse(&["class".into(), "batch".into()]).unwrap();
        assert_eq!(parsed.to_string(), "class batch");
        assert!(matches!(parse(&["batch".into()]), Err(Failure::Usage(_))));
    }
}

//! `tidegate drill report`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use drill::record::Record;
use drill::sheet::{Report as _, Sheet};

use super::output::Page;
use crate::exit::Failure;

/// Tell again what drills measured, alone or side by side: as text, and as one page.
///
/// Keep a run with tidegate drill NAME --json > FILE. Exit code 0 only when in each of them the guard did what the
/// drill is there to show.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// What `tidegate drill NAME --json` has printed, a file for each run.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print what was promised and whether it was kept as JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// Write a page with tables and plots, which needs nothing else.
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
}

impl Report {
    pub(super) fn run(self) -> Result<(), Failure> {
        // All before the page: one that cannot be read must not cost a page of before.
        let read = |path: &PathBuf| Ok((path.display().to_string(), read(path)?.sheet()));
        let runs: Vec<(String, Sheet)> =
            self.files.iter().map(read).collect::<anyhow::Result<_>>()?;
        let page = Page::open(self.html.as_deref())?;
        if self.json {
            let verdicts: Vec<_> = runs.iter().map(|(file, sheet)| verdict(file, sheet)).collect();
            println!("{}", serde_json::to_string_pretty(&verdicts).map_err(anyhow::Error::from)?);
        } else {
            let told: Vec<_> = runs.iter().map(|(file, sheet)| tell(file, sheet)).collect();
            print!("{}", told.join("\n"));
        }
        let broken: Vec<_> =
            runs.iter().filter(|(_, sheet)| !sheet.is_kept).map(|(file, _)| file.clone()).collect();
        let head = |(file, sheet): (String, Sheet)| (format!("{}: {file}", sheet.name), sheet);
        let runs: Vec<_> = runs.into_iter().map(head).collect();
        page.write("Fire drills", "tidegate drill", &runs)?;
        match broken.is_empty() {
            true => Ok(()),
            false => Err(Failure::Failed(anyhow!(
                "the guard did not do what it is there for in: {}",
                broken.join(", ")
            ))),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Record> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_reader(BufReader::new(file)).with_context(|| {
        let path = path.display();
        format!("{path} is not what `tidegate drill NAME --json` of this version prints")
    })
}

fn tell(file: &str, sheet: &Sheet) -> String {
    format!("{}: {file}\n{}\n{}\n\n{}", sheet.name, sheet.about, sheet.scene, sheet.text())
}

fn verdict(file: &str, sheet: &Sheet) -> serde_json::Value {
    serde_json::json!({
        "file": file,
        "drill": sheet.name,
        "promise": sheet.promise,
        "kept": sheet.is_kept,
    })
}

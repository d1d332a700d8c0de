//! What every drill tells, and where to.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use drill::sheet::{Report, html};
use drill::{Error, Screen};

use super::until_asked_to_stop;
use crate::exit::Failure;

/// Where to tell what came of it.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Print all that was measured as JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// Write a page with tables and plots, which needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Output {
    /// What is told while it runs.
    pub(super) fn screen(&self) -> Screen {
        if self.json { Screen::quiet() } else { Screen::new() }
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.json
    }

    /// Plays a drill to its end, tells what came of it, and fails if the guard did not do what the drill is there to
    /// show.
    pub(super) fn of<R: Report>(
        &self,
        drill: impl Future<Output = Result<R, Error>>,
    ) -> Result<(), Failure> {
        // Opened before: after minutes of a drill it is too late to learn that it cannot be written.
        let page = self.html.as_ref().map(|path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        });
        let page = page.transpose()?;
        let report = until_asked_to_stop(async { Ok(drill.await?) })?;
        let sheet = report.sheet();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)?);
        } else {
            println!("\n{}", sheet.text());
        }
        if let Some(mut page) = page {
            page.write_all(html::page(&sheet).as_bytes()).context("cannot write the page")?;
        }
        if sheet.is_kept {
            return Ok(());
        }
        Err(Failure::Failed(anyhow!("this was not so: {}", sheet.promise)))
    }
}

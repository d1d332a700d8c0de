//! What every drill tells, and where to.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use drill::record::Record;
use drill::sheet::{Report as _, Sheet, html};
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
    pub(super) fn of<R: Into<Record>>(
        &self,
        drill: impl Future<Output = Result<R, Error>>,
    ) -> Result<(), Failure> {
        // Opened before: after minutes of a drill it is too late to learn that it cannot be written.
        let page = Page::open(self.html.as_deref())?;
        let record: Record = until_asked_to_stop(async { Ok(drill.await?) })?.into();
        let sheet = record.sheet();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&record).map_err(anyhow::Error::from)?);
        } else {
            println!("\n{}", sheet.text());
        }
        let (is_kept, promise, name) = (sheet.is_kept, sheet.promise, sheet.name);
        let command = format!("tidegate drill {name}");
        page.write(&format!("Drill: {name}"), &command, &[(name.to_owned(), sheet)])?;
        if is_kept { Ok(()) } else { Err(Failure::Failed(anyhow!("this was not so: {promise}"))) }
    }
}

/// A page that is to be written.
#[derive(Debug)]
pub(crate) struct Page(Option<File>);

impl Page {
    /// Where there is a path.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        Ok(Self(path.map(open).transpose()?))
    }

    /// Writes it, if it is wanted, with what stands above each sheet.
    pub(crate) fn write(
        self,
        title: &str,
        command: &str,
        sheets: &[(String, Sheet)],
    ) -> anyhow::Result<()> {
        let Some(mut file) = self.0 else { return Ok(()) };
        let page = html::page(title, command, sheets);
        file.write_all(page.as_bytes()).context("cannot write the page")
    }
}

//! `tidegate manuals`: what `man` shows.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use crate::Tidegate;
use crate::exit::Failure;
use crate::show::print;

/// Write the manual pages, one for each command.
#[derive(Debug, Args)]
pub(crate) struct Manuals {
    /// The folder to write them to, such as /usr/local/share/man/man1; it is made if it is not there.
    #[arg(value_name = "FOLDER")]
    into: PathBuf,
}

impl Manuals {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let written = fs::create_dir_all(&self.into)
            .and_then(|()| clap_mangen::generate_to(Tidegate::command(), &self.into));
        written.with_context(|| format!("cannot write to {}", self.into.display()))?;
        Ok(print(&format!("manual pages are in {}\n", self.into.display()))?)
    }
}

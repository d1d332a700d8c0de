//! `tidegate completions`: for the shells.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Tidegate;
use crate::exit::Failure;
use crate::show::print;

/// Print the completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut command = Tidegate::command();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "tidegate", &mut script);
        Ok(print(&String::from_utf8_lossy(&script))?)
    }
}

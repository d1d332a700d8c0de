//! `tidegate batch`: items that are due together.

mod chart;
mod forecast;
mod plan;
mod recipients;
mod svg;

use clap::{Args, Subcommand};

use self::plan::Plan;
use crate::exit::Failure;

/// Plan batches of items that are due together.
#[derive(Debug, Args)]
pub(crate) struct Batch {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Plan(Plan),
}

impl Batch {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.action {
            Action::Plan(plan) => plan.run(),
        }
    }
}

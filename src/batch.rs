//! `tidegate batch`: items that are due together.

pub(crate) mod books;
mod chart;
mod plan;
mod submit;
mod svg;

use clap::{Args, Subcommand, ValueEnum};

use self::books::{List, Named, Order, Report, Retry};
use self::plan::Plan;
use self::submit::Submit;
use crate::exit::Failure;

/// Batches of items that are due together: plan, submit, look after.
#[derive(Debug, Args)]
pub(crate) struct Batch {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Plan(Plan),
    Submit(Submit),
    List(List),
    /// Have no more of a batch sent until it is resumed.
    Pause(Named),
    /// Go on with a batch that was paused.
    Resume(Named),
    /// Send nothing more of a batch, for good.
    Cancel(Named),
    Report(Report),
    /// Go over the books of a batch. Exit code 1 when they do not close.
    Audit(Named),
    Retry(Retry),
}

/// How urgent a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Class {
    /// Somebody waits for it.
    Urgent,
    /// Soon.
    High,
    /// In its window.
    Normal,
    /// Whenever there is room.
    Bulk,
}

impl Batch {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.action {
            Action::Plan(plan) => plan.run(),
            Action::Submit(submit) => submit.run(),
            Action::List(list) => list.run(),
            Action::Pause(named) => named.order(Order::Pause),
            Action::Resume(named) => named.order(Order::Resume),
            Action::Cancel(named) => named.order(Order::Cancel),
            Action::Report(report) => report.run(),
            Action::Audit(named) => named.audit(),
            Action::Retry(retry) => retry.run(),
        }
    }
}

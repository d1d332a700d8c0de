//! The boards, one file each.

mod admission;
mod internals;
mod locks;
mod replicas;
mod scheduler;
mod statements;
mod tip_over;

use crate::Objectives;
use crate::board::Board;

/// All boards, the one to look at first before the others.
#[must_use]
pub fn all(objectives: &Objectives) -> Vec<Board> {
    vec![
        tip_over::board(objectives),
        locks::board(),
        admission::board(),
        statements::board(objectives),
        scheduler::board(),
        replicas::board(),
        internals::board(),
    ]
}

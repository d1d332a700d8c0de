//! Guards, and what they see of the database and of clients.

mod admission;
mod database;
mod processes;
mod replicas;

use crate::alert::{Alert, Group, Severity};

pub(super) fn alerts() -> Vec<Alert> {
    let parts = [processes::alerts(), admission::alerts(), database::alerts(), replicas::alerts()];
    parts.into_iter().flatten().collect()
}

/// A ticket; whoever makes one says the rest.
fn ticket(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    Alert {
        name,
        group: Group::Guard,
        severity: Severity::Ticket,
        hold,
        keep: "",
        expr: expr.into(),
        summary: "",
        meaning: "",
        steps: &[],
        board: "internals",
        proof: Vec::new(),
    }
}

//! The alerts, one file for each group. The names of all begin with `Tidegate`.

mod guard;
mod objectives;
mod scheduler;
mod tip_over;

use crate::Objectives;
use crate::alert::Alert;

/// All alerts.
#[must_use]
pub fn all(promised: &Objectives) -> Vec<Alert> {
    let groups =
        [tip_over::alerts(), guard::alerts(), objectives::alerts(promised), scheduler::alerts()];
    groups.into_iter().flatten().collect()
}

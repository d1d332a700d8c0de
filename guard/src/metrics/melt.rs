//! Undoing pile-ups.

use metrics::{Counter, Gauge};
use policy::melt::Cause;

use super::{Each, Make, MeltOutcome};

/// What was melted, and what came of it.
#[derive(Debug)]
pub struct MeltMetrics {
    /// Transactions that were to be rolled back.
    pub acts: Each<Cause, Counter>,
    /// Those that would have been, if the mode were enforce.
    pub would_acts: Each<Cause, Counter>,
    /// What became of them.
    pub outcomes: Each<MeltOutcome, Counter>,
    /// Pile-ups that began.
    pub incidents: Counter,
    /// 1 while there is one.
    pub is_piled_up: Gauge,
}

impl MeltMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self {
            acts: make.counters("guard_melt_acts_total"),
            would_acts: make.counters("guard_melt_would_acts_total"),
            outcomes: make.counters("guard_melt_outcomes_total"),
            incidents: make.counter("guard_melt_incidents_total", &[]),
            is_piled_up: make.gauge("guard_melt_piled_up", &[]),
        }
    }
}

//! Undoing pile-ups.

use std::time::Instant;

use metrics::{Counter, Gauge};
use policy::{admission::Restrained, class::Mode, melt::Cause, restraint::Restraint};

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
    write_share: Gauge,
    held: Counter,
}

impl MeltMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self {
            acts: make.counters("guard_melt_acts_total"),
            would_acts: make.counters("guard_melt_would_acts_total"),
            outcomes: make.counters("guard_melt_outcomes_total"),
            incidents: make.counter("guard_melt_incidents_total", &[]),
            is_piled_up: make.gauge("guard_melt_piled_up", &[]),
            write_share: make.gauge("guard_melt_write_share", &[]),
            held: make.counter("guard_melt_held_total", &[]),
        }
    }

    /// Shows how far new transactions are held back.
    pub fn show(&self, now: Instant, restraint: Option<Restraint>, done: Restrained) {
        let enforced = restraint.filter(|restraint| restraint.mode == Mode::Enforce);
        let share = |it: Restraint| if it.is_frozen() { 0.0 } else { it.share(now) };
        self.write_share.set(enforced.map_or(1.0, share));
        self.held.absolute(done.held);
    }
}

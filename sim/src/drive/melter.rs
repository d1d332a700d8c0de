//! What undoes pile-ups, as the guard does it: one look, one step.

use std::time::{Duration, Instant};

use policy::class::Mode;
use policy::locks::{Locks, Transaction};
use policy::melt::{Action, Config, Melt};
use policy::restraint::Restraint;

use crate::database::Thread;

/// The guard asks who waits for whom no more often, unless somebody is to be chosen.
const GRAPH: Duration = Duration::from_secs(1);

/// The machine, and when it last saw who waits for whom.
pub(super) struct Melter {
    melt: Melt,
    config: Config,
    graph: Option<Instant>,
}

impl Melter {
    /// One that may end every transaction.
    pub(super) fn new() -> Self {
        let config = Config { mode: Mode::Enforce, ..Config::default() };
        Self { melt: Melt::default(), config, graph: None }
    }

    /// Shows it what the database tells, and who waits for whom as often as the guard asks for it.
    /// Returns what admission is told, and whose transactions are to be rolled back.
    pub(super) fn see(&mut self, now: Instant, locks: &Locks) -> (Option<Restraint>, Vec<Thread>) {
        let is_due = self.graph.is_none_or(|at| now.saturating_duration_since(at) >= GRAPH);
        let mut actions = match is_due {
            true => self.step(now, locks),
            false => {
                self.step(now, &Locks { has_waits: false, waits: Vec::new(), ..locks.clone() })
            }
        };
        if !is_due && self.melt.is_choosing(now) {
            actions.extend(self.step(now, locks));
        }
        let waiting = locks.contention().blocked_share;
        let victims = actions.into_iter().filter_map(|action| match action {
            Action::Cancel(victim) => usize::try_from(victim.backend).ok()?.checked_sub(1),
            Action::Freeze | Action::Thaw | Action::Gone(_) | Action::Stayed(_) => None,
        });
        (self.melt.restraint(now, Mode::Enforce, waiting), victims.collect())
    }

    fn step(&mut self, now: Instant, locks: &Locks) -> Vec<Action> {
        if locks.has_waits {
            self.graph = Some(now);
        }
        self.melt.step(now, &self.config, locks, &|_: &Transaction| true)
    }
}

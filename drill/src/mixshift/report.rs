//! What came of the drill.

use serde::{Deserialize, Serialize};

use super::Scene;
use crate::server::engine::Engine;
use crate::watch::limit::Moment;

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mix {
    /// Two rows by their keys, with the application at work between them.
    Reads,
    /// Four random rows of forty, in random order.
    Updates,
}

impl Mix {
    /// As they follow each other.
    pub const ORDER: [Self; 3] = [Self::Reads, Self::Updates, Self::Reads];

    /// As it is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Updates => "updates",
        }
    }
}

/// Which way the clients went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Direct,
    /// Through a guard with a fixed limit.
    Fixed(u32),
    /// Through a guard that finds its limit.
    Adaptive,
}

/// What a fixed limit brought with one mix.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Try {
    /// The mix.
    pub mix: Mix,
    /// The limit.
    pub limit: u32,
    /// Commits within the deadline.
    pub good_per_second: f64,
}

/// What one mix came to, one way. Rates are commits within the deadline, a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Phase {
    /// The mix.
    pub mix: Mix,
    /// In all of it.
    pub good_per_second: f64,
    /// In its second half.
    pub settled_per_second: f64,
    /// From its begin to that of the first second with nine tenths of what was settled on.
    pub settle_ms: Option<u64>,
    /// What half of those committed in its second half took at most, connecting and waiting for a turn
    /// included.
    pub p50_ms: Option<f64>,
    /// What 99 of 100 took at most.
    pub p99_ms: Option<f64>,
    /// Attempts in its second half that the server ended in favour of others, a second.
    pub deadlocks_per_second: f64,
    /// Attempts in its second half whose client waited in vain and dropped its socket, a second.
    pub timed_out_per_second: f64,
    /// The mean of the limit that moves, in its second half.
    pub limit: Option<f64>,
}

/// All mixes, one way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Which way.
    pub way: Way,
    /// The mixes, as they followed each other.
    pub phases: Vec<Phase>,
    /// The limit over time, where it moves.
    pub limits: Vec<Moment>,
    /// Commits within the deadline in each second, from the first client on.
    pub good_by_second: Vec<u64>,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// Clients.
    pub clients: usize,
    /// The fixed limits that were tried.
    pub tries: Vec<Try>,
    /// All ways.
    pub runs: Vec<Run>,
}

/// The limit that finds itself must bring this share of what the best fixed limit of the phase brings. The
/// same limit, repeated on a busy machine, brings a fifth more or less.
const SHARE_MIN: f64 = 0.75;
/// And must have settled so soon after each change.
const SETTLE_MAX_MS: u64 = 5000;

impl Report {
    pub(super) fn new(engine: Engine, scene: &Scene) -> Self {
        Self { engine, clients: scene.clients, tries: Vec::new(), runs: Vec::new() }
    }

    /// The fixed limit with the most commits of one mix, among those that were tried.
    #[must_use]
    pub fn best(&self, mix: Mix) -> Option<u32> {
        let tries = self.tries.iter().filter(|tried| tried.mix == mix);
        let best = tries.max_by(|a, b| a.good_per_second.total_cmp(&b.good_per_second));
        best.map(|tried| tried.limit)
    }

    /// The ways that are worth going: those of the best limits, and two without any.
    pub(super) fn ways(&self) -> Vec<Way> {
        let mut best: Vec<u32> =
            [Mix::Reads, Mix::Updates].iter().filter_map(|mix| self.best(*mix)).collect();
        best.dedup();
        let fixed = best.into_iter().map(Way::Fixed);
        [Way::Direct].into_iter().chain(fixed).chain([Way::Adaptive]).collect()
    }

    /// Goodput of a run in parts of what the best fixed limit brought, phase by phase, each when it had
    /// settled.
    #[must_use]
    pub fn shares(&self, run: &Run) -> Vec<f64> {
        let fixed = self.runs.iter().filter(|run| matches!(run.way, Way::Fixed(_)));
        let best = |at: usize| {
            let settled = fixed.clone().filter_map(|run| run.phases.get(at));
            settled.map(|phase| phase.settled_per_second).fold(f64::EPSILON, f64::max)
        };
        let phases = run.phases.iter().enumerate();
        phases.map(|(at, phase)| phase.settled_per_second / best(at)).collect()
    }

    /// Whether the limit that finds itself followed: near the best fixed one of each phase, and soon.
    #[must_use]
    pub fn limit_follows(&self) -> bool {
        let Some(run) = self.runs.iter().find(|run| run.way == Way::Adaptive) else { return false };
        let is_near = self.shares(run).iter().all(|share| *share >= SHARE_MIN);
        let is_soon = |phase: &Phase| phase.settle_ms.is_some_and(|settle| settle <= SETTLE_MAX_MS);
        is_near && run.phases.iter().all(is_soon)
    }
}

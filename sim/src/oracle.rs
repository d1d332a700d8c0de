//! The best fixed limit, found by trying: what the adaptive one is measured against.

use crate::scenario::{Access, Load, Scenario};

/// Limits that are tried.
const LIMITS: [u32; 17] = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 200, 300];

/// The best fixed limit and what it brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The limit.
    pub limit: u32,
    /// Good transactions a second.
    pub goodput: f64,
    /// All that were tried, with what they bring.
    pub tried: Vec<(u32, f64)>,
}

/// Tries fixed limits at this many times the scenario's peak, without its faults.
#[must_use]
pub fn best(scenario: &Scenario, times: f64) -> Best {
    let run = |limit| {
        let mut scenario = scenario.clone();
        scenario.fault.clear();
        scenario.length = 7.0;
        scenario.load = Load { steps: vec![[0.0, times]], ..scenario.load };
        scenario.guard.access = Access::Fixed(limit);
        (limit, crate::run(&scenario).rate(2.0, 7.0, None))
    };
    let tried: Vec<(u32, f64)> = LIMITS.into_iter().map(run).collect();
    let (limit, goodput) =
        tried.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
    Best { limit, goodput, tried }
}

//! What each kind of statement costs an idle database.

use std::collections::HashMap;
use std::time::Duration;

use crate::sql::Digest;

/// Kinds that are known at most; beyond, a kind counts as the mean of all.
const KINDS_MAX: usize = 4096;
/// Samples after which a kind is known.
const KNOWN: u32 = 20;
/// The share of a new sample, once known.
const SHARE: f64 = 1.0 / 64.0;
/// Slower than this times the baseline, the database is not idle.
const CALM_SLOWDOWN: f64 = 1.3;

/// What one kind costs.
#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    /// Seconds on an idle database; provisional until `calm` samples are there.
    cost: f64,
    samples: u32,
    /// Of these, taken while the database was idle.
    calm: u32,
}

/// The costs of all kinds.
#[derive(Debug)]
pub(super) struct Baselines {
    kinds: HashMap<Digest, Kind>,
    /// The mean over all that ended.
    mean: f64,
    is_calm: bool,
    slowdown: f64,
}

impl Baselines {
    pub(super) fn new(known: Vec<(Digest, f64)>) -> Self {
        let kind = |cost| Kind { cost, samples: KNOWN, calm: KNOWN };
        Self {
            kinds: known.into_iter().take(KINDS_MAX).map(|(of, cost)| (of, kind(cost))).collect(),
            mean: 0.0,
            is_calm: false,
            slowdown: 1.0,
        }
    }

    /// What the last tick says of the next: whether its times are those of an idle database, else
    /// by how much they are longer.
    pub(super) fn learn(&mut self, is_calm: bool, slowdown: Option<f64>) {
        self.slowdown = slowdown.unwrap_or(1.0).max(1.0);
        self.is_calm = is_calm && self.slowdown < CALM_SLOWDOWN;
    }

    /// One has ended: what it would have cost an idle database, in seconds.
    ///
    /// While the database is busy, a kind that was never seen idle is given what it took, made
    /// shorter as others were made longer, and keeps that: weights that follow the load would hide
    /// it.
    pub(super) fn cost(&mut self, digest: Digest, service: Duration) -> f64 {
        let seconds = service.as_secs_f64();
        self.mean = ewma(self.mean, seconds / self.slowdown);
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&digest) {
            return self.mean;
        }
        let kind = self.kinds.entry(digest).or_default();
        if self.is_calm {
            // The first calm sample replaces what was guessed.
            kind.calm = kind.calm.saturating_add(1);
            kind.cost = towards(kind.cost, seconds, kind.calm);
            kind.samples = kind.samples.max(kind.calm);
        } else if kind.samples < KNOWN {
            kind.samples += 1;
            kind.cost = towards(kind.cost, seconds / self.slowdown, kind.samples);
        }
        if kind.samples < KNOWN { self.mean } else { kind.cost }
    }

    /// What one of a kind will take, as busy as the database is; `None` while the kind is not known.
    pub(super) fn expected(&self, digest: Digest) -> Option<Duration> {
        let kind = self.kinds.get(&digest).filter(|kind| kind.samples >= KNOWN)?;
        Duration::try_from_secs_f64(kind.cost * self.slowdown).ok()
    }

    /// Kinds whose cost was seen on an idle database.
    pub(super) fn known(&self) -> Vec<(Digest, f64)> {
        let known = self.kinds.iter().filter(|(_, kind)| kind.calm >= KNOWN);
        let mut known: Vec<_> = known.map(|(digest, kind)| (*digest, kind.cost)).collect();
        known.sort_by_key(|(digest, _)| *digest);
        known
    }
}

/// The mean of the first samples, then a moving one.
fn towards(old: f64, sample: f64, count: u32) -> f64 {
    old + (sample - old) * SHARE.max(1.0 / f64::from(count.max(1)))
}

fn ewma(old: f64, sample: f64) -> f64 {
    if old == 0.0 { sample } else { old + (sample - old) * SHARE }
}

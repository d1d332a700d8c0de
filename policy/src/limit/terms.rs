//! What goes into the limit and what comes out.

use crate::class::Mode;
use crate::sql::Digest;

/// How the limit is to be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// [`Mode::Off`]: no limit. [`Mode::Observe`]: found as far as one can without trying, and
    /// not kept. [`Mode::Enforce`]: found and kept.
    pub mode: Mode,
    /// Where it begins when nothing is remembered: about two for each core of the database.
    pub start: u32,
    /// It never falls below this, at least 1.
    pub min: u32,
    /// It never rises above this: half of what the database takes as connections.
    pub max: u32,
    /// The elasticity it rests at, 0..0.5: how many percent of work the last percent in flight must
    /// bring. More gives shorter times, less gives more work.
    pub frugality: f64,
}

impl Config {
    /// Within the bounds; where they contradict each other, the upper one holds.
    pub(super) fn bounded(&self, value: f64) -> f64 {
        let max = self.max.max(1);
        value.clamp(f64::from(self.min.clamp(1, max)), f64::from(max))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Off, start: 8, min: 1, max: 512, frugality: 0.05 }
    }
}

/// What a limit knows that is worth keeping across a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    /// The base of the limit; a new one begins at [`Memory::TRUST`] of it.
    pub base: f64,
    /// What statements cost an idle database, in seconds.
    pub baselines: Vec<(Digest, f64)>,
}

impl Memory {
    /// The share of a remembered base that is believed: the database may have become smaller.
    pub const TRUST: f64 = 0.7;
}

/// What the limit is and why, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// How far it goes.
    pub mode: Mode,
    /// The limit at this moment, its small steps up and down included.
    pub limit: u32,
    /// What the steps go around.
    pub base: f64,
    /// Percent more work for a percent more in flight, when last measured.
    pub elasticity: Option<f64>,
    /// Where the fitted curve of the database has its top, when it fits: "knee at 41, now 38".
    pub knee: Option<f64>,
    /// Mean in flight during the last tick.
    pub in_flight: f64,
    /// Work done in the last tick: seconds of an idle database, a second.
    pub work: f64,
    /// How much longer statements take than on an idle database, when that is known.
    pub slowdown: Option<f64>,
    /// Cuts because of locks since start.
    pub cuts: u64,
}

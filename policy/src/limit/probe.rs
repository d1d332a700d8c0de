//! What a little more or less in flight does to the work that gets done.
//!
//! Far from the top it leaps: twice as many, or half, and each level is compared with the one
//! before. Near it, it goes a little below and a little above the base in turn.

use super::meter::Measure;

/// Ticks after a change of level that count for no level: as many as a transaction stays, in this
/// range.
const SETTLE: std::ops::RangeInclusive<u32> = 1..=5;
/// Ticks that a level is measured at least, while leaping and while dithering.
const MEASURE_MIN: [u32; 2] = [2, 4];
/// Ticks that a level is measured at most.
const MEASURE_MAX: [u32; 2] = [6, 10];
/// Transactions that must have ended at a level for it to count, unless it takes too long.
const ENDED_MIN: u32 = 50;
/// Dithering goes so far from the base, and at least one transaction.
const STEP: f64 = 0.06;
/// Levels less apart than this, as measured, say nothing.
const APART_MIN: f64 = 0.02;

/// What two levels together say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finding {
    /// Percent more work for a percent more in flight.
    pub(super) elasticity: f64,
    /// One over the square of its standard error.
    pub(super) precision: f64,
}

/// Where the present level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// At the base, which doubles, or halves, as long as that helps.
    Leaping,
    /// A little below.
    Low,
    /// A little above.
    High,
}

/// What was measured at one level.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    ticks: u32,
    seconds: f64,
    area: f64,
    work: f64,
    work_squared: f64,
    ended: u32,
}

/// The level of the moment, and what was measured at it and at the one before.
#[derive(Debug)]
pub(super) struct Probe {
    level: Level,
    settling: u32,
    current: Sum,
    other: Option<Sum>,
}

impl Probe {
    pub(super) fn new(level: Level) -> Self {
        Self { level, settling: *SETTLE.start(), current: Sum::default(), other: None }
    }

    /// Forgets what was measured: it belongs to another base or another load.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.level);
    }

    pub(super) fn is_leaping(&self) -> bool {
        self.level == Level::Leaping
    }

    /// The limit at the present level.
    pub(super) fn limit(&self, base: f64) -> f64 {
        let step = (STEP * base).max(1.0);
        match self.level {
            Level::Leaping => base.round(),
            Level::Low => (base - step).floor().max(1.0),
            Level::High => (base + step).ceil(),
        }
    }

    /// One full tick more. Whether the level is known well enough, and what it says beside the one
    /// before, when they were apart.
    pub(super) fn step(&mut self, measure: &Measure) -> Option<Option<Finding>> {
        if self.settling > 0 {
            self.settling -= 1;
            return None;
        }
        self.current.add(measure);
        if !self.current.is_enough(self.level) {
            return None;
        }
        self.settling = settle(measure);
        let sum = std::mem::take(&mut self.current);
        match (self.level, self.other.take()) {
            (Level::Leaping, before) => {
                self.other = Some(sum);
                let is_up = before.is_none_or(|before| before.mean() <= sum.mean());
                Some(before.and_then(|before| {
                    if is_up { finding(before, sum) } else { finding(sum, before) }
                }))
            }
            (level, None) => {
                self.level = if level == Level::Low { Level::High } else { Level::Low };
                self.other = Some(sum);
                None
            }
            // The next pair begins where this one ended.
            (Level::Low, Some(high)) => Some(finding(sum, high)),
            (Level::High, Some(low)) => Some(finding(low, sum)),
        }
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, measure: &Measure) {
        let seconds = measure.time.as_secs_f64();
        self.ticks += 1;
        self.seconds += seconds;
        self.area += measure.in_flight * seconds;
        self.work += measure.work;
        self.work_squared += measure.work_squared;
        self.ended += measure.ended;
    }

    /// Mean in flight.
    fn mean(&self) -> f64 {
        (self.area / self.seconds.max(f64::EPSILON)).max(1e-9)
    }

    fn is_enough(&self, level: Level) -> bool {
        let how = usize::from(level != Level::Leaping);
        self.ticks >= MEASURE_MIN[how] && self.ended >= ENDED_MIN || self.ticks >= MEASURE_MAX[how]
    }
}

fn settle(measure: &Measure) -> u32 {
    let stay = measure.residence().unwrap_or_default();
    let ticks = stay.as_secs_f64() / super::TICK.as_secs_f64();
    (ticks.ceil() as u32).clamp(*SETTLE.start(), *SETTLE.end())
}

/// What two levels say, unless they were hardly apart.
fn finding(low: Sum, high: Sum) -> Option<Finding> {
    let rate = |sum: Sum| (sum.work / sum.seconds.max(f64::EPSILON)).max(1e-9);
    // Of a sum of parts that come independently, the variance is the sum of their squares.
    let noise = |sum: Sum| sum.work_squared.max(1e-18) / (sum.work * sum.work).max(1e-18);
    let apart = (high.mean() / low.mean()).ln();
    (apart >= APART_MIN).then(|| Finding {
        elasticity: ((rate(high) / rate(low)).ln() / apart).clamp(-5.0, 5.0),
        precision: apart * apart / (noise(low) + noise(high)),
    })
}

/// What the latest findings say together: each counts by its precision, and less with every step
/// and with every move of the base.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slope {
    mean: f64,
    precision: f64,
}

impl Slope {
    /// What is left of a finding after the next.
    const KEEPS: f64 = 0.75;
    /// A move by this much makes what was found before count a third.
    const FAR: f64 = 0.3;

    pub(super) fn learn(&mut self, finding: Finding) -> Finding {
        let old = self.precision * Self::KEEPS;
        self.precision = old + finding.precision;
        self.mean = (self.mean * old + finding.elasticity * finding.precision)
            / self.precision.max(f64::EPSILON);
        Finding { elasticity: self.mean, precision: self.precision }
    }

    /// The base has moved by this part of it.
    pub(super) fn moved(&mut self, gain: f64) {
        self.precision *= (-gain.abs() / Self::FAR).exp();
    }
}

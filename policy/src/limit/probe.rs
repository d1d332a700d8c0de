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
/// So many that were expected, and none that ended: no need to wait for more.
const STANDSTILL: f64 = 20.0;
/// A level has been left when no more than this is in flight beyond the new one.
const OVER: f64 = 0.2;
/// Ticks that this is waited for: some transactions may not be held up, and stay.
const DRAINING_MAX: u32 = 20;
/// Dithering goes so far from the base, and at least to the whole numbers beside it.
const STEP: f64 = 0.06;
/// What trying the upper level may lose, as a share of the time that is spent there.
const FREE: f64 = 0.1;
/// Where it loses more, it is tried so seldom that this share of all is lost.
const TAX: f64 = 0.05;
/// The lower level is kept for so many times as long as it has been the better one, at most.
const LINDY: u32 = 2;
/// So much of a tick's worth of that is forgotten in a tick that is not full.
const FORGOTTEN: f64 = 0.1;
/// Ticks that trying the upper level takes: settling, measuring, and as long again until what was
/// held up there has gone.
const TRIED: f64 = 18.0;
/// Though a level is not filled, it is compared with the one before where so many times as many run.
const LEAPT: f64 = 1.2;
/// Levels less apart than this, as measured, say nothing.
const APART_MIN: f64 = 0.02;

/// What two levels together say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finding {
    /// Percent more work for a percent more in flight.
    pub(super) elasticity: f64,
    /// One over the square of its standard error.
    pub(super) precision: f64,
    /// How far apart the levels were: the logarithm of one over the other.
    pub(super) apart: f64,
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
    /// The sum of squares of the ticks' work.
    ticks_squared: f64,
    ended: u32,
}

/// The level of the moment, and what was measured at it and at the one before.
#[derive(Debug)]
pub(super) struct Probe {
    level: Level,
    settling: u32,
    current: Sum,
    other: Option<Sum>,
    /// Ticks that more were in flight than the level has room for: what was before still shows.
    draining: u32,
    /// Full ticks since the lower level began to be the better one, less a tenth of those that were
    /// not full: whether it still is, is not known then.
    low_for: f64,
}

impl Probe {
    pub(super) fn new(level: Level) -> Self {
        let (current, other) = (Sum::default(), None);
        Self { level, settling: *SETTLE.start(), current, other, draining: 0, low_for: 0.0 }
    }

    /// Forgets what was measured: it belongs to another base or another load. Until there is load
    /// again, nothing is tried out.
    pub(super) fn reset(&mut self) {
        let level = if self.is_leaping() { Level::Leaping } else { Level::Low };
        let low_for = (self.low_for - FORGOTTEN).max(0.0);
        let settling = self.settling.min(LINDY * low_for as u32).max(*SETTLE.start());
        *self = Self { low_for, settling, ..Self::new(level) };
    }

    pub(super) fn is_leaping(&self) -> bool {
        self.level == Level::Leaping
    }

    /// Whether a leap up shows, though there is room left: it is not filled at once, and where more run
    /// than at the level before, what they do can be compared with that.
    pub(super) fn has_leapt(&self, measure: &Measure) -> bool {
        let shows = |before: Sum| self.settling > 0 || measure.in_flight > before.mean() * LEAPT;
        self.is_leaping() && self.other.is_some_and(shows)
    }

    /// The limit at the present level.
    pub(super) fn limit(&self, base: f64) -> f64 {
        let step = (STEP * base).max(0.5);
        match self.level {
            Level::Leaping => base.round(),
            Level::Low => (base - step).round().max(1.0),
            Level::High => (base + step).round(),
        }
    }

    /// One full tick more. Whether the level is known well enough, and what it says beside the one
    /// before, when they were apart. A leap is looked at for longer where it is in doubt on which side
    /// of `turns_on` its elasticity is.
    pub(super) fn step(
        &mut self,
        measure: &Measure,
        limit: u32,
        turns_on: f64,
    ) -> Option<Option<Finding>> {
        self.low_for += 1.0;
        if self.settling > 0 {
            self.settling -= 1;
            return None;
        }
        if measure.in_flight > f64::from(limit) + OVER && self.draining < DRAINING_MAX {
            self.draining += 1;
            return None;
        }
        self.current.add(measure);
        if !self.current.is_enough(self.level, self.other) || self.is_in_doubt(turns_on) {
            return None;
        }
        self.settling = settle(measure);
        self.draining = 0;
        let sum = std::mem::take(&mut self.current);
        match (self.level, self.other.take()) {
            (Level::Leaping, before) => {
                self.other = Some(sum);
                Some(before.and_then(|before| leap(before, sum)))
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

    /// Whether a leap, as measured so far, may be on either side of this elasticity, and it can still be
    /// looked at.
    fn is_in_doubt(&self, turns_on: f64) -> bool {
        let may_go_on = self.is_leaping() && self.current.ticks < MEASURE_MAX[0];
        let found = self.other.filter(|_| may_go_on).and_then(|before| leap(before, self.current));
        found.is_some_and(|found| {
            let off = found.elasticity - turns_on;
            off * off * found.precision < 1.0
        })
    }

    /// The elasticity between the levels is so far above rest, or below. Where the upper one loses
    /// much, the lower one is kept for longer, but not for much longer than it has been the better
    /// one: what has changed lately may change again.
    pub(super) fn favour(&mut self, excess: f64, apart: f64) {
        if excess >= 0.0 {
            self.low_for = 0.0;
            return;
        }
        let lost = 1.0 - (excess * apart).exp();
        let ticks = (TRIED * (lost - FREE) / TAX).min(f64::from(LINDY) * self.low_for);
        if ticks >= 1.0 {
            let settling = self.settling + ticks as u32;
            *self = Self { low_for: self.low_for, settling, ..Self::new(Level::Low) };
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
        self.ticks_squared += measure.work * measure.work;
        self.ended += measure.ended;
    }

    /// Mean in flight.
    fn mean(&self) -> f64 {
        (self.area / self.seconds.max(f64::EPSILON)).max(1e-9)
    }

    /// Useful work, a second.
    fn rate(&self) -> f64 {
        (self.work / self.seconds.max(f64::EPSILON)).max(1e-9)
    }

    /// The square of the relative error of `rate`, beside another level: of a sum of parts that come
    /// independently, the variance is the sum of their squares. Little work where more was expected
    /// is known as well as that; what comes in bursts is known less.
    fn noise(&self, other: Self) -> f64 {
        let part = (self.work_squared + other.work_squared) / (self.work + other.work).max(1e-9);
        let expected = self.work.max(other.rate() * self.seconds).max(1e-9);
        let ticks = f64::from(self.ticks.max(1));
        let bursts = self.ticks_squared - self.work * self.work / ticks;
        (part.max(1e-9) / expected).max(bursts / (expected * expected))
    }

    /// Whether a level is known well enough beside another. Few ends say as much as many where many
    /// were expected.
    fn is_enough(&self, level: Level, other: Option<Self>) -> bool {
        let how = usize::from(level != Level::Leaping);
        let expected = other.map_or(0.0, |other| f64::from(other.ended) / other.seconds);
        let expected = expected * self.seconds;
        let ended = f64::from(self.ended).max(expected);
        self.ticks >= MEASURE_MIN[how] && ended >= f64::from(ENDED_MIN)
            || self.ticks >= MEASURE_MAX[how]
            || self.ended == 0 && expected >= STANDSTILL
    }
}

fn settle(measure: &Measure) -> u32 {
    let stay = measure.residence().unwrap_or_default();
    let ticks = stay.as_secs_f64() / super::TICK.as_secs_f64();
    (ticks.ceil() as u32).clamp(*SETTLE.start(), *SETTLE.end())
}

/// What a level says beside the one before it, of which either may be the upper one.
fn leap(before: Sum, now: Sum) -> Option<Finding> {
    if before.mean() <= now.mean() { finding(before, now) } else { finding(now, before) }
}

/// What two levels say, unless they were hardly apart.
fn finding(low: Sum, high: Sum) -> Option<Finding> {
    let apart = (high.mean() / low.mean()).ln();
    (apart >= APART_MIN).then(|| Finding {
        elasticity: ((high.rate() / low.rate()).ln() / apart).clamp(-5.0, 5.0),
        precision: apart * apart / (low.noise(high) + high.noise(low)),
        apart,
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
        Finding { elasticity: self.mean, precision: self.precision, ..finding }
    }

    /// The base has moved by this part of it.
    pub(super) fn moved(&mut self, gain: f64) {
        self.precision *= (-gain.abs() / Self::FAR).exp();
    }
}

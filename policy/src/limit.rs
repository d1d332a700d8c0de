//! The limit that finds the tipping point by itself.
//!
//! A database does more work the more transactions it runs, up to a point; beyond it, each further
//! one takes more from the others than it adds. That point depends on the mix, the hardware and the
//! hour, so the limit looks for it all the time: it runs a little below and a little above its base
//! in turn and compares the work that gets done (*elasticity*: percent more work for a percent more
//! in flight). Where more brings more, it climbs; where it brings nothing, it falls. What the
//! database says of its locks cuts faster than that, and nothing makes it climb while much waits.
//!
//! ```text
//!  Leaping ──► the base doubles, or halves, while that helps ──► Dithering
//!  Dithering ─► a little below and above in turn: base × (1 + gain × (elasticity − rest))
//!      │   where above is much worse, it stays below for long
//!      ├─ three findings in a row that the top is far ──► Leaping
//!      └─ what is asked for is another mix ─────────────► Leaping
//!  much waits for locks, or most fails: base × cut, then it holds still, then Leaping or Dithering
//!  not full: nothing is learned; a base that nobody has tested for minutes decays
//! ```
//!
//! Only what is measured under load at both levels counts, so quiet hours teach nothing. Work is
//! weighed by what each kind of statement costs an idle database (`baseline`), so that a change
//! of the mix does not look like a change of the database. But where the top is, is a question of the mix:
//! what was found of one says nothing of the next (`traffic`), and the search begins as from a start.
//!
//! Sources: Heiss and Wagner, VLDB 1991 (climbing by steps); Mönkeberg and Weikum, VLDB 1992
//! (conflict ratio); Thomasian, ICDE 1992 (blocked share); Protego, NSDI 2023 (marginal
//! throughput); the constants are from the simulator in the crate `sim`.

mod baseline;
mod knee;
mod meter;
mod probe;
mod terms;
mod traffic;
mod waste;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use self::baseline::Baselines;
use self::knee::Knee;
use self::meter::{Ended, Measure, Meter};
use self::probe::{Finding, Level, Probe, Slope};
pub use self::terms::{Config, Memory, Report};
use self::traffic::Traffic;
use self::waste::Waste;
use crate::admission::Outcome;
use crate::class::Mode;
use crate::contention::Contention;
use crate::sql::Digest;

/// How often the limit is thought over.
pub const TICK: Duration = Duration::from_millis(100);
/// A measure of a longer time than this is none: the clock jumped, or nobody was called.
const STALL: Duration = Duration::from_secs(1);
/// What the database said of its locks counts for so long.
const CONTENTION_KEEPS: Duration = Duration::from_secs(3);
/// Fewer waiters than this are noise: with seven open and two of them waiting the conflict ratio
/// is 1.4 for no reason.
const BLOCKED_MIN: u32 = 4;
/// The limit does not climb while more than this share of what is in flight is being undone.
const ROLLING_BACK_MAX: f64 = 0.1;
/// A doubling that brings less than this much, percent for percent, was one too many.
const DOUBLING_HELPS: f64 = 0.4;
/// A doubling that brings less than this has gone beyond the top: back, and further.
const HALVING_HELPS: f64 = -0.15;
/// On the way down, a half that costs less than this is taken: far beyond the top it is flat.
const HALVING_IS_FREE: f64 = 0.2;
/// So much above rest, the top is far away: doubling begins again.
const FAR_BELOW: f64 = 0.45;
/// A start from here on is looked at from below first: too low costs half the work for half a
/// second, too high may cost all of it.
const TOO_MANY: f64 = 32.0;
/// So much below, it is far away the other way.
const FAR_ABOVE: f64 = -0.5;
/// After so many small steps in a row that found it so, it leaps.
const FAR_STEPS: u32 = 2;
/// The base moves by so many percent for a percent of elasticity beyond rest, within bounds.
const GAIN: f64 = 0.25;
const FALL_MAX: f64 = -0.3;
const CLIMB_MAX: f64 = 0.25;
/// Below this share of the base, what statements take is what they cost an idle database.
const CALM: f64 = 0.5;
/// What is left of the base after a cut.
const CUT_MILD: f64 = 0.85;
const CUT_DEEP: f64 = 0.6;
/// How far from rest an elasticity is expected to be: what is measured less exactly is believed
/// less.
const EXCESS: f64 = 0.4;
/// More than this share of what ends ends badly: most of the work is wasted.
const WASTE: f64 = 0.5;
/// An untested base falls by this share a second.
const UNTESTED_DECAY: f64 = 0.01;
/// How fast the peak in flight is forgotten, a second: a third is left after five minutes.
const PEAK_DECAY: f64 = 1.0 / 300.0;
/// An untested base is kept up to so many times the peak in flight.
const UNTESTED_ROOM: f64 = 3.0;

/// The limit. Tell it what begins and ends, and call [`tick`](Self::tick) every [`TICK`].
#[derive(Debug)]
pub struct Limit {
    config: Config,
    base: f64,
    /// Small steps in a row that went as far as they may.
    far: u32,
    /// The elasticity that the first leap goes by: once.
    hunch: Option<f64>,
    /// The last leap was one down.
    is_falling: bool,
    probe: Probe,
    slope: Slope,
    waste: Waste,
    traffic: Traffic,
    meter: Meter,
    baselines: Baselines,
    knee: Knee,
    contention: Option<(Instant, Contention)>,
    /// No cut and no climb before this: what was changed last has not had its effect.
    holds_until: Instant,
    peak: f64,
    next_tick: Instant,
    last: Measure,
    elasticity: Option<f64>,
    cuts: u64,
}

impl Limit {
    /// A limit that begins with what is remembered, or at the configured start.
    #[must_use]
    pub fn new(now: Instant, config: Config, in_flight: u32, memory: Option<Memory>) -> Self {
        let memory = memory.unwrap_or_default();
        let start = f64::from(config.start).max(memory.base * Memory::TRUST);
        Self {
            config,
            base: config.bounded(start),
            hunch: Some(hunch(start)),
            far: 0,
            is_falling: false,
            probe: Probe::new(Level::Leaping),
            slope: Slope::default(),
            waste: Waste::default(),
            traffic: Traffic::new(),
            meter: Meter::new(now, in_flight),
            baselines: Baselines::new(memory.baselines),
            knee: Knee::new(),
            contention: None,
            holds_until: now,
            peak: 0.0,
            next_tick: now + TICK,
            last: Measure::default(),
            elasticity: None,
            cuts: 0,
        }
    }

    /// Another configuration; what was learned is kept.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
        self.base = self.bounded(self.base);
    }

    /// The database is another one, or has been restarted: its caches are cold. Begins at the least, and
    /// climbs from there.
    pub fn start_over(&mut self, now: Instant, in_flight: u32) {
        let config = Config { start: self.config.min, ..self.config };
        let memory = Memory { base: 0.0, baselines: self.baselines.known() };
        let fresh = Self::new(now, config, in_flight, Some(memory));
        *self = Self { config: self.config, cuts: self.cuts, ..fresh };
    }

    /// How far it goes.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// How it is to be kept.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config
    }

    /// Transactions that may be in flight now.
    #[must_use]
    pub fn value(&self) -> u32 {
        let value = match self.config.mode {
            Mode::Enforce => self.probe.limit(self.base),
            Mode::Off | Mode::Observe => self.base,
        };
        self.bounded(value).round() as u32
    }

    /// When [`tick`](Self::tick) is due.
    #[must_use]
    pub fn next_tick(&self) -> Instant {
        self.next_tick
    }

    /// A transaction begins, with a statement of this kind.
    pub fn began(&mut self, now: Instant, digest: Digest) {
        let limit = self.value();
        self.meter.began(now, limit);
        self.traffic.began(digest);
    }

    /// A transaction has ended after so long.
    pub fn ended(&mut self, now: Instant, digest: Digest, outcome: Outcome, service: Duration) {
        let limit = self.value();
        let ended = match outcome {
            Outcome::Success => Ended::Useful(self.baselines.cost(digest, service)),
            Outcome::Overload => Ended::Failed,
            Outcome::Ignored => Ended::Otherwise,
        };
        self.meter.ended(now, limit, service, ended);
    }

    /// How long a transaction will run that begins with a statement of this kind; `None` while too few
    /// were seen.
    #[must_use]
    pub fn expected(&self, digest: Digest) -> Option<Duration> {
        self.baselines.expected(digest)
    }

    /// A pile-up is being undone, which says nothing of how many the database can run: neither
    /// cut nor climb before `until`.
    pub fn hold_still(&mut self, now: Instant, until: Instant) {
        // What begins meanwhile is what may.
        self.traffic.forget();
        if self.holds_until <= now {
            self.probe.reset();
        }
        self.holds_until = self.holds_until.max(until);
    }

    /// What the database says of its locks; gated keys left out.
    pub fn observe(&mut self, now: Instant, seen: Contention) {
        let smooth = match self.contention {
            Some((at, old)) if now.saturating_duration_since(at) < CONTENTION_KEEPS => Contention {
                blocked_share: f64::midpoint(old.blocked_share, seen.blocked_share),
                conflict_ratio: f64::midpoint(old.conflict_ratio, seen.conflict_ratio),
                ..seen
            },
            _ => seen,
        };
        self.contention = Some((now, smooth));
        if now < self.holds_until || self.config.mode != Mode::Enforce {
            return;
        }
        if let Some(factor) = cut(&smooth) {
            self.cut(now, factor);
        }
    }

    /// Thinks it over: call when [`next_tick`](Self::next_tick) has come. Late calls count once.
    pub fn tick(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        let limit = self.value();
        let measure = self.meter.close(now, limit);
        if measure.time > STALL {
            self.probe.reset();
            return;
        }
        self.last = measure;
        let seconds = measure.time.as_secs_f64();
        self.peak = (self.peak * (1.0 - PEAK_DECAY * seconds)).max(measure.in_flight);
        let is_calm = measure.in_flight < CALM * self.base && self.is_uncontended(now);
        self.baselines.learn(is_calm, measure.slowdown());
        self.knee.learn(&measure);
        if self.config.mode == Mode::Enforce {
            self.steer(now, &measure);
        } else if let Some(knee) = self.knee.top() {
            self.base = self.bounded(knee);
        }
    }

    /// What is known, to go on with after a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory { base: self.base, baselines: self.baselines.known() }
    }

    /// What the limit is and why.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            mode: self.config.mode,
            limit: self.value(),
            base: self.base,
            elasticity: self.elasticity,
            knee: self.knee.top(),
            in_flight: self.last.in_flight,
            work: self.last.work_rate(),
            slowdown: self.last.slowdown(),
            cuts: self.cuts,
        }
    }

    fn steer(&mut self, now: Instant, measure: &Measure) {
        if self.traffic.has_changed() {
            // What was found is of another mix: from here, as from a start.
            self.begin_leaping(hunch(self.base));
        }
        if !measure.is_full && !self.probe.has_leapt(measure) {
            self.probe.reset();
            let seconds = measure.time.as_secs_f64();
            let enough = (UNTESTED_ROOM * self.peak).max(f64::from(self.config.start));
            if self.base > enough {
                self.base = self.bounded(self.base * (1.0 - UNTESTED_DECAY * seconds));
            }
            return;
        }
        if now < self.holds_until {
            return;
        }
        if self.waste.learn(measure) > WASTE {
            return self.cut(now, CUT_DEEP);
        }
        let turns_on = if self.is_falling { HALVING_IS_FREE } else { DOUBLING_HELPS };
        let Some(finding) = self.probe.step(measure, self.value(), turns_on) else { return };
        self.elasticity = finding.map(|finding| finding.elasticity).or(self.elasticity);
        if self.probe.is_leaping() {
            self.leap(now, finding);
        } else if let Some(finding) = finding {
            self.dither(now, finding);
        }
    }

    /// From here twice as many, or half, by this elasticity at first: until there is a level to compare with.
    fn begin_leaping(&mut self, hunch: f64) {
        self.hunch = Some(hunch);
        self.far = 0;
        self.is_falling = false;
        self.probe = Probe::new(Level::Leaping);
    }

    /// Twice as many, or half, until that does not help.
    fn leap(&mut self, now: Instant, finding: Option<Finding>) {
        let found = finding.map(|finding| finding.elasticity);
        // What was before is not known, if there was no load meanwhile: no reason to go on.
        let Some(elasticity) = found.or(self.hunch.take()) else { return self.settle(1.0) };
        let helps = if self.is_falling { HALVING_IS_FREE } else { HALVING_HELPS };
        let half = self.bounded(self.base * 0.5);
        if elasticity < helps && half < self.base {
            self.is_falling = true;
            self.base = half;
        } else if elasticity < helps {
            // There is no further down; what comes next is whether a little more helps.
            self.settle(1.0);
        } else if self.is_falling {
            // Half of the level before was too little.
            self.settle(2.0);
        } else if elasticity < DOUBLING_HELPS {
            // The top is between this level and the one before.
            self.settle(0.5_f64.sqrt());
        } else if self.may_climb(now) && self.base < f64::from(self.config.max) {
            self.base = self.bounded(self.base * 2.0);
        } else {
            self.settle(1.0);
        }
    }

    /// Near enough: small steps from here.
    fn settle(&mut self, factor: f64) {
        self.base = self.bounded(self.base * factor);
        self.is_falling = false;
        self.slope = Slope::default();
        self.probe = Probe::new(Level::Low);
    }

    fn dither(&mut self, now: Instant, finding: Finding) {
        let found = self.slope.learn(finding);
        let may_climb = self.may_climb(now);
        let excess = found.elasticity - self.config.frugality;
        // What is uncertain is taken as nearer to rest than it was measured.
        let sure = found.precision / (found.precision + 1.0 / (EXCESS * EXCESS));
        let believed = excess * sure;
        let may_fall = self.bounded(0.5 * self.base) < self.base;
        let is_far = may_climb && believed > FAR_BELOW || may_fall && believed < FAR_ABOVE;
        self.far = if is_far { self.far + 1 } else { 0 };
        if self.far > FAR_STEPS {
            return self.begin_leaping(found.elasticity);
        }
        let gain = (GAIN * believed).clamp(FALL_MAX, CLIMB_MAX);
        if gain < 0.0 || may_climb {
            self.base = self.bounded(self.base * (1.0 + gain));
            self.slope.moved(gain);
        }
        self.probe.favour(believed, found.apart);
    }

    fn may_climb(&self, now: Instant) -> bool {
        self.fresh(now).is_none_or(|seen| {
            let is_noise = seen.blocked < BLOCKED_MIN;
            (is_noise || seen.conflict_ratio < 2.0 && seen.blocked_share < 0.5)
                && f64::from(seen.rolling_back) <= ROLLING_BACK_MAX * self.last.in_flight
        })
    }

    fn is_uncontended(&self, now: Instant) -> bool {
        self.fresh(now).is_none_or(|seen| seen.blocked_share < 0.1)
    }

    fn fresh(&self, now: Instant) -> Option<&Contention> {
        let (at, seen) = self.contention.as_ref()?;
        (now.saturating_duration_since(*at) < CONTENTION_KEEPS).then_some(seen)
    }

    /// Less at once, then waits for it to show: twice the time a transaction stays.
    fn cut(&mut self, now: Instant, factor: f64) {
        self.base = self.bounded(self.base.min(self.meter.in_flight() + 1.0) * factor);
        self.cuts += 1;
        if factor < CUT_MILD || self.is_falling {
            // Far too many: the way down goes on from here.
            self.is_falling = true;
            self.hunch = Some(-1.0);
            self.probe = Probe::new(Level::Leaping);
        } else {
            self.settle(1.0);
        }
        self.waste = Waste::default();
        let stay = self.last.residence().unwrap_or(TICK).clamp(TICK, STALL);
        self.holds_until = now + 2 * stay;
    }

    fn bounded(&self, value: f64) -> f64 {
        self.config.bounded(value)
    }
}

/// Where to look first from a base of which nothing is known.
fn hunch(base: f64) -> f64 {
    if base < TOO_MANY { 1.0 } else { -1.0 }
}

/// What locks take off the base.
fn cut(seen: &Contention) -> Option<f64> {
    if seen.blocked < BLOCKED_MIN {
        None
    } else if seen.blocked_share > 0.85 {
        Some(CUT_DEEP)
    } else if seen.blocked_share > 0.8 || seen.conflict_ratio > 5.0 {
        Some(CUT_MILD)
    } else {
        None
    }
}

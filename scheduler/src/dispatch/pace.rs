//! How far a batch's plan may be carried out: its own clock, which the pacer slows down.
//!
//! The moments of items are the plan. What is at or before the plan's clock may go. While all is well
//! that clock shows the time; under pressure it is slower, and what it has lost it makes up for at a bounded
//! pace. So what was held up (by pressure, a pause, a scheduler that was gone) is spread anew in its own
//! order, never released at once:
//!
//! ```text
//!  time        ──────────────────────────────────────►
//!  the plan's  ───────────╲ slower ___ 1.02 × need, at most 1.6 × ──► time
//! ```
//!
//! Where nothing that is held is due for a while, the clock jumps there: there is nothing to spread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use policy::spread::pacer::{CEILING, Pacer};

use super::clock::{between, later};
use super::pressure::Signal;

/// Where the guard tells nothing because there is none: who is late aims at so much more than needed.
const MARGIN: f64 = 1.02;
/// Time that passes between two looks counts as this at most: who was frozen has not seen it.
const STEP_MAX: Duration = Duration::from_secs(1);
/// Between two steps the clock goes on by itself for so long: they are 20 ms apart.
const BETWEEN_MAX: Duration = Duration::from_millis(100);
/// A clock that is no further behind shows the time: it is moved on in steps.
const ON_TIME_MAX: Duration = Duration::from_millis(100);

/// The pace of one batch in one process.
#[derive(Debug)]
pub struct Pace {
    /// None: nothing to steer by.
    pacer: Option<Pacer>,
    /// What the plan's clock shows.
    position: Timestamp,
    advanced: Instant,
    /// Of each chunk that is held, when its next first attempt is due.
    nexts: BTreeMap<u32, Timestamp>,
    multiplier: f64,
}

impl Pace {
    /// A plan that is carried out as it says, until there is pressure. `steered` is the last signal where there is
    /// somebody to tell of it: without a signal it is slow then.
    #[must_use]
    pub fn new(now: Instant, time: Timestamp, steered: Option<Signal>) -> Self {
        Self {
            pacer: steered.map(|signal| Pacer::knowing(now, signal)),
            position: time,
            advanced: now,
            nexts: BTreeMap::new(),
            multiplier: 1.0,
        }
    }

    /// A chunk is held whose next first attempt is due at this moment. One before the clock's sets that
    /// back: all that is behind is spread anew.
    pub fn hold(&mut self, chunk: u32, next: Timestamp) {
        let is_new = self.nexts.insert(chunk, next).is_none();
        if is_new {
            self.position = self.position.min(next);
        }
    }

    /// Of this chunk no more first attempts are waited for.
    pub fn let_go(&mut self, chunk: u32) {
        self.nexts.remove(&chunk);
    }

    /// How pressed the database is, seen at `at`.
    pub fn observe(&mut self, at: Instant, pressure: f64) {
        if let Some(pacer) = &mut self.pacer {
            pacer.observe(at, pressure);
        }
    }

    /// Moves the plan's clock on. To be asked every 20 ms or so. `time` is the ledger's.
    pub fn advance(&mut self, now: Instant, time: Timestamp, deadline: Timestamp) {
        let passed = now.saturating_duration_since(self.advanced).min(STEP_MAX);
        self.advanced = self.advanced.max(now);
        let (planned, left) = (between(self.position, deadline), between(time, deadline));
        let need = match (self.position < time, left.is_zero()) {
            (false, _) => 1.0,
            (true, true) => CEILING,
            (true, false) => planned.as_secs_f64() / left.as_secs_f64(),
        };
        self.multiplier = match &mut self.pacer {
            Some(pacer) => pacer.advance(now, need),
            None if need > 1.0 => (need * MARGIN).min(CEILING),
            None => 1.0,
        };
        let moved = later(self.position, passed.mul_f64(self.multiplier));
        // Nothing is due before the first of what is held; with nothing held, nothing is behind.
        let idle = self.nexts.values().min().map_or(time, |first| (*first).min(time));
        self.position = moved.max(idle).min(time);
    }

    /// What the plan's clock showed when it was moved on.
    #[must_use]
    pub const fn position(&self) -> Timestamp {
        self.position
    }

    /// What it shows now, at `time`: what is due by then may go. Between two steps it goes on as in the last, so
    /// that no item waits for the next.
    #[must_use]
    pub fn position_at(&self, now: Instant, time: Timestamp) -> Timestamp {
        let passed = now.saturating_duration_since(self.advanced).min(BETWEEN_MAX);
        later(self.position, passed.mul_f64(self.multiplier)).min(time).max(self.position)
    }

    /// Whether it shows the time, so that an item that goes late is not held up by the plan.
    #[must_use]
    pub fn is_on_time(&self, time: Timestamp) -> bool {
        between(self.position, time) <= ON_TIME_MAX
    }

    /// What the planned rate is multiplied with.
    #[must_use]
    pub const fn multiplier(&self) -> f64 {
        self.multiplier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// The plan's clock after so many milliseconds, in steps of 20.
    fn run(pace: &mut Pace, from: Instant, ms: std::ops::Range<i64>, deadline: i64) -> i64 {
        for step in (ms.start..ms.end).step_by(20) {
            let step = step + 20;
            pace.advance(from + MS * step as u32, at(step), at(deadline));
        }
        pace.position().as_millisecond()
    }

    #[test]
    fn it_keeps_the_time_and_jumps_over_nothing_to_do() {
        let now = Instant::now();
        let mut pace = Pace::new(now, at(0), None);
        pace.hold(0, at(500));
        assert_eq!(run(&mut pace, now, 0..1_000, 60_000), 1_000);
    }

    #[test]
    fn between_two_steps_it_goes_on_and_never_past_the_time() {
        let now = Instant::now();
        let mut pace = Pace::new(now, at(0), None);
        pace.hold(0, at(0));
        pace.advance(now + MS * 20, at(20), at(60_000));
        assert_eq!(pace.position_at(now + MS * 27, at(27)), at(27));
        assert_eq!(pace.position_at(now + MS * 27, at(25)), at(25));
        // Nobody has moved it on for a second: it does not run away from who steers.
        let alone = pace.position_at(now + MS * 1_020, at(1_020));
        assert!((at(120)..at(125)).contains(&alone), "{alone}");
        assert!(pace.is_on_time(at(120)) && !pace.is_on_time(at(121)));
    }

    #[test]
    fn a_backlog_is_spread_at_a_bounded_pace() {
        let now = Instant::now();
        let mut pace = Pace::new(now, at(0), None);
        // Ten seconds behind, half a minute of plan left.
        pace.hold(0, at(-10_000));
        let after = run(&mut pace, now, 0..1_000, 20_000);
        assert!((-8_500..=-8_300).contains(&after), "{after}");
        // Once nothing old is left it is where the next is due.
        pace.let_go(0);
        pace.hold(1, at(900));
        assert_eq!(run(&mut pace, now, 1_000..1_020, 20_000), 900);
    }

    #[test]
    fn pressure_slows_it_down_and_no_signal_does() {
        let now = Instant::now();
        let mut pace = Pace::new(now, at(0), Some(None));
        pace.hold(0, at(0));
        assert_eq!(run(&mut pace, now, 0..1_000, 60_000), 500);
        pace.observe(now + MS * 1_000, 1.0);
        let pressed = run(&mut pace, now, 1_000..3_000, 60_000) - 500;
        assert!(pressed < 300, "{pressed}");
        assert!(pace.multiplier() < 0.1);
    }

    #[test]
    fn it_is_never_ahead_of_time_and_a_frozen_process_has_slept() {
        let now = Instant::now();
        let mut pace = Pace::new(now, at(0), None);
        pace.hold(0, at(0));
        pace.advance(now + Duration::from_secs(60), at(60_000), at(60_000));
        assert!(pace.position() <= at(1_600), "{:?}", pace.position());
        pace.let_go(0);
        pace.advance(now + Duration::from_secs(61), at(61_000), at(60_000));
        assert_eq!(pace.position(), at(61_000));
    }
}

//! The pacer: slows a plan down while the database is pressed.
//!
//! ```text
//!  pressure   0 ............ LOW ............ HIGH ............ 1 ....►
//!  multiplier    rises slowly      stays           falls quickly
//!                no signal for STALE_AFTER: at most STALE_MULTIPLIER
//! ```
//!
//! Additive up and multiplicative down, as TCP and Meta's XFaaS do. What was held up is no debt
//! that is paid at once: the batch is planned again with what remains, which raises the plan a
//! little everywhere. So the multiplier has no reason to go above 1, but for a batch that will miss
//! its deadline otherwise, and only while the database is idle.
//!
//! Differs from the law that was first proposed: up to 1.6 whenever pressure is low, down from 0.75
//! on, and a stale signal taken for a pressure of 0.7. The first runs ahead of its own plan: a load
//! meant to be flat had a peak of 1.21 times its mean with a true forecast, and of 1.29 where a
//! surge did not come, instead of 1.00 and 1.08. Of the last, as 0.7 neither raises nor cuts, it
//! stayed as fast as it was. Figures: `sim`'s `figures -- spread`.

use std::time::{Duration, Instant};

/// Below this pressure the multiplier rises.
pub const LOW: f64 = 0.5;
/// Above this pressure it falls. In flight at 0.65 of the best, a database does 0.94 of what it
/// can. By the law that was first proposed, from 0.75 on, a load whose surge was twice what had been
/// forecast had a peak of 1.22 times its mean; now 1.18.
pub const HIGH: f64 = 0.65;
/// By how much it rises in a second.
pub const RAISE: f64 = 0.05;
/// What is left of it after a second just above [`HIGH`]. At a pressure of 1 and above it falls
/// five times as fast.
pub const CUT: f64 = 0.6;
/// How much faster it falls at a pressure of 1 than at [`HIGH`].
const URGENCY: f64 = 5.0;
/// It is never above this, however late a batch is.
pub const CEILING: f64 = 1.6;
/// A batch that is late aims at so much more than it needs.
const MARGIN: f64 = 1.02;
/// A signal that is older than this says nothing.
pub const STALE_AFTER: Duration = Duration::from_secs(3);
/// Without a signal, the multiplier is at most this.
pub const STALE_MULTIPLIER: f64 = 0.5;
/// Time that passes between two steps counts as this at most: a process that was frozen has not
/// seen what it slept through.
const STEP_MAX: Duration = Duration::from_secs(1);

/// What share of the planned rate one target takes now.
#[derive(Debug, Clone)]
pub struct Pacer {
    multiplier: f64,
    advanced: Instant,
    seen: Option<(Instant, f64)>,
}

impl Pacer {
    /// As slow as without a signal, until there is one.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { multiplier: STALE_MULTIPLIER, advanced: now, seen: None }
    }

    /// With what was heard before it began: at the planned rate where that is fresh and the database idle, since
    /// then nothing speaks against the plan. Otherwise as [`Pacer::new`].
    #[must_use]
    pub fn knowing(now: Instant, signal: Option<(Instant, f64)>) -> Self {
        let mut pacer = Self::new(now);
        if let Some((at, pressure)) = signal {
            pacer.observe(at, pressure);
        }
        if pacer.pressure(now).is_some_and(|pressure| pressure < LOW) {
            pacer.multiplier = 1.0;
        }
        pacer
    }

    /// How pressed the database is: 0 idle, 1 at the limit of what it can take. What is no number
    /// is no signal.
    pub fn observe(&mut self, now: Instant, pressure: f64) {
        if pressure.is_finite() {
            self.seen = Some((now, pressure.max(0.0)));
        }
    }

    /// What to multiply the planned rate with from now on. To be asked every 100 ms or so.
    ///
    /// `need` is what remains to be sent over what the plan still has until the deadline: 1 where
    /// the plan is kept or made anew, 2 where half of it was lost.
    pub fn advance(&mut self, now: Instant, need: f64) -> f64 {
        let passed = now.saturating_duration_since(self.advanced).min(STEP_MAX).as_secs_f64();
        self.advanced = self.advanced.max(now);
        let Some(pressure) = self.pressure(now) else {
            self.multiplier = self.multiplier.min(STALE_MULTIPLIER);
            return self.multiplier;
        };
        let ceiling = match pressure < LOW && need > 1.0 {
            true => (need * MARGIN).min(CEILING),
            false => 1.0,
        };
        if pressure < LOW {
            self.multiplier += RAISE * passed;
        } else if pressure > HIGH {
            let over = ((pressure - HIGH) / (1.0 - HIGH)).min(1.0);
            self.multiplier *= CUT.powf(passed * (1.0 + (URGENCY - 1.0) * over));
        }
        self.multiplier = self.multiplier.min(ceiling);
        self.multiplier
    }

    /// The last signal, unless it is stale.
    fn pressure(&self, now: Instant) -> Option<f64> {
        let is_fresh = |at| now.saturating_duration_since(at) <= STALE_AFTER;
        self.seen.filter(|(at, _)| is_fresh(*at)).map(|(_, pressure)| pressure)
    }
}

/// How a batch will end, if it goes on as it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// When the last item will have gone, from now; none when nothing goes.
    pub finish: Option<Duration>,
    /// How many will go after the deadline.
    pub late: u64,
    /// By how much the last of them.
    pub late_by: Option<Duration>,
}

/// The outlook of a batch with `remaining` items at `rate` a second and `left` until its deadline.
#[must_use]
pub fn outlook(remaining: u64, rate: f64, left: Duration) -> Outlook {
    if remaining == 0 {
        return Outlook { finish: Some(Duration::ZERO), late: 0, late_by: None };
    }
    let in_time = (rate.max(0.0) * left.as_secs_f64()) as u64;
    let finish = Duration::try_from_secs_f64(remaining as f64 / rate.max(0.0)).ok();
    let late = remaining.saturating_sub(in_time);
    let late_by = finish.and_then(|finish| finish.checked_sub(left)).filter(|_| late > 0);
    Outlook { finish, late, late_by }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    /// The multiplier after each second of a constant pressure, told ten times a second.
    fn seconds(pacer: &mut Pacer, from: Instant, pressure: f64, seconds: u32) -> Vec<f64> {
        let second = |second: u32| {
            let tick = |tick: u32| {
                let now = from + MS * (1000 * second + 100 * tick);
                pacer.observe(now, pressure);
                pacer.advance(now, 1.0)
            };
            (1..=10).map(tick).last().unwrap()
        };
        (0..seconds).map(second).collect()
    }

    #[test]
    fn it_rises_slowly_to_the_plan_and_no_further() {
        let now = start();
        let mut pacer = Pacer::new(now);
        let risen = seconds(&mut pacer, now, 0.2, 30);
        assert!((risen[1] - 0.6).abs() < 1e-9, "{risen:?}");
        assert!((risen[29] - 1.0).abs() < 1e-9, "{risen:?}");
    }

    #[test]
    fn it_begins_with_the_plan_where_the_database_is_known_to_be_idle() {
        let now = start();
        let later = now + STALE_AFTER + MS;
        for (now, signal, multiplier) in [
            (now, Some((now, 0.2)), 1.0),
            (now, Some((now, LOW)), STALE_MULTIPLIER),
            (now, Some((now, f64::NAN)), STALE_MULTIPLIER),
            (now, None, STALE_MULTIPLIER),
            (later, Some((now, 0.2)), STALE_MULTIPLIER),
        ] {
            let mut pacer = Pacer::knowing(now, signal);
            assert!((pacer.advance(now, 1.0) - multiplier).abs() < 1e-9, "{signal:?}");
        }
    }

    #[test]
    fn it_falls_by_how_pressed_the_database_is_and_stays_in_between() {
        let now = start();
        for (pressure, left) in
            [(0.6, 1.0), (HIGH + 1e-9, CUT), (1.0, CUT.powi(5)), (9.0, CUT.powi(5))]
        {
            let mut pacer = Pacer { multiplier: 1.0, ..Pacer::new(now) };
            let after = seconds(&mut pacer, now, pressure, 1)[0];
            assert!((after - left).abs() < 1e-6, "{pressure}: {after}");
        }
    }

    #[test]
    fn a_stale_signal_means_slow() {
        let now = start();
        let mut pacer = Pacer { multiplier: 1.0, ..Pacer::new(now) };
        pacer.observe(now, 0.6);
        assert!((pacer.advance(now + STALE_AFTER, 1.0) - 1.0).abs() < 1e-9);
        let stale = now + STALE_AFTER + MS;
        // Also for a batch that will be late.
        assert!((pacer.advance(stale, 9.0) - STALE_MULTIPLIER).abs() < 1e-9);
        pacer.observe(stale, f64::NAN);
        assert!((pacer.advance(stale + 1000 * MS, 9.0) - STALE_MULTIPLIER).abs() < 1e-9);
    }

    #[test]
    fn who_is_late_goes_faster_while_the_database_is_idle() {
        let now = start();
        let run = |pressure| {
            let mut pacer = Pacer { multiplier: 1.0, ..Pacer::new(now) };
            let tick = |tick| {
                pacer.observe(now + MS * tick * 100, pressure);
                pacer.advance(now + MS * tick * 100, 1.2)
            };
            (1..100).map(tick).last().unwrap()
        };
        assert!((run(0.2) - 1.2 * MARGIN).abs() < 1e-9);
        assert!((run(0.6) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_miss_is_told_beforehand() {
        let outlook_of =
            |remaining, rate, left| outlook(remaining, rate, Duration::from_secs(left));
        let late = outlook_of(1000, 10.0, 60);
        assert_eq!((late.late, late.late_by), (400, Some(Duration::from_secs(40))));
        assert_eq!(outlook_of(600, 10.0, 60).late, 0);
        assert_eq!(outlook_of(600, 10.0, 60).late_by, None);
        assert_eq!(outlook_of(7, 0.0, 60), Outlook { finish: None, late: 7, late_by: None });
        assert_eq!(outlook_of(0, 0.0, 0).finish, Some(Duration::ZERO));
    }

    proptest! {
        /// Whatever it is told and whenever: it is within its bounds, without a signal slow, and a
        /// clock that goes back changes nothing.
        #[test]
        fn it_keeps_its_bounds(
            steps in prop::collection::vec((0..5000_u64, prop::option::of(-1.0..3.0_f64), 0.0..5.0_f64), 1..200),
        ) {
            let began = start() + Duration::from_secs(60);
            let mut pacer = Pacer::new(began);
            let (mut now, mut heard) = (began, None);
            for (passed, pressure, need) in steps {
                now += Duration::from_millis(passed);
                if let Some(pressure) = pressure {
                    pacer.observe(now, pressure);
                    heard = Some(now);
                }
                let before = pacer.multiplier;
                let multiplier = pacer.advance(now, need);
                prop_assert!((0.0..=CEILING).contains(&multiplier));
                prop_assert!(multiplier <= before.max(1.0).max(need * MARGIN) + RAISE);
                let is_stale = heard.is_none_or(|heard| now - heard > STALE_AFTER);
                prop_assert!(!is_stale || multiplier <= STALE_MULTIPLIER);
                prop_assert!(pacer.advance(now - Duration::from_secs(9), 1.0) <= multiplier.max(1.0));
            }
        }
    }
}

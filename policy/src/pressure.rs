//! How pressed the database is: one number for those who can wait, and what it is made of.
//!
//! Each part is measured against what is just borne, so that 0 is idle and 1 as much as may be:
//!
//! ```text
//!  limit   in flight / the least limit on all together            mean of about half a second
//!  queue   longest wait in a class / what its queue is kept to    now
//!  locks   blocked share / BLOCKED_MAX, from 4 that wait on       as last seen
//!  lag     replication lag / LAG_MAX                              as last seen, where it is known
//!  errors  refused or failed because of load, of all / ERRORS_MAX over about two seconds
//!  lost    1 while the database cannot be reached
//!
//!  pressure = the greatest of them
//! ```
//!
//! The greatest and not a sum: a single resource that is used up is enough to tip a database over, and
//! the idle ones do not make up for it. DAGOR (Zhou et al., `SoCC` 2018) and freno (GitHub) decide on one
//! signal at a time in the same way; the blocked share is Thomasian's (ICDE 1992). The same measures serve
//! `limit`; who reads the number steers by it (`spread::pacer`) and so slows down before the gate must refuse.

use std::time::{Duration, Instant};

use crate::admission::Snapshot;
use crate::contention::Contention;

/// Of what is open, so much waits for locks where the limit stops climbing.
pub const BLOCKED_MAX: f64 = 0.5;
/// Fewer that wait are noise.
const BLOCKED_MIN: u32 = 4;
/// Replicas that are further behind than this are no use for reads that want to be current.
pub const LAG_MAX: Duration = Duration::from_secs(1);
/// So many of all that ask are refused, or fail because of load, where clients begin to feel it.
pub const ERRORS_MAX: f64 = 0.1;
/// Fewer that asked say nothing of a share.
const ASKED_MIN: f64 = 20.0;
/// A class that keeps its queue shorter than this is taken to keep it to this.
const WAIT_MIN: Duration = Duration::from_millis(10);
/// A part is told up to here; more is no more to steer by.
pub const PART_MAX: f64 = 10.0;
/// In flight is a mean of about so long: single transactions come and go faster.
const LIMIT_OVER: Duration = Duration::from_millis(500);
/// Errors are counted over about so long.
const ERRORS_OVER: Duration = Duration::from_secs(2);

/// What is measured at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Transactions in flight.
    pub in_flight: u32,
    /// The least limit on them; `None` where there is none.
    pub limit: Option<u32>,
    /// The longest wait of a class, in parts of what its queue is kept to.
    pub wait: f64,
    /// How much stands still in the database, where that is known.
    pub contention: Option<Contention>,
    /// How far the replicas are behind, where that is known.
    pub lag: Option<Duration>,
    /// Transactions that were admitted, refused or given up, since start.
    pub asked: u64,
    /// Of these, refused, given up, or failed because of load.
    pub failed: u64,
    /// The database cannot be reached.
    pub is_lost: bool,
}

/// How pressed the database is. Each part is from 0 to [`PART_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// In flight over the limit.
    pub limit: f64,
    /// Waiting for a turn.
    pub queue: f64,
    /// Waiting for locks.
    pub locks: f64,
    /// Replication lag; `None` where it is not known.
    pub lag: Option<f64>,
    /// Refused or failed.
    pub errors: f64,
    /// Whether the database is lost: 0 or 1.
    pub lost: f64,
}

/// Makes pressure of readings.
#[derive(Debug, Default)]
pub struct Gauge {
    last: Option<Last>,
    limit: f64,
    asked: f64,
    failed: f64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    asked: u64,
    failed: u64,
}

impl Reading {
    /// What admission tells, with the least of `limits` and of its own for all together.
    #[must_use]
    pub fn of(snapshot: &Snapshot, limits: impl IntoIterator<Item = u32>) -> Self {
        let overall = &snapshot.overall;
        let counts = overall.counts;
        let waits = snapshot.classes.iter().map(|class| {
            let kept_to = class.limits.queue_target.max(WAIT_MIN);
            class.oldest_wait.as_secs_f64() / kept_to.as_secs_f64()
        });
        Self {
            in_flight: overall.in_flight,
            limit: limits.into_iter().chain(overall.limits.in_flight).min(),
            wait: waits.fold(0.0, f64::max),
            asked: counts.admitted + counts.shed + counts.abandoned,
            failed: counts.shed + counts.abandoned + counts.overloaded,
            ..Self::default()
        }
    }
}

impl Gauge {
    /// A gauge that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One reading more, to be taken every 100 ms or so. What is counted since start may begin anew.
    pub fn read(&mut self, now: Instant, reading: &Reading) -> Pressure {
        let used = reading
            .limit
            .map_or(0.0, |limit| f64::from(reading.in_flight) / f64::from(limit.max(1)));
        let Reading { asked, failed, .. } = *reading;
        match self.last {
            None => self.limit = used,
            Some(last) => {
                let passed = now.saturating_duration_since(last.at);
                self.limit += (used - self.limit) * (1.0 - kept(passed, LIMIT_OVER));
                let kept = kept(passed, ERRORS_OVER);
                self.asked = self.asked * kept + asked.saturating_sub(last.asked) as f64;
                self.failed = self.failed * kept + failed.saturating_sub(last.failed) as f64;
            }
        }
        self.last = Some(Last { at: now, asked, failed });
        let errors = if self.asked < ASKED_MIN { 0.0 } else { self.failed / self.asked };
        let locks = reading.contention.filter(|seen| seen.blocked >= BLOCKED_MIN);
        Pressure {
            limit: part(self.limit),
            queue: part(reading.wait),
            locks: part(locks.map_or(0.0, |seen| seen.blocked_share / BLOCKED_MAX)),
            lag: reading.lag.map(|lag| part(lag.as_secs_f64() / LAG_MAX.as_secs_f64())),
            errors: part(errors / ERRORS_MAX),
            lost: f64::from(u8::from(reading.is_lost)),
        }
    }
}

impl Pressure {
    /// The greatest of its parts.
    #[must_use]
    pub fn value(&self) -> f64 {
        let parts = [self.limit, self.queue, self.locks, self.errors, self.lost];
        parts.into_iter().chain(self.lag).fold(0.0, f64::max)
    }
}

fn part(of: f64) -> f64 {
    of.clamp(0.0, PART_MAX)
}

/// What is left of a mean over `over` after so long.
fn kept(passed: Duration, over: Duration) -> f64 {
    (-passed.as_secs_f64() / over.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    /// The last of so many readings, one each tenth of a second.
    fn after(count: u64, reading: impl Fn(u64) -> Reading) -> Pressure {
        let (begin, mut gauge) = (start(), Gauge::new());
        let read = |step| gauge.read(begin + Duration::from_millis(100 * step), &reading(step));
        (0..count).map(read).last().unwrap()
    }

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 0.02, "{value} is not {expected}");
    }

    #[test]
    fn nothing_is_no_pressure() {
        assert_eq!(after(10, |_| Reading::default()).value(), 0.0);
        let idle = Reading { limit: Some(8), ..Reading::default() };
        assert_eq!(after(10, |_| idle).value(), 0.0);
    }

    #[test]
    fn each_part_is_one_where_it_is_just_borne_and_the_greatest_counts() {
        let contention =
            |share| Contention { blocked: 4, blocked_share: share, ..Contention::default() };
        let idle = Reading::default();
        let cases = [
            (Reading { in_flight: 8, limit: Some(8), ..idle }, 1.0),
            (Reading { in_flight: 4, limit: Some(8), wait: 0.25, ..idle }, 0.5),
            (Reading { in_flight: 4, limit: Some(8), wait: 3.0, ..idle }, 3.0),
            (Reading { contention: Some(contention(0.5)), ..idle }, 1.0),
            (Reading { lag: Some(LAG_MAX), ..idle }, 1.0),
            (Reading { lag: Some(Duration::MAX), ..idle }, PART_MAX),
            (Reading { is_lost: true, ..idle }, 1.0),
            (Reading { in_flight: 8, limit: Some(0), ..idle }, 8.0),
        ];
        for (reading, expected) in cases {
            near(after(1, |_| reading).value(), expected);
        }
    }

    #[test]
    fn few_waiters_are_noise() {
        let few = Contention { blocked: 3, blocked_share: 1.0, ..Contention::default() };
        let reading = Reading { contention: Some(few), ..Reading::default() };
        assert_eq!(after(1, |_| reading).value(), 0.0);
    }

    #[test]
    fn in_flight_is_a_mean_that_follows_within_a_second_and_a_half() {
        let reading = |in_flight| Reading { in_flight, limit: Some(10), ..Reading::default() };
        let swinging = after(40, |step| reading(10 * (step as u32 % 2))).limit;
        assert!((0.4..0.6).contains(&swinging), "{swinging}");
        near(after(40, |step| reading(if step < 25 { 10 } else { 0 })).limit, 0.05);
    }

    #[test]
    fn errors_are_a_share_of_those_who_asked_lately() {
        let counted = |asked, failed| Reading { asked, failed, ..Reading::default() };
        // One in twenty fails.
        near(after(100, |step| counted(100 * step, 5 * step)).errors, 0.5);
        // Too few have asked.
        near(after(100, |step| counted(step / 10, step / 10)).errors, 0.0);
        // It was so a minute ago.
        let over = |step: u64| counted(100 * step, 100 * step.min(10));
        near(after(600, over).errors, 0.0);
        // Counts that begin anew are no errors.
        let anew = |step: u64| if step < 50 { counted(1000 * step, 0) } else { counted(0, 0) };
        near(after(51, anew).errors, 0.0);
    }

    #[test]
    fn a_clock_that_jumps_or_stands_still_is_no_pressure() {
        let (now, mut gauge) = (start(), Gauge::new());
        let reading = Reading { in_flight: 4, limit: Some(8), asked: 100, ..Reading::default() };
        for at in [now, now, now + Duration::from_secs(3600), now] {
            near(gauge.read(at, &reading).value(), 0.5);
        }
    }
}

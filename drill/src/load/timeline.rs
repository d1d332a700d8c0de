//! What a crowd went through, second by second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Longest time recorded, in seconds; what comes later counts in the last one.
const SECONDS_MAX: usize = 3600;

/// What happened in a span of time.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Attempts committed within their deadline.
    pub good: u64,
    /// Attempts whose client's time was up: it dropped the socket.
    pub timed_out: u64,
    /// Attempts that ended with an error of the server or the guard, at login or later, but for those
    /// in `aborted`.
    pub refused: u64,
    /// Attempts that the server ended in favour of others: deadlocks, locks waited for too long.
    pub aborted: u64,
    /// Attempts whose connection broke.
    pub lost: u64,
    /// Connections opened.
    pub connects: u64,
    /// Transactions none of whose attempts succeeded.
    pub given_up: u64,
    /// How long transactions took that were committed, all attempts together.
    pub latencies: Vec<Duration>,
    /// The attempts in `good`, one by one.
    pub served: Vec<Served>,
}

/// An attempt that was committed within its deadline.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// When it was committed, counted from the beginning of the timeline.
    pub at: Duration,
    /// How long it took, connecting included; attempts before it are not.
    pub took: Duration,
}

/// The counts of one second.
pub type Second = Counts;

impl Counts {
    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.timed_out += other.timed_out;
        self.refused += other.refused;
        self.aborted += other.aborted;
        self.lost += other.lost;
        self.connects += other.connects;
        self.given_up += other.given_up;
        self.latencies.extend(&other.latencies);
        self.served.extend(&other.served);
    }
}

/// What a crowd came to in a stretch of time, a second; latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Commits within the deadline.
    pub good_per_second: f64,
    /// What half of these took at most, connecting included; none when they are fewer than a hundred.
    pub p50_ms: Option<f64>,
    /// What 99 of 100 took at most.
    pub p99_ms: Option<f64>,
    /// Attempts refused.
    pub refused_per_second: f64,
    /// Attempts that the server ended in favour of others.
    pub aborted_per_second: f64,
    /// Attempts whose client waited in vain and dropped its socket.
    pub timed_out_per_second: f64,
    /// Connections opened.
    pub connects_per_second: f64,
}

impl Rates {
    /// Of whole seconds of a timeline, from one time to the other.
    #[must_use]
    pub fn of(timeline: &Timeline, from: Duration, to: Duration) -> Self {
        let whole = |time: Duration| usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
        let counts = timeline.sum(whole(from)..whole(to));
        let seconds = to.saturating_sub(from).as_secs_f64();
        let per_second = |count: u64| count as f64 / seconds.max(f64::EPSILON);
        let mut took: Vec<Duration> = counts.served.iter().map(|served| served.took).collect();
        Self {
            good_per_second: per_second(counts.good),
            p50_ms: told_ms(&mut took, 0.5),
            p99_ms: told_ms(&mut took, 0.99),
            refused_per_second: per_second(counts.refused),
            aborted_per_second: per_second(counts.aborted),
            timed_out_per_second: per_second(counts.timed_out),
            connects_per_second: per_second(counts.connects),
        }
    }
}

/// The value that `share` (0 to 1) of `values` do not exceed; `None` without any. Reorders them.
fn percentile<V: Copy + Ord>(values: &mut [V], share: f64) -> Option<V> {
    let last = values.len().checked_sub(1)?;
    // Rounding to the nearest rank: a count of values is far below what f64 holds exactly.
    let rank = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
    Some(*values.select_nth_unstable(rank).1)
}

/// The fewest values whose percentiles are told: one of a handful says nothing.
const ENOUGH: usize = 100;

/// The time that `share` (0 to 1) of `times` do not exceed, in milliseconds; none when they are fewer
/// than a hundred. Reorders them.
#[must_use]
pub fn told_ms(times: &mut [Duration], share: f64) -> Option<f64> {
    let is_enough = times.len() >= ENOUGH;
    percentile(times, share).filter(|_| is_enough).map(|time| time.as_secs_f64() * 1000.0)
}

/// In whole milliseconds.
#[must_use]
pub fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How many of these moments are in a stretch of time, a second.
#[must_use]
pub fn rate(moments: &[Duration], from: Duration, to: Duration) -> f64 {
    let inside = moments.iter().filter(|at| (from..to).contains(*at)).count();
    inside as f64 / to.saturating_sub(from).as_secs_f64().max(f64::EPSILON)
}

/// How long after `since` the first whole second begins that has `wanted` of these moments, or more;
/// none when that does not come before `end`.
#[must_use]
pub fn back(moments: &[Duration], since: Duration, end: Duration, wanted: f64) -> Option<Duration> {
    /// How far apart the seconds begin that are tried.
    const STEP: Duration = Duration::from_millis(50);
    const WINDOW: Duration = Duration::from_secs(1);
    let windows = std::iter::successors(Some(since), |from| Some(*from + STEP));
    let mut windows = windows.take_while(|from| *from + WINDOW <= end);
    let found = windows.find(|from| rate(moments, *from, *from + WINDOW) >= wanted)?;
    Some(found - since)
}

/// Counts by second since it was made. Shared by all clients of a crowd.
#[derive(Debug)]
pub struct Timeline {
    began: Instant,
    seconds: Mutex<Vec<Second>>,
}

impl Timeline {
    /// Begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now(), seconds: Mutex::default() }
    }

    /// Changes the counts of the second that it is now.
    pub fn record(&self, change: impl FnOnce(&mut Counts)) {
        let second = self.second().min(SECONDS_MAX - 1);
        let mut seconds = self.seconds.lock();
        if seconds.len() <= second {
            seconds.resize_with(second + 1, Counts::default);
        }
        change(&mut seconds[second]);
    }

    /// An attempt was committed in time, and took so long.
    pub fn served(&self, took: Duration) {
        let at = self.began.elapsed();
        self.record(|counts| {
            counts.good += 1;
            counts.served.push(Served { at, took });
        });
    }

    /// Time since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The second that it is now, counted from 0.
    #[must_use]
    pub fn second(&self) -> usize {
        usize::try_from(self.elapsed().as_secs()).unwrap_or(usize::MAX)
    }

    /// The counts of one second; zeroes for one in which nothing happened.
    #[must_use]
    pub fn at(&self, second: usize) -> Second {
        self.seconds.lock().get(second).cloned().unwrap_or_default()
    }

    /// Commits within the deadline in each whole second until `end`.
    #[must_use]
    pub fn good_by_second(&self, end: Duration) -> Vec<u64> {
        (0..usize::try_from(end.as_secs()).unwrap_or(0))
            .map(|second| self.at(second).good)
            .collect()
    }

    /// The counts of several seconds together.
    #[must_use]
    pub fn sum(&self, seconds: std::ops::Range<usize>) -> Counts {
        let mut sum = Counts::default();
        for second in self.seconds.lock().iter().take(seconds.end).skip(seconds.start) {
            sum.add(second);
        }
        sum
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut values: Vec<u32> = (1..=101).rev().collect();
        assert_eq!(percentile(&mut values, 0.0), Some(1));
        assert_eq!(percentile(&mut values, 0.5), Some(51));
        assert_eq!(percentile(&mut values, 0.99), Some(100));
        assert_eq!(percentile(&mut values, 1.0), Some(101));
        assert_eq!(percentile::<u32>(&mut [], 0.5), None);
    }

    #[test]
    fn counts_fall_into_their_second() {
        let timeline = Timeline::new();
        timeline.record(|counts| counts.good += 2);
        timeline.record(|counts| counts.refused += 1);
        assert_eq!((timeline.at(0).good, timeline.at(0).refused), (2, 1));
        assert_eq!(timeline.at(5).good, 0);
        assert_eq!(timeline.sum(0..10).good, 2);
        assert_eq!(timeline.sum(1..10).good, 0);
    }
}

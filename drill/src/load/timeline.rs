//! What a crowd went through, second by second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

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

    /// The latency that `share` (0 to 1) of the committed transactions did not exceed; `None` when
    /// none was committed.
    #[must_use]
    pub fn latency(&self, share: f64) -> Option<Duration> {
        percentile(&mut self.latencies.clone(), share)
    }
}

/// The value that `share` (0 to 1) of `values` do not exceed; `None` without any. Reorders them.
#[must_use]
pub fn percentile<V: Copy + Ord>(values: &mut [V], share: f64) -> Option<V> {
    let last = values.len().checked_sub(1)?;
    // Rounding to the nearest rank: a count of values is far below what f64 holds exactly.
    let rank = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
    Some(*values.select_nth_unstable(rank).1)
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

    /// The second that it is now, counted from 0.
    #[must_use]
    pub fn second(&self) -> usize {
        usize::try_from(self.began.elapsed().as_secs()).unwrap_or(usize::MAX)
    }

    /// The counts of one second; zeroes for one in which nothing happened.
    #[must_use]
    pub fn at(&self, second: usize) -> Second {
        self.seconds.lock().get(second).cloned().unwrap_or_default()
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

//! The database's time of day, as told by this machine's monotonic clock.
//!
//! Moments of items are the ledger's, so who sends by them must know what time it is there. It is asked now
//! and then; in between the monotonic clock counts on. The time of day of this machine is never looked at,
//! and may be wrong by hours.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// What time it was there, and here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    here: Instant,
    there: Timestamp,
}

impl Clock {
    /// By an answer `there` that was asked for at `asked` and came at `answered`: taken for the time
    /// in the middle of the two, so it is wrong by half of what the question took at most.
    #[must_use]
    pub fn told(asked: Instant, answered: Instant, there: Timestamp) -> Self {
        let took = answered.saturating_duration_since(asked);
        Self { here: asked + took / 2, there }
    }

    /// What time it is there.
    #[must_use]
    pub fn at(&self, now: Instant) -> Timestamp {
        let passed = now.saturating_duration_since(self.here);
        let before = self.here.saturating_duration_since(now);
        later(self.there, passed).checked_sub(signed(before)).unwrap_or(Timestamp::MIN)
    }
}

/// So much later, or the end of time.
pub(super) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(signed(by)).unwrap_or(Timestamp::MAX)
}

/// How long after `from` it is at `to`; nothing when it is before.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn signed(length: Duration) -> SignedDuration {
    SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_on_from_the_middle_of_the_question() {
        let asked = Instant::now();
        let there = Timestamp::from_second(1_000).unwrap();
        let clock = Clock::told(asked, asked + Duration::from_secs(2), there);
        assert_eq!(clock.at(asked + Duration::from_secs(11)).as_second(), 1_010);
        assert_eq!(clock.at(asked).as_second(), 999);
    }
}

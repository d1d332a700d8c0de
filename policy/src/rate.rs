//! Rates: at most so many a second, on the time that is passed.
//!
//! governor keeps the arithmetic (GCRA); this tells it the time. A rate cannot be changed in
//! place: another one is a new [`RateLimiter`], which begins with its full burst.

use std::cell::Cell;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter as Governor};

use crate::class::Rate;

/// A clock that knows only what it was told.
#[derive(Debug, Clone, Default)]
struct ToldClock(Cell<u64>);

impl Clock for ToldClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }
}

/// governor's state without its atomic operations: each check is made by whoever has the admission to
/// himself, and two of its exchanges cost more than all the rest of the check.
#[derive(Debug, Default)]
struct Taken(Cell<Option<Nanos>>);

impl StateStore for Taken {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, check: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, taken) = check(self.0.get())?;
        self.0.set(Some(taken));
        Ok(answer)
    }
}

/// Admits at most so many a second. One thread at a time may ask it.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    began: Instant,
    governor: Governor<NotKeyed, Taken, ToldClock, NoOpMiddleware<Nanos>>,
}

impl RateLimiter {
    /// A rate that begins now, with its full burst.
    #[must_use]
    pub fn new(now: Instant, rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let governor = Governor::new(quota, Taken::default(), ToldClock::default());
        Self { rate, began: now, governor }
    }

    /// The rate it keeps.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts one now. A time before the latest that it was told counts as that.
    ///
    /// # Errors
    /// When it is one too many: how long until the next may come. It is not counted then.
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.began);
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let clock = self.governor.clock();
        clock.0.set(clock.0.get().max(nanos));
        self.governor.check().map_err(|until| until.wait_time_from(clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// Some instant with a past; only distances from it count.
    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    /// How many of the arrivals at these milliseconds are admitted.
    fn admitted(rate: Rate, arrivals_ms: impl IntoIterator<Item = u64>) -> usize {
        let start = start();
        let limiter = RateLimiter::new(start, rate);
        let at = |ms| start + Duration::from_millis(ms);
        arrivals_ms.into_iter().filter(|ms| limiter.check(at(*ms)).is_ok()).count()
    }

    #[test]
    fn a_burst_is_admitted_at_once_and_then_the_rate() {
        assert_eq!(admitted(rate(10, 5), [0; 20]), 5);
        assert_eq!(admitted(rate(10, 5), 0..1000), 5 + 9);
        assert_eq!(admitted(rate(10, 1), (0..10_000).step_by(10)), 100);
    }

    #[test]
    fn what_is_too_much_is_told_when_to_come_back() {
        let start = start();
        let limiter = RateLimiter::new(start, rate(10, 1));
        assert_eq!(limiter.check(start), Ok(()));
        assert_eq!(limiter.check(start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(40);
        assert_eq!(limiter.check(later), Err(Duration::from_millis(60)));
        assert_eq!(limiter.check(start + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn time_that_goes_back_gives_nothing_away() {
        let start = start() + Duration::from_secs(10);
        let limiter = RateLimiter::new(start, rate(1, 1));
        assert_eq!(limiter.check(start + Duration::from_secs(1)), Ok(()));
        assert!(limiter.check(start).is_err());
        assert!(limiter.check(start - Duration::from_secs(5)).is_err());
    }
}

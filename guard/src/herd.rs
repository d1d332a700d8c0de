//! Logins to the database, few and paced.
//!
//! A new connection costs the database a thread, an authentication and often a TLS handshake; a
//! herd of them is what tips a database over that had just come back. So few are under way at a
//! time, few begin in a second, and after a failure the next attempt waits, longer each time and
//! never in step with other guards.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// The shortest wait after a failed login.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest wait after failed logins.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long to wait after `failures` logins failed in a row: doubling, with full jitter, so that
/// guards that failed together do not come back together. `dice` is uniform in 0..1.
pub fn backoff(failures: u32, dice: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let ceiling = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    BACKOFF_MIN / 2 + ceiling.mul_f64(dice.clamp(0.0, 1.0))
}

/// The pace of logins to one database.
#[derive(Debug)]
pub struct Handshakes {
    at_once: Semaphore,
    per_second: DefaultDirectRateLimiter,
    /// Consecutive failures, and when the next attempt may begin.
    failing: Mutex<(u32, Instant)>,
}

impl Handshakes {
    /// At most `at_once` under way, at most `per_second` begun in a second.
    pub fn new(at_once: u32, per_second: u32) -> Self {
        let at_once = Semaphore::new(usize::try_from(at_once.max(1)).unwrap_or(1));
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            at_once,
            per_second: RateLimiter::direct(Quota::per_second(rate)),
            failing: Mutex::new((0, Instant::now())),
        }
    }

    /// Waits until a login may begin. The place is free again when the returned permit is dropped.
    pub async fn begin(&self) -> SemaphorePermit<'_> {
        let permit =
            self.at_once.acquire().await.expect("the semaphore is never closed while it lives");
        let due = self.failing.lock().1;
        tokio::time::sleep_until(due).await;
        while let Err(until) = self.per_second.check() {
            let clock = governor::clock::DefaultClock::default();
            let wait = until.wait_time_from(governor::clock::Clock::now(&clock));
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
        permit
    }

    /// Notes how a login went.
    pub fn ended(&self, now: Instant, is_success: bool, dice: f64) {
        let mut failing = self.failing.lock();
        *failing = if is_success {
            (0, now)
        } else {
            let failures = failing.0 + 1;
            (failures, now + backoff(failures, dice))
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        assert_eq!(backoff(1, 0.0), BACKOFF_MIN / 2);
        assert_eq!(backoff(1, 1.0), BACKOFF_MIN / 2 + BACKOFF_MIN);
        assert_eq!(backoff(3, 1.0), BACKOFF_MIN / 2 + BACKOFF_MIN * 4);
        assert_eq!(backoff(u32::MAX, 1.0), BACKOFF_MIN / 2 + BACKOFF_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_login_delays_the_next() {
        let handshakes = Handshakes::new(1, 1000);
        let before = Instant::now();
        handshakes.ended(before, false, 1.0);
        drop(handshakes.begin().await);
        assert!(before.elapsed() >= Duration::from_millis(150));
        handshakes.ended(Instant::now(), true, 1.0);
        let before = Instant::now();
        drop(handshakes.begin().await);
        assert!(before.elapsed() < Duration::from_millis(50));
    }
}

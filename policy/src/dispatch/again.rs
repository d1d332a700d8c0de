//! When what failed is tried again, and when it no longer is.
//!
//! The delay is drawn evenly from nothing up to a ceiling that doubles with each attempt ("full
//! jitter": Brooker, "Exponential Backoff and Jitter", AWS 2015; of the jitters tried there the one
//! with the least work and no echo). What a sink has asked for (`Retry-After`) comes on top of it:
//! a thousand items that were told "in 60 s" shall not come together then.
//!
//! Attempts after the first are paid from a [`Budget`] of their own: a share of the first attempts
//! and a trickle (Finagle's `RetryBudget`). So a sink that fails everything is asked a tenth more,
//! not ten times as much, and retries wait for first attempts, never the other way round.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How often, and how long after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The ceiling of the first delay. Default 1 s.
    pub base: Duration,
    /// No ceiling is above this. Default 1 h.
    pub cap: Duration,
    /// Attempts altogether; after the last one the item is dead. Default 12: within about 5 h.
    pub attempts_max: NonZeroU32,
}

impl Default for Config {
    fn default() -> Self {
        let attempts_max = NonZeroU32::MIN.saturating_add(11);
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(3600), attempts_max }
    }
}

impl Config {
    /// How long after its attempt number `attempt` (the first is 1) has failed the next one follows;
    /// none when that was the last. `asked` is what the sink has asked for, `dice` an even draw.
    #[must_use]
    pub fn after(&self, attempt: u32, asked: Option<Duration>, dice: u64) -> Option<Duration> {
        if attempt >= self.attempts_max.get() {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let ceiling = self.base.saturating_mul(doubled).min(self.cap);
        let share = dice as f64 / u64::MAX as f64;
        Some(asked.unwrap_or_default().saturating_add(ceiling.mul_f64(share)))
    }
}

/// A first attempt pays for so much of another.
const SHARE: f64 = 0.1;
/// So many a second are free.
const TRICKLE: f64 = 10.0;
/// What is not used is kept up to so many.
const RESERVE: f64 = 100.0;

/// What a sink's attempts after the first are paid from.
#[derive(Debug, Clone)]
pub struct Budget {
    left: f64,
    advanced: Instant,
}

impl Budget {
    /// Begins with what trickles in a second.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { left: TRICKLE, advanced: now }
    }

    /// So many first attempts were made.
    pub fn earn(&mut self, first_attempts: u32) {
        self.left = (self.left + SHARE * f64::from(first_attempts)).min(RESERVE);
    }

    /// Pays for one attempt after the first.
    ///
    /// # Errors
    /// When there is nothing left: how long until there will be, without further first attempts.
    pub fn pay(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.advanced);
        self.advanced = self.advanced.max(now);
        self.left = (self.left + TRICKLE * passed.as_secs_f64()).min(RESERVE);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // A nanosecond more: rounding must not let the caller come a moment too early.
        Err(Duration::from_secs_f64((1.0 - self.left) / TRICKLE) + Duration::from_nanos(1))
    }
}

//! The lane to one sink: who may go now.
//!
//! Four things can hold an item up, and the lane says which: the sink is switched off, it has asked
//! for a pause (`Retry-After`), a fixed ceiling is reached, or as many are under way as the sink
//! takes. The order is that of their weight; the first that holds is the answer.
//!
//! A fixed ceiling (a provider's 500 a second) is governor's, by [`RateLimiter`]; what moves is
//! ours. Its burst must hold what may pass between two looks, or capacity is lost for good: measured,
//! 5,000 a second with a burst of 1 let 971 to 2,665 pass, one of 50 to 100 all; and a burst of a
//! second lets twice the rate pass in the first one. [`ceiling`] keeps 20 ms.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::concurrency::{self, Concurrency, Ended};
use super::turns::{Tenant, Turns};
use crate::class::Rate;
use crate::rate::RateLimiter;

/// No pause that a sink asks for is longer: whoever means for ever says 410.
pub const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// A fixed ceiling of so many a second, with a burst of what passes in 20 ms.
#[must_use]
pub fn ceiling(per_second: NonZeroU32) -> Rate {
    let burst = NonZeroU32::new(per_second.get().div_ceil(50)).unwrap_or(NonZeroU32::MIN);
    Rate { per_second, burst }
}

/// What bounds a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How many may be under way at once.
    pub concurrency: concurrency::Config,
    /// How many a second, at most; none is no ceiling.
    pub ceiling: Option<Rate>,
    /// How many of one tenant may be under way at once.
    pub tenant_max: NonZeroU32,
}

impl Default for Config {
    /// Two to 200 at once, no ceiling, and no tenant held below the others.
    fn default() -> Self {
        let concurrency = concurrency::Config::default();
        Self { concurrency, ceiling: None, tenant_max: NonZeroU32::MAX }
    }
}

/// Why nothing goes at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Off {
    /// An operator has switched the sink off.
    Switched,
    /// The receiver has said that it is gone (HTTP 410).
    Gone,
}

/// What the lane says to "next?".
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// This one goes now; it is under way until [`Lane::finish`].
    Go(Tenant, T),
    /// Nobody goes before this moment. Without one: not before something ends, comes, or changes.
    Wait(Option<Instant>),
}

/// The lane to one sink.
#[derive(Debug)]
pub struct Lane<T> {
    off: Option<Off>,
    paused_until: Option<Instant>,
    ceiling: Option<RateLimiter>,
    concurrency: Concurrency,
    turns: Turns<T>,
    in_flight: u32,
}

impl<T> Lane<T> {
    /// An open lane that nobody waits at.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        Self {
            off: None,
            paused_until: None,
            ceiling: config.ceiling.map(|rate| RateLimiter::new(now, rate)),
            concurrency: Concurrency::new(now, config.concurrency),
            turns: Turns::new(config.tenant_max),
            in_flight: 0,
        }
    }

    /// Puts somebody in line.
    ///
    /// # Errors
    /// At [`WAITING_MAX`](super::turns::WAITING_MAX), or while the lane is off; who came comes back.
    pub fn push(&mut self, tenant: Tenant, item: T) -> Result<(), T> {
        if self.off.is_some() {
            return Err(item);
        }
        self.turns.push(tenant, item)
    }

    /// Who goes now. To be asked again until nobody does.
    pub fn next(&mut self, now: Instant) -> Next<T> {
        if self.off.is_some() || !self.turns.is_ready() || self.in_flight >= self.limit() {
            return Next::Wait(None);
        }
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Next::Wait(Some(until));
        }
        self.paused_until = None;
        if let Some(Err(wait)) = self.ceiling.as_ref().map(|ceiling| ceiling.check(now)) {
            return Next::Wait(Some(now + wait));
        }
        let (tenant, item) = self.turns.pop().expect("somebody is ready");
        self.in_flight += 1;
        self.concurrency.begin(self.in_flight);
        Next::Go(tenant, item)
    }

    /// One that went `took` ago is no longer under way.
    pub fn finish(&mut self, now: Instant, tenant: Tenant, took: Duration, ended: Ended) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.turns.finish(tenant);
        self.concurrency.end(now, took, ended);
    }

    /// The sink wants nothing for so long, at most [`PAUSE_MAX`]. A longer pause stands.
    pub fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(PAUSE_MAX);
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Nothing goes from now on. What is under way goes on; who waited comes back.
    pub fn switch_off(&mut self, off: Off) -> Vec<T> {
        // What an operator has said is not overwritten by what the receiver says.
        self.off.get_or_insert(off);
        self.turns.drain()
    }

    /// Things go again, at once.
    pub fn switch_on(&mut self) {
        self.off = None;
        self.paused_until = None;
    }

    /// Why nothing goes at all, if so.
    #[must_use]
    pub const fn off(&self) -> Option<Off> {
        self.off
    }

    /// How many may be under way at once now.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.concurrency.limit()
    }

    /// How many are under way.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.turns.waiting()
    }
}

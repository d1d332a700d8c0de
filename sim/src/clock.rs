//! Virtual time, what is to happen when, and dice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Nanoseconds since the run began.
pub type Nanos = u64;

/// Seconds as nanoseconds.
#[must_use]
pub fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}

/// Nanoseconds as seconds.
#[must_use]
pub fn seconds(time: Nanos) -> f64 {
    time as f64 / 1e9
}

/// The beginning of a run as policy counts time.
#[derive(Debug, Clone, Copy)]
pub struct Origin(Instant);

impl Origin {
    /// Any instant will do.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// A moment of the run for policy.
    #[must_use]
    pub fn at(&self, time: Nanos) -> Instant {
        self.0 + Duration::from_nanos(time)
    }

    /// A moment of policy's in the run.
    #[must_use]
    pub fn since(&self, instant: Instant) -> Nanos {
        instant.saturating_duration_since(self.0).as_nanos() as Nanos
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}

/// What is to happen, earliest first; what is due together happens in the order it was put.
#[derive(Debug)]
pub struct Agenda<E> {
    heap: BinaryHeap<Reverse<Due<E>>>,
    count: u64,
}

#[derive(Debug)]
struct Due<E> {
    at: Nanos,
    number: u64,
    event: E,
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> Agenda<E> {
    /// Nothing is to happen.
    #[must_use]
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    /// Something is to happen then.
    pub fn put(&mut self, at: Nanos, event: E) {
        self.count += 1;
        self.heap.push(Reverse(Due { at, number: self.count, event }));
    }

    /// When the next thing happens.
    #[must_use]
    pub fn due(&self) -> Nanos {
        self.heap.peek().map_or(Nanos::MAX, |Reverse(due)| due.at)
    }

    /// The next thing.
    pub fn pop(&mut self) -> Option<(Nanos, E)> {
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// Dice (splitmix64): the same throws from the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1))
    }

    /// Any number.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0..n; 0 for n = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

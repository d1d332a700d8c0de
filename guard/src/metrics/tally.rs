//! Counts by a label, on the path of every statement.

use std::sync::atomic::AtomicU64;

use metrics::Counter;

use super::{
    Each,
    label::Label,
    shard::{Sharded, add},
};

/// Counts events by the value of a label, in shards, until they are summed up for the
/// exporter. `N` is the most values that the label has.
#[derive(Debug)]
pub struct Tally<L: Label, const N: usize = 8> {
    shards: Sharded<Counts<N>>,
    published: Each<L, Counter>,
}

/// What one shard counts.
#[derive(Debug)]
struct Counts<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<L: Label, const N: usize> Tally<L, N> {
    /// Nothing is counted yet.
    pub(super) fn new(published: Each<L, Counter>) -> Self {
        const { assert!(L::ALL.len() <= N) };
        Self { shards: Sharded::default(), published }
    }

    /// Counts one.
    pub fn add(&self, value: L) {
        add(&self.shards.own().0[value.index()], 1);
    }

    /// Sets the exporter's counters to what has been counted.
    pub(super) fn publish(&self) {
        for value in L::ALL {
            self.published.of(*value).absolute(self.count(*value));
        }
    }

    /// How many have been counted.
    pub fn count(&self, value: L) -> u64 {
        self.shards.sum(|counts| &counts.0[value.index()])
    }
}

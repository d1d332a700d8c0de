//! Counts by a label, on the path of every statement.

use std::sync::atomic::AtomicU64;

use metrics::Counter;

use super::{
    Each,
    label::Label,
    shard::{Sharded, add},
};

/// The most values that such a label has.
const VALUES_MAX: usize = 8;

/// Counts events by the value of a label, in shards, until they are summed up for the
/// exporter.
#[derive(Debug)]
pub struct Tally<L: Label> {
    shards: Sharded<[AtomicU64; VALUES_MAX]>,
    published: Each<L, Counter>,
}

impl<L: Label> Tally<L> {
    /// Nothing is counted yet.
    pub(super) fn new(published: Each<L, Counter>) -> Self {
        const { assert!(L::ALL.len() <= VALUES_MAX) };
        Self { shards: Sharded::default(), published }
    }

    /// Counts one.
    pub fn add(&self, value: L) {
        add(&self.shards.own()[value.index()], 1);
    }

    /// How many of `value` have been counted.
    pub(super) fn count(&self, value: L) -> u64 {
        self.shards.sum(|counts| &counts[value.index()])
    }

    /// Sets the exporter's counters to what has been counted.
    pub(super) fn publish(&self) {
        for value in L::ALL {
            self.published.of(*value).absolute(self.count(*value));
        }
    }
}

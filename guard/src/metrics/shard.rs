//! What many threads count and one reads.
//!
//! Every statement is counted several times. Two cores that add to the same word pass its cache line
//! to and fro, so each thread adds to a shard that it mostly has for itself; whoever wants to know sums
//! them up. An addition costs some 5 ns and allocates nothing.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;

/// How many shards there are. Two threads that share one cost each other time and no count.
const SHARDS: usize = 16;

thread_local! {
    /// Which shard the thread adds to.
    static SHARD: usize = {
        let hash = FixedState::default().hash_one(thread::current().id());
        usize::try_from(hash % SHARDS as u64).unwrap_or(0)
    };
}

/// One `T` for each shard.
#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[Alone<T>; SHARDS]>);

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self(Box::new(array::from_fn(|_| Alone::default())))
    }
}

impl<T> Sharded<T> {
    /// The shard of the thread that asks.
    pub(super) fn own(&self) -> &T {
        &self.0[SHARD.with(|shard| *shard) % SHARDS].0
    }

    /// The sum of one count over all shards. What is added meanwhile may be missed.
    pub(super) fn sum(&self, count: impl Fn(&T) -> &AtomicU64) -> u64 {
        self.0.iter().map(|shard| count(&shard.0).load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_of_any_thread_is_lost() {
        let counts = Sharded::<AtomicU64>::default();
        thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counts.own().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(counts.sum(|count| count), 2 * SHARDS as u64 * 1000);
    }
}

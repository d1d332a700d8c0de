//! What many threads count and one reads.
//!
//! Every statement is counted several times. Two cores that add to the same word pass its cache line
//! to and fro, and even alone an atomic addition takes as long as a dozen plain ones: the processor
//! finishes first all that it has begun. So each thread counts by itself, by a load and a store, and
//! whoever wants to know sums up.

use std::sync::atomic::{AtomicU64, Ordering};

use thread_local::ThreadLocal;

/// One `T` for each thread that counted. What a thread that has ended counted is kept; another goes on with
/// it.
#[derive(Debug)]
pub(crate) struct Sharded<T: Send>(ThreadLocal<Alone<T>>);

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

impl<T: Send> Default for Sharded<T> {
    fn default() -> Self {
        Self(ThreadLocal::new())
    }
}

impl<T: Default + Send + Sync> Sharded<T> {
    /// The shard of the thread that asks. No other thread adds to it: use [`add`].
    pub(crate) fn own(&self) -> &T {
        &self.0.get_or_default().0
    }

    /// The sum of one count over all shards. What is added meanwhile may be missed.
    pub(crate) fn sum(&self, count: impl Fn(&T) -> &AtomicU64) -> u64 {
        self.0.iter().map(|shard| count(&shard.0).load(Ordering::Relaxed)).sum()
    }
}

/// Adds to a count of the thread's own shard.
pub(crate) fn add(count: &AtomicU64, by: u64) {
    let before = count.load(Ordering::Relaxed);
    count.store(before.wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_count_of_any_thread_is_lost() {
        let counts = Sharded::<AtomicU64>::default();
        for round in 1..=3 {
            thread::scope(|scope| {
                for _ in 0..32 {
                    scope.spawn(|| (0..1000).for_each(|_| add(counts.own(), 1)));
                }
            });
            assert_eq!(counts.sum(|count| count), round * 32 * 1000);
        }
    }
}

//! Values that are swapped as a whole: the configuration, the switches.
//!
//! Every statement looks at several of them. Reading an `ArcSwap` takes two atomic exchanges, which for a
//! point select adds up to two parts in a hundred of the guard's time; so a session keeps what it has
//! seen last, and looks at a number that tells whether any of it has been swapped since.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::{ArcSwap, Guard};

/// How often any of several values was swapped. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Swaps(Arc<AtomicU64>);

impl Swaps {
    /// How often so far. Who sees a number and then loads a value sees that which was stored before it.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A value that is swapped as a whole.
#[derive(Debug)]
pub struct Swapped<T> {
    value: ArcSwap<T>,
    swaps: Swaps,
}

impl<T> Swapped<T> {
    /// This value, until another is stored, which is counted there.
    pub fn new(value: Arc<T>, swaps: &Swaps) -> Self {
        Self { value: ArcSwap::new(value), swaps: swaps.clone() }
    }

    /// What it is now. To be used at once, not kept.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.value.load()
    }

    /// What it is now, to be kept.
    pub fn load_full(&self) -> Arc<T> {
        self.value.load_full()
    }

    /// This one from now on.
    pub fn store(&self, value: Arc<T>) {
        self.value.store(value);
        self.swaps.0.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_swap_of_any_of_them_is_counted() {
        let swaps = Swaps::default();
        let (one, other) = (Swapped::new(Arc::new(1), &swaps), Swapped::new(Arc::new("a"), &swaps));
        assert_eq!(swaps.count(), 0);
        one.store(Arc::new(2));
        other.store(Arc::new("b"));
        assert_eq!((swaps.count(), **one.load(), *other.load_full()), (2, 2, "b"));
    }
}

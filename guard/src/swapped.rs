//! Values that are swapped as a whole: the configuration, the switches.
//!
//! Every statement looks at several of them. Reading an `ArcSwap` takes two atomic exchanges, which for a
//! point select adds up to two parts in a hundred of the guard's time; so a session keeps what it has
//! seen last, and a look at whether that is still so is a load.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};

/// A value that is swapped as a whole. Clones are the same one.
#[derive(Debug)]
pub struct Swapped<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: ArcSwap<T>,
    /// How often it was swapped: raised behind it, so that who sees the number sees the value.
    swaps: AtomicU64,
}

impl<T> Swapped<T> {
    /// This value, until another is stored.
    pub fn new(value: Arc<T>) -> Self {
        Self(Arc::new(Inner { value: ArcSwap::new(value), swaps: AtomicU64::new(0) }))
    }

    /// What it is now. To be used at once, not kept.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.0.value.load()
    }

    /// This one from now on.
    pub fn store(&self, value: Arc<T>) {
        self.0.value.store(value);
        self.0.swaps.fetch_add(1, Ordering::Release);
    }

    /// What it is now, to be looked at often.
    pub fn seen(&self) -> Seen<T> {
        let swaps = self.0.swaps.load(Ordering::Acquire);
        Seen { value: self.0.value.load_full(), swaps, of: Self(Arc::clone(&self.0)) }
    }
}

/// A swapped value as somebody saw it last. An older one lives for as long as it is not
/// [renewed](Self::renew).
#[derive(Debug)]
pub struct Seen<T> {
    of: Swapped<T>,
    value: Arc<T>,
    swaps: u64,
}

impl<T> Seen<T> {
    /// Looks again.
    pub fn renew(&mut self) {
        if self.of.0.swaps.load(Ordering::Acquire) != self.swaps {
            *self = self.of.seen();
        }
    }
}

impl<T> Deref for Seen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_stays_until_it_is_renewed() {
        let swapped = Swapped::new(Arc::new(1));
        let mut seen = swapped.seen();
        swapped.store(Arc::new(2));
        assert_eq!((*seen, **swapped.load()), (1, 2));
        seen.renew();
        assert_eq!(*seen, 2);
        swapped.store(Arc::new(3));
        swapped.store(Arc::new(4));
        seen.renew();
        assert_eq!(*seen, 4);
    }
}

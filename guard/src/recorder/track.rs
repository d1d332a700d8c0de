//! The last of something: bounded in number, in bytes and in time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What something takes in memory.
pub(super) trait Weigh {
    /// Bytes on the heap, without those of the value itself.
    fn heap_bytes(&self) -> usize;
}

/// How much a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// So many.
    pub(super) count: usize,
    /// So many bytes, their places included.
    pub(super) bytes: usize,
    /// What is older goes.
    pub(super) age: Duration,
}

/// The last of something, oldest first. At a bound the oldest goes, and is left out if it was not too old.
#[derive(Debug)]
pub(super) struct Track<T> {
    items: VecDeque<(Instant, T)>,
    bounds: Bounds,
    heap_bytes: usize,
    left_out: LeftOut,
}

/// What is missing: how many, without a pause as long as the track, and of when the newest is.
#[derive(Debug, Clone, Copy, Default)]
struct LeftOut {
    count: u64,
    newest: Option<Instant>,
}

impl<T: Weigh> Track<T> {
    /// What one takes beside its heap.
    const PLACE: usize = size_of::<(Instant, T)>();

    /// An empty track. All its places are there from the start.
    pub(super) fn new(bounds: Bounds) -> Self {
        let count = bounds.count.min(bounds.bytes / Self::PLACE);
        Self {
            items: VecDeque::with_capacity(count),
            bounds: Bounds { count, ..bounds },
            heap_bytes: 0,
            left_out: LeftOut::default(),
        }
    }

    /// One more, of `now`.
    pub(super) fn push(&mut self, now: Instant, item: T) {
        while self.items.front().is_some_and(|(at, _)| self.is_old(now, *at)) {
            self.pop();
        }
        let heap_bytes = item.heap_bytes();
        if self.bounds.count == 0 || Self::PLACE + heap_bytes > self.bounds.bytes {
            self.leave_out(now);
            return;
        }
        while self.items.len() >= self.bounds.count
            || self.bytes() + Self::PLACE + heap_bytes > self.bounds.bytes
        {
            let oldest = self.items.front().map_or(now, |(at, _)| *at);
            self.leave_out(oldest);
            self.pop();
        }
        self.heap_bytes += heap_bytes;
        self.items.push_back((now, item));
    }

    /// All that is kept, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Instant, T)> {
        self.items.iter()
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        self.items.len() * Self::PLACE + self.heap_bytes
    }

    /// One of then is missing.
    pub(super) fn leave_out(&mut self, at: Instant) {
        let LeftOut { count, newest } = &mut self.left_out;
        let is_another = |last: &mut Instant| at.saturating_duration_since(*last) > self.bounds.age;
        if newest.take_if(is_another).is_some() {
            *count = 0;
        }
        *count += 1;
        *newest = Some(newest.map_or(at, |last| last.max(at)));
    }

    /// How many are missing since then, and perhaps some of before; 0 where there are none.
    pub(super) fn left_out(&self, since: Instant) -> u64 {
        let LeftOut { count, newest } = self.left_out;
        if newest.is_some_and(|newest| newest >= since) { count } else { 0 }
    }

    fn is_old(&self, now: Instant, at: Instant) -> bool {
        now.saturating_duration_since(at) > self.bounds.age
    }

    fn pop(&mut self) {
        if let Some((_, gone)) = self.items.pop_front() {
            self.heap_bytes -= gone.heap_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Weigh for usize {
        fn heap_bytes(&self) -> usize {
            *self
        }
    }

    const BOUNDS: Bounds = Bounds { count: 20, bytes: 2000, age: Duration::from_secs(10) };

    proptest! {
        /// Whatever is pushed, whenever: it holds no more than it may, and the newest of what fits.
        #[test]
        fn a_track_never_holds_more_than_it_may(
            pushes in prop::collection::vec((0_u64..3000, 0_usize..2500), 0..200),
        ) {
            let mut track = Track::new(BOUNDS);
            let capacity = track.items.capacity();
            let (mut now, mut fits) = (Instant::now(), Vec::new());
            for (ms, heap) in pushes {
                now += Duration::from_millis(ms);
                track.push(now, heap);
                if heap + Track::<usize>::PLACE <= BOUNDS.bytes {
                    fits.push((now, heap));
                }
                let heaps: usize = track.iter().map(|(_, heap)| *heap).sum();
                prop_assert_eq!(track.bytes(), track.items.len() * Track::<usize>::PLACE + heaps);
                prop_assert!(track.bytes() <= BOUNDS.bytes && track.items.len() <= BOUNDS.count);
                prop_assert_eq!(track.items.capacity(), capacity, "its places are fixed");
                let kept: Vec<_> = track.iter().copied().collect();
                prop_assert!(kept.iter().all(|(at, _)| now.duration_since(*at) <= BOUNDS.age));
                prop_assert!(fits.ends_with(&kept), "the newest, in order");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_left_out_and_nothing_goes_for_it() {
        let mut track = Track::new(BOUNDS);
        let now = Instant::now();
        track.push(now, 5);
        track.push(now, BOUNDS.bytes);
        assert_eq!((track.items.len(), track.left_out(now)), (1, 1));
        let mut none = Track::new(Bounds { bytes: 1, ..BOUNDS });
        none.push(now, 0);
        assert_eq!((none.bytes(), none.left_out(now)), (0, 1));
    }

    #[test]
    fn what_is_missing_is_told_of_the_time_that_is_asked_for() {
        let (mut track, start) = (Track::<usize>::new(BOUNDS), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        [1, 2, 3].into_iter().for_each(|second| track.leave_out(at(second)));
        assert_eq!(
            [track.left_out(at(0)), track.left_out(at(3)), track.left_out(at(4))],
            [3, 3, 0]
        );
        track.leave_out(at(20));
        assert_eq!(track.left_out(at(0)), 1, "what was before is as old as the track");
    }
}

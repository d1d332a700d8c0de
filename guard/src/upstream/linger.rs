//! Connections that linger with the session that used them last.
//!
//! A session that ends a transaction will often begin the next at once, and sometimes asks about
//! the statement before (`ROW_COUNT()`). So its connection stays in a [`Slot`] of its own for a
//! moment. There it counts as idle: the gate does not know of it, and whoever finds no connection
//! in the pool takes one that has lingered long ([`Lingering::take_one`]). As long as there
//! are more connections than busy clients, each client keeps its own, and nothing has to be
//! replayed.
//!
//! Where a question is likely, the connection lingers *on hold*: it is still counted by the gate, so
//! that nobody is let in who would take it. That is a wish, not a right: as soon as somebody has
//! waited at the gate for long, the hold that began first ends ([`Lingering::end_one_hold`]), and
//! the connection lingers as others do.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::pool::{Lease, Pool};
use crate::{engine::Engine, gate::Pinned};

/// Where one session's connection lingers.
#[derive(Debug)]
pub struct Slot<E: Engine> {
    kept: Mutex<Option<Kept<E>>>,
    /// Whether the slot is in the queue. An empty slot may be, and is passed over.
    is_queued: AtomicBool,
}

/// A connection that lingers.
#[derive(Debug)]
struct Kept<E: Engine> {
    lease: Lease<E>,
    hold: Option<Hold>,
}

/// The connection's place at the gate, and its number among those on hold.
#[derive(Debug)]
struct Hold {
    number: u64,
    place: Pinned,
}

impl<E: Engine> Default for Slot<E> {
    fn default() -> Self {
        Self { kept: Mutex::new(None), is_queued: AtomicBool::new(false) }
    }
}

impl<E: Engine> Slot<E> {
    fn is_empty(&self) -> bool {
        self.kept.lock().is_none()
    }
}

/// Empty slots that leave the queue when one joins it. Above 1, so that they do not pile up.
const PRUNED: usize = 2;

/// The slots of all sessions, longest in the queue first. Slots of sessions that ended leave it as
/// others join, so there are hardly more than sessions that run statements.
#[derive(Debug)]
pub struct Lingering<E: Engine> {
    queue: Mutex<VecDeque<Arc<Slot<E>>>>,
    held: Mutex<Held<E>>,
}

/// The slots on hold, by number: as many as there are connections, at most.
#[derive(Debug)]
struct Held<E: Engine> {
    next: u64,
    slots: BTreeMap<u64, Arc<Slot<E>>>,
}

impl<E: Engine> Default for Lingering<E> {
    fn default() -> Self {
        let held = Held { next: 0, slots: BTreeMap::new() };
        Self { queue: Mutex::default(), held: Mutex::new(held) }
    }
}

impl<E: Engine> Lingering<E> {
    /// Leaves a clean connection in the session's slot; on hold if it comes with its place at the
    /// gate.
    pub fn put(&self, slot: &Arc<Slot<E>>, lease: Lease<E>, place: Option<Pinned>) {
        let Some(place) = place else {
            *slot.kept.lock() = Some(Kept { lease, hold: None });
            return self.queue_up(slot);
        };
        // Both locks at once: whoever finds the slot among those on hold must find the hold in it.
        let mut held = self.held.lock();
        let number = held.next;
        held.next += 1;
        *slot.kept.lock() = Some(Kept { lease, hold: Some(Hold { number, place }) });
        held.slots.insert(number, Arc::clone(slot));
    }

    /// How many connections linger, those on hold included.
    pub fn count(&self) -> usize {
        self.count_where(|_| true)
    }

    /// How many of a pool's do.
    pub fn count_of(&self, pool: &Pool<E>) -> usize {
        self.count_where(|lease| lease.is_of(pool))
    }

    /// They are counted when somebody asks, and not at one moment: a number that is kept would be
    /// changed twice with each transaction. One that is queued and on hold is one.
    fn count_where(&self, is_meant: impl Fn(&Lease<E>) -> bool) -> usize {
        let counts = |slot: &Arc<Slot<E>>, is_held: bool| {
            let kept = slot.kept.lock();
            kept.as_ref()
                .is_some_and(|kept| kept.hold.is_some() == is_held && is_meant(&kept.lease))
        };
        let queued: Vec<_> = self.queue.lock().iter().cloned().collect();
        let held: Vec<_> = self.held.lock().slots.values().cloned().collect();
        let queued = queued.iter().filter(|slot| counts(slot, false)).count();
        queued + held.iter().filter(|slot| counts(slot, true)).count()
    }

    /// Takes the session's connection back, if nobody else has, and its place if it is on hold.
    pub fn take(&self, slot: &Slot<E>) -> Option<(Lease<E>, Option<Pinned>)> {
        let kept = slot.kept.lock().take()?;
        Some(self.split(kept))
    }

    /// As [`Self::take`], where it is on hold.
    pub fn take_held(&self, slot: &Slot<E>) -> Option<(Lease<E>, Option<Pinned>)> {
        let kept = slot.kept.lock().take_if(|kept| kept.hold.is_some())?;
        Some(self.split(kept))
    }

    /// Takes the connection that has lingered longest. It may have been closed by the server.
    pub fn take_one(&self) -> Option<Lease<E>> {
        loop {
            let slot = self.queue.lock().pop_front()?;
            // Cleared before the slot is looked at: a session that puts a connection in from here
            // on queues it again.
            slot.is_queued.store(false, Ordering::Release);
            let kept = slot.kept.lock().take_if(|kept| kept.hold.is_none());
            if let Some(kept) = kept {
                return Some(kept.lease);
            }
        }
    }

    /// Takes all connections of a pool that linger, but for those on hold.
    pub fn take_of(&self, pool: &Pool<E>) -> Vec<Lease<E>> {
        let slots: Vec<_> = self.queue.lock().iter().cloned().collect();
        let is_of = |kept: &mut Kept<E>| kept.hold.is_none() && kept.lease.is_of(pool);
        let kept = slots.iter().filter_map(|slot| slot.kept.lock().take_if(is_of));
        kept.map(|kept| kept.lease).collect()
    }

    /// Ends the hold that began first: its connection lingers on, and the gate lets the next one in.
    /// Returns whether there was one.
    pub fn end_one_hold(&self) -> bool {
        loop {
            let Some((number, slot)) = self.held.lock().slots.pop_first() else { return false };
            let is_this = |hold: &mut Hold| hold.number == number;
            let hold = slot.kept.lock().as_mut().and_then(|kept| kept.hold.take_if(is_this));
            if let Some(hold) = hold {
                self.queue_up(&slot);
                drop(hold.place);
                return true;
            }
        }
    }

    fn split(&self, kept: Kept<E>) -> (Lease<E>, Option<Pinned>) {
        let place = kept.hold.map(|hold| {
            self.held.lock().slots.remove(&hold.number);
            hold.place
        });
        (kept.lease, place)
    }

    fn queue_up(&self, slot: &Arc<Slot<E>>) {
        // Mostly it is queued. Whoever takes it from the queue says so before looking into it, and it was
        // filled just now: either that is seen here, or the connection there.
        if slot.is_queued.load(Ordering::Acquire) {
            return;
        }
        if !slot.is_queued.swap(true, Ordering::AcqRel) {
            let mut queue = self.queue.lock();
            prune(&mut queue);
            queue.push_back(Arc::clone(slot));
        }
    }
}

/// Drops empty slots from the front of the queue.
fn prune<E: Engine>(queue: &mut VecDeque<Arc<Slot<E>>>) {
    for _ in 0..PRUNED {
        let Some(slot) = queue.pop_front_if(|slot| slot.is_empty()) else { return };
        slot.is_queued.store(false, Ordering::Release);
        // Filled meanwhile by a session that saw it queued.
        if !slot.is_empty() && !slot.is_queued.swap(true, Ordering::AcqRel) {
            queue.push_back(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_ended_sessions_do_not_pile_up() {
        let mut queue = VecDeque::<Arc<Slot<crate::mysql::MySql>>>::new();
        for _ in 0..1000 {
            prune(&mut queue);
            queue.push_back(Arc::new(Slot::default()));
        }
        assert!(queue.len() <= PRUNED, "{} slots", queue.len());
    }
}

//! Connections that linger with the session that used them last.
//!
//! A session that ends a transaction will often begin the next at once, and sometimes asks about
//! the statement before (`ROW_COUNT()`). So its connection stays in a [`Slot`] of its own for a
//! moment. There it counts as idle: the gate does not know of it, and whoever finds no connection
//! in the pool takes the one that has lingered longest ([`Lingering::take_one`]). As long as there
//! are more connections than busy clients, each client keeps its own, and nothing has to be
//! replayed.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::pool::Lease;

/// Where one session's connection lingers.
#[derive(Debug, Default)]
pub struct Slot {
    lease: Mutex<Option<Lease>>,
    /// Whether the slot is in the queue. An empty slot may be, and is passed over.
    is_queued: AtomicBool,
}

impl Slot {
    /// Takes the connection back, if nobody else has.
    pub fn take(&self) -> Option<Lease> {
        self.lease.lock().take()
    }

    fn is_empty(&self) -> bool {
        self.lease.lock().is_none()
    }
}

/// Empty slots that leave the queue when one joins it. Above 1, so that they do not pile up.
const PRUNED: usize = 2;

/// The slots of all sessions, longest in the queue first. Slots of sessions that ended leave it as
/// others join, so there are hardly more than sessions that run statements.
#[derive(Debug, Default)]
pub struct Lingering(Mutex<VecDeque<Arc<Slot>>>);

impl Lingering {
    /// Leaves a clean connection in the session's slot.
    pub fn put(&self, slot: &Arc<Slot>, lease: Lease) {
        *slot.lease.lock() = Some(lease);
        if !slot.is_queued.swap(true, Ordering::AcqRel) {
            let mut queue = self.0.lock();
            prune(&mut queue);
            queue.push_back(Arc::clone(slot));
        }
    }

    /// Gives one lingering connection back to its pool. Returns whether there was one.
    pub fn take_one(&self) -> bool {
        loop {
            let Some(slot) = self.0.lock().pop_front() else { return false };
            // Cleared before the slot is looked at: a session that puts a connection in from here
            // on queues it again.
            slot.is_queued.store(false, Ordering::Release);
            if let Some(lease) = slot.take() {
                lease.give_back();
                return true;
            }
        }
    }
}

/// Drops empty slots from the front of the queue.
fn prune(queue: &mut VecDeque<Arc<Slot>>) {
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
        let mut queue = VecDeque::new();
        for _ in 0..1000 {
            prune(&mut queue);
            queue.push_back(Arc::new(Slot::default()));
        }
        assert!(queue.len() <= PRUNED, "{} slots", queue.len());
    }
}

//! Row locks: exclusive, held until the end, granted in the order of asking.

use std::collections::{HashMap, VecDeque};

/// What became of asking for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It had it already.
    Held,
    Granted,
    Waits,
}

#[derive(Debug)]
struct Row {
    holder: usize,
    queue: VecDeque<usize>,
}

/// Rows that somebody holds.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: HashMap<u32, Row>,
    waiters: u32,
}

impl Rows {
    pub(super) fn claim(&mut self, row: u32, thread: usize) -> Claim {
        let held = self
            .rows
            .entry(row)
            .or_insert_with(|| Row { holder: usize::MAX, queue: VecDeque::new() });
        if held.holder == thread {
            Claim::Held
        } else if held.holder == usize::MAX {
            held.holder = thread;
            Claim::Granted
        } else {
            held.queue.push_back(thread);
            self.waiters += 1;
            Claim::Waits
        }
    }

    pub(super) fn holder(&self, row: u32) -> Option<usize> {
        self.rows.get(&row).map(|row| row.holder)
    }

    /// One gives up waiting.
    pub(super) fn leave(&mut self, row: u32, thread: usize) {
        if let Some(held) = self.rows.get_mut(&row) {
            let before = held.queue.len();
            held.queue.retain(|waiter| *waiter != thread);
            self.waiters -= (before - held.queue.len()) as u32;
        }
    }

    /// The holder lets go: who holds it now, and how many wait behind.
    pub(super) fn release(&mut self, row: u32) -> Option<(usize, u32)> {
        let held = self.rows.get_mut(&row)?;
        let Some(next) = held.queue.pop_front() else {
            self.rows.remove(&row);
            return None;
        };
        held.holder = next;
        self.waiters -= 1;
        Some((next, held.queue.len() as u32))
    }

    pub(super) fn waiters(&self) -> u32 {
        self.waiters
    }
}

//! The gate of one key: who is at it, and who waits for a place.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{GateUsage, Key};

/// A place in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) key: Key,
    pub(super) id: u64,
}

/// A place at a key, from the first statement until the database has confirmed the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    key: Key,
    /// Which of the gates that the key has had: one that was closed meanwhile has forgotten it.
    gate: u64,
}

impl Place {
    /// Of which key.
    #[must_use]
    pub fn key(self) -> Key {
        self.key
    }
}

/// What a gate has done since it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Transactions that entered, parked before or not.
    pub entered: u64,
    /// Transactions that were parked.
    pub parked: u64,
    /// Transactions that found no room to be parked, or waited as long as they may.
    pub refused: u64,
    /// Transactions that would have been parked, if the mode were enforce.
    pub would_park: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.entered += other.entered;
        self.parked += other.parked;
        self.refused += other.refused;
        self.would_park += other.would_park;
    }
}

#[derive(Debug)]
pub(super) struct Gate {
    id: u64,
    inside: u32,
    /// First come, first served. Bounded by [`super::Config::parked_max`].
    line: VecDeque<Ticket>,
    /// Somebody was parked here last.
    pub(super) wanted: Instant,
    pub(super) counts: Counts,
    /// Those that entered and those that were refused, decaying.
    lately: (f64, f64),
}

impl Gate {
    pub(super) fn new(id: u64, now: Instant) -> Self {
        Self {
            id,
            inside: 0,
            line: VecDeque::new(),
            wanted: now,
            counts: Counts::default(),
            lately: (0.0, 0.0),
        }
    }

    pub(super) fn has_room(&self, width: u32) -> bool {
        self.inside < width && self.line.is_empty()
    }

    pub(super) fn enter(&mut self, key: Key) -> Place {
        self.inside += 1;
        self.counts.entered += 1;
        self.lately.0 += 1.0;
        Place { key, gate: self.id }
    }

    pub(super) fn park(&mut self, ticket: Ticket) -> Ticket {
        self.line.push_back(ticket);
        self.counts.parked += 1;
        ticket
    }

    /// Returns the part of the last arrivals that were refused, this one included.
    pub(super) fn refuse(&mut self) -> f64 {
        self.counts.refused += 1;
        self.lately.1 += 1.0;
        self.lately.1 / (self.lately.0 + self.lately.1)
    }

    /// The first in line, if there is a place for it.
    pub(super) fn next(&mut self, key: Key, width: u32) -> Option<(Ticket, Place)> {
        if self.inside >= width {
            return None;
        }
        let ticket = self.line.pop_front()?;
        Some((ticket, self.enter(key)))
    }

    pub(super) fn leave(&mut self, place: Place) {
        if place.gate == self.id {
            self.inside = self.inside.saturating_sub(1);
        }
    }

    /// Returns whether it was in line.
    pub(super) fn abandon(&mut self, ticket: Ticket) -> bool {
        let at = self.line.iter().position(|one| *one == ticket);
        at.and_then(|at| self.line.remove(at)).is_some()
    }

    pub(super) fn decay(&mut self, keeps: f64) {
        self.lately.0 *= keeps;
        self.lately.1 *= keeps;
    }

    /// Nobody is here, and nobody had to wait for so long.
    pub(super) fn is_unwanted(&self, now: Instant, for_time: Duration) -> bool {
        let is_empty = self.inside == 0 && self.line.is_empty();
        is_empty && now.saturating_duration_since(self.wanted) >= for_time
    }

    pub(super) fn parked(&self) -> u32 {
        self.line.len() as u32
    }

    pub(super) fn usage(&self) -> GateUsage {
        GateUsage { inside: self.inside, parked: self.parked(), counts: self.counts }
    }
}

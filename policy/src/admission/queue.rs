//! The waiting line.
//!
//! Tickets that need the same things stand in one line, so that a line as a whole has room or has
//! none: nothing is held up by a ticket in front of it that needs something else. Within a line the
//! order is that of arrival; turning it round under a standing queue is one `first` to `last`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Ticket;
use super::permit::Seat;
use crate::class::ClassId;

/// A ticket's claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) line: Line,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
}

/// What the tickets of one line need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) seat: Seat,
    pub(super) needs_connection: bool,
    /// For the permit; two ids share a seat only across a change of the configuration.
    pub(super) class: ClassId,
}

/// All tickets that wait. Every operation is logarithmic in their number, which the limits bound.
#[derive(Debug, Default)]
pub(super) struct Queue {
    next: u64,
    tickets: BTreeMap<Ticket, Waiting>,
    deadlines: BTreeSet<(Instant, Ticket)>,
    /// Only lines in which someone stands.
    lines: BTreeMap<Line, BTreeSet<Ticket>>,
}

impl Queue {
    pub(super) fn push(&mut self, waiting: Waiting) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.put_back(ticket, waiting);
        ticket
    }

    /// Puts a ticket in that was taken out, where it was.
    pub(super) fn put_back(&mut self, ticket: Ticket, waiting: Waiting) {
        self.tickets.insert(ticket, waiting);
        self.deadlines.insert((waiting.deadline, ticket));
        self.lines.entry(waiting.line).or_default().insert(ticket);
    }

    /// Lets all wait until then at least.
    pub(super) fn postpone(&mut self, until: Instant) {
        for (ticket, mut waiting) in self.take_all() {
            waiting.deadline = waiting.deadline.max(until);
            self.put_back(ticket, waiting);
        }
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> BTreeMap<Ticket, Waiting> {
        let Self { next, tickets, .. } = std::mem::take(self);
        self.next = next;
        tickets
    }

    /// `None` when the ticket does not wait (any more).
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.tickets.remove(&ticket)?;
        self.deadlines.remove(&(waiting.deadline, ticket));
        if let Some(line) = self.lines.get_mut(&waiting.line) {
            line.remove(&ticket);
            if line.is_empty() {
                self.lines.remove(&waiting.line);
            }
        }
        Some(waiting)
    }

    /// The first ticket of each line of a class.
    pub(super) fn heads(&self, class: usize) -> impl Iterator<Item = (Line, Ticket)> {
        let from = Line {
            seat: Seat { class, database: None },
            needs_connection: false,
            class: ClassId(0),
        };
        self.lines
            .range(from..)
            .take_while(move |(line, _)| line.seat.class == class)
            .filter_map(|(line, tickets)| tickets.first().map(|ticket| (*line, *ticket)))
    }

    /// Since when the ticket that has waited longest in a class waits.
    pub(super) fn oldest(&self, class: usize) -> Option<Instant> {
        let (_, ticket) = self.heads(class).min_by_key(|(_, ticket)| *ticket)?;
        self.tickets.get(&ticket).map(|waiting| waiting.since)
    }

    /// Since when the ticket that has waited longest waits.
    pub(super) fn first(&self) -> Option<Instant> {
        self.tickets.first_key_value().map(|(_, waiting)| waiting.since)
    }

    /// A ticket whose deadline has come.
    pub(super) fn expired(&self, now: Instant) -> Option<Ticket> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, ticket)| *ticket)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }
}

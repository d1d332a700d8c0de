//! The waiting line.
//!
//! Tickets that need the same things stand in one line, so that a line as a whole has room or has
//! none: nothing is held up by a ticket in front of it that needs something else. Within a line the
//! order is that of arrival. Where a queue stands that is turned round, by tenths of a second: the
//! newest tenth first, within it the order of arrival. Who came long ago has a client that is about
//! to give up; serving it first would serve everybody too late.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::permit::Seat;
use super::{About, Ticket};
use crate::class::ClassId;

/// What arrives within this time keeps its order; a queue that has not been empty for so long
/// stands.
pub(super) const EPOCH: Duration = Duration::from_millis(100);

/// Which ticket of a line goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// When a ticket came, in epochs, and the ticket.
type Place = (u64, Ticket);

/// A ticket's claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) line: Line,
    pub(super) about: About,
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
#[derive(Debug)]
pub(super) struct Queue {
    /// Epochs count from here.
    origin: Instant,
    next: u64,
    tickets: BTreeMap<Ticket, Waiting>,
    deadlines: BTreeSet<(Instant, Ticket)>,
    /// Only lines in which someone stands.
    lines: BTreeMap<Line, BTreeSet<Place>>,
}

impl Queue {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            origin: now,
            next: 0,
            tickets: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            lines: BTreeMap::new(),
        }
    }

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
        let place = (self.epoch(waiting.since), ticket);
        self.lines.entry(waiting.line).or_default().insert(place);
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
        self.deadlines.clear();
        self.lines.clear();
        std::mem::take(&mut self.tickets)
    }

    /// `None` when the ticket does not wait (any more).
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.tickets.remove(&ticket)?;
        self.deadlines.remove(&(waiting.deadline, ticket));
        let place = (self.epoch(waiting.since), ticket);
        if let Some(line) = self.lines.get_mut(&waiting.line) {
            line.remove(&place);
            if line.is_empty() {
                self.lines.remove(&waiting.line);
            }
        }
        Some(waiting)
    }

    /// The ticket of a class that goes first among those in lines that fit.
    pub(super) fn head(
        &self,
        class: usize,
        order: Order,
        fits: impl Fn(&Line) -> bool,
    ) -> Option<(Line, Ticket)> {
        let lines = self.lines(class).filter(|(line, _)| fits(line));
        let first = lines.filter_map(|(line, places)| {
            let (newest, _) = places.last()?;
            let from = match order {
                Order::OldestFirst => 0,
                Order::NewestFirst => *newest,
            };
            places.range((from, Ticket(0))..).next().map(|(epoch, ticket)| (line, *epoch, *ticket))
        });
        let first = match order {
            Order::OldestFirst => first.min_by_key(|(_, _, ticket)| *ticket),
            Order::NewestFirst => first.min_by_key(|(_, epoch, ticket)| (Reverse(*epoch), *ticket)),
        };
        first.map(|(line, _, ticket)| (*line, ticket))
    }

    /// Newest first where the queue of a class stands.
    pub(super) fn order(&self, now: Instant, class: usize) -> Order {
        let stands = |since| now.saturating_duration_since(since) > EPOCH;
        if self.oldest(class).is_some_and(stands) { Order::NewestFirst } else { Order::OldestFirst }
    }

    fn epoch(&self, since: Instant) -> u64 {
        let passed = since.saturating_duration_since(self.origin).as_nanos() / EPOCH.as_nanos();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    fn lines(&self, class: usize) -> impl Iterator<Item = (&Line, &BTreeSet<Place>)> {
        let from = Line {
            seat: Seat { class, database: None },
            needs_connection: false,
            class: ClassId(0),
        };
        self.lines.range(from..).take_while(move |(line, _)| line.seat.class == class)
    }

    /// Since when the ticket that has waited longest in a class waits.
    pub(super) fn oldest(&self, class: usize) -> Option<Instant> {
        let oldest = self.lines(class).filter_map(|(_, places)| places.first());
        let (_, ticket) = oldest.min_by_key(|(_, ticket)| *ticket)?;
        self.tickets.get(ticket).map(|waiting| waiting.since)
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
}

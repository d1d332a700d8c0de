//! The waiting line.
//!
//! Tickets that need the same things stand in one line, so that a line as a whole has room or has
//! none: nothing is held up by a ticket in front of it that needs something else. Within a line the
//! order is that of arrival. Where that made everybody wait too long it is turned round, by tenths of
//! a second: the newest tenth first, within it the order of arrival. Who came long ago has a client
//! that is about to give up; serving it first would serve everybody too late.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use slab::Slab;

use super::permit::Seat;
use super::{About, Ticket};
use crate::class::ClassId;
use crate::tenant::Tenant;

/// What arrives within this time keeps its order. It goes into a second a whole number of times.
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
    pub(super) patience: Patience,
}

impl Waiting {
    /// Whether it could not be done any more in the time in which its client needs it.
    pub(super) fn is_too_late(&self, now: Instant) -> bool {
        let is_deadline = matches!(self.patience.limit, Bound::Deadline | Bound::OwnDeadline);
        is_deadline && self.patience.until <= now
    }
}

/// Until when a ticket waits at the latest, and what makes it so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) until: Instant,
    pub(super) limit: Bound,
}

impl Patience {
    /// The sooner of two ends.
    pub(super) fn at_most(self, until: Instant, limit: Bound) -> Self {
        if until < self.until { Self { until, limit } } else { self }
    }
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The time that is set for its queue, or the end of a pause.
    QueueTime,
    /// The wait that a queue that stands is kept to.
    Target,
    /// The time in which its client needs the answer, by its class.
    Deadline,
    /// The same, by its own word.
    OwnDeadline,
}

/// What the tickets of one line need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) seat: Seat,
    pub(super) needs_connection: bool,
    /// For the permit; two ids share a seat only across a change of the configuration.
    pub(super) class: ClassId,
    pub(super) tenant: Tenant,
    /// Whether it takes no locks.
    pub(super) reads_only: bool,
}

/// All tickets that wait. Every operation is logarithmic in their number, which the limits bound.
#[derive(Debug)]
pub(super) struct Queue {
    /// Epochs count from here.
    origin: Instant,
    next: u64,
    /// In the order of arrival: where the claim is. Claims are large, and a tree that is filled at one end and
    /// emptied at the other moves what is in it all the time.
    tickets: BTreeMap<Ticket, usize>,
    claims: Slab<Waiting>,
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
            claims: Slab::new(),
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
        self.tickets.insert(ticket, self.claims.insert(waiting));
        self.deadlines.insert((waiting.patience.until, ticket));
        let place = (self.epoch(waiting.since), ticket);
        self.lines.entry(waiting.line).or_default().insert(place);
    }

    /// Lets all wait until then at least.
    pub(super) fn postpone(&mut self, until: Instant) {
        for (ticket, mut waiting) in self.take_all() {
            // A client that needs its answer by then needs it by then.
            if let Bound::QueueTime | Bound::Target = waiting.patience.limit {
                waiting.patience.until = waiting.patience.until.max(until);
            }
            self.put_back(ticket, waiting);
        }
    }

    /// Takes all out, in the order of arrival.
    pub(super) fn take_all(&mut self) -> Vec<(Ticket, Waiting)> {
        self.deadlines.clear();
        self.lines.clear();
        let mut claims = std::mem::take(&mut self.claims);
        let tickets = std::mem::take(&mut self.tickets).into_iter();
        tickets.map(|(ticket, place)| (ticket, claims.remove(place))).collect()
    }

    /// `None` when the ticket does not wait (any more).
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.claims.remove(self.tickets.remove(&ticket)?);
        self.deadlines.remove(&(waiting.patience.until, ticket));
        let place = (self.epoch(waiting.since), ticket);
        if let Some(line) = self.lines.get_mut(&waiting.line) {
            line.remove(&place);
            if line.is_empty() {
                self.lines.remove(&waiting.line);
            }
        }
        Some(waiting)
    }

    /// The ticket of a class that goes first: of the lines that fit, of one whose turn, which is a
    /// number, comes soonest.
    pub(super) fn head(
        &self,
        class: usize,
        order: Order,
        mut turn: impl FnMut(&Line) -> Option<f64>,
    ) -> Option<(Line, Ticket)> {
        let mut first: Option<(f64, Reverse<u64>, Ticket, Line)> = None;
        for (line, places) in self.lines(class) {
            let (Some(turn), Some((newest, _))) = (turn(line), places.last()) else { continue };
            let epoch = match order {
                Order::OldestFirst => 0,
                Order::NewestFirst => *newest,
            };
            let Some((_, ticket)) = places.range((epoch, Ticket(0))..).next() else { continue };
            let place = (turn, Reverse(epoch), *ticket, *line);
            let is_sooner = first.is_none_or(|first| {
                let of_ties = (place.1, place.2).cmp(&(first.1, first.2));
                place.0.total_cmp(&first.0).then(of_ties).is_lt()
            });
            if is_sooner {
                first = Some(place);
            }
        }
        first.map(|(_, _, ticket, line)| (line, ticket))
    }

    /// How many of a class have come in the epoch of `now`.
    pub(super) fn newest(&self, now: Instant, class: usize) -> u32 {
        let from = (self.epoch(now), Ticket(0));
        let count: usize = self.lines(class).map(|(_, places)| places.range(from..).count()).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn epoch(&self, since: Instant) -> u64 {
        const MS: u32 = EPOCH.subsec_millis();
        const IN_A_SECOND: u64 = 1000 / MS as u64;
        let passed = since.saturating_duration_since(self.origin);
        passed.as_secs() * IN_A_SECOND + u64::from(passed.subsec_millis() / MS)
    }

    fn lines(&self, class: usize) -> impl Iterator<Item = (&Line, &BTreeSet<Place>)> {
        let from = Line {
            seat: Seat { class, database: None },
            needs_connection: false,
            class: ClassId(0),
            tenant: Tenant::NONE,
            reads_only: false,
        };
        self.lines.range(from..).take_while(move |(line, _)| line.seat.class == class)
    }

    /// All tickets of a class.
    pub(super) fn of(&self, class: usize) -> Vec<Ticket> {
        self.lines(class).flat_map(|(_, places)| places.iter().map(|(_, ticket)| *ticket)).collect()
    }

    /// Since when the ticket that has waited longest in a class waits.
    pub(super) fn oldest(&self, class: usize) -> Option<Instant> {
        let oldest = self.lines(class).filter_map(|(_, places)| places.first());
        let (_, ticket) = oldest.min_by_key(|(_, ticket)| *ticket)?;
        self.tickets.get(ticket).map(|place| self.claims[*place].since)
    }

    /// Since when the ticket that has waited longest waits.
    pub(super) fn first(&self) -> Option<Instant> {
        self.tickets.first_key_value().map(|(_, place)| self.claims[*place].since)
    }

    /// A ticket whose deadline has come.
    pub(super) fn expired(&self, now: Instant) -> Option<Ticket> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, ticket)| *ticket)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

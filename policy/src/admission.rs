//! Admission: may this transaction run now, must it wait, is it refused?
//!
//! The caller owns time, lock and I/O. It says what happens (`arrive`, `finish`, `abandon`), asks
//! until when it may sleep (`poll_timeout`) and drains what follows (`poll`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::class::{ClassId, DatabaseId, Mode, Policy};
use crate::refusal::Refusal;

/// A transaction that asks to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its class.
    pub class: ClassId,
    /// Its database, when that has limits of its own.
    pub database: Option<DatabaseId>,
    /// Whether it needs an upstream connection; a pinned session has one already.
    pub needs_connection: bool,
    /// Whether its session may hold locks. It is then admitted at once, over every limit: making
    /// it wait would make everything that waits for its locks wait longer.
    pub may_hold_locks: bool,
}

/// The permit of one transaction: give it back with [`Admission::finish`], once, when the
/// database has confirmed the end.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not given back with `finish` is lost for ever"]
pub struct Admitted {
    class: ClassId,
    database: Option<DatabaseId>,
    connection: bool,
}

impl Admitted {
    /// The class it counts against.
    #[must_use]
    pub const fn class(&self) -> ClassId {
        self.class
    }
}

/// The connection of a pinned session between transactions: give it back with
/// [`Admission::unpin`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a pin that is not given back with `unpin` is lost for ever"]
pub struct Pinned {
    class: ClassId,
    database: Option<DatabaseId>,
}

/// A place in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The answer to an arrival.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It may run.
    Admit(Admitted),
    /// It waits; [`Admission::poll`] tells how that ends.
    Wait(Ticket),
    /// It may not run.
    Shed(Refusal),
}

/// How waiting ended.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The ticket's transaction may run.
    Admitted(Ticket, Admitted),
    /// It may not run.
    Shed(Ticket, Refusal),
}

/// What a finished transaction tells of the database's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was served.
    Success,
    /// It failed because of load: a time limit, a lock wait timeout, a deadlock.
    Overload,
    /// It failed for reasons of its own: a syntax error, a client that left.
    Ignored,
}

/// What one class is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSnapshot {
    /// Its name.
    pub name: String,
    /// How far its limits go.
    pub mode: Mode,
    /// Transactions admitted and not finished.
    pub in_flight: u32,
    /// Most transactions in flight; `None` is no limit.
    pub limit: Option<u32>,
    /// Upstream connections in use.
    pub connections: u32,
    /// Those of pinned sessions between transactions.
    pub pinned: u32,
    /// Tickets that wait.
    pub queued: u32,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Transactions admitted since start, after waiting or not.
    pub admitted: u64,
    /// Transactions refused since start.
    pub shed: u64,
    /// Transactions that would have waited since start, if the mode were enforce.
    pub would_wait: u64,
    /// Transactions that would have been refused since start, if the mode were enforce.
    pub would_shed: u64,
}

/// What admission is doing, for status and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// By class.
    pub classes: Vec<ClassSnapshot>,
    /// Transactions in flight, all together.
    pub in_flight: u32,
    /// Upstream connections in use, all together.
    pub connections: u32,
    /// Tickets that wait, all together.
    pub queued: u32,
}

/// Who may run.
#[derive(Debug)]
pub struct Admission {
    policy: Arc<Policy>,
    events: VecDeque<Event>,
    in_flight: u32,
}

impl Admission {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(_now: Instant, policy: Arc<Policy>) -> Self {
        Self { policy, events: VecDeque::new(), in_flight: 0 }
    }

    /// Other limits from now on. What runs goes on; limits may be below it.
    pub fn reconfigure(&mut self, _now: Instant, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// A transaction asks to run.
    pub fn arrive(&mut self, _now: Instant, arrival: Arrival) -> Verdict {
        self.in_flight += 1;
        Verdict::Admit(Admitted {
            class: arrival.class,
            database: arrival.database,
            connection: arrival.needs_connection,
        })
    }

    /// A transaction's end has been confirmed by the database, after `service` of running.
    pub fn finish(
        &mut self,
        _now: Instant,
        admitted: Admitted,
        _outcome: Outcome,
        _service: Duration,
    ) {
        drop(admitted);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A waiting client went away. A ticket that has left the line already is ignored; its event,
    /// if still undelivered, is delivered all the same and an admission must be finished.
    pub fn abandon(&mut self, _now: Instant, _ticket: Ticket) {}

    /// The session keeps its connection beyond the transaction: call before `finish`. `None` when
    /// the permit holds no connection (it was pinned already).
    pub fn pin(&mut self, admitted: &mut Admitted) -> Option<Pinned> {
        std::mem::take(&mut admitted.connection)
            .then_some(Pinned { class: admitted.class, database: admitted.database })
    }

    /// A pinned session gives its connection back.
    pub fn unpin(&mut self, _now: Instant, pinned: Pinned) {
        drop(pinned);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed: sheds what has waited too long.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next thing that happened to a ticket. Call until `None` after every other call.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is going on.
    #[must_use]
    pub fn snapshot(&self, _now: Instant) -> Snapshot {
        Snapshot { in_flight: self.in_flight, ..Snapshot::default() }
    }
}

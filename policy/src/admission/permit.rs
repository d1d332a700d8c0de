//! What goes in and out of admission: arrivals, permits, tickets, and how they end.

use std::time::Duration;

use crate::class::{ClassId, DatabaseId};
use crate::refusal::Refusal;
use crate::retry::Asker;
use crate::sql::Digest;
use crate::tenant::Tenant;

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
    /// What is known of its work.
    pub about: About,
}

/// What is known of a transaction's work before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct About {
    /// That of the statement that begins it: what it costs is learned by it.
    pub digest: Digest,
    /// The time in which its client says that it needs the answer, from when it came.
    pub deadline: Option<Duration>,
    /// How long ago it came: it may have waited for a row. What it may wait includes that.
    pub waited: Duration,
    /// Whose work it is.
    pub tenant: Tenant,
    /// Who asks, to know it when it comes again.
    pub asker: Asker,
    /// Whether it surely takes no locks: one statement that reads, and ends with it.
    pub reads_only: bool,
}

/// Where a permit or a ticket counts: places among the rooms, which outlive the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) class: usize,
    pub(super) database: Option<usize>,
}

/// The permit of one transaction: give it back with [`finish`](super::Admission::finish), once, when the
/// database has confirmed the end.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not given back with `finish` is lost for ever"]
pub struct Admitted {
    pub(super) class: ClassId,
    pub(super) seat: Seat,
    pub(super) connection: bool,
    pub(super) reads_only: bool,
    pub(super) digest: Digest,
    pub(super) tenant: Tenant,
}

impl Admitted {
    /// The class it counts against, by the configuration under which it was admitted.
    #[must_use]
    pub const fn class(&self) -> ClassId {
        self.class
    }
}

/// The connection of a pinned session between transactions: give it back with
/// [`unpin`](super::Admission::unpin).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a pin that is not given back with `unpin` is lost for ever"]
pub struct Pinned {
    pub(super) seat: Seat,
}

/// A place in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// The answer to an arrival.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It may run.
    Admit(Admitted),
    /// It waits; [`poll`](super::Admission::poll) tells how that ends.
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

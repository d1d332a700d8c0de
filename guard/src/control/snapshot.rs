//! All that is worth seeing at a glance, at one moment: what the live page and `tidegate top` show.

use serde::{Deserialize, Serialize};

use super::{
    ClassStatus, HotStatus, Incident, LocksStatus, PauseStatus, PinnedSession, PressureStatus,
    Status, SwitchStatus,
};
use crate::glance::Told;

/// The version of the form of [`Snapshot`]. It rises when a field changes its meaning or goes; one that is new
/// does not raise it.
pub const SNAPSHOT_VERSION: u32 = 1;

/// A guard at a glance.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_VERSION`] of the guard that made it.
    pub version: u32,
    /// The same in plain words: what is wrong, what the guard does, what one can do.
    pub told: Told,
    /// What was measured in the last whole second.
    pub now: Sample,
    /// The guard as a whole.
    pub status: Status,
    /// How pressed the database is.
    pub pressure: PressureStatus,
    /// Its classes, `default` first.
    pub classes: Vec<ClassNow>,
    /// Who waits for whom in the database.
    pub locks: LocksStatus,
    /// Rows that are fought for, and tables that somebody wants for himself.
    pub hot: HotStatus,
    /// The switches that are set.
    pub switches: Vec<SwitchStatus>,
    /// How far a pause is.
    pub pause: PauseStatus,
    /// Clients that keep a connection.
    pub pins: Pins,
    /// Pile-ups, the newest first, at most [`Snapshot::INCIDENTS_MAX`].
    pub incidents: Vec<Incident>,
}

impl Snapshot {
    /// The most pile-ups that are told; `GET /api/v1/incidents` tells all.
    pub const INCIDENTS_MAX: usize = 5;

    /// The class of that name.
    pub fn class(&self, name: &str) -> Option<&ClassNow> {
        self.classes.iter().find(|class| class.status.name == name)
    }
}

/// What was measured in one second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When, in milliseconds since 1970 in UTC; 0 before the first.
    pub unix_ms: u64,
    /// What got done.
    pub rates: Rates,
    /// Transactions admitted and not finished, at its end.
    pub in_flight: u32,
    /// The least limit on them that holds: the one that finds its place by itself, `overall.in_flight`, or
    /// `upstream.connections`.
    pub limit: Option<u32>,
    /// Where the fitted curve of the database has its top, when it fits.
    pub knee: Option<f64>,
    /// Transactions that wait for their turn, at its end.
    pub queued: u32,
    /// How long the first in line has waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// Transactions that wait for a lock in the database, as last seen.
    pub blocked: u32,
    /// How pressed the database is.
    pub pressure: f64,
}

/// What got done, a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Statements that the server answered, with an error or without.
    pub statements: f64,
    /// Transactions that were committed, a statement with autocommit being one.
    pub committed: f64,
    /// Statements that the guard refused.
    pub refused: f64,
    /// Statements that a time limit or a pile-up ended.
    pub cancelled: f64,
    /// What half of the statements took at most, in milliseconds, by the buckets of `guard_service_seconds`; none
    /// where there was no statement.
    pub service_p50_ms: Option<f64>,
    /// What 99 of 100 took at most.
    pub service_p99_ms: Option<f64>,
    /// What 99 of 100 transactions waited at most for their turn, in milliseconds, by those of
    /// `guard_queue_wait_seconds`.
    pub wait_p99_ms: Option<f64>,
}

/// One class, with what got done in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassNow {
    /// What is and was.
    pub status: ClassStatus,
    /// What was in the last whole second.
    pub rates: Rates,
}

/// Clients that keep a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pins {
    /// How many.
    pub count: usize,
    /// Those that have for longest, at most [`Pins::SHOWN_MAX`].
    pub longest: Vec<PinnedSession>,
}

impl Pins {
    /// The most that are told; `GET /api/v1/pins` tells all.
    pub const SHOWN_MAX: usize = 10;
}

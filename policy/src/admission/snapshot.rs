//! What admission is doing, for status and metrics.

use std::time::Duration;

use super::room::{Counts, Room};
use crate::class::{Limits, Mode};

/// What one class or database, or everything together, is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its name; "" for everything together.
    pub name: String,
    /// How far its limits go.
    pub mode: Mode,
    /// Its limits.
    pub limits: Limits,
    /// Transactions admitted and not finished.
    pub in_flight: u32,
    /// Upstream connections in use, those of pinned sessions included.
    pub connections: u32,
    /// Connections of pinned sessions between transactions.
    pub pinned: u32,
    /// Tickets that wait.
    pub queued: u32,
    /// How long the oldest of them has waited; only known of classes.
    pub oldest_wait: Duration,
    /// What has happened since start.
    pub counts: Counts,
}

impl Usage {
    pub(super) fn of(room: &Room, oldest_wait: Duration) -> Self {
        Self {
            name: room.name.to_string(),
            mode: room.mode,
            limits: room.limits,
            in_flight: room.in_flight,
            connections: room.connections,
            pinned: room.pinned,
            queued: room.queued,
            oldest_wait,
            counts: room.counts,
        }
    }
}

/// What admission is doing. Of a class that a reload took away only the sums still tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// By class, in the order of their ids.
    pub classes: Vec<Usage>,
    /// By database with limits of its own, in the order of their ids.
    pub databases: Vec<Usage>,
    /// Everything together.
    pub overall: Usage,
}

//! The cheap signs: one row or a few, no lock of the lock manager.

use std::time::Duration;

/// What a server counts. What it does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections of clients.
    pub connected: u64,
    /// Connections that work on a statement, or wait for a lock within one.
    pub running: u64,
    /// Connections that wait for a lock now. MySQL's and MariaDB's count of this is known to drift:
    /// take it for a hint.
    pub waiting: u64,
    /// Connections whose client leaves a transaction open and asks nothing.
    pub idle_in_transaction: Option<u64>,
    /// Waits for row locks since the start.
    pub lock_waits_total: Option<u64>,
    /// Time waited for row locks since the start.
    pub lock_wait_time_total: Option<Duration>,
    /// Deadlocks since the start.
    pub deadlocks_total: Option<u64>,
    /// Commits since the start.
    pub commits_total: Option<u64>,
    /// Rollbacks since the start.
    pub rollbacks_total: Option<u64>,
    /// Old versions that wait to be purged (InnoDB's history list), in transactions.
    pub history_length: Option<u64>,
    /// Clients that the server refused for want of connections, since the start.
    pub refused_connections_total: Option<u64>,
}

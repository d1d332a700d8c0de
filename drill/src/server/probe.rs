//! What a server says of itself, the same words for all kinds.

use crate::error::Error;

/// What is read several times a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Gauges {
    /// Connections that run a statement, the probe's own included: `Threads_running`, or backends
    /// that are `active`.
    pub threads_running: u32,
    /// Connections, the probe's own included.
    pub threads_connected: u32,
    /// Transactions that wait for a lock: of a row in InnoDB, of any kind in PostgreSQL.
    pub lock_waiters: u32,
    /// Transactions that are open, the probe's own left out.
    pub transactions: u32,
}

impl Gauges {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            threads_running: self.threads_running.max(other.threads_running),
            threads_connected: self.threads_connected.max(other.threads_connected),
            lock_waiters: self.lock_waiters.max(other.lock_waiters),
            transactions: self.transactions.max(other.transactions),
        }
    }
}

/// A line of the process list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Thread (connection) id, or the backend's process id.
    pub id: u64,
    /// User name.
    pub user: String,
    /// Schema, or database, if any.
    pub schema: Option<String>,
    /// `Query`, `Sleep`, ...; of PostgreSQL the state, such as `active` or `idle in transaction`.
    pub command: String,
    /// What it does, such as `Updating`; of PostgreSQL what it waits for, such as `Lock`.
    pub state: Option<String>,
    /// The statement it runs, if any.
    pub statement: Option<String>,
}

/// A connection that only looks.
pub trait Look {
    /// Reads the gauges in one round trip.
    ///
    /// # Errors
    /// When the connection is lost or may not read them.
    fn gauges(&mut self) -> impl Future<Output = Result<Gauges, Error>> + Send;

    /// The threads of all clients, this one's left out.
    ///
    /// # Errors
    /// When the connection is lost or may not read them.
    fn threads(&mut self) -> impl Future<Output = Result<Vec<Thread>, Error>> + Send;
}

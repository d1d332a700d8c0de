//! What a server says of itself, over a connection of one's own.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::engine::Engine;
use crate::error::Error;

/// What is read several times a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Gauges {
    /// `Threads_running`, the probe's own included.
    pub threads_running: u32,
    /// `Threads_connected`, the probe's own included.
    pub threads_connected: u32,
    /// Transactions that wait for a row lock.
    pub lock_waiters: u32,
    /// Transactions that are open in InnoDB.
    pub transactions: u32,
}

/// A line of the process list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Thread (connection) id.
    pub id: u64,
    /// User name.
    pub user: String,
    /// Schema, if any.
    pub schema: Option<String>,
    /// `Query`, `Sleep`, ...
    pub command: String,
    /// What it does, such as `Updating`.
    pub state: Option<String>,
    /// The statement it runs, if any.
    pub statement: Option<String>,
}

/// A connection that only looks.
#[derive(Debug)]
pub struct Probe {
    conn: Conn,
    gauges: String,
}

impl Probe {
    /// Uses `conn`, a connection of root or of the control account, for looking.
    #[must_use]
    pub fn new(engine: Engine, conn: Conn) -> Self {
        let status = match engine {
            Engine::MariaDb => "information_schema.GLOBAL_STATUS",
            Engine::MySql => "performance_schema.global_status",
        };
        let one = |name: &str| {
            format!(
                "(SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM {status} WHERE VARIABLE_NAME = '{name}')"
            )
        };
        let gauges = format!(
            "SELECT {}, {}, CAST(COALESCE(SUM(trx_state = 'LOCK WAIT'), 0) AS UNSIGNED), COUNT(*) \
             FROM information_schema.INNODB_TRX",
            one("Threads_running"),
            one("Threads_connected"),
        );
        Self { conn, gauges }
    }

    /// Reads the gauges in one round trip.
    ///
    /// # Errors
    /// When the connection is lost or may not read them.
    pub async fn gauges(&mut self) -> Result<Gauges, Error> {
        let row: Option<(u32, u32, u32, u32)> = self.conn.query_first(&self.gauges).await?;
        let (threads_running, threads_connected, lock_waiters, transactions) =
            row.unwrap_or_default();
        Ok(Gauges { threads_running, threads_connected, lock_waiters, transactions })
    }

    /// The threads of all clients, this one's left out.
    ///
    /// # Errors
    /// When the connection is lost or may not read them.
    pub async fn threads(&mut self) -> Result<Vec<Thread>, Error> {
        let sql = "SELECT ID, USER, DB, COMMAND, STATE, INFO FROM information_schema.PROCESSLIST \
                   WHERE ID <> CONNECTION_ID() AND COMMAND <> 'Daemon' AND USER <> 'event_scheduler' \
                   ORDER BY ID";
        let rows = self.conn.query_map(sql, |(id, user, schema, command, state, statement)| {
            Thread { id, user, schema, command, state, statement }
        });
        Ok(rows.await?)
    }

    /// The connection itself, for anything else that is asked.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl super::Server {
    /// A probe over the server's socket, as root.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn probe(&self) -> Result<Probe, Error> {
        Ok(Probe::new(self.engine(), self.root().await?))
    }
}

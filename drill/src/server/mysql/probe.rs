//! What a MariaDB or MySQL says of itself, over a connection of one's own.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::error::Error;
use crate::server::Server;
use crate::server::engine::Engine;
use crate::server::probe::{Gauges, Look, Thread};

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
            Engine::MySql => "performance_schema.global_status",
            _ => "information_schema.GLOBAL_STATUS",
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

    /// The connection itself, for anything else that is asked.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl Look for Probe {
    async fn gauges(&mut self) -> Result<Gauges, Error> {
        let row: Option<(u32, u32, u32, u32)> = self.conn.query_first(&self.gauges).await?;
        let (threads_running, threads_connected, lock_waiters, transactions) =
            row.unwrap_or_default();
        Ok(Gauges { threads_running, threads_connected, lock_waiters, transactions })
    }

    async fn threads(&mut self) -> Result<Vec<Thread>, Error> {
        let sql = "SELECT ID, USER, DB, COMMAND, STATE, INFO FROM information_schema.PROCESSLIST \
                   WHERE ID <> CONNECTION_ID() AND COMMAND <> 'Daemon' AND USER <> 'event_scheduler' \
                   ORDER BY ID";
        let rows = self.conn.query_map(sql, |(id, user, schema, command, state, statement)| {
            Thread { id, user, schema, command, state, statement }
        });
        Ok(rows.await?)
    }
}

impl Server {
    /// A probe over the server's socket, as root.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn probe(&self) -> Result<Probe, Error> {
        Ok(Probe::new(self.engine(), self.root().await?))
    }
}

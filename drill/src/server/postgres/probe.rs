//! What a PostgreSQL says of itself, over a connection of one's own.

use tokio_postgres::{Client, Statement};

use crate::error::Error;
use crate::server::Server;
use crate::server::probe::{Gauges, Look, Thread};

const GAUGES: &str = "SELECT (count(*) FILTER (WHERE state = 'active'))::int, count(*)::int, \
    (count(*) FILTER (WHERE wait_event_type = 'Lock'))::int, \
    (count(*) FILTER (WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()))::int \
    FROM pg_stat_activity WHERE backend_type = 'client backend'";

const THREADS: &str = "SELECT pid, coalesce(usename::text, ''), datname::text, coalesce(state, ''), \
    wait_event_type, CASE WHEN state = 'active' THEN query END FROM pg_stat_activity \
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid";

/// A connection that only looks.
#[derive(Debug)]
pub struct Probe {
    client: Client,
    gauges: Statement,
    threads: Statement,
}

impl Probe {
    /// Uses `client`, a connection of root or of the control account, for looking.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn new(client: Client) -> Result<Self, Error> {
        let gauges = client.prepare(GAUGES).await?;
        let threads = client.prepare(THREADS).await?;
        Ok(Self { client, gauges, threads })
    }

    /// The connection itself, for anything else that is asked.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Look for Probe {
    async fn gauges(&mut self) -> Result<Gauges, Error> {
        let row = self.client.query_one(&self.gauges, &[]).await?;
        let number = |column| u32::try_from(row.get::<usize, i32>(column)).unwrap_or(0);
        Ok(Gauges {
            threads_running: number(0),
            threads_connected: number(1),
            lock_waiters: number(2),
            transactions: number(3),
        })
    }

    async fn threads(&mut self) -> Result<Vec<Thread>, Error> {
        let rows = self.client.query(&self.threads, &[]).await?;
        let thread = |row: &tokio_postgres::Row| Thread {
            id: u64::try_from(row.get::<_, i32>(0)).unwrap_or(0),
            user: row.get(1),
            schema: row.get(2),
            command: row.get(3),
            state: row.get(4),
            statement: row.get(5),
        };
        Ok(rows.iter().map(thread).collect())
    }
}

impl Server {
    /// A probe of a PostgreSQL over the server's socket, as root.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn postgres_probe(&self) -> Result<Probe, Error> {
        Probe::new(self.postgres_root().await?).await
    }
}

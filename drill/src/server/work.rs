//! How much a server has done for its clients, by its own count.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::Server;
use super::engine::Engine;
use crate::error::Error;

/// What a server has done since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Statements of clients (`Questions`); of a PostgreSQL, which does not count them, transactions.
    pub done: u64,
    /// Of these, SELECT (`Com_select`). A PostgreSQL does not tell; of a standby, all are.
    pub reads: Option<u64>,
}

impl Work {
    /// What was done since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let reads = self.reads.zip(before.reads);
        Self {
            done: self.done.saturating_sub(before.done),
            reads: reads.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

/// A connection that asks for it. Its own questions count, too.
#[derive(Debug)]
pub struct Meter(Kind);

#[derive(Debug)]
enum Kind {
    MySql { conn: Box<Conn>, sql: &'static str },
    Postgres(tokio_postgres::Client),
}

const MARIADB: &str = "SELECT UPPER(VARIABLE_NAME), CAST(VARIABLE_VALUE AS UNSIGNED) \
    FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN ('QUESTIONS', 'COM_SELECT')";
const MYSQL: &str = "SELECT UPPER(VARIABLE_NAME), CAST(VARIABLE_VALUE AS UNSIGNED) \
    FROM performance_schema.global_status WHERE VARIABLE_NAME IN ('Questions', 'Com_select')";
const POSTGRES: &str = "SELECT xact_commit + xact_rollback, pg_is_in_recovery() FROM pg_stat_database \
    WHERE datname = current_database()";

impl Meter {
    /// Connects as root, over the server's socket.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn of(server: &Server) -> Result<Self, Error> {
        let sql = if server.engine() == Engine::MySql { MYSQL } else { MARIADB };
        Ok(Self(match server.engine().is_postgres() {
            true => Kind::Postgres(server.postgres_root().await?),
            false => Kind::MySql { conn: Box::new(server.root().await?), sql },
        }))
    }

    /// What it has done until now.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn read(&mut self) -> Result<Work, Error> {
        match &mut self.0 {
            Kind::MySql { conn, sql } => {
                let rows: Vec<(String, u64)> = conn.query(*sql).await?;
                let value = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1);
                let done = value("QUESTIONS").unwrap_or_default();
                Ok(Work { done, reads: value("COM_SELECT") })
            }
            Kind::Postgres(client) => {
                let row = client.query_one(POSTGRES, &[]).await?;
                let done = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
                Ok(Work { done, reads: row.get::<_, bool>(1).then_some(done) })
            }
        }
    }
}

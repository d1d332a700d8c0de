//! A connection to any of the stores, for SQL as it stands.

use std::time::Duration;

use anyhow::Result;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Executor as _, MySqlConnection,
    PgConnection, Row as _, SqliteConnection,
};

/// Another's transaction on a file is waited for so long.
const TURN: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) enum Plain {
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// The same for all, but sqlx has no type that stands for them.
macro_rules! on {
    ($plain:expr, |$connection:ident| $body:expr) => {
        match $plain {
            Plain::Postgres($connection) => $body,
            Plain::MySql($connection) => $body,
            Plain::Sqlite($connection) => $body,
        }
    };
}

impl Plain {
    /// Opens one as the ledger has them: READ COMMITTED, and durable.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        Ok(match url.split(':').next() {
            Some("postgres") => Self::Postgres(PgConnection::connect(url).await?),
            Some("mysql") => {
                let mut connection = MySqlConnection::connect(url).await?;
                let level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
                connection.execute(sqlx::raw_sql(level)).await?;
                Self::MySql(connection)
            }
            _ => {
                let options: SqliteConnectOptions = url.parse()?;
                let options = options.create_if_missing(true).busy_timeout(TURN);
                let options = options.journal_mode(SqliteJournalMode::Wal);
                let options = options.synchronous(SqliteSynchronous::Full);
                Self::Sqlite(options.connect().await?)
            }
        })
    }

    /// Runs a statement that is written anew each time, and returns how many rows it changed.
    pub(crate) async fn say(&mut self, sql: &str) -> Result<u64, Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        on!(self, |connection| Ok(connection.execute(sql).await?.rows_affected()))
    }

    /// Runs a statement that is always the same, prepared once, and returns how many rows it changed.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<u64, Error> {
        let sql = AssertSqlSafe(sql);
        on!(self, |connection| Ok(sqlx::query(sql).execute(connection).await?.rows_affected()))
    }

    /// The numbers in the first column of what a statement returns that is always the same.
    pub(crate) async fn numbers(&mut self, sql: &str) -> Result<Vec<i64>, Error> {
        let sql = AssertSqlSafe(sql);
        on!(self, |connection| {
            let rows = sqlx::query(sql).fetch_all(connection).await?;
            rows.iter().map(|row| row.try_get(0)).collect()
        })
    }

    /// The first row of what a statement returns: a number and a text.
    pub(crate) async fn first(&mut self, sql: &str) -> Result<Option<(f64, String)>, Error> {
        let sql = AssertSqlSafe(sql);
        on!(self, |connection| {
            let row = sqlx::query(sql).fetch_optional(connection).await?;
            row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
        })
    }
}

/// Whether the same may be asked for again: a deadlock (40P01, 1213), a lock that was not had in time
/// (55P03, 1205), a transaction that others were in the way of (40001), a file that another writes to.
pub(crate) fn is_busy(error: &Error) -> bool {
    let Error::Database(error) = error else { return false };
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return matches!(error.number(), 1205 | 1213);
    }
    matches!(error.code().as_deref(), Some("40P01" | "55P03" | "40001" | "5" | "6" | "517"))
}

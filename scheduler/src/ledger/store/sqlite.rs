//! A file. One process writes at a time, and waits for another's turn; several schedulers on one
//! machine may share it.

mod group;

use std::str::FromStr as _;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use self::group::Group;
use super::{
    ACQUIRE, Answer, Dialect, LOCK, LedgerError, Row, STATEMENTS, Store, Value, Work, over_sqlx,
};

/// Readers beside the one that writes: they never wait for it.
const READERS: u32 = 2;
/// Another process's transaction, and all that stand in line before us in this one, are waited for
/// so long.
const TURN: std::time::Duration = std::time::Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Sqlite {
    writers: SqlitePool,
    readers: SqlitePool,
    group: Group,
}

impl Sqlite {
    pub(super) async fn open(url: &str) -> Result<Self, LedgerError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| LedgerError::Url { why: error.to_string() })?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was told as written survives a loss of power, as with the other stores.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(LOCK.max(TURN))
            .statement_cache_capacity(STATEMENTS);
        let pool =
            SqlitePoolOptions::new().acquire_timeout(ACQUIRE.max(TURN)).test_before_acquire(false);
        let writers = pool.clone().max_connections(1).connect_with(options.clone()).await?;
        let readers = pool.max_connections(READERS).connect_lazy_with(options);
        Ok(Self { group: Group::start(writers.clone()), writers, readers })
    }

    async fn run(&self, sql: &str, values: &[Value]) -> Result<u64, LedgerError> {
        self.group.execute(sql, values).await
    }
}

over_sqlx!(Sqlite, sqlx::Sqlite, Dialect::Sqlite, "BEGIN IMMEDIATE", "BEGIN");

fn value(row: &sqlx::sqlite::SqliteRow, column: usize) -> Result<Value, LedgerError> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    Ok(match raw.type_info().name() {
        "TEXT" => Value::Text(row.try_get(column)?),
        "BLOB" => Value::Bytes(row.try_get(column)?),
        _ => Value::Int(row.try_get(column)?),
    })
}

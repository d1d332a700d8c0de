//! MySQL, 8.0 or newer, and MariaDB, 10.6 or newer: what has `SKIP LOCKED`.

use std::str::FromStr as _;

use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::{Executor as _, Row as _, TypeInfo as _, ValueRef as _};

use super::{
    ACQUIRE, Answer, Dialect, IDLE, LOCK, LedgerError, Row, STATEMENTS, Store, Value, Work,
    over_sqlx,
};
use crate::nodelay::send_at_once;

#[derive(Debug)]
pub(super) struct MySql {
    writers: MySqlPool,
    readers: MySqlPool,
}

impl MySql {
    pub(super) async fn open(url: &str, connections: u32) -> Result<Self, LedgerError> {
        let options = MySqlConnectOptions::from_str(url)
            .map_err(|error| LedgerError::Url { why: error.to_string() })?
            .statement_cache_capacity(STATEMENTS);
        let port = options.get_port();
        // READ COMMITTED takes no gap locks; the comment is read by MariaDB only.
        let settings = format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION innodb_lock_wait_timeout = {} /*M!100301 , idle_transaction_timeout = {} */",
            LOCK.as_secs(),
            IDLE.as_secs(),
        );
        let writers = MySqlPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    send_at_once(port);
                    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(settings))).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self { readers: writers.clone(), writers })
    }

    async fn run(&self, sql: &str, values: &[Value]) -> Result<u64, LedgerError> {
        alone(&self.writers, sql, values).await
    }
}

over_sqlx!(
    MySql,
    sqlx::MySql,
    Dialect::MySql,
    "START TRANSACTION",
    // The level holds for the next transaction only.
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
);

fn value(row: &sqlx::mysql::MySqlRow, column: usize) -> Result<Value, LedgerError> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        name if name.contains("INT") => Value::Int(row.try_get_unchecked(column)?),
        name if name.contains("BLOB") || name.contains("BINARY") => {
            Value::Bytes(row.try_get_unchecked(column)?)
        }
        _ => Value::Text(row.try_get_unchecked(column)?),
    })
}

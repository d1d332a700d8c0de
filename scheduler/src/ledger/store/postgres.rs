//! PostgreSQL, 12 or newer.

use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use super::{
    ACQUIRE, Answer, Dialect, IDLE, LOCK, LedgerError, Row, STATEMENTS, Store, Value, Work,
    over_sqlx,
};
use crate::nodelay::send_at_once;

#[derive(Debug)]
pub(super) struct Postgres {
    writers: PgPool,
    readers: PgPool,
}

impl Postgres {
    pub(super) async fn open(url: &str, connections: u32) -> Result<Self, LedgerError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| LedgerError::Url { why: error.to_string() })?
            .application_name("tidegate scheduler")
            .statement_cache_capacity(STATEMENTS)
            .options([
                ("lock_timeout", LOCK.as_millis().to_string()),
                ("idle_in_transaction_session_timeout", IDLE.as_millis().to_string()),
            ]);
        let port = options.get_port();
        let writers = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .after_connect(move |_, _| {
                send_at_once(port);
                Box::pin(async { Ok(()) })
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
    Postgres,
    sqlx::Postgres,
    Dialect::Postgres,
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
);

fn value(row: &sqlx::postgres::PgRow, column: usize) -> Result<Value, LedgerError> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    Ok(match raw.type_info().name() {
        "INT8" => Value::Int(row.try_get(column)?),
        "INT4" => Value::Int(row.try_get::<i32, _>(column)?.into()),
        "INT2" => Value::Int(row.try_get::<i16, _>(column)?.into()),
        "BOOL" => Value::Int(row.try_get::<bool, _>(column)?.into()),
        "BYTEA" => Value::Bytes(row.try_get(column)?),
        _ => Value::Text(row.try_get(column)?),
    })
}

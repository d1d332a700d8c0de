//! Where the ledger is kept: the one trait behind which SQLite, PostgreSQL, and MySQL or MariaDB are
//! alike, so that everything above is written once.

mod mysql;
mod postgres;
mod sqlite;

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use super::dialect::Dialect;
use super::error::LedgerError;

/// A connection is waited for so long: with the ledger gone, its caller has better to do than to
/// wait.
const ACQUIRE: Duration = Duration::from_secs(2);
/// Somebody else's lock is waited for so long.
const LOCK: Duration = Duration::from_secs(1);
/// The database ends a transaction in which nothing was asked for so long: its process is frozen, or
/// behind a dead network, and holds the row of a chunk. MySQL has no such limit.
const IDLE: Duration = Duration::from_secs(30);
/// A connection keeps so many prepared statements.
const STATEMENTS: usize = 100;

/// A value sent or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No number.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

/// A row that was read.
#[derive(Debug, Clone)]
pub(super) struct Row(Vec<Value>);

impl Row {
    /// A number; what is NULL is 0.
    pub(super) fn int(&self, column: usize) -> Result<i64, LedgerError> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            Some(Value::Null) => Ok(0),
            other => Err(LedgerError::Damaged(format!("column {column} is {other:?}"))),
        }
    }

    /// A number that is not negative and below 2^32.
    pub(super) fn count(&self, column: usize) -> Result<u32, LedgerError> {
        let value = self.int(column)?;
        u32::try_from(value)
            .map_err(|_| LedgerError::Damaged(format!("column {column} is {value}")))
    }

    pub(super) fn text(&self, column: usize) -> Result<String, LedgerError> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(value.clone()),
            Some(Value::Bytes(value)) => Ok(String::from_utf8_lossy(value).into_owned()),
            Some(Value::Null) => Ok(String::new()),
            other => Err(LedgerError::Damaged(format!("column {column} is {other:?}"))),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<Vec<u8>, LedgerError> {
        match self.0.get(column) {
            Some(Value::Bytes(value)) => Ok(value.clone()),
            Some(Value::Text(value)) => Ok(value.clone().into_bytes()),
            Some(Value::Null) => Ok(Vec::new()),
            other => Err(LedgerError::Damaged(format!("column {column} is {other:?}"))),
        }
    }
}

/// What a database answers some time.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// A database that holds a ledger. Futures may be dropped at any time: a transaction is then rolled
/// back, and of a single statement nobody knows whether it was done.
pub(super) trait Store: Debug + Send + Sync {
    /// How it wants things said.
    fn dialect(&self) -> Dialect;

    /// Runs one statement, in a transaction of its own, and returns how many rows it found to change.
    fn execute<'a>(&'a self, sql: &'a str, values: &'a [Value]) -> Answer<'a, u64>;

    /// Runs one statement that changes and returns rows, in a transaction of its own.
    fn returning<'a>(&'a self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>>;

    /// Reads.
    fn read<'a>(&'a self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>>;

    /// Begins a transaction, READ COMMITTED or stronger.
    fn begin(&self) -> Answer<'_, Box<dyn Work>>;

    /// Begins a transaction that only reads, and sees all as it was at one moment.
    fn snapshot(&self) -> Answer<'_, Box<dyn Work>>;

    /// Closes all connections.
    fn close(&self) -> Answer<'_, ()>;
}

/// An open transaction. Dropped, it is rolled back.
pub(super) trait Work: Send {
    /// Runs a statement, and returns how many rows it found to change.
    fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> Answer<'a, u64>;

    /// Runs a statement that returns rows.
    fn read<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>>;

    /// Keeps what was done.
    fn commit(self: Box<Self>) -> Answer<'static, ()>;
}

/// Opens the store that a URL names. Connections are made when they are needed.
pub(super) async fn open(url: &str, connections: u32) -> Result<Box<dyn Store>, LedgerError> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    Ok(match scheme {
        "sqlite" => Box::new(sqlite::Sqlite::open(url).await?),
        "postgres" | "postgresql" => Box::new(postgres::Postgres::open(url, connections).await?),
        "mysql" | "mariadb" => Box::new(mysql::MySql::open(url, connections).await?),
        _ => return Err(LedgerError::Url { why: format!("{scheme:?} is no store") }),
    })
}

/// Implements a store over a pool of sqlx, and its transactions. What differs is how a value is
/// read (`value`), which pool serves what, and how a single statement is run (`run`).
macro_rules! over_sqlx {
    ($store:ident, $database:ty, $dialect:expr, $begin:expr, $snapshot:expr) => {
        impl Store for $store {
            fn dialect(&self) -> Dialect {
                $dialect
            }

            fn execute<'a>(&'a self, sql: &'a str, values: &'a [Value]) -> Answer<'a, u64> {
                Box::pin(self.run(sql, values))
            }

            fn returning<'a>(&'a self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>> {
                Box::pin(async move { rows(&bind(sql, values).fetch_all(&self.writers).await?) })
            }

            fn read<'a>(&'a self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>> {
                Box::pin(async move { rows(&bind(sql, values).fetch_all(&self.readers).await?) })
            }

            fn begin(&self) -> Answer<'_, Box<dyn Work>> {
                Box::pin(async move {
                    let begun = self.writers.begin_with($begin).await?;
                    Ok(Box::new(Open(begun)) as Box<dyn Work>)
                })
            }

            fn snapshot(&self) -> Answer<'_, Box<dyn Work>> {
                Box::pin(async move {
                    let begun = self.readers.begin_with($snapshot).await?;
                    Ok(Box::new(Open(begun)) as Box<dyn Work>)
                })
            }

            fn close(&self) -> Answer<'_, ()> {
                Box::pin(async move {
                    self.writers.close().await;
                    self.readers.close().await;
                    Ok(())
                })
            }
        }

        struct Open(sqlx::Transaction<'static, $database>);

        impl Work for Open {
            fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> Answer<'a, u64> {
                Box::pin(async move {
                    Ok(bind(sql, values).execute(&mut *self.0).await?.rows_affected())
                })
            }

            fn read<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>> {
                Box::pin(async move { rows(&bind(sql, values).fetch_all(&mut *self.0).await?) })
            }

            fn commit(self: Box<Self>) -> Answer<'static, ()> {
                Box::pin(async move { Ok(self.0.commit().await?) })
            }
        }

        /// Runs one statement, in a transaction of its own.
        async fn alone(
            pool: &sqlx::Pool<$database>,
            sql: &str,
            values: &[Value],
        ) -> Result<u64, LedgerError> {
            Ok(bind(sql, values).execute(pool).await?.rows_affected())
        }

        type Query<'q> =
            sqlx::query::Query<'q, $database, <$database as sqlx::Database>::Arguments>;

        fn bind<'q>(sql: &str, values: &'q [Value]) -> Query<'q> {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for value in values {
                query = match value {
                    Value::Null => query.bind(None::<i64>),
                    Value::Int(value) => query.bind(*value),
                    Value::Text(value) => query.bind(value.as_str()),
                    Value::Bytes(value) => query.bind(value.as_slice()),
                };
            }
            query
        }

        fn rows(found: &[<$database as sqlx::Database>::Row]) -> Result<Vec<Row>, LedgerError> {
            found
                .iter()
                .map(|row| {
                    (0..row.len()).map(|column| value(row, column)).collect::<Result<_, _>>()
                })
                .map(|values| Ok(Row(values?)))
                .collect()
        }
    };
}
use over_sqlx;

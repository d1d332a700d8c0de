//! SQL: items become rows of a table that the application has already, in a transaction of the
//! caller's.
//!
//! Nothing here opens a connection or commits, for that is what once in effect hangs on: the effect
//! and the note of it become durable together. Where the ledger is in the same database, what
//! [`Statement::rendered`] says is run with the ledger's own flush; where it is elsewhere, [`put`] and
//! [`progress::record`] go into one transaction on a connection of the sink's:
//!
//! ```text
//!  once a claim:   open(chunk) ──► the positions that are done, and no older fence gets in any more
//!  for each slice: BEGIN · put(slice) ──► a fate each · record(chunk, done) · COMMIT
//! ```
//!
//! After an error of [`put`], of the commit, or a connection that is gone: roll back and `open` again.
//! It tells what the database has.

pub(crate) mod place;
pub mod progress;
pub mod ready;
pub mod statement;

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection, PgConnection, Row as _};
use thiserror::Error;

pub use self::statement::{Dialect, Rendered, Statement, StatementError, Value};
use super::{Fate, Item, Reason, Slice, excerpt, wall_clock};

/// Why nothing was put at all.
#[derive(Debug, Error)]
pub enum PutError {
    /// The database cannot be asked, or has ended the transaction: roll back, and try again later.
    #[error("the database of the sink: {0}")]
    Database(#[source] sqlx::Error),
    /// Somebody else has claimed the chunk: roll back, and stop.
    #[error("its chunk belongs to somebody else by now")]
    Fenced,
}

impl From<sqlx::Error> for PutError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// A connection to a database of one of the kinds that are spoken.
pub trait Connection: Send {
    /// What it speaks.
    const DIALECT: Dialect;

    /// Runs one statement and returns how many rows it found to change.
    fn run(
        &mut self,
        sql: Arc<str>,
        values: &[Value],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Runs a statement without parameters by the simple protocol.
    fn say(&mut self, sql: &'static str) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Reads the first row, of a number and bytes.
    fn read(
        &mut self,
        sql: Arc<str>,
        values: &[Value],
    ) -> impl Future<Output = Result<Option<(i64, Vec<u8>)>, sqlx::Error>> + Send;
}

/// The three functions are the same for each, but sqlx has no type that stands for both.
macro_rules! connection {
    ($connection:ty, $database:ty, $dialect:expr) => {
        impl Connection for $connection {
            const DIALECT: Dialect = $dialect;

            async fn run(&mut self, sql: Arc<str>, values: &[Value]) -> Result<u64, sqlx::Error> {
                let query = bound!($database, sql, values);
                Ok(query.execute(&mut *self).await?.rows_affected())
            }

            async fn say(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
                self.execute(sqlx::raw_sql(sql)).await.map(drop)
            }

            async fn read(
                &mut self,
                sql: Arc<str>,
                values: &[Value],
            ) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
                let query = bound!($database, sql, values);
                let row = query.fetch_optional(&mut *self).await?;
                row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
            }
        }
    };
}

macro_rules! bound {
    ($database:ty, $sql:expr, $values:expr) => {
        $values.iter().fold(sqlx::query::<$database>(AssertSqlSafe($sql)), |query, value| {
            match value {
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_str()),
                Value::Bytes(value) => query.bind(value.as_slice()),
            }
        })
    };
}

connection!(PgConnection, sqlx::Postgres, Dialect::Postgres);
connection!(MySqlConnection, sqlx::MySql, Dialect::MySql);

/// Puts a slice, in the transaction that the connection is in.
///
/// What the database refuses because of an item itself (its values, a constraint) is dead, and the
/// others are put nevertheless: the slice is halved until the item is found, so that n bad ones cost at
/// most 2 n log₂ of the slice's length statements, each behind a savepoint.
///
/// Dropping it leaves the transaction to be rolled back.
///
/// # Errors
/// When the database fails otherwise: nothing can be said then but after a rollback.
pub async fn put<C: Connection>(
    connection: &mut C,
    statement: &Statement,
    slice: Slice<'_>,
) -> Result<Vec<Fate>, PutError> {
    let mut fates = vec![Fate::Done; slice.items.len()];
    let now = wall_clock();
    let fit = |(place, item): (usize, &Item)| match statement.fits(item) {
        Ok(()) if item.is_expired(now) => Err((place, Reason::Expired)),
        Ok(()) => Ok(place),
        Err(why) => Err((place, why)),
    };
    let (mut places, mut unfit) = (Vec::new(), Vec::new());
    for found in slice.items.iter().enumerate().map(fit) {
        match found {
            Ok(place) => places.push(place),
            Err(dead) => unfit.push(dead),
        }
    }
    for (place, why) in unfit {
        fates[place] = Fate::Dead(why);
    }
    // The parts that are still to be put, the next one last.
    let mut parts = vec![places];
    while let Some(part) = parts.pop() {
        let items: Vec<&Item> = part.iter().map(|place| &slice.items[*place]).collect();
        if items.is_empty() {
            continue;
        }
        let rendered = statement.rendered(slice.chunk, &items);
        match run_all(connection, rendered).await {
            Ok(()) => {}
            Err(error) if !is_about_values(&error) => return Err(error.into()),
            Err(error) => match part.as_slice() {
                [place] => fates[*place] = Fate::Dead(Reason::Refused(words(&error))),
                _ => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right.to_vec(), left.to_vec()]);
                }
            },
        }
    }
    Ok(fates)
}

/// Runs statements behind a savepoint: all of them, or none.
async fn run_all<C: Connection>(
    connection: &mut C,
    rendered: Vec<Rendered>,
) -> Result<(), sqlx::Error> {
    connection.say("SAVEPOINT tidegate_put").await?;
    for Rendered { sql, values } in rendered {
        if let Err(error) = connection.run(sql, &values).await {
            if is_about_values(&error) {
                connection.say("ROLLBACK TO SAVEPOINT tidegate_put").await?;
            }
            return Err(error);
        }
    }
    connection.say("RELEASE SAVEPOINT tidegate_put").await
}

/// MySQL's and MariaDB's codes of errors about a value that have the SQLSTATE for all else (HY000).
const MYSQL_VALUE_ERRORS: [u16; 6] = [
    1364, // a field has no default value
    1366, // an incorrect value for a column
    1525, // an incorrect value
    3819, // a CHECK constraint, on MySQL
    4038, // JSON that ends too early, on MariaDB
    4079, // an operand of an operation, on MariaDB
];

/// Whether the database says no because of what the items are: data exceptions (22) and violated
/// constraints (23).
pub(crate) fn is_about_values(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let number = error
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .is_some_and(|error| MYSQL_VALUE_ERRORS.contains(&error.number()));
    number || error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// What a database has said, without what surrounds it.
pub(crate) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => excerpt(error.message()).into_owned(),
        error => excerpt(&error.to_string()).into_owned(),
    }
}

//! Rows in a database that is not the ledger's: effect and progress in one transaction there.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::nodelay::send_at_once;
use crate::sink::sql::{Connection, Dialect, PutError, Statement, progress, put};
use crate::sink::{Chunk, Fate, Reason, Slice};

/// Connections to it.
const CONNECTIONS: u32 = 4;
/// One is waited for so long.
const ACQUIRE: Duration = Duration::from_secs(2);

/// A database with a table of progress.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pool: Pool,
    statement: Statement,
}

#[derive(Debug)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// The same for both, but sqlx has no type that stands for both.
macro_rules! transaction {
    ($self:expr, |$connection:ident| $body:expr) => {
        match &$self.pool {
            Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await.map_err(PutError::Database)?;
                let $connection = &mut *transaction;
                let done = $body;
                transaction.commit().await.map_err(PutError::Database)?;
                Ok(done)
            }
            Pool::MySql(pool) => {
                let mut transaction = pool.begin().await.map_err(PutError::Database)?;
                let $connection = &mut *transaction;
                let done = $body;
                transaction.commit().await.map_err(PutError::Database)?;
                Ok(done)
            }
        }
    };
}

impl Elsewhere {
    pub(super) fn new(
        dialect: Dialect,
        url: &str,
        statement: Statement,
    ) -> Result<Self, &'static str> {
        let wrong = |_: sqlx::Error| "not a database's URL";
        let pool = match dialect {
            Dialect::Postgres => {
                let options: PgConnectOptions = url.parse().map_err(wrong)?;
                let port = options.get_port();
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
                let pool = pool.acquire_timeout(ACQUIRE).after_connect(move |_, _| {
                    send_at_once(port);
                    Box::pin(async { Ok(()) })
                });
                Pool::Postgres(pool.connect_lazy_with(options))
            }
            Dialect::MySql => {
                let options: MySqlConnectOptions = url.parse().map_err(wrong)?;
                let port = options.get_port();
                let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS);
                let pool = pool.acquire_timeout(ACQUIRE).after_connect(move |_, _| {
                    send_at_once(port);
                    Box::pin(async { Ok(()) })
                });
                Pool::MySql(pool.connect_lazy_with(options))
            }
        };
        Ok(Self { pool, statement })
    }

    /// Takes a chunk, and tells what is done of it. Makes the table of progress if it is not there.
    pub(super) async fn open(&self, chunk: Chunk<'_>) -> Result<Vec<u32>, Reason> {
        let opened = match &self.pool {
            Pool::Postgres(pool) => match pool.acquire().await {
                Ok(mut connection) => take(&mut *connection, chunk).await,
                Err(error) => Err(error.into()),
            },
            Pool::MySql(pool) => match pool.acquire().await {
                Ok(mut connection) => take(&mut *connection, chunk).await,
                Err(error) => Err(error.into()),
            },
        };
        opened.map_err(reason)
    }

    /// Puts items and notes them with those that were done before, or neither.
    pub(super) async fn offer(&self, slice: Slice<'_>, done: Vec<u32>) -> Vec<Fate> {
        match self.put(slice, done).await {
            Ok(fates) => fates,
            // Whether it was committed is told by the next `open`.
            Err(error) => slice.all(&Fate::Unsent(reason(error))),
        }
    }

    async fn put(&self, slice: Slice<'_>, done: Vec<u32>) -> Result<Vec<Fate>, PutError> {
        transaction!(self, |connection| {
            let fates = put(connection, &self.statement, slice).await?;
            let new = slice.items.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Done);
            let all = done.into_iter().chain(new.map(|(item, _)| item.position));
            progress::record(connection, slice.chunk, all.collect::<Vec<_>>()).await?;
            fates
        })
    }
}

async fn take<C: Connection>(connection: &mut C, chunk: Chunk<'_>) -> Result<Vec<u32>, PutError> {
    connection.say(progress::create(C::DIALECT)).await?;
    progress::open(connection, chunk).await
}

fn reason(error: PutError) -> Reason {
    match error {
        PutError::Fenced => Reason::Fenced,
        error => Reason::Unreachable(error.to_string()),
    }
}

//! Requests for batches: a table that an application inserts into, in a transaction of its own.
//!
//! ```sql
//! BEGIN;
//! UPDATE invoices SET sent_out = true WHERE …;
//! INSERT INTO batch_request (name, sink, items) VALUES ('invoices@2026-11', 'app', '{"recipient": 7}');
//! COMMIT;
//! ```
//!
//! So a batch is asked for exactly if the application's own change is kept. Whoever takes a request up locks
//! its row (`SKIP LOCKED`) and holds the lock until the batch stands in the ledger and the row says so. When it
//! dies in between, its database lets go of the row, and another finds by the batch's name how far it was.
//!
//! It is for batches that fit into a row; large ones are read from a source.

use std::time::Duration;

use jiff::Timestamp;

use super::dialect::Dialect;
use super::error::LedgerError;
use super::store::{self, Row, Store, Work};

/// Connections to the database of requests: one that holds a row, and one to spare.
const CONNECTIONS: u32 = 2;
/// An error that is written back has no more characters.
const ERROR_MAX: usize = 1_000;

/// A database with a table of requests.
#[derive(Debug)]
pub struct Requests {
    store: Box<dyn Store>,
}

/// The lock on a request's row. Dropped, it is let go of as it was, and taken up again by anyone.
pub struct Held {
    work: Box<dyn Work>,
    dialect: Dialect,
    id: i64,
}

/// What is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of the batch: the same name is the same batch.
    pub name: String,
    /// Where its items go.
    pub sink: String,
    /// A line of JSON for each item.
    pub items: String,
    /// When it is due; none for at once.
    pub due: Option<Timestamp>,
    /// The window.
    pub spread: Duration,
    /// From its time on, when the last is to have gone.
    pub deadline: Option<Duration>,
    /// How urgent it is, as it stands there.
    pub class: i64,
    /// Whose places its recipients have.
    pub family: String,
}

impl Requests {
    /// Opens the database that a URL names, and makes the table if it is not there.
    ///
    /// # Errors
    /// As [`super::Ledger::open`].
    pub async fn open(url: &str) -> Result<Self, LedgerError> {
        let requests = Self { store: store::open(url, CONNECTIONS).await? };
        let is_there = requests.store.read("SELECT 1 FROM batch_request WHERE id = 0", &[]).await;
        match is_there {
            Err(error) if error.is_missing_table() => {
                for statement in Self::tables(requests.store.dialect()) {
                    requests.store.execute(&statement, &[]).await?;
                }
            }
            told => drop(told?),
        }
        Ok(requests)
    }

    fn tables(dialect: Dialect) -> Vec<String> {
        let (time, long, end) = match dialect {
            Dialect::MySql => {
                ("TIMESTAMP(6) NULL", "MEDIUMTEXT", ", KEY open (state, id)) ENGINE = InnoDB")
            }
            _ => ("TIMESTAMPTZ", "TEXT", ")"),
        };
        let table = format!(
            "CREATE TABLE IF NOT EXISTS batch_request (id {}, name VARCHAR(200) NOT NULL UNIQUE, \
             sink VARCHAR(200) NOT NULL, items {long} NOT NULL, due {time}, \
             spread_seconds INTEGER NOT NULL DEFAULT 900, deadline_seconds INTEGER, \
             class SMALLINT NOT NULL DEFAULT 2, family VARCHAR(200) NOT NULL DEFAULT 'default', \
             state VARCHAR(10) NOT NULL DEFAULT 'new', error {long}, item_count BIGINT, finished {time}{end}",
            dialect.identity(),
        );
        let index = "CREATE INDEX IF NOT EXISTS batch_request_open ON batch_request (id) WHERE state = 'new'";
        let index = (dialect != Dialect::MySql).then(|| index.to_owned());
        std::iter::once(table).chain(index).collect()
    }

    /// Takes up the oldest request that nobody has.
    ///
    /// # Errors
    /// As for any statement; a row that cannot be read at all is damaged.
    pub async fn next(&self) -> Result<Option<(Request, Held)>, LedgerError> {
        let dialect = self.store.dialect();
        let micros = match dialect {
            Dialect::MySql => "CAST(UNIX_TIMESTAMP(due) * 1000000 AS SIGNED)",
            _ => "CAST(extract(epoch FROM due) * 1000000 AS BIGINT)",
        };
        let columns = "id, name, sink, items, spread_seconds, deadline_seconds, class, family";
        let open = "FROM batch_request WHERE state = 'new' ORDER BY id LIMIT 1";
        // Without a transaction at first: mostly there is none.
        if self.store.read(&format!("SELECT id {open}"), &[]).await?.is_empty() {
            return Ok(None);
        }
        let mut work = self.store.begin().await?;
        let sql = format!("SELECT {columns}, {micros} {open} {}", dialect.for_update_skip());
        let rows = work.read(&sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let held = Held { work, dialect, id: row.int(0)? };
        Ok(Some((Request::read(row)?, held)))
    }

    /// Closes its connections in order.
    pub async fn close(&self) {
        // Closing cannot fail: pools only wait for what is under way.
        let _closed = self.store.close().await;
    }
}

impl Request {
    fn read(row: &Row) -> Result<Self, LedgerError> {
        let seconds = |column| {
            let seconds = u64::try_from(row.int(column)?).unwrap_or(0);
            Ok::<_, LedgerError>(Duration::from_secs(seconds))
        };
        let due = match row.int(8)? {
            0 => None,
            micros => Some(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)),
        };
        Ok(Self {
            name: row.text(1)?,
            sink: row.text(2)?,
            items: row.text(3)?,
            spread: seconds(4)?,
            deadline: Some(seconds(5)?).filter(|deadline| !deadline.is_zero()),
            class: row.int(6)?,
            family: row.text(7)?,
            due,
        })
    }
}

impl Held {
    /// Its batch stands in the ledger, with so many items.
    ///
    /// # Errors
    /// As for any statement; it is then taken up again, and found to stand.
    pub async fn done(self, items: u64) -> Result<(), LedgerError> {
        let count = i64::try_from(items).unwrap_or(i64::MAX);
        self.finish("done", String::new(), count).await
    }

    /// It cannot be done, ever, as it stands there: whoever has asked reads why, and may set `state` to `new`
    /// again with what was wrong made right.
    ///
    /// # Errors
    /// As for any statement; it is then taken up again.
    pub async fn failed(self, why: &str) -> Result<(), LedgerError> {
        let why = why.chars().take(ERROR_MAX).collect();
        self.finish("failed", why, 0).await
    }

    async fn finish(mut self, state: &str, why: String, items: i64) -> Result<(), LedgerError> {
        let sql = self.dialect.sql(
            "UPDATE batch_request SET state = ?, error = NULLIF(?, ''), item_count = ?, \
             finished = CURRENT_TIMESTAMP WHERE id = ?",
        );
        let values = [state.into(), why.as_str().into(), items.into(), self.id.into()];
        self.work.execute(&sql, &values).await?;
        self.work.commit().await
    }
}

//! Where recipients come from: files and databases. What is read goes to a [`spool`], which ranks it.
//!
//! ```text
//!  file ───────────────────────────────────────────────────────────────────────────┐
//!  origin ─► reader: mark at the primary, a replica that has it ─► sql: pages, delta ─┴─► spool
//!       └──► check: right before items go, which of them still hold
//! ```

pub mod file;

pub mod origin;

mod session;

mod mark;

mod fleet;

pub mod reader;

pub mod sql;

pub mod check;

pub mod spool;

use std::io;
use std::time::Duration;

use thiserror::Error;

/// No batch has more items.
pub const ITEMS_MAX: u64 = 20_000_000;

/// Why recipients cannot be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file cannot be read, or has something in it that names no recipient.
    #[error("{at}: {why}")]
    File {
        /// The file, and the line if it is one.
        at: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The database does not answer, or refuses.
    #[error("the source's database: {0}")]
    Database(#[from] sqlx::Error),
    /// What a query returns cannot be taken.
    #[error("the source's query: {0}")]
    Query(String),
    /// No replica has what the primary had, in time.
    #[error("no replica has within {within:?} what the primary had: {told}")]
    NoReplica {
        /// How long was waited for one.
        within: Duration,
        /// What is wrong with each.
        told: String,
    },
    /// A primary does not say how far it is, so that nobody can tell what a replica lacks.
    #[error(
        "the primary at url tells no position; expected a binary log with GTIDs (MySQL: gtid_mode = ON), or PostgreSQL"
    )]
    NoPosition,
    /// Nothing came for so long.
    #[error("the source's database: {0} within {1:?}")]
    Silent(&'static str, Duration),
    /// There is no room for them, or too many.
    #[error("the spool: {0}")]
    Spool(#[source] io::Error),
    /// There are more than [`ITEMS_MAX`].
    #[error("more than {ITEMS_MAX} recipients: give them to several batches")]
    TooMany,
}

impl SourceError {
    /// Whether it is the server that has failed, and another may not: it is gone, ends, or has ended the
    /// statement so that it can replay.
    fn is_the_servers(&self) -> bool {
        let error = match self {
            Self::Silent(..) => return true,
            Self::Database(sqlx::Error::Database(error)) => error,
            Self::Database(_) => return true,
            _ => return false,
        };
        if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            // 1053 shutdown, 1077 normal shutdown, 1317 interrupted, 1927 killed.
            return matches!(error.number(), 1053 | 1077 | 1317 | 1927);
        }
        // Class 57 is what an operator does; 40001 a conflict with what is replayed.
        error.code().is_some_and(|code| code.starts_with("57P") || code == "40001")
    }
}

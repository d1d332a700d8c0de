//! Where recipients come from: files and databases. What is read goes to a [`spool`], which ranks it.

pub mod file;

pub mod sql;

pub mod spool;

use std::io;

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
    /// There is no room for them, or too many.
    #[error("the spool: {0}")]
    Spool(#[source] io::Error),
    /// There are more than [`ITEMS_MAX`].
    #[error("more than {ITEMS_MAX} recipients: give them to several batches")]
    TooMany,
}

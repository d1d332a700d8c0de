//! Why the ledger did not do what it was asked.

use super::life::{BatchState, Wanted};

/// Why the ledger did not do what it was asked. Nothing of what was asked is done then, but for
/// [`Self::Unavailable`], where a change may have been made whose answer was lost; each may be
/// asked for again.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The URL names no store.
    #[error(
        "ledger: {why}; sqlite:FILE, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE is taken"
    )]
    Url {
        /// What is wrong with it, without the URL, which may hold a password.
        why: String,
    },
    /// A newer program has been at the ledger.
    #[error(
        "the ledger has version {found} of its tables, this program knows {known}: use a newer one"
    )]
    Version {
        /// Of the tables.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// Something larger than its bound.
    #[error("{found} {what}: at most {most} are taken")]
    TooLarge {
        /// What, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Something that makes no sense.
    #[error("{what}: {why}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// No batch has that name.
    #[error("there is no batch {0:?}")]
    UnknownBatch(String),
    /// No schedule has that name: none is configured, or no scheduler has been started with it.
    #[error("there is no schedule {0:?} in the ledger")]
    UnknownSchedule(String),
    /// A batch, or a chunk of it, is there already, with other content.
    #[error("batch {name:?} is there already with another {what}: give the new one another name")]
    Conflict {
        /// The batch's name.
        name: String,
        /// In what they differ.
        what: String,
    },
    /// The batch's chunks are complete.
    #[error("batch {0:?} is sealed: no chunk can be added")]
    Sealed(String),
    /// What the batch is does not allow it.
    #[error("batch {name:?} is {}: it cannot be asked to {}", state.name(), wanted.name())]
    Refused {
        /// The batch's name.
        name: String,
        /// What it is.
        state: BatchState,
        /// What was asked for.
        wanted: Wanted,
    },
    /// Old batches are gone but for their figures.
    #[error("the items of batch {0:?} were dropped with its volume; its figures are kept")]
    Dropped(String),
    /// The lease is another's now. Stop at once: nothing of what was to be written is.
    #[error("the lease of chunk {seq} of batch {batch} is another's now, or over")]
    Fenced {
        /// The batch's number.
        batch: i64,
        /// The chunk's.
        seq: u32,
    },
    /// Others hold what is needed. Worth trying again at once.
    #[error("the ledger is busy: {0}")]
    Busy(#[source] sqlx::Error),
    /// The disk, or the file's bound, is full. Nothing was written.
    #[error("the ledger's disk is full: {0}")]
    Full(#[source] sqlx::Error),
    /// The database does not answer.
    #[error("the ledger's database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// What was read is not what was ever written.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The database says no.
    #[error("the ledger's database refuses: {0}")]
    Refusing(#[source] sqlx::Error),
}

impl LedgerError {
    pub(super) fn invalid(what: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { what, why: why.into() }
    }

    pub(super) fn bound(what: &'static str, found: usize, most: usize) -> Result<(), Self> {
        if found > most { Err(Self::TooLarge { what, found, most }) } else { Ok(()) }
    }

    /// Whether the same may be asked for again at once.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Whether a column that was to be added is there.
    pub(super) fn is_there_already(&self) -> bool {
        let Self::Refusing(sqlx::Error::Database(error)) = self else { return false };
        matches!(error.code().as_deref(), Some("42701" | "42S21"))
            || error.message().starts_with("duplicate column name")
    }

    /// Whether a table is not there: that of a volume that was dropped.
    pub(super) fn is_missing_table(&self) -> bool {
        let Self::Refusing(sqlx::Error::Database(error)) = self else { return false };
        matches!(error.code().as_deref(), Some("42P01" | "42S02"))
            || error.message().starts_with("no such table")
    }
}

impl From<sqlx::Error> for LedgerError {
    /// Tells by the database's own codes: SQLSTATE and numbers of MySQL and MariaDB, SQLSTATE of
    /// PostgreSQL, result codes of SQLite.
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(refusal) = &error else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
                error => Self::Refusing(error),
            };
        };
        match kind(refusal.as_ref()) {
            Kind::Busy => Self::Busy(error),
            Kind::Full => Self::Full(error),
            Kind::Unavailable => Self::Unavailable(error),
            Kind::Refusing => Self::Refusing(error),
        }
    }
}

enum Kind {
    Busy,
    Full,
    Unavailable,
    Refusing,
}

fn kind(error: &dyn sqlx::error::DatabaseError) -> Kind {
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return match error.number() {
            1205 | 1213 | 3572 => Kind::Busy,
            // 1114 table full, 1021 disk full, 3 cannot write.
            1114 | 1021 | 3 => Kind::Full,
            // 1040 too many connections, 1053 shutdown, 1290 read only, 1927 killed, 1836 read only.
            1040 | 1053 | 1290 | 1836 | 1927 | 4031 => Kind::Unavailable,
            _ => Kind::Refusing,
        };
    }
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The lowest byte is the primary code: 5 busy, 6 locked, 10 I/O, 13 full, 14 cannot open.
        let code: i64 = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
        return match code & 0xff {
            5 | 6 => Kind::Busy,
            13 => Kind::Full,
            10 | 14 => Kind::Unavailable,
            _ => Kind::Refusing,
        };
    }
    match error.code().as_deref() {
        Some("55P03" | "40P01" | "40001") => Kind::Busy,
        Some("53100") => Kind::Full,
        Some(code)
            if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") =>
        {
            Kind::Unavailable
        }
        // 25006: a standby; 25P03: idle in a transaction for longer than we allow ourselves.
        Some("25006" | "25P03") => Kind::Unavailable,
        _ => Kind::Refusing,
    }
}

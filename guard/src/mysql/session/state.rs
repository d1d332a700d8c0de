//! Where a session stands in its transaction.
//!
//! ```text
//!            BEGIN (answered here)          first statement
//!   Idle ───────────────────────────► Begun ───────────────┐
//!    │ ▲                                │ COMMIT, ROLLBACK │
//!    │ └────────────────────────────────┘ (answered here)  │
//!    │ a statement leaves IN_TRANS set                     ▼
//!    └──────────────────────────────────────────────────► Open ──► Idle
//!                                                           │ a limit passed: the guard rolled back
//!                                                           ▼
//!                                                        Aborted ──ROLLBACK──► Idle
//!                                                           └──────COMMIT────► Idle, with an error
//! ```
//!
//! A COMMIT of an aborted transaction is an error: an OK would tell the client that its work is
//! kept.

use std::time::Instant;

use policy::sql::Begin;

/// A session's transaction.
#[derive(Debug, Clone, Default)]
pub enum Transaction {
    /// None is open.
    #[default]
    Idle,
    /// `BEGIN` was answered by the guard; the database knows nothing of it and nothing is held.
    Begun(Begin),
    /// The database has it open.
    Open {
        /// When its first statement was sent.
        since: Instant,
    },
    /// The guard rolled it back; the client has not ended it yet.
    Aborted {
        /// What each of its statements is told.
        why: String,
    },
}

impl Transaction {
    /// When the open transaction began.
    pub fn since(&self) -> Option<Instant> {
        match self {
            Self::Open { since } => Some(*since),
            _ => None,
        }
    }

    /// Whether the client believes that a transaction is open.
    pub fn is_open_to_client(&self) -> bool {
        !matches!(self, Self::Idle)
    }
}

/// The statement that begins a transaction as the client asked for it.
pub fn begin_sql(begin: Begin) -> &'static [u8] {
    match begin {
        // No text of MySQL has modes.
        Begin::Plain | Begin::Modes => b"BEGIN",
        Begin::ReadOnly => b"START TRANSACTION READ ONLY",
        Begin::ReadWrite => b"START TRANSACTION READ WRITE",
    }
}

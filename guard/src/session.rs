//! What sessions of every engine are made of. The sessions themselves are in `mysql::session` and
//! `postgres::session`.

pub mod buffers;
pub mod interrupt;
pub mod pins;
pub mod registry;
pub mod timer;
pub mod turn;
pub mod verdict;

use policy::deadline::TimeLimit;

use crate::metrics::CancelCause;

/// The cause in the metrics when a time limit passed.
pub const fn cause_of(limit: TimeLimit) -> CancelCause {
    match limit {
        TimeLimit::Statement => CancelCause::StatementTime,
        TimeLimit::Transaction | TimeLimit::IdleInTransaction => CancelCause::TransactionTime,
    }
}

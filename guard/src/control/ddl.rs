//! Tables that somebody wants for himself, as the API tells them.

use policy::ddl::{Cause, Counts};
use serde::{Deserialize, Serialize};

use super::{mode_name, whole_ms};
use crate::ddl::Report;

/// Tables that a statement waits to have for itself, and what is done about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DdlStatus {
    /// What is done: `off`, `observe` or `enforce`.
    pub mode: String,
    /// Transactions that wait in the guard for such a table.
    pub parked: u32,
    /// What was done since the guard started.
    pub counts: DdlCounts,
    /// The tables that others are kept from, or would be, those first that have been for longest.
    pub tables: Vec<DdlTable>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DdlTable {
    /// Its name, with its schema where that is known.
    pub table: String,
    /// The backend that waits for it, or has it after that.
    pub backend: u32,
    /// How long that has been seen to.
    pub waited_ms: u64,
    /// Its statement, normalised.
    pub statement: String,
}

/// What was done with transactions for such tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DdlCounts {
    /// Those that were parked.
    pub parked: u64,
    /// Those that found no room to be parked, or were parked for as long as they may.
    pub refused: u64,
    /// Those that would have been parked, if the mode were enforce.
    pub would_park: u64,
}

impl From<&Report> for DdlStatus {
    fn from(report: &Report) -> Self {
        let Counts { parked, refused, would_park } = report.counts;
        Self {
            mode: mode_name(report.mode).into(),
            parked: report.parked,
            counts: DdlCounts { parked, refused, would_park },
            tables: report.causes.iter().map(DdlTable::from).collect(),
        }
    }
}

impl From<&Cause> for DdlTable {
    fn from(cause: &Cause) -> Self {
        let schema = cause.table.schema.as_ref().map(|schema| format!("{schema}."));
        Self {
            table: schema.unwrap_or_default() + &cause.table.name,
            backend: cause.backend,
            waited_ms: whole_ms(cause.waited),
            statement: cause.statement.to_string(),
        }
    }
}

//! Rows that everybody wants, as the API tells them.

use policy::hot::{Counts, Usage};
use serde::{Deserialize, Serialize};

use super::{DdlStatus, mode_name};
use crate::hot::{Report, short, table};

/// Rows that are fought for, and what is done about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HotStatus {
    /// What is done: `off`, `observe` or `enforce`.
    pub mode: String,
    /// Transactions that wait in the guard for such a row.
    pub parked: u32,
    /// What was done since the guard started.
    pub counts: HotCounts,
    /// The rows: those that most are parked for first, then those that most wait for in the database.
    pub rows: Vec<HotKey>,
    /// Tables that a statement waits to have for itself.
    #[serde(default)]
    pub ddl: DdlStatus,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HotKey {
    /// What tells it from other rows of the table. Its value is nobody's business.
    pub key: String,
    /// Its table, with its schema where the statement names one; empty where that is not known.
    pub table: String,
    /// A statement that was seen to wait for it, normalised.
    pub statement: String,
    /// How many wait for it in the database: the most that were seen, decaying by a tenth a second.
    pub waiters: f64,
    /// Whether transactions wait for it in the guard, or would.
    pub is_gated: bool,
    /// Transactions that work on it.
    pub inside: u32,
    /// Transactions that wait for it in the guard.
    pub parked: u32,
    /// What was done since it became hot.
    pub counts: HotCounts,
}

/// What was done with transactions for a row, or for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HotCounts {
    /// Those that entered, at once or after a wait.
    pub entered: u64,
    /// Those that were parked.
    pub parked: u64,
    /// Those that found no room to be parked, or were parked for as long as they may.
    pub refused: u64,
    /// Those that would have been parked, if the mode were enforce.
    pub would_park: u64,
}

impl From<&Report> for HotStatus {
    fn from(report: &Report) -> Self {
        Self {
            mode: mode_name(report.mode).into(),
            parked: report.parked,
            counts: report.counts.into(),
            rows: report.keys.iter().map(HotKey::from).collect(),
            ddl: DdlStatus::default(),
        }
    }
}

impl From<&Usage> for HotKey {
    fn from(usage: &Usage) -> Self {
        let gate = usage.gate.unwrap_or_default();
        Self {
            key: short(usage.key),
            table: usage.shape.as_deref().map(table).unwrap_or_default(),
            statement: usage.shape.as_ref().map(|shape| shape.text.to_string()).unwrap_or_default(),
            waiters: usage.waits,
            is_gated: usage.gate.is_some(),
            inside: gate.inside,
            parked: gate.parked,
            counts: gate.counts.into(),
        }
    }
}

impl From<Counts> for HotCounts {
    fn from(counts: Counts) -> Self {
        let Counts { entered, parked, refused, would_park } = counts;
        Self { entered, parked, refused, would_park }
    }
}

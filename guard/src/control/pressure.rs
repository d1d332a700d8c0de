//! How pressed the database is, for whoever can wait.

use policy::pressure::Pressure;
use serde::{Deserialize, Serialize};

/// How pressed the database is: 0 idle, 1 as much as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PressureStatus {
    /// Counts the readings, from 1; 0 before the first.
    pub number: u64,
    /// Milliseconds since the guard started, when it was read.
    pub uptime_ms: u64,
    /// The greatest of the parts.
    pub pressure: f64,
    /// From here on tools that write in bulk are told not to.
    pub threshold: f64,
    /// What it is made of.
    pub parts: PressureParts,
}

/// The parts, each 1 where it is just borne.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PressureParts {
    /// In flight over the limit.
    pub limit: f64,
    /// The longest wait for a turn over what the queue is kept to.
    pub queue: f64,
    /// Waiting for locks.
    pub locks: f64,
    /// Replication lag; none where it is not known.
    pub lag: Option<f64>,
    /// Refused, or failed because of load.
    pub errors: f64,
    /// 1 while the database cannot be reached.
    pub lost: f64,
}

impl From<&Pressure> for PressureParts {
    fn from(pressure: &Pressure) -> Self {
        Self {
            limit: rounded(pressure.limit),
            queue: rounded(pressure.queue),
            locks: rounded(pressure.locks),
            lag: pressure.lag.map(rounded),
            errors: rounded(pressure.errors),
            lost: pressure.lost,
        }
    }
}

/// To a thousandth: more digits say nothing.
pub fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Whether a tool may write, as freno tells it (github/freno, doc/http.md).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    /// The status code of the answer.
    pub status_code: u16,
    /// Why not; empty when it may.
    pub message: String,
    /// The pressure.
    pub value: f64,
    /// From here on nobody may.
    pub threshold: f64,
}

impl Check {
    /// It may write.
    pub const OK: u16 = 200;
    /// There is no such store.
    pub const UNKNOWN: u16 = 404;
    /// A switch forbids it.
    pub const FORBIDDEN: u16 = 417;
    /// The database is pressed.
    pub const PRESSED: u16 = 429;
    /// It is not known how pressed the database is.
    pub const FAILED: u16 = 500;
}

//! Replicas, as they are now.

use policy::replica::Report;
use serde::{Deserialize, Serialize};

use super::{rounded, whole_ms};
use crate::engine::Engine;
use crate::replica::{Replica, Shown};

/// One replica.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// `fit`, or why it is not read from: `unknown`, `silent`, `stopped`, `no_position`, `behind`, `slow`.
    pub state: String,
    /// What it serves of its weight now, from 0 to 1.
    pub share: f64,
    /// Its part of the reads, against the others'.
    pub weight: u32,
    /// Milliseconds for which it has been behind at least; none where that is not known.
    pub lag_ms: Option<u64>,
    /// Bytes of log that it misses; none where that is not known, and with MySQL and MariaDB.
    #[serde(default)]
    pub lag_bytes: Option<u64>,
    /// Reads that run there.
    pub in_flight: u32,
    /// Reads that it has served.
    pub reads: u64,
    /// Why it cannot be reached, or looked at.
    pub trouble: Option<String>,
}

impl ReplicaStatus {
    /// The state of one that is read from.
    pub const FIT: &'static str = "fit";

    /// A replica as it is shown.
    pub fn of<E: Engine>(replica: &Replica<E>, shown: Shown) -> Self {
        let Report { share, lag, lag_bytes } = shown.report;
        Self {
            name: replica.name().into(),
            address: replica.address(),
            state: share.map_or_else(|unfit| unfit.as_str(), |_| Self::FIT).into(),
            share: rounded(share.unwrap_or_default()),
            weight: replica.weight(),
            lag_ms: lag.map(whole_ms),
            lag_bytes,
            in_flight: shown.in_flight,
            reads: shown.reads,
            trouble: shown.trouble.map(|why| String::clone(&why)),
        }
    }
}

//! Where a source's rows are: a primary and its replicas, or one address behind which somebody decides.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sink::sql::Dialect;

/// No source has more replicas.
pub const REPLICAS_MAX: usize = 16;
/// From a primary no fewer rows a second are read: a page has so many.
pub const PRIMARY_ROWS_MIN: u32 = 100;

/// What becomes of reading when no replica has what the primary has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "WithoutReplica")]
pub enum Otherwise {
    /// The batch waits for one, and goes late.
    #[default]
    Wait,
    /// It is read from the primary, `primary_rows` a second at most.
    Primary,
    /// It is given up. Items that are due but not checked wait.
    Refuse,
}

/// Where a source's rows are, as the file says.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// What its servers speak.
    pub dialect: Dialect,
    /// The primary where there are replicas.
    pub url: String,
    /// Those that are read from, at most [`REPLICAS_MAX`].
    pub replicas: Vec<String>,
    /// How long one of them is waited for.
    pub wait: Duration,
    /// What becomes of reading then.
    pub otherwise: Otherwise,
    /// The most rows a second of the primary, [`PRIMARY_ROWS_MIN`] at least.
    pub primary_rows: u32,
    /// How far behind those may be that answer at `url`; zero for not at all.
    pub max_lag: Duration,
}

impl fmt::Debug for Origin {
    /// Without the URLs, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Origin");
        told.field("dialect", &self.dialect).field("replicas", &self.replicas.len());
        told.field("otherwise", &self.otherwise).finish_non_exhaustive()
    }
}

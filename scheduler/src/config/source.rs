//! `[source.NAME]`: a database that recipients are read from.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::sink::sql::Dialect;

/// A database that schedules read recipients from: a replica, or the guard.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where it is: `postgres://USER:PASSWORD@HOST/DATABASE` or `mysql://USER:PASSWORD@HOST/DATABASE`.
    /// Never shown, as it may hold a password.
    pub url: String,
    /// Applications request batches in its table `batch_request`, which is made if it is not there. The account
    /// must be allowed to change that table; for reading recipients it needs no more than to read.
    #[serde(default)]
    pub requests: bool,
}

impl Source {
    /// What it speaks.
    ///
    /// # Errors
    /// The key that is wrong, and what would be right.
    pub fn ready(&self) -> Result<Dialect, (&'static str, String)> {
        match self.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
            Some("mysql" | "mariadb") => Ok(Dialect::MySql),
            _ => Err((
                "url",
                "not a database; expected postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
                    .into(),
            )),
        }
    }
}

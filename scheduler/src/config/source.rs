//! `[source.NAME]`: a database that recipients are read from.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{self, DurationText};
use crate::sink::sql::Dialect;
use crate::source::origin::{Origin, Otherwise, PRIMARY_ROWS_MIN, REPLICAS_MAX};

/// A database that schedules read recipients from: a primary with its replicas, one server alone, or the guard.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where it is: `postgres://USER:PASSWORD@HOST/DATABASE` or `mysql://USER:PASSWORD@HOST/DATABASE`. With
    /// `replicas`, the primary. Never shown, as it may hold a password.
    pub url: String,
    /// Its replicas, at most 16, each as `url`. Recipients are then read from one of them that has all that the
    /// primary had when reading began. MySQL needs GTIDs for that, MariaDB a binary log.
    #[serde(default)]
    pub replicas: Vec<String>,
    /// How long such a replica is waited for.
    #[serde(default = "wait", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub wait: Duration,
    /// What becomes of a batch for which there is none by then.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// The most rows a second that are read from the primary where `otherwise = "primary"`.
    #[serde(default = "primary_rows")]
    pub primary_rows: u32,
    /// Without `replicas`: how far behind the primary those may be that answer at `url`, such as
    /// `routing.max_lag` of a guard which reads from replicas. Recipients are read so long after their batch is
    /// begun.
    #[serde(default, with = "value::maybe")]
    #[schemars(with = "Option<DurationText>")]
    pub max_lag: Option<Duration>,
    /// Applications request batches in its table `batch_request`, which is made if it is not there. The account
    /// must be allowed to change that table; for reading recipients it needs no more than to read.
    #[serde(default)]
    pub requests: bool,
}

const fn wait() -> Duration {
    Duration::from_secs(30)
}

const fn primary_rows() -> u32 {
    2_000
}

impl Source {
    /// What the scheduler goes by.
    ///
    /// # Errors
    /// The key that is wrong, and what would be right.
    pub fn ready(&self) -> Result<Arc<Origin>, (&'static str, String)> {
        let form = "expected postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE";
        let dialect =
            dialect(&self.url).ok_or_else(|| ("url", format!("not a database; {form}")))?;
        if self.replicas.iter().any(|replica| self::dialect(replica) != Some(dialect)) {
            return Err(("replicas", format!("not replicas of url; {form}, all as url is")));
        }
        if self.replicas.len() > REPLICAS_MAX {
            return Err(("replicas", format!("too many; expected at most {REPLICAS_MAX}")));
        }
        if self.primary_rows < PRIMARY_ROWS_MIN {
            let why = format!("out of range; expected at least {PRIMARY_ROWS_MIN}");
            return Err(("primary_rows", why));
        }
        if self.max_lag.is_some() && !self.replicas.is_empty() {
            let why =
                "replicas are given, which are asked how far they are; expected one of the two";
            return Err(("max_lag", why.into()));
        }
        Ok(Arc::new(Origin {
            dialect,
            url: self.url.clone(),
            replicas: self.replicas.clone(),
            wait: self.wait,
            otherwise: self.otherwise,
            primary_rows: self.primary_rows,
            max_lag: self.max_lag.unwrap_or_default(),
        }))
    }
}

fn dialect(url: &str) -> Option<Dialect> {
    match url.split_once("://").map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => Some(Dialect::Postgres),
        Some("mysql" | "mariadb") => Some(Dialect::MySql),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let of = |text: &str| toml::from_str::<Source>(text).unwrap().ready().map(drop);
        let url = "url = \"postgres://app@127.0.0.1/app\"";
        assert_eq!(of(url), Ok(()));
        for (more, key, told) in [
            ("replicas = [\"mysql://app@127.0.0.1/app\"]", "replicas", "all as url is"),
            ("primary_rows = 9", "primary_rows", "at least 100"),
            (
                "replicas = [\"postgres://app@127.0.0.2/app\"]\nmax_lag = \"5s\"",
                "max_lag",
                "one of the two",
            ),
        ] {
            let (wrong, why) = of(&format!("{url}\n{more}")).unwrap_err();
            assert!(wrong == key && why.contains(told), "{more}: {wrong}: {why}");
        }
        assert_eq!(of("url = \"sqlite:x\"").unwrap_err().0, "url");
    }
}

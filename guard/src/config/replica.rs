//! Replicas, and what becomes of reads that they may answer.

use std::num::NonZeroU32;
use std::time::Duration;

use policy::class::ReadsFrom;
use policy::replica::{self, Otherwise};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, Bytes, Endpoint};

/// `[replica.NAME]`: a replica of the database, for reads of classes with `reads = "replica"`. The account of
/// `[control]` must be there as well; TLS is that of `[upstream]`. Of PostgreSQL a hot standby that streams.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// `host:port`, or `host` for port 3306, of PostgreSQL 5432.
    pub address: Endpoint,
    /// The name that the server's certificate must carry. Default: the host of `address`.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Connections that serve clients, and so what runs there at once. Control connections come on top, as many
    /// as the primary has, and one to look.
    #[serde(default = "connections")]
    pub connections: NonZeroU32,
    /// Its part of the reads, against the other replicas'.
    #[serde(default = "weight")]
    pub weight: NonZeroU32,
}

/// `[routing]`: which replica is good enough for a read, and what becomes of a read for which none is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// A replica that is further behind is not read from. What a session has written itself it always finds,
    /// whatever this is.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub max_lag: Duration,
    /// PostgreSQL: a replica that misses more of the log than this is not read from either. Default: no limit.
    pub max_lag_bytes: Option<Bytes>,
    /// In so long a replica that has been away comes back to its whole part of the reads. "0s": at once.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub slow_start: Duration,
    /// How long a read waits for a replica that is fit for it. "0s": not at all.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub wait: Duration,
    /// What becomes of it then.
    pub otherwise: Fallback,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            max_lag: Duration::from_secs(5),
            max_lag_bytes: None,
            slow_start: Duration::from_secs(30),
            wait: Duration::ZERO,
            otherwise: Fallback::Primary,
        }
    }
}

/// What becomes of a read for which no replica is fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// It runs on the primary, under the limits of its class there.
    #[default]
    Primary,
    /// It is refused.
    Refuse,
}

/// Where the reads of a class run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// On the primary.
    #[default]
    Primary,
    /// On a replica, where that is safe.
    Replica,
}

impl Routing {
    pub(super) fn to_policy(&self) -> replica::Config {
        replica::Config {
            max_lag: self.max_lag,
            max_lag_bytes: self.max_lag_bytes.map(|bytes| bytes.0),
            slow_start: self.slow_start,
            wait: self.wait,
            otherwise: match self.otherwise {
                Fallback::Primary => Otherwise::Primary,
                Fallback::Refuse => Otherwise::Refuse,
            },
        }
    }
}

impl From<Reads> for ReadsFrom {
    fn from(reads: Reads) -> Self {
        match reads {
            Reads::Primary => Self::Primary,
            Reads::Replica => Self::Replicas,
        }
    }
}

fn connections() -> NonZeroU32 {
    const { NonZeroU32::new(16).expect("not zero") }
}

fn weight() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;

    fn parse(engine: &str, more: &str) -> Result<Config, String> {
        let text = format!(
            "[upstream]\nengine = \"{engine}\"\naddress = \"127.0.0.1:3306\"\n\
             [control]\nuser = \"tidegate\"\npassword = \"secret\"\n{more}"
        );
        let loaded = Config::parse(Path::new("t.toml"), &text, &|_| None);
        Ok(loaded.map_err(|errors| errors.to_string())?.config)
    }

    const EAST: &str = "[replica.east]\naddress = \"10.0.0.2\"\n";

    #[test]
    fn replicas_have_names_and_reads_a_class() {
        let more = format!("{EAST}[class.reports]\nreads = \"replica\"\n");
        let config = parse("mysql", &more).unwrap();
        let east = &config.replicas["east"];
        assert_eq!(east.address.to_string(), "10.0.0.2:3306");
        assert_eq!((east.connections.get(), east.weight.get()), (16, 1));
        let policy = config.policy();
        let class = policy.class(policy.class_named("reports").unwrap());
        assert_eq!(class.reads, policy::class::ReadsFrom::Replicas);
        let theirs = policy.of_replica(5);
        assert_eq!((theirs.connections, theirs.overall.in_flight), (Some(5), None));
    }

    #[test]
    fn replicas_of_postgresql_may_be_told_by_bytes() {
        let more = format!("{EAST}[routing]\nmax_lag_bytes = \"16MiB\"\n");
        let config = parse("postgres", &more).unwrap();
        assert_eq!(config.routing.to_policy().max_lag_bytes, Some(16 << 20));
        assert_eq!(config.replicas["east"].address.to_string(), "10.0.0.2:5432");
        assert_eq!(config.replicas.len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        for (engine, more, key, why) in [
            (
                "mysql",
                "[routing]\nmax_lag_bytes = \"1MiB\"",
                "routing.max_lag_bytes",
                "positions count no bytes",
            ),
            (
                "mysql",
                "[replica.east]\naddress = \"127.0.0.1:3306\"",
                "replica.east.address",
                "same",
            ),
            ("mysql", "[replica.\"a b\"]\naddress = \"h\"", "replica.", "not a name"),
            ("mysql", "[class.default]\nreads = \"replica\"", "class.default.reads", "no replica"),
            ("mysql", "[routing]\nmax_lag = \"10ms\"", "routing.max_lag", "at least"),
            ("mysql", "[routing]\notherwise = \"wait\"", "routing", "otherwise"),
            ("mysql", "[replica.east]\naddress = \"h\"\nweight = 0", "replica", "weight"),
        ] {
            let error = parse(engine, more).unwrap_err();
            assert!(error.contains(key) && error.contains(why), "{more}: {error}");
        }
        let many: String =
            (0..17).map(|n| format!("[replica.r{n}]\naddress = \"10.0.0.{n}\"\n")).collect();
        assert!(parse("mysql", &many).unwrap_err().contains("at most 16"));
    }
}

//! What the file says of the scheduler: `[scheduler]`, `[sink.NAME]`, `[source.NAME]` and `[[schedule]]`.
//!
//! The shapes are here, and what they lack is told by [`File::check`]; the text is read by whoever has the
//! file, so that an error names its line. Sinks are made of it in [`sink`], schedules in [`schedule`].

pub mod schedule;
pub mod sink;
pub mod source;
pub mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;

pub use self::schedule::Schedule;
pub use self::sink::{Kind, Ready, Sink};
pub use self::source::Source;
use self::value::DurationText;
use crate::ledger::LeaseTerms;
use crate::ledger::claim::{CLAIM_CHUNKS_MAX, SINKS_MAX};
use crate::schedule::{Reading, Recipients};

/// The tables of the file that are the scheduler's.
pub const TABLES: [&str; 4] = ["scheduler", "sink", "source", "schedule"];
/// No file has more schedules: each has metrics of its own.
pub const SCHEDULES_MAX: usize = 500;

/// All that the file says of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct File {
    /// The process.
    pub scheduler: Scheduler,
    /// Where items go, by name.
    #[serde(default, rename = "sink")]
    pub sinks: BTreeMap<String, Sink>,
    /// Databases that schedules read recipients from, by name.
    #[serde(default, rename = "source")]
    pub sources: BTreeMap<String, Source>,
    /// Batches that come again and are submitted by the scheduler itself.
    #[serde(default, rename = "schedule")]
    pub schedules: Vec<Schedule>,
}

/// `[scheduler]`: the process.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// Where the ledger is: `sqlite:FILE`, `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `mysql://USER:PASSWORD@HOST/DATABASE`. Never shown, as it may hold a password.
    pub ledger: String,
    /// Connections to the ledger, at most.
    #[serde(default = "connections")]
    pub connections: u32,
    /// What this scheduler is called in the ledger, for those who look. Default: host and process.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the guard tells its pressure: `http://127.0.0.1:9307`, or the path of the Unix socket that its
    /// `admin.address` is; of a guard that asks for a token or is elsewhere, its `admin.metrics_address`.
    /// Without one nothing slows a batch down.
    #[serde(default)]
    pub guard: Option<String>,
    /// Where metrics, health and switches are served. It asks for no password, so it must be a loopback
    /// address.
    #[serde(default = "admin")]
    pub admin: SocketAddr,
    /// How long a chunk is this scheduler's before it has to say so again; another takes over about so
    /// long after it is gone.
    #[serde(default = "lease", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub lease: Duration,
    /// Chunks that this scheduler works on at once, at most.
    #[serde(default = "chunks")]
    pub chunks: u32,
    /// How long what is under way may take to end after SIGTERM.
    #[serde(default = "drain_timeout", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub drain_timeout: Duration,
    /// A file with more `[[schedule]]` entries, besides those of this file.
    #[serde(default)]
    pub schedules: Option<PathBuf>,
    /// Where the recipients of a batch are kept while it is planned: about as many bytes as they have.
    /// Default: the system's folder for such files.
    #[serde(default)]
    pub spool: Option<PathBuf>,
}

/// Something that is wrong: the path of the key, and what would be right.
pub type Wrong = (Vec<String>, String);

const fn connections() -> u32 {
    8
}

fn admin() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9308))
}

const fn lease() -> Duration {
    Duration::from_secs(30)
}

const fn chunks() -> u32 {
    32
}

const fn drain_timeout() -> Duration {
    Duration::from_secs(30)
}

impl File {
    /// The JSON schema (draft 2020-12) of these tables.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        let generator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<Self>().to_value()
    }

    /// What is wrong with it, as far as that can be told without asking anybody.
    #[must_use]
    pub fn check(&self) -> Vec<Wrong> {
        let mut wrong = self.scheduler.check();
        if self.sinks.len() > SINKS_MAX {
            wrong.push((vec!["sink".into()], format!("too many; expected at most {SINKS_MAX}")));
        }
        for (name, sink) in &self.sinks {
            let path = |key: &str| vec!["sink".to_owned(), name.clone(), key.to_owned()];
            if let Err((key, why)) = sink.ready(&self.scheduler.ledger) {
                wrong.push((path(key), why));
            }
        }
        for (name, source) in &self.sources {
            if let Err((key, why)) = source.ready() {
                wrong.push((vec!["source".to_owned(), name.clone(), key.to_owned()], why));
            }
        }
        for (at, schedule) in self.schedules.iter().enumerate() {
            let path = |key: &str| vec!["schedule".to_owned(), at.to_string(), key.to_owned()];
            if let Err((key, why)) = self.check_schedule(at, schedule) {
                wrong.push((path(key), why));
            }
        }
        wrong
    }

    fn check_schedule(&self, at: usize, schedule: &Schedule) -> Result<(), (&'static str, String)> {
        let spec = schedule.ready()?;
        let known = |names: Vec<&str>| names.join(", ");
        if self.schedules[..at].iter().any(|other| other.name == schedule.name) {
            return Err(("name", "there are two schedules of this name".into()));
        }
        if at >= SCHEDULES_MAX {
            return Err(("name", format!("too many; expected at most {SCHEDULES_MAX} schedules")));
        }
        if !self.sinks.contains_key(&spec.shape.sink) {
            let sinks = known(self.sinks.keys().map(String::as_str).collect());
            return Err(("sink", format!("there is no such sink; expected one of {sinks}")));
        }
        if let Recipients::Query(reading) = &spec.recipients {
            let Reading { source, query, delta, .. } = &**reading;
            let Some(database) = self.sources.get(source) else {
                let sources = known(self.sources.keys().map(String::as_str).collect());
                let why = format!("there is no [source.{source}]; there are: {sources}");
                return Err(("recipients", why));
            };
            let dialect = database
                .ready()
                .map_err(|(key, why)| ("recipients", format!("[source.{source}] {key}: {why}")))?;
            let dialect = dialect.dialect;
            query.check(dialect).map_err(|why| ("recipients", why))?;
            if let Some(delta) = delta {
                delta.query.check(dialect).map_err(|why| ("recipients", why))?;
            }
        }
        Ok(())
    }
}

impl Scheduler {
    fn check(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut require = |holds: bool, key: &str, why: String| {
            if !holds {
                wrong.push((vec!["scheduler".to_owned(), key.to_owned()], why));
            }
        };
        let schemes = ["sqlite:", "postgres://", "postgresql://", "mysql://", "mariadb://"];
        let is_known = schemes.iter().any(|scheme| self.ledger.starts_with(scheme));
        let forms =
            "expected sqlite:FILE, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE";
        require(is_known, "ledger", format!("not a ledger; {forms}"));
        require((1..=64).contains(&self.connections), "connections", range(1, 64));
        require(
            (1..=CLAIM_CHUNKS_MAX).contains(&self.chunks),
            "chunks",
            range(1, CLAIM_CHUNKS_MAX),
        );
        let seconds = Duration::from_secs(2)..=Duration::from_secs(600);
        require(
            seconds.contains(&self.lease),
            "lease",
            "out of range; expected \"2s\" to \"10m\"".into(),
        );
        require(
            self.admin.ip().is_loopback(),
            "admin",
            "must be a loopback address, such as \"127.0.0.1:9308\": it asks for no password"
                .into(),
        );
        let is_place = |place: &str| place.starts_with("http://") || place.starts_with('/');
        require(
            self.guard.as_deref().is_none_or(is_place),
            "guard",
            "expected the guard's admin side, such as \"http://127.0.0.1:9307\" or the path of its Unix \
             socket, or its admin.metrics_address"
                .into(),
        );
        wrong
    }

    /// The terms of a lease, for sinks that give up an answer within `patience`.
    #[must_use]
    pub const fn terms(&self, patience: Duration) -> LeaseTerms {
        LeaseTerms { length: self.lease, grace: patience }
    }
}

fn range(least: u32, most: u32) -> String {
    format!("out of range; expected {least} to {most}")
}

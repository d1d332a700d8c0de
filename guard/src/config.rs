//! The configuration: one TOML file, read once into typed values.
//!
//! Reading has four steps, each in its own file. `source` parses the text, keeps the line of every
//! key and puts the environment into `"${env:NAME}"`. Serde turns the tree into the structs below;
//! durations, sizes and names parse themselves ([`value`]). Secrets that are named by file are then
//! read. Last, `check` looks at what no single key can tell: sums against caps, the order of
//! timeouts, names that must exist, rules that can never match.
//!
//! Every error names the file, the line, the key, the value and the accepted form. A value is left
//! out when its key holds a secret. Deliberately absent: includes, profiles and a second format.

mod admin;
mod check;
mod compile;
mod error;
pub mod import;
mod limits;
mod listen;
mod listing;
pub mod manual;
mod native;
mod part;
mod pressure;
mod queue;
mod recorder;
mod replica;
mod rule;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod upstream;
pub mod value;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::admin::{Admin, check_token};
use self::check::Findings;
pub use self::error::{ConfigError, ConfigErrors, Warning};
pub use self::limits::{Class, Ddl, Hot, Limit, Limits, Melt};
pub use self::listen::{AuthPlugin, Listener, ListenerTls};
pub use self::listing::{ListedKey, list};
pub use self::native::NativeLimits;
pub use self::part::read_part;
pub use self::pressure::Pressure;
pub use self::queue::{Retries, Tenants, TenantsBy};
pub use self::recorder::Recorder;
pub use self::replica::{Fallback, Reads, Replica, Routing};
pub use self::rule::{DigestText, KindName, Network, Rule, Switch, TargetText};
use self::source::{Key, Source};
pub use self::upstream::{
    Auth, Control, Engine, Observe, Pooling, TlsNegotiation, Upstream, UpstreamTls, User,
};
pub use self::value::{Address, Bytes, Endpoint, SocketMode};

/// Everything the file can say. Field docs are the reference manual: `docs/configuration.md` and
/// `schema/tidegate.schema.json` are generated from them.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The process itself.
    #[serde(default)]
    pub guard: Guard,
    /// Where applications connect. Without any, one listener with the defaults below.
    #[serde(default = "one_listener", rename = "listener")]
    pub listeners: Vec<Listener>,
    /// The database server behind the guard.
    pub upstream: Upstream,
    /// Replicas of that server by name, at most 16.
    #[serde(default, rename = "replica")]
    pub replicas: BTreeMap<String, Replica>,
    /// Which replica is good enough for a read, and what becomes of a read for which none is.
    #[serde(default)]
    pub routing: Routing,
    /// The reserved connections over which statements are cancelled and clients' accounts are checked.
    pub control: Control,
    /// What is asked of the database about itself.
    #[serde(default)]
    pub observe: Observe,
    /// How clients prove who they are.
    #[serde(default)]
    pub auth: Auth,
    /// Accounts that the guard knows by itself, without asking the database.
    #[serde(default, rename = "user")]
    pub users: Vec<User>,
    /// What all classes and databases share.
    #[serde(default)]
    pub overall: Limits,
    /// The limit that finds its place by itself.
    #[serde(default)]
    pub limit: Limit,
    /// How pile-ups are undone.
    #[serde(default)]
    pub melt: Melt,
    /// What is done about rows that everybody wants.
    #[serde(default)]
    pub hot: Hot,
    /// What is done about tables that a statement waits to have for itself.
    #[serde(default)]
    pub ddl: Ddl,
    /// Whose work a transaction is, and how tenants share.
    #[serde(default)]
    pub tenants: Tenants,
    /// What is done about those that come again after they were refused.
    #[serde(default)]
    pub retries: Retries,
    /// Classes by name. `default` always exists and takes every statement that no rule matches.
    #[serde(default, rename = "class")]
    pub classes: BTreeMap<String, Class>,
    /// Limits of single databases (schemas) by name. A database without an entry has none of its own.
    #[serde(default, rename = "database")]
    pub databases: BTreeMap<String, Limits>,
    /// Which statement belongs to which class. The first rule that matches decides.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// Switches that are on from the start. A switch set at run time does not survive a restart.
    #[serde(default, rename = "switch")]
    pub switches: Vec<Switch>,
    /// What tools that write in bulk are told of how pressed the database is.
    #[serde(default)]
    pub pressure: Pressure,
    /// The flight recorder. The guard always records what it does and sees, in memory, and keeps the time before and after a
    /// pile-up, lasting pressure, a collapse of the limit, the loss of the database, or when somebody asks (`tidegate incidents`).
    #[serde(default)]
    pub recorder: Recorder,
    /// The HTTP side: metrics, health and the API that `tidegate status` and its kin use; and who may
    /// use the console.
    #[serde(default)]
    pub admin: Admin,
    /// What is written to standard error.
    #[serde(default)]
    pub log: Log,
}

/// `[guard]`: the process itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// What limits and switches do. A class may be milder than this, never stricter.
    pub mode: Mode,
    /// Threads that serve clients. 0 means one per core.
    pub workers: usize,
    /// How long open transactions may go on after SIGTERM before they are rolled back.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub drain_timeout: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { mode: Mode::Enforce, workers: 0, drain_timeout: Duration::from_secs(30) }
    }
}

/// How much a limit may do, from least to most.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is limited and nothing is judged.
    Off,
    /// Nothing is limited; what would have been is counted.
    Observe,
    /// Limits hold.
    #[default]
    Enforce,
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or directives such as `info,guard::gate=debug`.
    /// The environment variable `TIDEGATE_LOG` overrides it.
    pub level: String,
    /// How a line is written.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Logfmt }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `ts=… level=info target=guard msg="…" key=value`
    #[default]
    Logfmt,
    /// One JSON object per line.
    Json,
}

fn one_listener() -> Vec<Listener> {
    vec![Listener::default()]
}

/// A configuration that can be run, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed and probably not meant, each with its consequence.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads, parses and checks a file, and the secret files it names.
    ///
    /// # Errors
    /// Everything that is wrong; of faults in the form of the text, the first.
    pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let text = Zeroizing::new(text);
        Self::parse(path, &text, &|name| std::env::var(name).ok())
    }

    /// As [`Config::load`], of a text at hand. `env` looks up an environment variable.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        path: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        let source = Source::parse(path, text, env)?;
        let mut config: Self = source.read_without(&part::OTHERS)?;
        config.classes.entry(DEFAULT_CLASS.into()).or_default();
        config.follow_engine(&source);
        let mut findings = Findings::new(&source);
        check::read_secrets(&mut config, &mut findings);
        check::check(&config, &mut findings);
        findings.finish(config)
    }

    /// Gives what has no port that of the engine.
    fn follow_engine(&mut self, source: &Source<'_>) {
        let engine = self.upstream.engine;
        let replicas = self.replicas.values_mut().map(|replica| &mut replica.address);
        let control = self.control.address.as_mut();
        let servers = [&mut self.upstream.address].into_iter().chain(control).chain(replicas);
        servers.for_each(|address| address.fill_port(engine.port()));
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if !source.is_given(&Key::of("listener").item(index).field("address")) {
                listener.address = Listener::usual_address(engine);
            }
        }
    }
}

/// The class of every statement that no rule matches.
pub const DEFAULT_CLASS: &str = "default";

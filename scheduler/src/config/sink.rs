//! `[sink.NAME]`: where items go, and how much it takes.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use policy::dispatch::{again, concurrency, lane};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, DurationText};
use crate::sink::afterwards::{self, OnAmbiguous};
use crate::sink::sql::ready::Job;
use crate::sink::sql::{Dialect, Statement};
use crate::sink::{command, http as webhook, redis};

/// What a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A webhook: a request for each item.
    Http,
    /// Rows in a database.
    Sql,
    /// Sidekiq's queue.
    Redis,
    /// A program that reads lines.
    Command,
}

/// Whose job table rows go to, where no statement says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// Solid Queue.
    SolidQueue,
    /// Oban.
    Oban,
    /// River.
    River,
}

/// What is done with what was sent and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ambiguous {
    /// It is sent again, with the same id.
    #[default]
    Resend,
    /// It waits for somebody to decide.
    Hold,
    /// It is taken for done.
    Skip,
}

/// A sink.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// `http`, `sql`, `redis` or `command`.
    pub kind: Kind,
    /// `http`: where to. `redis`: `redis://:PASSWORD@HOST:6379/0`. `sql`: the database; without one, the
    /// ledger's own, where an effect and its progress are one transaction.
    #[serde(default)]
    pub url: Option<String>,
    /// `http`: what requests are signed with, as `whsec_…`; several for rotation.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// `http`: a file with authorities for the receiver's certificate.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// `sql`: the statement, with `{items}` or `:recipient`, `:body`, `:id`.
    #[serde(default)]
    pub statement: Option<String>,
    /// `sql`: a job table instead of a statement: `solid-queue`, `oban` or `river`.
    #[serde(default)]
    pub table: Option<Table>,
    /// `redis`, and `table`: the queue.
    #[serde(default)]
    pub queue: Option<String>,
    /// `redis`, and `table`: the class, worker or kind of the jobs.
    #[serde(default)]
    pub job: Option<String>,
    /// `command`: the program and its arguments. No shell is asked.
    #[serde(default)]
    pub command: Vec<String>,
    /// `http`: how long an answer may take. `command`: how long it may be silent.
    #[serde(default = "patience", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// `http`: how many requests at once, at least and at most; in between it finds its place.
    #[serde(default = "concurrency_min")]
    pub concurrency_min: u32,
    /// See `concurrency_min`.
    #[serde(default = "concurrency_max")]
    pub concurrency_max: u32,
    /// `http`: how many requests a second, at most.
    #[serde(default)]
    pub rate: Option<NonZeroU32>,
    /// How often an item is tried altogether before it is dead.
    #[serde(default = "attempts")]
    pub attempts: NonZeroU32,
    /// The first wait before it is tried again, at most; it doubles with each.
    #[serde(default = "retry_base", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub retry_base: Duration,
    /// No wait is longer.
    #[serde(default = "retry_cap", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub retry_cap: Duration,
    /// What is done with what was sent and not answered: `resend`, `hold` or `skip`.
    #[serde(default)]
    pub ambiguous: Ambiguous,
    /// So long after the deadline of its batch an item is of no use any more, and dead. Default: never.
    #[serde(default, with = "value::maybe")]
    #[schemars(with = "Option<DurationText>")]
    pub expire_after: Option<Duration>,
}

const fn patience() -> Duration {
    Duration::from_secs(20)
}

fn concurrency_min() -> u32 {
    concurrency::Config::default().min
}

fn concurrency_max() -> u32 {
    concurrency::Config::default().max
}

fn attempts() -> NonZeroU32 {
    again::Config::default().attempts_max
}

fn retry_base() -> Duration {
    again::Config::default().base
}

fn retry_cap() -> Duration {
    again::Config::default().cap
}

/// What a sink can be opened with.
#[derive(Debug)]
pub enum Ready {
    /// A receiver of webhooks.
    Http(Box<webhook::Config>),
    /// Rows in the ledger's own database.
    Sql(Statement),
    /// Rows in another database: its dialect, its URL.
    SqlElsewhere(Dialect, String, Statement),
    /// A Redis, by its URL.
    Redis(String, redis::Config),
    /// A program.
    Command(command::Config),
}

type Wrong = (&'static str, String);

impl Sink {
    /// What is done with failures.
    #[must_use]
    pub const fn afterwards(&self) -> afterwards::Config {
        let again = again::Config {
            base: self.retry_base,
            cap: self.retry_cap,
            attempts_max: self.attempts,
        };
        let ambiguous = match self.ambiguous {
            Ambiguous::Resend => OnAmbiguous::Resend,
            Ambiguous::Hold => OnAmbiguous::Hold,
            Ambiguous::Skip => OnAmbiguous::Skip,
        };
        afterwards::Config { again, ambiguous }
    }

    /// What it can be opened with, beside a ledger at this URL.
    ///
    /// # Errors
    /// The key that is wrong or missing, and what would be right.
    pub fn ready(&self, ledger: &str) -> Result<Ready, Wrong> {
        match self.kind {
            Kind::Http => self.webhook().map(|config| Ready::Http(Box::new(config))),
            Kind::Sql => self.sql(ledger),
            Kind::Redis => {
                let url = needed("url", self.url.as_ref(), "redis://127.0.0.1:6379/0")?;
                let (queue, job) = self.queue_and_job()?;
                let config = redis::Config::new(queue, job);
                redis::Redis::new(url, config.clone())
                    .map_err(|error| ("url", error.to_string()))?;
                Ok(Ready::Redis(url.to_owned(), config))
            }
            Kind::Command => {
                let [program, arguments @ ..] = self.command.as_slice() else {
                    return Err((
                        "command",
                        "missing; expected [\"PROGRAM\", \"ARGUMENT\"]".into(),
                    ));
                };
                let arguments = arguments.iter().map(Into::into).collect();
                let patience = self.timeout;
                Ok(Ready::Command(command::Config {
                    arguments,
                    patience,
                    ..command::Config::new(program)
                }))
            }
        }
    }

    fn webhook(&self) -> Result<webhook::Config, Wrong> {
        let url = needed("url", self.url.as_ref(), "https://app.example/remind")?;
        let uri: Uri = url.parse().map_err(|_| ("url", "not a URL".to_owned()))?;
        let is_whole = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !is_whole {
            return Err(("url", "expected one like https://app.example/remind".into()));
        }
        let key = |secret: &String| secret.parse::<webhook::signature::Key>();
        let keys = self.secrets.iter().map(key).collect::<Result<_, _>>();
        let keys = keys.map_err(|error| ("secrets", error.to_string()))?;
        let concurrency =
            concurrency::Config { min: self.concurrency_min, max: self.concurrency_max };
        if concurrency.min > concurrency.max || concurrency.min == 0 {
            let why = "out of range; expected 1 to concurrency_max".into();
            return Err(("concurrency_min", why));
        }
        let mut config = webhook::Config::new(uri, keys);
        config.lane = lane::Config {
            concurrency,
            ceiling: self.rate.map(lane::ceiling),
            ..lane::Config::default()
        };
        let whole = self.timeout;
        config.patience = webhook::Patience {
            connect: config.patience.connect.min(whole),
            first_byte: whole,
            whole,
        };
        config.authorities.clone_from(&self.authorities);
        Ok(config)
    }

    fn sql(&self, ledger: &str) -> Result<Ready, Wrong> {
        let url = self.url.as_deref().unwrap_or(ledger);
        let dialect = match url.split(':').next() {
            Some("postgres" | "postgresql") => Dialect::Postgres,
            Some("mysql" | "mariadb") => Dialect::MySql,
            _ => {
                let why = "missing; expected postgres://USER@HOST/DATABASE or \
                           mysql://USER@HOST/DATABASE: the ledger's own database is no place for rows";
                return Err(("url", why.into()));
            }
        };
        let statement = match (&self.statement, self.table) {
            (Some(_), Some(_)) => {
                return Err(("table", "a statement is given; expected one of the two".into()));
            }
            (Some(sql), None) => {
                Statement::parse(dialect, sql).map_err(|error| ("statement", error.to_string()))?
            }
            (None, Some(table)) => {
                let (queue, job) = self.queue_and_job()?;
                let job = Job::new(queue, job);
                match (table, dialect) {
                    (Table::SolidQueue, dialect) => job.solid_queue(dialect),
                    (Table::Oban, Dialect::Postgres) => job.oban(),
                    (Table::River, Dialect::Postgres) => job.river(),
                    (_, Dialect::MySql) => {
                        return Err(("table", "is PostgreSQL's; expected \"solid-queue\"".into()));
                    }
                }
            }
            (None, None) => {
                return Err(("statement", "missing; expected a statement, or a table".into()));
            }
        };
        Ok(match &self.url {
            None => Ready::Sql(statement),
            Some(url) => Ready::SqlElsewhere(dialect, url.clone(), statement),
        })
    }

    fn queue_and_job(&self) -> Result<(&str, &str), Wrong> {
        let queue = needed("queue", self.queue.as_ref(), "default")?;
        Ok((queue, needed("job", self.job.as_ref(), "RemindJob")?))
    }
}

fn needed<'s>(key: &'static str, value: Option<&'s String>, like: &str) -> Result<&'s str, Wrong> {
    value.map(String::as_str).ok_or_else(|| (key, format!("missing; expected one like \"{like}\"")))
}

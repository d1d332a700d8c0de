//! A sink as the dispatcher has it: opened, with its rules for failures, its metrics and its switch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use policy::dispatch::again::Budget;
use policy::dispatch::lane::Off;
use thiserror::Error;

use super::elsewhere::Elsewhere;
use crate::config::{self, Ready};
use crate::metrics::SinkMetrics;
use crate::sink::afterwards;
use crate::sink::command::Command;
use crate::sink::http::Http;
use crate::sink::redis::Redis;
use crate::sink::sql::Statement;
use crate::sink::{Chunk, Fate, Item, Reason, Sink as _, Slice};

/// A sink that is open.
#[derive(Debug)]
pub struct Outlet {
    target: Target,
    afterwards: afterwards::Config,
    expire_after: Option<Duration>,
    metrics: SinkMetrics,
    is_switched_off: AtomicBool,
    budget: Mutex<Budget>,
}

/// Where things go.
#[derive(Debug)]
pub(super) enum Target {
    /// A webhook.
    Http(Box<Http>),
    /// A program.
    Command(Command),
    /// Sidekiq's Redis.
    Redis(Redis),
    /// The ledger's own database: what is put there is put with the progress.
    Ledger(Statement),
    /// Another database.
    Elsewhere(Elsewhere),
}

/// Why a sink cannot be opened.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct OpenError(String);

/// How a sink is.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "SinkGauges")]
pub struct Gauges {
    /// Why nothing goes, if so: `switched` or `gone`.
    pub off: Option<&'static str>,
    /// Webhooks: how many may be under way at once.
    pub limit: Option<u32>,
    /// Webhooks: how many are.
    pub in_flight: Option<u32>,
    /// Webhooks: how many wait.
    pub waiting: Option<usize>,
}

impl Outlet {
    /// Opens what the file says. Databases and receivers are not asked before something goes there.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Errors
    /// When it cannot be opened, in words.
    pub fn open(
        config: &config::Sink,
        ledger: &str,
        metrics: SinkMetrics,
    ) -> Result<Self, OpenError> {
        let ready =
            config.ready(ledger).map_err(|(key, why)| OpenError(format!("{key}: {why}")))?;
        let target = match ready {
            Ready::Http(config) => {
                let http = Http::new(*config).map_err(|error| OpenError(error.to_string()))?;
                Target::Http(Box::new(http))
            }
            Ready::Command(config) => Target::Command(Command::new(config)),
            Ready::Redis(url, config) => {
                let redis = Redis::new(&url, config);
                Target::Redis(redis.map_err(|error| OpenError(error.to_string()))?)
            }
            Ready::Sql(statement) => Target::Ledger(statement),
            Ready::SqlElsewhere(dialect, url, statement) => Target::Elsewhere(
                Elsewhere::new(dialect, &url, statement)
                    .map_err(|error| OpenError(format!("url: {error}")))?,
            ),
        };
        Ok(Self {
            target,
            afterwards: config.afterwards(),
            expire_after: config.expire_after,
            metrics,
            is_switched_off: AtomicBool::new(false),
            budget: Mutex::new(Budget::new(Instant::now())),
        })
    }

    /// Switches it off or on in this process: nothing more goes, and nothing is claimed for it.
    pub fn switch(&self, is_on: bool) {
        self.is_switched_off.store(!is_on, Ordering::Relaxed);
        if let Target::Http(http) = &self.target {
            match is_on {
                true => http.lane().switch_on(),
                false => http.lane().switch_off(Off::Switched),
            }
        }
    }

    /// Whether nothing goes: it was switched off, or its receiver has said that it is gone.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.gauges().off.is_some()
    }

    /// How it is.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let switched = self.is_switched_off.load(Ordering::Relaxed).then_some("switched");
        let Target::Http(http) = &self.target else {
            return Gauges { off: switched, limit: None, in_flight: None, waiting: None };
        };
        let lane = http.lane().gauges();
        let gone = lane.off.map(|off| if off == Off::Gone { "gone" } else { "switched" });
        Gauges {
            off: switched.or(gone),
            limit: Some(lane.limit),
            in_flight: Some(lane.in_flight),
            waiting: Some(lane.waiting),
        }
    }

    /// What is counted of it.
    #[must_use]
    pub const fn metrics(&self) -> &SinkMetrics {
        &self.metrics
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn afterwards(&self) -> &afterwards::Config {
        &self.afterwards
    }

    pub(super) const fn expire_after(&self) -> Option<Duration> {
        self.expire_after
    }

    /// Whether what is about to go is written down before, because its effect cannot be asked for.
    pub(super) const fn announces(&self) -> bool {
        matches!(self.target, Target::Http(_) | Target::Command(_))
    }

    /// How many slices of one chunk may be under way at once.
    pub(super) const fn slices_max(&self) -> usize {
        match self.target {
            // The lane has the say.
            Target::Http(_) => usize::MAX,
            _ => 1,
        }
    }

    /// Whether so many wait for it already that more would only be listed for nothing.
    pub(super) fn is_full(&self) -> bool {
        let gauges = self.gauges();
        gauges.waiting.zip(gauges.limit).is_some_and(|(waiting, limit)| waiting > limit as usize)
    }

    /// Pays for so many attempts after the first, and returns how many of them may be made.
    pub(super) fn pay(&self, now: Instant, attempts: usize) -> usize {
        let mut budget = self.budget.lock();
        (0..attempts).take_while(|_| budget.pay(now).is_ok()).count()
    }

    pub(super) fn earn(&self, first_attempts: usize) {
        self.budget.lock().earn(u32::try_from(first_attempts).unwrap_or(u32::MAX));
    }

    /// Takes a chunk where the sink keeps its progress, and returns what is done of it.
    pub(super) async fn take(&self, chunk: Chunk<'_>) -> Result<Vec<u32>, Reason> {
        match &self.target {
            Target::Redis(redis) => redis.open(chunk).await,
            Target::Elsewhere(elsewhere) => elsewhere.open(chunk).await,
            Target::Http(_) | Target::Command(_) | Target::Ledger(_) => Ok(Vec::new()),
        }
    }

    /// Offers items; `done` is what of the chunk was done before.
    pub(super) async fn offer(
        &self,
        chunk: Chunk<'_>,
        items: &[Item],
        done: Vec<u32>,
    ) -> Vec<Fate> {
        let slice = Slice { chunk, items };
        match &self.target {
            Target::Http(http) => http.offer(slice).await,
            Target::Command(command) => command.offer(slice).await,
            Target::Redis(redis) => redis.offer(slice).await,
            Target::Elsewhere(elsewhere) => elsewhere.offer(slice, done).await,
            // Never asked: its items go with the ledger's own flush.
            Target::Ledger(_) => slice.all(&Fate::Unsent(Reason::Full)),
        }
    }
}

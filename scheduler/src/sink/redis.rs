//! Redis: items become jobs of Sidekiq, once each.
//!
//! One script pushes the jobs and sets the bits of their items, or does neither, so whatever is
//! offered again, by whoever, is pushed only once. An answer that was lost is therefore no ambiguity: what
//! was pushed is known when it is asked again. Redis itself can forget: what it has not written to
//! disk when it crashes, or not replicated when it fails over, is lost, job and bit together.
//!
//! Sidekiq's keys have no hash tag, so this is for one Redis, as Sidekiq is; not for a cluster.

mod job;

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, RedisError, Value, cmd};
use thiserror::Error;
use tokio::sync::Mutex;

pub use self::job::{Job, Retry, Times};
use super::{Chunk, Fate, Item, Reason, Sink, Slice, excerpt, wall_clock};

/// Jobs that one script pushes: about a millisecond in which Redis serves nobody else.
const SCRIPT_MAX: usize = 500;
/// Redis answers within this, or the connection is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// An offer asks so many times at most, when connections break.
const TRIES: u32 = 2;

const PUSH: &str = include_str!("redis/push.lua");
const OPEN: &str = include_str!("redis/open.lua");

/// A Redis, and what is pushed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What jobs are.
    pub job: Job,
    /// When jobs are due, after they were pushed: they go to `schedule` and Sidekiq's poller brings
    /// them to their queue. None: to the queue at once.
    pub delay: Option<Duration>,
    /// How long progress is kept: longer than a batch may be worked at. Default 7 days.
    pub keep: Duration,
}

/// Why there is no such sink.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The URL is none. It is not shown: it may hold a password.
    #[error("a URL like redis://:password@host:6379/0 is needed, or redis+unix:///path")]
    Url,
}

/// Sidekiq's queue in a Redis.
pub struct Redis {
    client: Client,
    config: Config,
    open: Mutex<Option<Scripts>>,
}

/// A connection on which both scripts are loaded.
#[derive(Clone)]
struct Scripts {
    connection: MultiplexedConnection,
    push: String,
    open: String,
}

impl Config {
    /// Jobs of this class into this queue, at once.
    #[must_use]
    pub fn new(queue: &str, class: &str) -> Self {
        let job = Job {
            queue: queue.to_owned(),
            class: class.to_owned(),
            retry: Retry::Usual(true),
            times: Times::default(),
        };
        Self { job, delay: None, keep: Duration::from_secs(7 * 24 * 3600) }
    }
}

impl Redis {
    /// A sink that has no connection yet.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: &str, config: Config) -> Result<Self, ConfigError> {
        let client = Client::open(url).map_err(|_| ConfigError::Url)?;
        Ok(Self { client, config, open: Mutex::default() })
    }

    /// Takes a chunk and returns the positions that were pushed before: to be asked by who has just
    /// claimed it. From then on nothing is pushed under a lower fence.
    ///
    /// # Errors
    /// [`Reason::Fenced`] when somebody with a higher fence has it, [`Reason::Unreachable`] otherwise.
    pub async fn open(&self, chunk: Chunk<'_>) -> Result<Vec<u32>, Reason> {
        let answer = self
            .ask(|scripts| {
                let mut open = cmd("EVALSHA");
                open.arg(&scripts.open).arg(1).arg(progress_key(chunk));
                open.arg(chunk.fence).arg(self.config.keep.as_secs().max(1));
                open
            })
            .await?;
        match answer {
            Value::BulkString(bits) => {
                let is_set = |at: &u32| bits[*at as usize / 8] & 1 << (at % 8) != 0;
                Ok((0..bits.len() as u32 * 8).filter(is_set).collect())
            }
            _ => Err(Reason::Fenced),
        }
    }

    /// Pushes up to [`SCRIPT_MAX`] items.
    async fn push(&self, chunk: Chunk<'_>, items: &[Item]) -> Vec<Fate> {
        let now = wall_clock();
        let job = |item: &Item| match item.is_expired(now) {
            true => Err(Reason::Expired),
            false => {
                let is_scheduled = self.config.delay.is_some();
                self.config.job.payload(chunk.id(item.position), item, now, is_scheduled)
            }
        };
        let jobs: Vec<_> = items.iter().map(job).collect();
        let due = self.config.delay.map(|delay| {
            let due = now.as_millisecond() as f64 / 1000.0 + delay.as_secs_f64();
            format!("{due:.3}")
        });
        let target = match due {
            Some(_) => "schedule".to_owned(),
            None => format!("queue:{}", self.config.job.queue),
        };
        let answer = self
            .ask(|scripts| {
                let mut push = cmd("EVALSHA");
                push.arg(&scripts.push).arg(3);
                push.arg(progress_key(chunk)).arg("queues").arg(&target);
                push.arg(chunk.fence).arg(self.config.keep.as_secs().max(1));
                push.arg(&self.config.job.queue).arg(due.as_deref().unwrap_or_default());
                for (item, job) in items.iter().zip(&jobs) {
                    if let Ok(job) = job {
                        push.arg(item.position).arg(job);
                    }
                }
                push
            })
            .await;
        let fate = match answer {
            Ok(Value::Int(-1)) => Fate::Unsent(Reason::Fenced),
            Ok(_) => Fate::Done,
            Err(why) => Fate::Retry { asked: None, why },
        };
        jobs.into_iter().map(|job| job.map_or_else(Fate::Dead, |_| fate.clone())).collect()
    }

    /// Asks, again on a new connection when one breaks: both scripts may be run twice.
    async fn ask(&self, command: impl Fn(&Scripts) -> redis::Cmd) -> Result<Value, Reason> {
        let mut tries = 1;
        loop {
            let asked = async {
                let mut scripts = self.scripts().await?;
                let command = command(&scripts);
                scripts.connection.req_packed_command(&command).await
            };
            let error = match asked.await {
                // An error of the server's is an answer to the protocol.
                Ok(Value::ServerError(error)) => RedisError::from(error),
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A restarted Redis has forgotten the scripts, and one that is a replica now knows no better.
            self.open.lock().await.take();
            if tries == TRIES {
                return Err(Reason::Unreachable(excerpt(&error.to_string()).into_owned()));
            }
            tries += 1;
        }
    }

    /// The connection, opened when there is none.
    async fn scripts(&self) -> Result<Scripts, RedisError> {
        let mut open = self.open.lock().await;
        if let Some(scripts) = &*open {
            return Ok(scripts.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut load = async |script: &str| {
            cmd("SCRIPT").arg("LOAD").arg(script).query_async::<String>(&mut connection).await
        };
        let (push, open_script) = (load(PUSH).await?, load(OPEN).await?);
        let scripts = Scripts { connection, push, open: open_script };
        Ok(open.insert(scripts).clone())
    }
}

impl Sink for Redis {
    async fn offer(&self, slice: Slice<'_>) -> Vec<Fate> {
        let mut fates = Vec::with_capacity(slice.items.len());
        for items in slice.items.chunks(SCRIPT_MAX) {
            fates.extend(self.push(slice.chunk, items).await);
        }
        fates
    }
}

impl fmt::Debug for Redis {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("config", &self.config).finish_non_exhaustive()
    }
}

fn progress_key(chunk: Chunk<'_>) -> String {
    format!("tidegate:progress:{}:{}", chunk.batch, chunk.number)
}

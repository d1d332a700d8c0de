//! Webhooks: one HTTP request for each item, signed by Standard Webhooks 1.0.
//!
//! Every attempt carries the item's id as `webhook-id` and `Idempotency-Key`, so that a receiver
//! which keeps ids has each item once. Nothing else can make that so: what was given to a connection
//! and not answered may be there, and is told as ambiguous.
//!
//! Connections are HTTP/1.1, kept alive, opened as the lane lets more go at once, and closed after
//! `IDLE_MAX`: before most receivers do (Node's five seconds are the shortest that is common), since a request that
//! meets the receiver's own close is ambiguous. Redirects are not followed, and no proxy is taken from
//! the environment.

mod connect;
mod request;
mod sent;
pub mod signature;
pub mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use policy::dispatch::concurrency::Ended;
use policy::dispatch::lane;
use thiserror::Error as ThisError;
use tokio::time::timeout;

use self::connect::Connector;
use self::request::Template;
use self::sent::Marked;
use self::signature::Key;
use self::verdict::{Advice, Verdict};
use super::lane::Lane;
use super::{Fate, Item, ItemId, Reason, Sink, Slice, excerpt, wall_clock};

/// A connection that nobody uses is closed after this long.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// The head of an answer may have so many bytes.
const HEAD_MAX: usize = 64 * 1024;

/// A receiver, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to: `http://` or `https://`, with a host.
    pub url: Uri,
    /// What requests are signed with; all of them, for rotation. None: requests are not signed.
    pub keys: Vec<Key>,
    /// What every request carries besides.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What bodies are. Default `application/json`.
    pub content_type: HeaderValue,
    /// How long things may take.
    pub patience: Patience,
    /// The largest body of an item, in bytes. Default 256 KiB.
    pub body_max: usize,
    /// So much of an answer's body is read, in bytes, that the connection can be kept; its status
    /// counts either way. Default 64 KiB.
    pub answer_max: usize,
    /// PEM with the authorities that the receiver's certificate is verified against. None: the
    /// system's.
    pub authorities: Option<PathBuf>,
    /// How many at once, how many a second, and of whom.
    pub lane: lane::Config,
}

/// How long things may take, each counted from when the item has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until there is a connection, TLS included. Default 5 s.
    pub connect: Duration,
    /// Until there is the head of the answer. Default 15 s.
    pub first_byte: Duration,
    /// Until there is the whole answer. Default 20 s.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, first_byte, whole] = [5, 15, 20].map(Duration::from_secs);
        Self { connect, first_byte, whole }
    }
}

/// Why a sink cannot be made.
#[derive(Debug, ThisError)]
pub enum ConfigError {
    /// The URL is not one to send to.
    #[error("{url}: a URL like https://app.example/remind is needed: {why}")]
    Url {
        /// What was configured, without what may be secret in it.
        url: String,
        /// What is missing.
        why: &'static str,
    },
    /// The authorities cannot be read.
    #[error("authorities {path}: {why}")]
    Authorities {
        /// The file, or what stands for the system's.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A receiver of webhooks.
#[derive(Debug)]
pub struct Http {
    client: Client<Connector, Marked>,
    lane: Lane,
    template: Template,
    patience: Patience,
    body_max: usize,
    answer_max: usize,
}

impl Config {
    /// The defaults, for this receiver and these keys.
    #[must_use]
    pub fn new(url: Uri, keys: Vec<Key>) -> Self {
        Self {
            url,
            keys,
            headers: Vec::new(),
            content_type: HeaderValue::from_static("application/json"),
            patience: Patience::default(),
            body_max: 256 * 1024,
            answer_max: 64 * 1024,
            authorities: None,
            lane: lane::Config::default(),
        }
    }
}

impl Http {
    /// A sink that has no connection yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Errors
    /// When the URL is none, or authorities cannot be read.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let connector = Connector::new(&config)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(config.lane.concurrency.max as usize)
            .http1_max_buf_size(HEAD_MAX)
            .build(connector);
        Ok(Self {
            client,
            lane: Lane::new(config.lane),
            patience: config.patience,
            body_max: config.body_max,
            answer_max: config.answer_max,
            template: Template::new(config),
        })
    }

    /// The lane to it: to look at, and to switch off and on.
    #[must_use]
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Waits for its turn, sends it, and says what became of it.
    async fn send(&self, id: ItemId, item: &Item) -> Fate {
        if item.body.len() > self.body_max {
            return Fate::Dead(Reason::TooLarge { len: item.body.len(), max: self.body_max });
        }
        let permit = match self.lane.enter(item.tenant).await {
            Ok(permit) => permit,
            Err(why) => return Fate::Unsent(why),
        };
        let now = wall_clock();
        if item.is_expired(now) {
            return Fate::Dead(Reason::Expired);
        }
        let sent = Arc::new(AtomicBool::new(false));
        let body = Marked::new(item.body.clone(), Arc::clone(&sent));
        let request = self.template.request(id, now, item, body);
        let verdict = self.ask(request, &sent).await;
        match verdict.advice {
            Advice::Fine => permit.finish(Ended::Answered),
            Advice::Less(pause) => {
                pause.into_iter().for_each(|pause| self.lane.pause(pause));
                permit.finish(Ended::Pressed);
            }
            Advice::Stop => {
                self.lane.switch_off(lane::Off::Gone);
                permit.finish(Ended::Answered);
            }
        }
        verdict.fate
    }

    /// Sends a request and reads the answer. The status is what counts; the body is only read so
    /// that the connection can be used again.
    async fn ask(&self, request: Request<Marked>, sent: &AtomicBool) -> Verdict {
        let began = Instant::now();
        let Patience { first_byte, whole, .. } = self.patience;
        let first_byte = first_byte.min(whole);
        let answer = match timeout(first_byte, self.client.request(request)).await {
            Err(_) => return silent(sent, first_byte),
            Ok(Err(error)) => return broken(&error, sent),
            Ok(Ok(answer)) => answer,
        };
        let asked = verdict::retry_after(answer.headers(), wall_clock());
        let verdict = verdict::of(answer.status(), asked);
        // Late, broken or too long: the answer was given, and the connection is not used again.
        drop(timeout(whole.saturating_sub(began.elapsed()), self.read_out(answer)).await);
        verdict
    }

    async fn read_out(&self, mut answer: Response<Incoming>) {
        let mut left = self.answer_max;
        while let Some(Ok(frame)) = answer.frame().await {
            let len = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(len) else { return };
            left = rest;
        }
    }
}

/// There was no answer in time.
fn silent(sent: &AtomicBool, patience: Duration) -> Verdict {
    let fate = match sent.load(Ordering::Acquire) {
        true => Fate::Ambiguous(Reason::Late(patience)),
        false => {
            let why = Reason::Unreachable(format!("none within {patience:?}"));
            Fate::Retry { asked: None, why }
        }
    };
    Verdict { fate, advice: Advice::Less(None) }
}

/// There was no answer, but an error.
fn broken(error: &Error, sent: &AtomicBool) -> Verdict {
    let cause =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    // The innermost says what happened; the outer ones say that it happened to a client.
    let words = cause.last().map(ToString::to_string).unwrap_or_default();
    let words = excerpt(&words).into_owned();
    let fate = match sent.load(Ordering::Acquire) && !error.is_connect() {
        true => Fate::Ambiguous(Reason::Unanswered(words)),
        false => Fate::Retry { asked: None, why: Reason::Unreachable(words) },
    };
    Verdict { fate, advice: Advice::Less(None) }
}

impl Sink for Http {
    async fn offer(&self, slice: Slice<'_>) -> Vec<Fate> {
        let mut sends = FuturesOrdered::new();
        for item in slice.items {
            sends.push_back(self.send(slice.chunk.id(item.position), item));
        }
        sends.collect().await
    }
}

//! Looks at the database, over a reserved connection of its own.
//!
//! `observe` says what to ask and when; this asks, keeps the last answers where others can see them
//! ([`Sight`]), and sets the gauges. It is opened at start, like the connections that cancel, and
//! nothing waits for it: without it, statements flow under the same limits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use observe::{
    Rows, Unreadable,
    counters::Counters,
    ladder::Ladder,
    server::{Question, Server, Told},
};
use policy::locks::Locks;
use thiserror::Error;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    gate::Gate,
    herd::backoff,
    metrics::{LookOutcome, Metrics},
    upstream::control::Courier,
};

/// How long the database may take to answer before the connection is given up. Its own limit on
/// what is asked is a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The last answers, for whoever wants to see them.
#[derive(Debug, Default)]
pub struct Sight {
    seen: ArcSwap<Seen>,
    suspicion: Notify,
}

/// What was seen last. Each part is replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Which server it is.
    pub server: Option<Server>,
    /// Its counters, and when they were told.
    pub counters: Option<(Instant, Counters)>,
    /// Its transactions, and when they were told; none while nobody waits.
    pub locks: Option<(Instant, Arc<Locks>)>,
    /// Why one sees no more: no connection, or a missing privilege.
    pub trouble: Option<Arc<str>>,
}

impl Sight {
    /// What was seen last.
    pub fn seen(&self) -> Arc<Seen> {
        self.seen.load_full()
    }

    /// Somebody seems to wait in the database: look closely for a while.
    pub fn suspect(&self) {
        self.suspicion.notify_one();
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        // One observer writes, so nothing is lost in between.
        let mut seen = Seen::clone(&self.seen.load());
        change(&mut seen);
        self.seen.store(Arc::new(seen));
    }
}

/// Why looking ended.
#[derive(Debug, Error)]
enum Blind<E: std::fmt::Display> {
    #[error("{0}")]
    Lost(E),
    #[error("the database does not answer")]
    Silent,
    #[error("the connection leads to another server: {0}")]
    OtherServer(String),
    #[error("the database ended the connection")]
    Ended,
    #[error("the database refused: {0}")]
    Refused(String),
}

/// Why a question has no answer, on a connection that works.
#[derive(Debug, Error)]
enum Unanswered {
    #[error("the database refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Looks, for as long as its future is polled.
#[derive(Debug)]
pub struct Observer<C: Courier> {
    /// Who opens connections.
    pub courier: Arc<C>,
    /// Which server they must lead to.
    pub identity: Arc<str>,
    /// Where the answers go.
    pub sight: Arc<Sight>,
    /// Where transactions wait when the database is slow: reason enough to look closely.
    pub gate: Arc<Gate>,
    /// Where they are shown over time.
    pub metrics: Arc<Metrics>,
}

impl<C: Courier> Observer<C> {
    /// Looks for ever, and connects anew whenever the connection breaks. Dropping the future closes it.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            let blind = match self.connect().await {
                Ok((link, server)) => {
                    info!(?server, "observing the database");
                    failures = 0;
                    self.look(link, server).await
                }
                Err(blind) => blind,
            };
            warn!(error = %blind, "cannot observe the database");
            let trouble: Arc<str> = blind.to_string().into();
            self.sight.change(|seen| seen.trouble = Some(trouble));
            failures += 1;
            tokio::time::sleep(backoff(failures, fastrand::f64())).await;
        }
    }

    async fn connect(&self) -> Result<(C::Link, Server), Blind<C::Error>> {
        let (mut link, identity) = self.courier.connect().await.map_err(Blind::Lost)?;
        if *identity != *self.identity {
            return Err(Blind::OtherServer(identity));
        }
        let version = self.ask(&mut link, C::VERSION_SQL).await?.map_err(Blind::Refused)?;
        let version = version.first().and_then(|row| row.first()).and_then(Option::as_ref);
        let version = version.map(|text| String::from_utf8_lossy(text).into_owned());
        let server = C::server(&version.unwrap_or_default());
        self.ask(&mut link, server.setup()).await?.map_err(Blind::Refused)?;
        self.sight.change(|seen| {
            seen.server = Some(server);
            seen.trouble = None;
        });
        Ok((link, server))
    }

    async fn ask(
        &self,
        link: &mut C::Link,
        sql: &str,
    ) -> Result<Result<Rows, String>, Blind<C::Error>> {
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, C::query(link, sql)).await;
        answered.map_err(|_| Blind::Silent)?.map_err(Blind::Lost)
    }

    /// Asks what is due, until the connection breaks.
    async fn look(&self, mut link: C::Link, server: Server) -> Blind<C::Error> {
        let mut ladder = Ladder::new(Instant::now());
        loop {
            let (at, question) = ladder.next(Instant::now());
            tokio::select! {
                biased;
                () = self.sight.suspicion.notified() => ladder.suspect(Instant::now()),
                () = C::ended(&mut link) => return Blind::Ended,
                () = tokio::time::sleep_until(at.into()) => {
                    if let Err(blind) = self.put(&mut link, server, question, &mut ladder).await {
                        return blind;
                    }
                }
            }
        }
    }

    /// Asks one question, and shows the answer.
    async fn put(
        &self,
        link: &mut C::Link,
        server: Server,
        question: Question,
        ladder: &mut Ladder,
    ) -> Result<(), Blind<C::Error>> {
        let began = Instant::now();
        let answer = self.answer(link, server, question).await?;
        let now = Instant::now();
        let took = now.duration_since(began);
        self.metrics.database.look_time.record(took);
        match answer {
            Ok(told) => {
                self.metrics.database.looks.of(LookOutcome::Ok).increment(1);
                let is_queueing = self.gate.snapshot(now).overall.queued > 0;
                ladder.answered(now, question, took, is_queueing || waits(&told));
                self.show(now, told);
                if !ladder.is_tense(now) {
                    self.sight.change(|seen| seen.locks = None);
                }
            }
            Err(error) => {
                self.metrics.database.looks.of(LookOutcome::Failed).increment(1);
                let question_name = question.name();
                warn!(%error, question = question_name, "the database does not tell");
                ladder.refused(now, question);
                let trouble: Arc<str> = format!("{question_name}: {error}").into();
                self.sight.change(|seen| seen.trouble = Some(trouble));
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        link: &mut C::Link,
        server: Server,
        question: Question,
    ) -> Result<Result<Told, Unanswered>, Blind<C::Error>> {
        let mut answers = Vec::new();
        for sql in server.sql(question) {
            match self.ask(link, &sql).await? {
                Ok(rows) => answers.push(rows),
                Err(refused) => return Ok(Err(Unanswered::Refused(refused))),
            }
        }
        Ok(server.read(question, &answers).map_err(Unanswered::from))
    }

    fn show(&self, now: Instant, told: Told) {
        match told {
            Told::Counters(counters) => {
                self.metrics.database.show_counters(&counters);
                self.sight.change(|seen| seen.counters = Some((now, counters)));
            }
            Told::Locks(locks) => {
                self.gate.observe(now, locks.contention());
                self.metrics.database.show_locks(&locks);
                let locks = Arc::new(locks);
                self.sight.change(|seen| seen.locks = Some((now, locks)));
            }
        }
    }
}

/// Whether anybody waits for a lock.
fn waits(told: &Told) -> bool {
    match told {
        Told::Counters(counters) => counters.waiting > 0,
        Told::Locks(locks) => locks.contention().blocked > 0,
    }
}

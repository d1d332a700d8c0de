//! Looks at the database, over a reserved connection of its own.
//!
//! `observe` says what to ask and when; this asks, keeps the last answers where others can see them
//! ([`Sight`]), sets the gauges, and has a pile-up undone ([`Melter`]). It is opened at start, like the connections that cancel, and
//! nothing waits for it: without it, statements flow under the same limits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use observe::{
    Rows, Unreadable,
    counters::{Change, Counters, Role},
    ladder::{Ladder, REFUSED},
    server::{Question, Server, Told},
};
use policy::{
    contention::Contention,
    locks::{Activity, Locks},
};
use thiserror::Error;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    control::judge, ddl, engine::Engine, herd::backoff, hot, melt::Melter, metrics::LookOutcome,
    shared::Shared, upstream::control::Courier,
};

/// How long the database may take to answer before the connection is given up. Its own limit on
/// what is asked is a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Who waits for whom is shown for so long after it was told; under load it is asked less often than once a second.
const GRAPH_KEEPS: Duration = Duration::from_secs(10);

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
    /// Its transactions, and when they were told, with who waited for whom when that was told last; none while
    /// nobody waits.
    pub locks: Option<(Instant, Arc<Locks>)>,
    /// The last look that told who waits for whom.
    graph: Option<(Instant, Arc<Locks>)>,
    /// How much of that stands still, waiters of gated rows left out.
    pub contention: Option<(Instant, Contention)>,
    /// Why one sees no more: no connection, or a missing privilege.
    pub trouble: Option<Arc<str>>,
}

impl Sight {
    /// What was seen last.
    pub fn seen(&self) -> Arc<Seen> {
        self.seen.load_full()
    }

    /// Somebody seems to wait in the database: look closely for a while. Somebody asks, or has waited for long
    /// at the gate.
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

impl Seen {
    /// Nobody waits.
    fn calm(&mut self) {
        (self.locks, self.graph, self.contention) = (None, None, None);
    }

    /// Keeps a look. Most tell only that somebody waits; for whom is asked less often, so it is shown as it was
    /// told last.
    fn note(&mut self, now: Instant, locks: Arc<Locks>) {
        if locks.has_waits {
            self.graph = Some((now, Arc::clone(&locks)));
        }
        let fresh = |at: &Instant| now.duration_since(*at) < GRAPH_KEEPS;
        let graph = self.graph.as_ref().filter(|(at, _)| !locks.has_waits && fresh(at));
        let shown = graph.map(|(_, graph)| Arc::new(locks.with_waits_of(graph)));
        self.locks = Some((now, shown.unwrap_or(locks)));
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
pub struct Observer<E: Engine> {
    /// Who opens connections.
    pub courier: Arc<E::Courier>,
    /// Which server they must lead to.
    pub identity: Arc<str>,
    /// What undoes a pile-up that is seen.
    pub melter: Melter<E>,
    /// Where the answers go and are shown over time; and the gate: where transactions wait there, the
    /// database is slow, which is reason enough to look closely.
    pub shared: Arc<Shared<E>>,
    /// Which server it was when it was last asked.
    pub role: Role,
    /// What it could not tell when it was last asked, and when.
    pub lacks: Option<(Instant, &'static str)>,
}

/// A connection for looking, and why it ended.
type Link<E> = <<E as Engine>::Courier as Courier>::Link;
type BlindOf<E> = Blind<<<E as Engine>::Courier as Courier>::Error>;

impl<E: Engine> Observer<E> {
    /// Looks for ever, and connects anew whenever the connection breaks. Dropping the future closes it.
    pub async fn run(mut self) {
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
            self.shared.sight.change(|seen| seen.trouble = Some(trouble));
            failures += 1;
            tokio::time::sleep(backoff(failures, fastrand::f64())).await;
        }
    }

    async fn connect(&self) -> Result<(Link<E>, Server), BlindOf<E>> {
        let (mut link, identity) = self.courier.connect().await.map_err(Blind::Lost)?;
        if *identity != *self.identity {
            return Err(Blind::OtherServer(identity));
        }
        let version =
            self.ask(&mut link, E::Courier::VERSION_SQL).await?.map_err(Blind::Refused)?;
        let version = version.first().and_then(|row| row.first()).and_then(Option::as_ref);
        let version = version.map(|text| String::from_utf8_lossy(text).into_owned());
        let server = E::Courier::server(&version.unwrap_or_default());
        self.ask(&mut link, server.setup()).await?.map_err(Blind::Refused)?;
        self.shared.sight.change(|seen| {
            seen.server = Some(server);
            seen.trouble = None;
        });
        Ok((link, server))
    }

    async fn ask(&self, link: &mut Link<E>, sql: &str) -> Result<Result<Rows, String>, BlindOf<E>> {
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, E::Courier::query(link, sql)).await;
        answered.map_err(|_| Blind::Silent)?.map_err(Blind::Lost)
    }

    /// Asks what is due, until the connection breaks.
    async fn look(&mut self, mut link: Link<E>, server: Server) -> BlindOf<E> {
        let mut ladder = Ladder::new(Instant::now());
        loop {
            ladder.look_for_ddl(self.shared.ddl.is_looking());
            let (at, question) = ladder.next(Instant::now());
            tokio::select! {
                biased;
                () = self.shared.sight.suspicion.notified() => ladder.suspect(Instant::now()),
                () = E::Courier::ended(&mut link) => return Blind::Ended,
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
        &mut self,
        link: &mut Link<E>,
        server: Server,
        question: Question,
        ladder: &mut Ladder,
    ) -> Result<(), BlindOf<E>> {
        let began = Instant::now();
        let answer = self.answer(link, server, question).await?;
        let now = Instant::now();
        let took = now.duration_since(began);
        self.shared.metrics.database.look_time.record(took);
        match answer {
            Ok(told) => {
                self.shared.metrics.database.looks.of(LookOutcome::Ok).increment(1);
                let is_queueing = self.shared.gate.snapshot(now).overall.queued > 0;
                ladder.answered(now, question, took, is_queueing || waits(&told));
                if self.show(began, now, told) {
                    ladder.hurry(now);
                }
                if !ladder.is_tense(now) {
                    self.shared.hot.observe(now, false, []);
                    self.shared.sight.change(Seen::calm);
                }
            }
            Err(error) => {
                self.shared.metrics.database.looks.of(LookOutcome::Failed).increment(1);
                let question_name = question.name();
                warn!(%error, question = question_name, "the database does not tell");
                ladder.refused(now, question);
                let trouble: Arc<str> = format!("{question_name}: {error}").into();
                self.shared.sight.change(|seen| seen.trouble = Some(trouble));
            }
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        link: &mut Link<E>,
        server: Server,
        question: Question,
    ) -> Result<Result<Told, Unanswered>, BlindOf<E>> {
        let mut answers = Vec::new();
        for sql in server.sql(question) {
            match self.ask(link, &sql).await? {
                Ok(rows) => answers.push(rows),
                Err(refused) => return Ok(Err(Unanswered::Refused(refused))),
            }
        }
        let now = Instant::now();
        let is_hopeless = self.lacks.is_some_and(|(at, _)| now.duration_since(at) < REFUSED);
        if let Some(more) = server.more(question).filter(|_| !is_hopeless) {
            let told = self.ask(link, more.sql).await?;
            self.lacks = told.is_err().then_some((now, more.lacking));
            answers.extend(told);
        }
        Ok(server.read(question, &answers).map_err(Unanswered::from))
    }

    /// Shows what was asked from `began` to `now`. Returns whether it must be asked at once who waits for
    /// whom.
    fn show(&mut self, began: Instant, now: Instant, told: Told) -> bool {
        match told {
            Told::Counters(counters) => {
                self.shared.metrics.database.show_counters(&counters);
                if let Some(change) = counters.role.change_since(self.role) {
                    self.start_over(now, change);
                }
                self.role = counters.role;
                self.shared.sight.change(|seen| seen.counters = Some((now, counters)));
                false
            }
            Told::Locks(locks) => {
                // Who waits for a row that has a gate tells nothing of the limit for all.
                let gated = hot::learn(&self.shared, now, &locks);
                let others = locks.contention_of(|one| !gated.contains(&one.backend));
                self.shared.gate.observe(now, others);
                self.shared.metrics.database.show_locks(&locks);
                // Before anything is done about it.
                self.shared.recorder.look(now, &locks, &self.shared);
                let is_choosing = self.melter.see(began, now, &locks);
                self.tell_what_lacks(&locks);
                let locks = Arc::new(locks);
                self.shared.sight.change(|seen| {
                    seen.note(now, locks);
                    seen.contention = Some((now, others));
                });
                is_choosing
            }
            Told::Ddl(wants) => {
                let server = self.shared.sight.seen().server;
                let wants = ddl::expand(wants, |sql| judge(&self.shared.statements, server, sql));
                self.shared.ddl.observe(now, &wants);
                false
            }
        }
    }
}

impl<E: Engine> Observer<E> {
    /// Says what the server cannot tell, where somebody waits for one who is not seen.
    fn tell_what_lacks(&self, locks: &Locks) {
        let Some((_, lacking)) = self.lacks else { return };
        let is_seen = |waiter: u32| locks.waits.iter().any(|wait| wait.waiter == waiter);
        let mut waiting = locks.transactions.iter().filter(|one| one.activity == Activity::Waits);
        if locks.has_waits && waiting.any(|one| !is_seen(one.backend)) {
            self.shared.sight.change(|seen| seen.trouble = Some(lacking.into()));
        }
    }

    /// What was found out about the database holds no more: it is given little at first.
    fn start_over(&self, now: Instant, change: Change) {
        info!(?change, "the database is not what it was: beginning slowly");
        self.shared.metrics.database.role_changes.increment(1);
        self.shared.upstream.handshakes.start_over();
        self.shared.gate.start_over(now);
    }
}

/// Whether anybody waits for a lock.
fn waits(told: &Told) -> bool {
    match told {
        Told::Counters(counters) => counters.waiting > 0,
        Told::Locks(locks) => locks.contention().blocked > 0,
        Told::Ddl(wants) => wants.iter().any(|want| want.is_waiting),
    }
}

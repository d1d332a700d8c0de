//! Undoes pile-ups: shows `policy::melt` what the database says of its locks, and carries out what it
//! decides.
//!
//! ```text
//! look ─► policy::melt ─► the gate: Restraint ─► new transactions wait, or are refused
//!              ▲      ├─► a client of the guard: Verdict ─► its session: cancel, roll back, tell it why
//!              │      └─► somebody else (melt.others): an order to end its connection
//!              └── the next look: gone, or still there
//! ```
//!
//! Only the session acts on its own connection, by the way of its time limits; so nothing that is
//! ordered late can hit what comes next (`session::verdict`). All of it is told in the [`Timeline`].
//! Where looks fail to come, the gate lets everything in again by itself.

mod timeline;

use std::{
    cell::OnceCell,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use observe::server::Server;
use policy::{
    class::{Mode, Policy},
    locks::{Activity, Locks, Transaction},
    melt::{Action, Config, Known, Melt, Victim},
    restraint::Restraint,
    sql::Kind,
};
use tokio::sync::oneshot;
use tracing::{info, warn};

pub use self::timeline::Timeline;
use crate::{
    control::{Act, Describe, LockClient, LockHolder, Sighting, judge, mode_name},
    engine::Engine,
    metrics::{Label as _, MeltOutcome},
    session::{registry::Card, verdict::Verdict},
    shared::Shared,
    upstream::control::{Ask, Backend, ControlError},
};

/// Names under which servers list what serves themselves.
const SYSTEM_USERS: [&str; 3] = ["", "system user", "event_scheduler"];

/// InnoDB lists what was so up to this long ago, and longer where others ask all the time; by then the
/// thread may serve somebody else's transaction.
const LIST_AGE: Duration = Duration::from_millis(100);

/// InnoDB tells the begin of a transaction in whole seconds.
const BEGIN_ROUNDED: Duration = Duration::from_secs(1);

/// What sees to it that pile-ups are undone.
#[derive(Debug)]
pub struct Melter<E: Engine> {
    shared: Arc<Shared<E>>,
    melt: Melt,
    /// What was ordered in this pile-up and is not answered.
    orders: Vec<Order>,
    /// Whether the gate holds new transactions back because of it.
    restrains: bool,
}

/// A transaction that was to be given up.
#[derive(Debug)]
struct Order {
    backend: u32,
    given_up: oneshot::Receiver<Result<(), ControlError>>,
}

/// One look at the database.
struct Look<'a, E: Engine> {
    shared: &'a Shared<E>,
    policy: &'a Policy,
    config: Config,
    server: Option<Server>,
    /// When it began and when it was over.
    times: (Instant, Instant),
    locks: &'a Locks,
    /// Which session each backend serves; listed when somebody asks.
    served: OnceCell<HashMap<u32, Arc<Card>>>,
}

impl<E: Engine> Melter<E> {
    /// Nothing is piled up.
    pub fn new(shared: Arc<Shared<E>>) -> Self {
        Self { shared, melt: Melt::default(), orders: Vec::new(), restrains: false }
    }

    /// Looks at what the database told between `began` and `now`, and has done what is to be done.
    /// Nothing is waited for. Returns whether it must be told at once who waits for whom.
    pub fn see(&mut self, began: Instant, now: Instant, locks: &Locks) -> bool {
        let shared = Arc::clone(&self.shared);
        let policy = shared.policy.load();
        let mode = policy.melt.mode.min(policy.mode);
        if mode == Mode::Off {
            self.stop(now);
            return false;
        }
        let server = shared.sight.seen().server;
        let config = match server {
            Some(Server::Postgres(_)) => policy.melt.of_postgres(),
            _ => policy.melt,
        };
        let look = Look {
            shared: &shared,
            policy: &policy,
            config: Config { mode, ..config },
            server,
            times: (began, now),
            locks,
            served: OnceCell::new(),
        };
        self.hear();
        let actions = self.melt.step(now, &look.config, locks, &look);
        let contention = locks.contention();
        let before = shared.gate.restrained().1;
        self.restrain(now, self.melt.restraint(now, mode, contention.blocked_share));
        if actions.contains(&Action::Freeze) {
            warn!(blocked = contention.blocked, "a pile-up of waits for locks");
            shared.metrics.melt.incidents.increment(1);
            shared.metrics.melt.is_piled_up.set(1.0);
            shared.timeline.begin(now, mode_name(mode));
        }
        let open = locks.transactions.len();
        shared.timeline.look(now, open, &contention);
        shared.timeline.restrained(before);
        shared.timeline.restrained(shared.gate.restrained().1);
        if let Some(phase) = self.melt.phase(now) {
            shared.timeline.step(now, phase, contention.blocked, open);
        }
        look.note_roots();
        for action in actions {
            match action {
                Action::Freeze => {}
                Action::Cancel(victim) => self.cancel(&look, victim),
                Action::Gone(backend) => self.verified(now, mode, backend, MeltOutcome::Gone),
                Action::Stayed(backend) => self.verified(now, mode, backend, MeltOutcome::Stayed),
                Action::Thaw => self.end(now),
            }
        }
        !locks.has_waits && self.melt.is_choosing(now)
    }

    /// Tells the gate, which may be held back for other reasons while nothing is piled up.
    fn restrain(&mut self, now: Instant, restraint: Option<Restraint>) {
        if restraint.is_some() || self.restrains {
            self.shared.gate.restrain(now, restraint);
        }
        self.restrains = restraint.is_some();
    }

    /// Has one transaction rolled back, or only counts it.
    fn cancel(&mut self, look: &Look<'_, E>, victim: Victim) {
        let (backend, now) = (victim.backend, look.times.1);
        let Some(one) = look.locks.transaction(backend) else { return };
        let metrics = &self.shared.metrics.melt;
        let is_ordered = look.config.mode == Mode::Enforce;
        let cause = victim.cause.as_str();
        if is_ordered {
            warn!(backend, cause, behind = victim.behind, "rolling back a transaction");
            metrics.acts.of(victim.cause).increment(1);
            self.orders.push(look.order(victim, one));
        } else {
            info!(backend, cause, behind = victim.behind, "would roll back a transaction");
            metrics.would_acts.of(victim.cause).increment(1);
        }
        let timeline = &self.shared.timeline;
        timeline.act(now, |at_ms| Act {
            at_ms,
            backend,
            cause: cause.into(),
            is_ordered,
            behind: victim.behind,
            rows_modified: one.rows_modified,
            ..Act::default()
        });
    }

    /// Takes the answers to what was ordered.
    fn hear(&mut self) {
        use oneshot::error::TryRecvError;
        let outcomes = &self.shared.metrics.melt.outcomes;
        self.orders.retain_mut(|Order { backend, given_up }| {
            let answer = match given_up.try_recv() {
                Err(TryRecvError::Empty) => return true,
                Ok(Ok(())) => "rolled back".to_owned(),
                Ok(Err(error)) => {
                    warn!(backend, %error, "a transaction could not be ended");
                    outcomes.of(MeltOutcome::Refused).increment(1);
                    error.to_string()
                }
                Err(TryRecvError::Closed) => {
                    self.melt.missed(*backend);
                    outcomes.of(MeltOutcome::Missed).increment(1);
                    "went on or ended by itself".to_owned()
                }
            };
            self.shared.timeline.answer(*backend, answer);
            false
        });
    }

    fn verified(&self, now: Instant, mode: Mode, backend: u32, outcome: MeltOutcome) {
        if mode == Mode::Enforce {
            info!(backend, outcome = outcome.as_str(), "looked for what was rolled back");
            self.shared.metrics.melt.outcomes.of(outcome).increment(1);
            self.shared.timeline.verified(now, backend, outcome == MeltOutcome::Gone);
        }
    }

    fn end(&self, now: Instant) {
        info!("the pile-up is over");
        self.shared.metrics.melt.is_piled_up.set(0.0);
        self.shared.timeline.end(now);
    }

    /// It was turned off.
    fn stop(&mut self, now: Instant) {
        if self.shared.timeline.is_open() {
            self.end(now);
        }
        self.restrain(now, None);
        self.melt = Melt::default();
        self.orders.clear();
    }
}

impl<E: Engine> Known for Look<'_, E> {
    fn may_end(&self, one: &Transaction) -> bool {
        self.spares(one).is_none()
    }

    /// By the share of its class; who is no client of the guard weighs as one without a class.
    fn weight(&self, backend: u32) -> f64 {
        self.card(backend).map_or(1.0, |card| self.policy.class(card.class()).weight())
    }
}

impl<E: Engine> Look<'_, E> {
    fn card(&self, backend: u32) -> Option<&Arc<Card>> {
        let served = self.served.get_or_init(|| {
            let cards = self.shared.sessions.all().into_iter();
            cards.filter_map(|card| Some((card.backend()?, card))).collect()
        });
        served.get(&backend)
    }

    /// Why this one is left alone, whatever waits for it.
    fn spares(&self, one: &Transaction) -> Option<&'static str> {
        let statements = &self.shared.statements;
        if matches!(one.activity, Activity::Runs | Activity::Waits) {
            // Servers tell of a commit only while its log is written, if at all.
            match judge(statements, self.server, &one.statement).kind {
                Kind::Commit => return Some("it is being committed"),
                Kind::Rollback => return Some("it is being rolled back"),
                Kind::Ddl => return Some("it changes the schema"),
                _ => {}
            }
        }
        match one.activity {
            Activity::Prepared => Some("it is prepared for two-phase commit"),
            Activity::Commits => Some("it is being committed"),
            Activity::RollsBack => Some("it is being rolled back"),
            _ if self.card(one.backend).is_some() => None,
            _ if SYSTEM_USERS.contains(&&*one.user) => Some("it serves the server itself"),
            _ if !self.config.others => Some("no client of this guard (melt.others = false)"),
            _ => None,
        }
    }

    /// Has a transaction given up.
    fn order(&self, victim: Victim, one: &Transaction) -> Order {
        let (given_up, answer) = oneshot::channel();
        let order = Order { backend: victim.backend, given_up: answer };
        let Some(card) = self.card(victim.backend) else {
            // MySQL does not tell when a thread began, and counts on: an id means one of them.
            let since = if one.since == 0 { u64::MAX } else { one.since };
            let ask = Ask::End(Backend { id: victim.backend, since });
            let control = self.shared.upstream.control().clone();
            tokio::spawn(async move {
                // The melter may have been turned off meanwhile.
                let _gone = given_up.send(control.ask(ask).await.map(drop));
            });
            return order;
        };
        let (looked, now) = self.times;
        let began = now.checked_sub(one.age).map(|began| began + BEGIN_ROUNDED);
        let listed = looked.checked_sub(LIST_AGE).unwrap_or(looked);
        // Who is being called for something else keeps none: the order then counts as missed.
        let _is_called = card.melt(Verdict {
            backend: victim.backend,
            began_by: began.map_or(listed, |began| began.min(listed)),
            cause: victim.cause,
            behind: victim.behind,
            oldest_wait: self.locks.contention().longest_wait,
            age: one.age,
            given_up,
        });
        order
    }

    /// Tells the timeline who holds others up, where that is known and new.
    fn note_roots(&self) {
        let timeline = &self.shared.timeline;
        if !self.locks.has_waits || !timeline.is_open() {
            return;
        }
        let seen = self.shared.sight.seen();
        let client = |backend| Some(LockClient::of(self.card(backend)?, self.policy));
        let describe = Describe { seen: &seen, statements: &self.shared.statements, client };
        let roots = self.locks.roots();
        for root in roots.iter().filter(|root| root.waiters >= self.config.behind_min) {
            let Some(one) = self.locks.transaction(root.backend) else { continue };
            timeline.sight(self.times.1, (root.backend, one.age), |at_ms| {
                let holder = describe.alone(self.locks, root.backend).unwrap_or_default();
                Sighting {
                    at_ms,
                    holder: LockHolder { behind: root.waiters, ..holder },
                    on: self.locks.mostly_waited_for(root.backend).to_string(),
                    spared: self.spares(one).map(str::to_owned),
                }
            });
        }
    }
}

//! Replicas: servers that answer reads in the primary's place.
//!
//! | file | what |
//! |---|---|
//! | `find` | looking for a replica for one read |
//! | `away` | a session that works at one |
//! | `watch` | looking at the primary and at each replica; opening what leads there |
//!
//! Which replica serves is `policy::replica`'s to say. Each has a gate of its own, with the limits of classes, and an
//! [`Upstream`] of its own, so that pools, hand-over, cancelling and seeing off are the primary's, word for word.
//! An upstream is there once its server has been reached, and made anew when another server answers at the
//! address. A replica that cannot be reached costs nobody anything but the task that watches it.

mod away;
mod find;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use policy::{
    class::Policy,
    replica::{Config, Fleet, Reads, Report},
};
use tokio::sync::Notify;

pub use self::{
    away::{Away, Blame, KEPT_MAX, Written},
    find::{Found, Seek, find},
    watch::{Manner, watch},
};
use crate::{
    engine::Engine,
    gate::Gate,
    upstream::{Upstream, target::Target},
};

/// The replicas of one primary.
#[derive(Debug)]
pub struct Replicas<E: Engine> {
    fleet: Mutex<Fleet>,
    all: Vec<Arc<Replica<E>>>,
    /// Woken after each look at a replica.
    looked: Notify,
    /// Woken when somebody waits for a look.
    wanted: Notify,
}

/// What a replica is made with.
#[derive(Debug)]
pub struct ReplicaOptions<E: Engine> {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it is.
    pub target: Arc<Target>,
    /// How its reserved connections are opened.
    pub courier: Arc<E::Courier>,
    /// The most connections that serve clients.
    pub connections: u32,
    /// Its part of the reads.
    pub weight: u32,
}

/// One replica.
#[derive(Debug)]
pub struct Replica<E: Engine> {
    /// Its number.
    pub index: usize,
    options: ReplicaOptions<E>,
    /// Who may run there.
    pub gate: Arc<Gate>,
    /// Its connections; `None` until it was reached.
    upstream: ArcSwapOption<Upstream<E>>,
    /// Woken when it does not answer any more: who waits for it waits in vain.
    silent: Notify,
    served: Served,
    trouble: ArcSwapOption<String>,
}

/// Reads that were served: since the last look, and since the start.
#[derive(Debug, Default)]
struct Served {
    count: AtomicU32,
    micros: AtomicU64,
    total: AtomicU64,
}

/// How a replica is, for people.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What is decided about it.
    pub report: Report,
    /// Reads that it has served.
    pub reads: u64,
    /// Reads that run there.
    pub in_flight: u32,
    /// Why it cannot be reached, or looked at.
    pub trouble: Option<Arc<String>>,
}

impl<E: Engine> Replicas<E> {
    /// Replicas that nobody has looked at. `None` where there are none.
    pub fn new(
        now: Instant,
        config: Config,
        policy: &Policy,
        options: Vec<ReplicaOptions<E>>,
    ) -> Option<Self> {
        if options.is_empty() {
            return None;
        }
        let fleet = Fleet::new(config, options.iter().map(|options| options.weight));
        let all = options.into_iter().enumerate().map(|(index, options)| {
            let policy = Arc::new(policy.of_replica(options.connections));
            Arc::new(Replica {
                index,
                options,
                gate: Gate::new(now, policy),
                upstream: ArcSwapOption::empty(),
                silent: Notify::new(),
                served: Served::default(),
                trouble: ArcSwapOption::empty(),
            })
        });
        let all = all.collect();
        Some(Self { fleet: Mutex::new(fleet), all, looked: Notify::new(), wanted: Notify::new() })
    }

    /// All, by number.
    pub fn all(&self) -> &[Arc<Replica<E>>] {
        &self.all
    }

    /// Other decisions from now on.
    pub fn reconfigure(&self, now: Instant, config: Config, policy: &Policy) {
        self.fleet.lock().reconfigure(config);
        for replica in &self.all {
            replica.gate.reconfigure(now, Arc::new(policy.of_replica(replica.options.connections)));
        }
    }

    /// How far those are behind that are read from; see [`Fleet::lag`].
    pub fn lag(&self, now: Instant) -> Option<Duration> {
        self.fleet.lock().lag(now)
    }

    /// How a replica is.
    pub fn show(&self, now: Instant, replica: &Replica<E>) -> Option<Shown> {
        let report = self.fleet.lock().report(now, replica.index)?;
        Some(Shown {
            report,
            reads: replica.served.total.load(Ordering::Relaxed),
            in_flight: replica.gate.snapshot(now).overall.in_flight,
            trouble: replica.trouble.load_full(),
        })
    }
}

impl<E: Engine> Replica<E> {
    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Where it is.
    pub fn address(&self) -> String {
        self.options.target.address.to_string()
    }

    /// Its part of the reads, as configured.
    pub fn weight(&self) -> u32 {
        self.options.weight
    }

    /// Its connections, once it was reached.
    pub fn upstream(&self) -> Option<Arc<Upstream<E>>> {
        self.upstream.load_full()
    }

    /// Notes a read that was answered.
    pub fn note_served(&self, took: Duration) {
        self.served.count.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.served.micros.fetch_add(micros, Ordering::Relaxed);
        self.served.total.fetch_add(1, Ordering::Relaxed);
    }

    /// What was served since this was last asked.
    fn take_served(&self) -> Reads {
        let count = self.served.count.swap(0, Ordering::Relaxed);
        let micros = self.served.micros.swap(0, Ordering::Relaxed);
        Reads { count, time: Duration::from_micros(micros) }
    }
}

/// Returns when a replica does not answer any more; without one, never. It is told anew with every look that
/// fails, so who begins to wait too late waits for that.
pub async fn silenced<E: Engine>(replica: Option<&Replica<E>>) {
    match replica {
        // Boxed: it is part of every session's future, and of few sessions' work.
        Some(replica) => Box::pin(replica.silent.notified()).await,
        None => std::future::pending().await,
    }
}

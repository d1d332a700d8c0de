//! A guard of any engine, put together: it serves, and drains.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use observe::counters::Role;
use policy::{sql::Statements, switch::Switches};
use tokio::{sync::Notify, task::JoinSet};
use tracing::{info, warn};

use super::{CANCEL_GRACE, StartError, admin_tls, listen_admin, listen_metrics, whole};
use crate::{
    admin::{self, Access, Bounded},
    config::{Address, Config, Pooling},
    control::Operations,
    ddl::Ddl,
    engine::Engine,
    gate::Gate,
    herd::Handshakes,
    hot::Hot,
    listener::Listener,
    melt::{Melter, Timeline},
    memory::MemoryFile,
    metrics::Metrics,
    notify::{Condition, Notifier},
    observer::{Observer, Sight},
    operations::Operator,
    recorder::Recorder,
    replica::{self, Manner, ReplicaOptions, Replicas},
    session::registry::Sessions,
    shared::{SessionOptions, Shared},
    swapped::Swapped,
    upstream::{Upstream, UpstreamOptions, control::Control, target::Target},
};

/// How many digests are remembered. At about 1 KiB each, no more than 16 MiB.
const DIGESTS_MAX: usize = 16 * 1024;

/// A guard that listens.
#[derive(Debug)]
pub(super) struct Assembly<E: Engine> {
    shared: Arc<Shared<E>>,
    listeners: Vec<Listener<E>>,
    admin: Bounded,
    access: Arc<Access>,
    metrics: Option<Bounded>,
    operator: Arc<Operator<E>>,
    observer: Option<Observer<E>>,
    /// Whoever looks at the primary for the replicas' sake, and how replicas are reached.
    watch: (Arc<E::Courier>, Manner),
    memory: Option<Arc<MemoryFile>>,
    drain: Arc<Notify>,
    drain_timeout: Duration,
    notifier: Arc<Notifier>,
}

/// What an engine brings to an assembly.
pub(super) struct Parts<E: Engine> {
    pub engine: E,
    pub target: Arc<Target>,
    pub courier: Arc<E::Courier>,
    pub control: Control,
    pub identity: Arc<str>,
    pub listeners: Vec<Listener<E>>,
    pub replicas: Vec<ReplicaOptions<E>>,
}

impl<E: Engine> Assembly<E> {
    /// Puts the parts together. `source` is the file that a reload reads again.
    pub(super) fn new(
        config: &Config,
        source: Option<PathBuf>,
        parts: Parts<E>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(&config.class_names()));
        metrics.upstream.limit.set(f64::from(config.upstream.connections));
        let upstream = Upstream::new(UpstreamOptions {
            target: parts.target,
            connections: config.upstream.connections,
            statements_per_connection: whole(config.upstream.statements_per_connection),
            idle_timeout: config.upstream.idle_timeout,
            handshakes: Handshakes::new(
                config.upstream.handshakes_at_once,
                config.upstream.handshakes_per_second,
            ),
            control: parts.control,
            identity: Arc::clone(&parts.identity),
            nets: Arc::new(E::nets(&config.native_limits())),
            metrics: Arc::clone(&metrics),
        });
        let watch = (Arc::clone(&parts.courier), manner(config));
        let replicas = (parts.replicas, upstream);
        let shared = share(config, replicas, parts.engine, metrics);
        let memory = config.limit.memory.clone();
        let memory =
            memory.map(|path| Arc::new(MemoryFile::new(path, Arc::clone(&parts.identity))));
        if let Some(memory) = &memory {
            memory.recall(&shared.gate);
        }
        let observer = config.observe.enabled.then(|| Observer {
            courier: parts.courier,
            identity: parts.identity,
            melter: Melter::new(Arc::clone(&shared)),
            shared: Arc::clone(&shared),
            role: Role::default(),
            lacks: None,
        });
        let drain = Arc::new(Notify::new());
        let tls = admin_tls(&config.admin)?;
        let access = Arc::new(Access::new(&config.admin.token, tls.is_some()));
        let admin = Bounded::new(listen_admin(&config.admin)?, tls);
        let metrics = config.admin.metrics_address.map(listen_metrics).transpose()?;
        let notifier = Arc::new(Notifier::from_env());
        let told = Arc::clone(&notifier);
        let operator =
            Operator::new(Arc::clone(&shared), config, source, (Arc::clone(&drain), told));
        Ok(Self {
            shared,
            listeners: parts.listeners,
            admin,
            access,
            metrics,
            operator: Arc::new(operator),
            observer,
            watch,
            memory,
            drain,
            drain_timeout: config.guard.drain_timeout,
            notifier,
        })
    }

    /// Where clients connect: the addresses that were configured, with the ports the system chose
    /// where the configuration says 0.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().filter_map(|l| l.socket.address().ok()).collect()
    }

    /// Where the HTTP side is.
    pub(super) fn admin_address(&self) -> Option<Address> {
        self.admin.address().ok()
    }

    /// What an operator may ask.
    pub(super) fn operator(&self) -> Arc<dyn Operations> {
        Arc::clone(&self.operator) as _
    }

    /// Serves until it is asked to drain ([`Operator`], or `stop`), and has drained: no new
    /// clients, sessions end between transactions, and what is open after `drain_timeout` is ended.
    pub(super) async fn run(self, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let mut listening = JoinSet::new();
        for listener in self.listeners {
            listening.spawn(listener.run(Arc::clone(&self.shared)));
        }
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            let help = || {
                let _none_held = shared.upstream.lingering.end_one_hold();
                // What makes them wait may be locks.
                shared.sight.suspect();
            };
            shared.gate.run_timer(help).await;
        });
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.upstream.run_idle_reaper().await });
        tasks.spawn(self.operator.board().keep(Arc::clone(&self.shared)));
        let recorder = Arc::clone(&self.shared.recorder);
        tasks.spawn(recorder.run(Arc::clone(&self.shared), self.operator.board()));
        tasks.spawn(Arc::clone(&self.operator).keep_live());
        if let Some(observer) = self.observer {
            tasks.spawn(observer.run());
        }
        if self.shared.replicas.is_some() {
            let (courier, manner) = self.watch;
            tasks.spawn(replica::watch(Arc::clone(&self.shared), courier, manner));
        }
        if let Some(memory) = &self.memory {
            tasks.spawn(Arc::clone(memory).run(Arc::clone(&self.shared.gate)));
        }
        let operations: Arc<dyn Operations> = Arc::clone(&self.operator) as _;
        let router = admin::router(Arc::clone(&operations), self.access);
        tasks.spawn(serve(self.admin, router));
        if let Some(bounded) = self.metrics {
            tasks.spawn(serve(bounded, admin::metrics_router(operations)));
        }
        let notifier = Arc::clone(&self.notifier);
        tasks.spawn(async move { notifier.run_watchdog().await });
        self.notifier.tell(Condition::Ready);
        tokio::select! {
            () = stop => {}
            () = self.drain.notified() => {}
        }
        self.notifier.tell(Condition::Stopping);
        info!(timeout = ?self.drain_timeout, "draining");
        listening.shutdown().await;
        if let Some(memory) = &self.memory {
            memory.keep(&self.shared.gate).await;
        }
        drain(&self.shared, self.drain_timeout).await;
        self.shared.recorder.close().await;
        tasks.shutdown().await;
    }
}

async fn serve(bounded: Bounded, router: axum::Router) {
    if let Err(error) = admin::serve(bounded, router, std::future::pending()).await {
        warn!(%error, "the admin side ended");
    }
}

/// How replicas are reached: as the primary is.
fn manner(config: &Config) -> Manner {
    Manner {
        control: config.control.connections,
        idle_timeout: config.upstream.idle_timeout,
        handshakes_at_once: config.upstream.handshakes_at_once,
        handshakes_per_second: config.upstream.handshakes_per_second,
    }
}

/// How often the end of the last session is looked for while draining.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lets sessions end between transactions, and ends those that do not.
async fn drain<E: Engine>(shared: &Shared<E>, patience: Duration) {
    shared.draining.store(true, std::sync::atomic::Ordering::Release);
    shared.metrics.guard.draining.set(1.0);
    for card in shared.sessions.all() {
        // It looks up from waiting for a command, sees that the guard drains, and says goodbye.
        card.kill_query_when_idle();
    }
    let deadline = Instant::now() + patience;
    while !shared.sessions.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(DRAIN_LOOK_EVERY).await;
    }
    let left = shared.sessions.all();
    if !left.is_empty() {
        warn!(sessions = left.len(), "ending sessions that did not end by themselves");
    }
    for card in left {
        card.kill_connection();
    }
    let deadline = Instant::now() + CANCEL_GRACE;
    // Also what was left behind is ended first: closing its socket would end nothing.
    let is_busy = || !shared.sessions.is_empty() || shared.upstream.reclaiming() > 0;
    while is_busy() && Instant::now() < deadline {
        tokio::time::sleep(DRAIN_LOOK_EVERY).await;
    }
}

fn share<E: Engine>(
    config: &Config,
    (replicas, upstream): (Vec<ReplicaOptions<E>>, Arc<Upstream<E>>),
    engine: E,
    metrics: Arc<Metrics>,
) -> Arc<Shared<E>> {
    let now = Instant::now();
    let timeline = Arc::<Timeline>::default();
    let recorder = Recorder::new(config, Arc::clone(&timeline), Arc::clone(&metrics));
    let policy = Arc::new(config.policy());
    let mut switches = Switches::default();
    for switch in config.initial_switches() {
        if let Err(error) = switches.set(now, switch) {
            warn!(%error, "a configured switch was not set");
        }
    }
    let options = SessionOptions {
        session_pooling: config.upstream.pooling == Pooling::Session,
        statements_per_client: whole(config.upstream.statements_per_client),
        max_packet: usize::try_from(config.upstream.max_packet.0).unwrap_or(usize::MAX),
        lease_timeout: config.upstream.connect_timeout * 2,
        linger: config.upstream.linger,
        cancel_grace: CANCEL_GRACE,
    };
    Arc::new(Shared {
        gate: Gate::new(now, Arc::clone(&policy)),
        ddl: Ddl::new(&policy),
        hot: Hot::new(&policy),
        policy: Swapped::new(Arc::clone(&policy), metrics.swaps()),
        switches: Swapped::new(Arc::new(switches), metrics.swaps()),
        statements: Statements::new(DIGESTS_MAX),
        replicas: Replicas::new(now, config.replica_policy(), &policy, replicas),
        upstream,
        sessions: Arc::new(Sessions::default()),
        engine,
        options,
        metrics,
        sight: Sight::default(),
        recorder: Arc::new(recorder),
        timeline,
        draining: AtomicBool::new(false),
    })
}

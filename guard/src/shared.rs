//! What all sessions share, put together once by `run`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use policy::{
    admission::About,
    class::{ClassId, Mode, Policy, TimeLimits},
    refusal::Refusal,
    retry::Asker,
    rule::Facts,
    sql::Statements,
    switch::Switches,
};

use crate::{
    ddl::Ddl,
    engine::Engine,
    gate::Gate,
    hot::Hot,
    melt::Timeline,
    metrics::{Classes, Metrics},
    observer::Sight,
    recorder::Recorder,
    replica::Replicas,
    session::registry::Sessions,
    swapped::Swapped,
    upstream::Upstream,
};

/// What all sessions share.
#[derive(Debug)]
pub struct Shared<E: Engine> {
    /// Who may run.
    pub gate: Arc<Gate>,
    /// Tables that somebody wants for himself, which are waited for before all else.
    pub ddl: Arc<Ddl>,
    /// Rows that everybody wants, which are waited for before the gate.
    pub hot: Arc<Hot>,
    /// Rules, classes and limits; swapped whole by a reload.
    pub policy: Swapped<Policy>,
    /// What is turned off or down.
    pub switches: Swapped<Switches>,
    /// The digests seen so far.
    pub statements: Statements,
    /// The database.
    pub upstream: Arc<Upstream<E>>,
    /// Servers that answer reads in its place, where there are any.
    pub replicas: Option<Replicas<E>>,
    /// The sessions that are alive.
    pub sessions: Arc<Sessions>,
    /// What sessions of this engine share.
    pub engine: E,
    /// Settings of sessions.
    pub options: SessionOptions,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What the database says of itself.
    pub sight: Sight,
    /// What was done about pile-ups.
    pub timeline: Arc<Timeline>,
    /// What records what happens.
    pub recorder: Arc<Recorder>,
    /// Whether the guard shuts down: sessions end between transactions.
    pub draining: AtomicBool,
}

/// What holds for the clients of one listener.
#[derive(Debug)]
pub struct Door<E: Engine> {
    /// How they log in.
    pub login: E::Login,
    /// How long a client may leave the guard unable to write.
    pub write_timeout: Duration,
    /// How long a client may be silent outside a transaction.
    pub idle_timeout: Duration,
}

/// Settings of sessions that hold for the life of the guard.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Whether a client keeps its upstream connection from login to disconnect.
    pub session_pooling: bool,
    /// The most prepared statements of one client.
    pub statements_per_client: usize,
    /// The largest command, in bytes.
    pub max_packet: usize,
    /// How long leasing a connection may take where a new one must be opened.
    pub lease_timeout: Duration,
    /// How long a connection stays with its session between transactions; zero gives it back at
    /// once.
    pub linger: Duration,
    /// How long a cancelled statement may take to end before its connection is killed.
    pub cancel_grace: Duration,
}

/// What operators have set, as a session saw it last. It looks again at each statement (invariant 11).
#[derive(Debug)]
pub struct Orders {
    /// What the number of swaps was.
    swaps: u64,
    /// Rules, classes and limits.
    pub policy: Arc<Policy>,
    /// What is turned off or down.
    pub switches: Arc<Switches>,
    /// Where the classes are counted.
    pub metrics: Classes,
}

impl Orders {
    /// What is set now.
    pub fn of<E: Engine>(shared: &Shared<E>) -> Self {
        Self {
            swaps: shared.metrics.swaps().count(),
            policy: shared.policy.load_full(),
            switches: shared.switches.load_full(),
            metrics: shared.metrics.classes(),
        }
    }

    /// Looks again. Until then what was set before lives on.
    pub fn renew<E: Engine>(&mut self, shared: &Shared<E>) {
        if shared.metrics.swaps().count() != self.swaps {
            *self = Self::of(shared);
        }
    }

    /// Whether a switch turns the statement off, or would if its class were enforced.
    pub fn switched_off(
        &self,
        now: Instant,
        facts: &Facts<'_>,
        class: ClassId,
    ) -> Option<Box<(Mode, Refusal)>> {
        // Almost always empty: then no dice are thrown.
        self.switches.list(now).next()?;
        self.switches.check(now, &self.policy, facts, class, fastrand::f64()).map(Box::new)
    }
}

impl<E: Engine> Shared<E> {
    /// What is known of the work that a statement begins; `values` is what it carries beside its
    /// text.
    pub fn about(&self, now: Instant, policy: &Policy, facts: &Facts<'_>, values: &[u8]) -> About {
        let mut about = policy.about(facts);
        // Almost always nobody was refused: then nobody can come again.
        if policy.retries.mode != Mode::Off && self.gate.refuses(now) {
            about.asker = Asker::of(facts, values);
        }
        about
    }

    /// Takes over a new policy: limits at once, server-side nets as connections are set up.
    pub fn reload(
        &self,
        now: Instant,
        policy: Policy,
        routing: policy::replica::Config,
        nets: E::Nets,
    ) {
        let (policy, nets) = (Arc::new(policy), Arc::new(nets));
        self.policy.store(Arc::clone(&policy));
        self.ddl.reconfigure(&policy);
        self.hot.reconfigure(&policy);
        if let Some(replicas) = &self.replicas {
            replicas.reconfigure(now, routing, &policy);
            let upstreams = replicas.all().iter().filter_map(|replica| replica.upstream());
            upstreams.for_each(|upstream| upstream.set_nets(Arc::clone(&nets)));
        }
        self.gate.reconfigure(now, policy);
        self.upstream.set_nets(nets);
    }

    /// Whether the guard shuts down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// The time limits that hold for a class; none unless its mode is enforce.
pub fn times(policy: &Policy, class: ClassId) -> TimeLimits {
    let class = policy.class(class);
    let is_enforced = policy.mode.min(class.mode) == Mode::Enforce;
    if is_enforced { class.times } else { TimeLimits::default() }
}

/// The time limits that would hold for a class if its mode, observe, were enforce.
pub fn observed_times(policy: &Policy, class: ClassId) -> Option<Box<TimeLimits>> {
    let is_observed = policy.mode_of(class) == Mode::Observe;
    is_observed.then(|| Box::new(policy.class(class).times))
}

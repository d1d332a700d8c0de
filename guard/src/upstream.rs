//! The database behind the guard: its connections, and the reserved ones that control it.
//!
//! [`Upstream`] owns what all pools share: the bound on open connections, the pace of logins, the
//! limits that a connection is set up with, and the identity of the server, so that a backend's id is
//! never used on another one. It knows connections only as an [`Engine`] has them.

pub mod control;
pub mod linger;
pub mod pool;
pub mod reclaim;
pub mod target;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::{
    control::Control,
    linger::Lingering,
    pool::{LeaseError, LeaseErrorOf, OpenSlot, Pool},
    target::Target,
};
use crate::{engine::Engine, herd::Handshakes, metrics::Metrics};

/// How often connections that nobody uses are looked for.
pub const IDLE_LOOK_EVERY: Duration = Duration::from_secs(5);

/// One database server.
#[derive(Debug)]
pub struct Upstream<E: Engine> {
    /// Where it is.
    pub target: Arc<Target>,
    /// The most connections that serve clients.
    pub connections: u32,
    /// The most prepared statements on one connection.
    pub statements_per_connection: usize,
    /// The pace of logins.
    pub handshakes: Handshakes,
    idle_timeout: Duration,
    open: Arc<AtomicU32>,
    connecting: Arc<AtomicU32>,
    reclaiming: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
    pools: Mutex<HashMap<E::Key, Arc<Pool<E>>>>,
    /// Logins that ask the database, one at a time: they take a connection past the gate.
    pub past_the_gate: Semaphore,
    /// Connections that linger with their sessions.
    pub lingering: Lingering<E>,
    control: Control,
    /// Which server this is, as the reserved connections found it.
    pub identity: Arc<str>,
    nets: ArcSwap<E::Nets>,
}

/// What an upstream is made with.
#[derive(Debug)]
pub struct UpstreamOptions<N> {
    /// Where it is.
    pub target: Arc<Target>,
    /// The most connections that serve clients.
    pub connections: u32,
    /// The most prepared statements on one connection.
    pub statements_per_connection: usize,
    /// Connections unused for this long are closed.
    pub idle_timeout: Duration,
    /// The pace of logins.
    pub handshakes: Handshakes,
    /// The reserved connections.
    pub control: Control,
    /// Which server they lead to; see `control::Courier`.
    pub identity: Arc<str>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// The server's own limits.
    pub nets: Arc<N>,
}

impl<E: Engine> Upstream<E> {
    /// An upstream without connections yet.
    pub fn new(options: UpstreamOptions<E::Nets>) -> Arc<Self> {
        Arc::new(Self {
            target: options.target,
            connections: options.connections,
            statements_per_connection: options.statements_per_connection,
            handshakes: options.handshakes,
            idle_timeout: options.idle_timeout,
            open: Arc::default(),
            connecting: Arc::default(),
            reclaiming: Arc::default(),
            metrics: options.metrics,
            pools: Mutex::default(),
            past_the_gate: Semaphore::new(1),
            lingering: Lingering::default(),
            control: options.control,
            identity: options.identity,
            nets: ArcSwap::new(options.nets),
        })
    }

    /// The pool for a key; where there is none yet, it is made with what `make` returns. Pools are
    /// few: one for each account and way to log in that clients use.
    pub fn pool(
        self: &Arc<Self>,
        key: E::Key,
        make: impl FnOnce() -> (E::Opener, E::Memory),
    ) -> Arc<Pool<E>> {
        let mut pools = self.pools.lock();
        let pool = pools.entry(key).or_insert_with(|| {
            let (opener, memory) = make();
            Arc::new(Pool::new(self, opener, memory))
        });
        Arc::clone(pool)
    }

    /// All pools, in no order.
    pub fn pools(&self) -> Vec<Arc<Pool<E>>> {
        self.pools.lock().values().cloned().collect()
    }

    /// The reserved connections.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The server's own limits, as connections are set up with them.
    pub fn nets(&self) -> arc_swap::Guard<Arc<E::Nets>> {
        self.nets.load()
    }

    /// Other limits of the server's own; connections take them over as they are opened or reset.
    pub fn set_nets(&self, nets: Arc<E::Nets>) {
        self.nets.store(nets);
    }

    /// Connections by what they are doing. They are not counted at one moment, so a connection that
    /// changes hands meanwhile may be missed.
    pub fn sizes(&self) -> Sizes {
        let pooled: usize = self.pools.lock().values().map(|pool| pool.sizes().0).sum();
        let idle = u32::try_from(pooled + self.lingering.count()).unwrap_or(u32::MAX);
        let connecting = self.connecting.load(Ordering::Acquire);
        let reclaiming = self.reclaiming();
        let open = self.open.load(Ordering::Acquire);
        let leased = open.saturating_sub(idle + connecting + reclaiming);
        Sizes { idle, leased, connecting, reclaiming }
    }

    /// Closes the connections that nobody uses, those included that linger.
    pub fn close_unused(&self) {
        while self.lingering.end_one_hold() {}
        while let Some(lease) = self.lingering.take_one() {
            lease.give_back();
        }
        for pool in self.pools.lock().values() {
            pool.close_idle(Duration::ZERO);
        }
    }

    /// Closes the connections of a pool that nobody uses, those included that linger.
    pub fn close_unused_of(&self, pool: &Pool<E>) {
        self.lingering.take_of(pool).into_iter().for_each(pool::Lease::give_back);
        pool.close_idle(Duration::ZERO);
    }

    /// Counts a connection that is being opened, until the returned value is dropped.
    fn count_connecting(&self) -> Option<OpenSlot> {
        OpenSlot::take(&self.connecting, u32::MAX)
    }

    /// Counts a connection that is being seen off, until the returned value is dropped.
    fn count_reclaiming(&self) -> Option<OpenSlot> {
        OpenSlot::take(&self.reclaiming, u32::MAX)
    }

    /// Connections that are being seen off.
    pub fn reclaiming(&self) -> u32 {
        self.reclaiming.load(Ordering::Acquire)
    }

    /// Closes idle connections for as long as it is awaited.
    pub async fn run_idle_reaper(&self) {
        loop {
            tokio::time::sleep(IDLE_LOOK_EVERY).await;
            self.reap_idle();
        }
    }

    /// Closes idle connections, to be called every few seconds.
    pub fn reap_idle(&self) {
        let mut pools = self.pools.lock();
        for pool in pools.values() {
            pool.close_idle(self.idle_timeout);
        }
        // Nobody refers to a pool any more once its sessions are gone.
        pools.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.sizes().1 > 0);
    }

    /// A place for one more connection. Where all are taken, an idle connection of another pool is
    /// closed for it.
    fn open_slot(&self) -> Result<OpenSlot, LeaseErrorOf<E>> {
        loop {
            if let Some(slot) = OpenSlot::take(&self.open, self.connections) {
                return Ok(slot);
            }
            let has_room = self.pools.lock().values().any(|pool| pool.close_one());
            if has_room {
                continue;
            }
            match self.lingering.take_one() {
                Some(lease) => lease.give_back(),
                None => return Err(LeaseError::NoRoom(self.connections)),
            }
        }
    }
}

/// How many connections do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Clean and unused, those included that linger with the session that used them last.
    pub idle: u32,
    /// Sessions have them.
    pub leased: u32,
    /// Being opened, or waiting for their turn to be.
    pub connecting: u32,
    /// Being seen off; see `reclaim`.
    pub reclaiming: u32,
}

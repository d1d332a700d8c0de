//! Connections that wait for work, one pool for each [`Engine::Key`].
//!
//! Storage is deadpool's. It never becomes a second queue (invariant 3): it is asked without
//! waiting, and the gate admits no more transactions than there are connections, so a full pool is
//! an error of ours, counted as such. What deadpool is not asked to decide: who waits (the gate),
//! what a connection must look like for a session (its hand-over), and how many there may be over
//! all pools ([`Upstream`] makes room by closing an idle one elsewhere).

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use thiserror::Error;

use super::{Upstream, control::Backend};
use crate::{
    engine::{ConnectError, Connection as _, Engine, OpenError},
    metrics::ConnectOutcome,
};

/// Why no connection could be lent.
#[derive(Debug, Error)]
pub enum LeaseError<E: ConnectError> {
    /// All connections are in use. The gate should not have let this one through.
    #[error("all {0} upstream connections are in use")]
    NoRoom(u32),
    /// A new connection could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError<E>),
}

/// As [`LeaseError`], of an engine.
pub type LeaseErrorOf<E> = LeaseError<<E as Engine>::ConnectError>;

/// The connections of one key.
pub struct Pool<E: Engine> {
    objects: managed::Pool<Manager<E>>,
    upstream: Weak<Upstream<E>>,
    /// What is remembered of its sessions.
    pub memory: E::Memory,
}

/// How often a session that the gate let through looks again for its connection. Another session's
/// thread may be just giving it back: then it is in no pool for a moment.
const HAND_OVER_LOOKS: u32 = 100;

/// How long it waits between two looks.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(1);

impl<E: Engine> Pool<E> {
    /// An empty pool.
    pub(super) fn new(upstream: &Arc<Upstream<E>>, opener: E::Opener, memory: E::Memory) -> Self {
        let weak = Arc::downgrade(upstream);
        let manager = Manager { upstream: Weak::clone(&weak), opener };
        let timeouts = managed::Timeouts { wait: Some(Duration::ZERO), ..Default::default() };
        let objects = managed::Pool::builder(manager)
            .max_size(usize::try_from(upstream.connections).unwrap_or(usize::MAX >> 4))
            .queue_mode(QueueMode::Lifo)
            .timeouts(timeouts)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can always be built");
        Self { objects, upstream: weak, memory }
    }

    /// Lends a connection: one that waits, or a new one. Never waits for another session.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn lease(&self) -> Result<Lease<E>, LeaseErrorOf<E>> {
        let mut leased = self.try_lease().await;
        for _ in 0..HAND_OVER_LOOKS {
            let (Err(LeaseError::NoRoom(_)), Some(upstream)) = (&leased, self.upstream()) else {
                break;
            };
            tokio::time::sleep(HAND_OVER_PAUSE).await;
            // A login that asks the database takes a connection past the gate; none begins now.
            let _no_check = upstream.past_the_gate.acquire().await;
            leased = self.try_lease().await;
        }
        leased
    }

    /// As [`Self::lease`], without a second look.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn try_lease(&self) -> Result<Lease<E>, LeaseErrorOf<E>> {
        loop {
            match self.objects.get().await {
                Ok(object) => return Ok(Lease(object)),
                Err(PoolError::Backend(error)) => return Err(error),
                Err(_) => {
                    let upstream = self.upstream();
                    match upstream.as_ref().and_then(|u| u.lingering.take_one()) {
                        // Straight from the session that had it: with more busy clients than
                        // connections that is the way of each of them.
                        Some(mut lease) => {
                            if lease.is_of(self) && !lease.is_disturbed() {
                                return Ok(lease);
                            }
                            lease.give_back();
                        }
                        None => {
                            return Err(LeaseError::NoRoom(upstream.map_or(0, |u| u.connections)));
                        }
                    }
                }
            }
        }
    }

    /// The upstream it belongs to; `None` while the guard shuts down.
    pub fn upstream(&self) -> Option<Arc<Upstream<E>>> {
        self.upstream.upgrade()
    }

    /// Connections that wait for work, and all of them.
    pub fn sizes(&self) -> (usize, usize) {
        let status = self.objects.status();
        (status.available, status.size)
    }

    /// What its connections are opened with.
    pub fn opener(&self) -> &E::Opener {
        &self.objects.manager().opener
    }

    /// Shows each connection that waits for work, how long ago it was opened, and how long ago
    /// it was used. The pool is locked meanwhile.
    pub fn look_at_idle(&self, mut look: impl FnMut(&E::Connection, Duration, Duration)) {
        self.objects.retain(|member, metrics| {
            look(&member.connection, metrics.age(), metrics.last_used());
            true
        });
    }

    /// Closes connections that nobody used for `idle`.
    pub(super) fn close_idle(&self, idle: Duration) {
        self.objects.retain(|_, metrics| metrics.last_used() < idle);
    }

    /// Closes one connection that waits for work. Returns whether there was one.
    pub(super) fn close_one(&self) -> bool {
        let mut has_closed = false;
        self.objects.retain(|_, _| std::mem::replace(&mut has_closed, true));
        has_closed
    }
}

impl<E: Engine> fmt::Debug for Pool<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("sizes", &self.sizes()).finish_non_exhaustive()
    }
}

/// Opens and checks connections for deadpool.
#[derive(Debug)]
struct Manager<E: Engine> {
    upstream: Weak<Upstream<E>>,
    opener: E::Opener,
}

/// A connection of a pool, with what the pool has to know of it.
#[derive(Debug)]
pub struct Member<C> {
    /// The connection.
    pub connection: C,
    /// Whether it was given back in a known state. False while it is leased, so that a connection
    /// whose session died in the middle is never lent again.
    settled: bool,
    /// Its place among the open connections; free when dropped.
    pub(super) slot: OpenSlot,
}

impl<E: Engine> managed::Manager for Manager<E> {
    /// Boxed: a lease is moved several times for each statement.
    type Type = Box<Member<E::Connection>>;
    type Error = LeaseErrorOf<E>;

    async fn create(&self) -> Result<Self::Type, Self::Error> {
        let Some(upstream) = self.upstream.upgrade() else {
            return Err(OpenError::Setup("the guard is shutting down".into()).into());
        };
        let slot = upstream.open_slot()?;
        let _counted = upstream.count_connecting();
        let permit = upstream.handshakes.begin().await;
        let began = std::time::Instant::now();
        // Boxed: the state of a login, TLS included, would else be part of every session's future.
        let result = Box::pin(E::open(&upstream, &self.opener)).await;
        // An account that the server refuses says nothing about the server.
        let is_server_well = !matches!(&result, Err(OpenError::Connect(e)) if !e.is_refusal());
        upstream.handshakes.ended(is_server_well, fastrand::f64());
        drop(permit);
        upstream.metrics.upstream.connects.of(outcome_of(&result)).increment(1);
        upstream.metrics.upstream.connect_time.record(began.elapsed());
        Ok(Box::new(Member { connection: result?, settled: false, slot }))
    }

    async fn recycle(
        &self,
        member: &mut Self::Type,
        _metrics: &Metrics,
    ) -> RecycleResult<Self::Error> {
        if !member.settled {
            if let Some(upstream) = self.upstream.upgrade() {
                upstream.metrics.upstream.discards.increment(1);
            }
            return Err(RecycleError::message("it was not given back"));
        }
        if member.connection.is_disturbed() {
            return Err(RecycleError::message("the server closed it or is out of step"));
        }
        member.settled = false;
        Ok(())
    }
}

/// How an attempt to connect ended, for the metrics.
fn outcome_of<C, E: ConnectError>(result: &Result<C, OpenError<E>>) -> ConnectOutcome {
    match result {
        Ok(_) => ConnectOutcome::Ok,
        Err(OpenError::Connect(error)) => error.outcome(),
        Err(_) => ConnectOutcome::Failed,
    }
}

/// A place among the connections that may be open; free again when dropped.
#[derive(Debug)]
pub struct OpenSlot(Arc<AtomicU32>);

impl OpenSlot {
    /// Takes a place unless `max` are taken.
    pub(super) fn take(open: &Arc<AtomicU32>, max: u32) -> Option<Self> {
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1))
            .ok()
            .map(|_| Self(Arc::clone(open)))
    }
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection on loan.
///
/// Dropping it without [`give_back`](Self::give_back) closes it: its state is not known. What the
/// server still does for it is the business of `upstream::reclaim`.
pub struct Lease<E: Engine>(Object<Manager<E>>);

impl<E: Engine> Lease<E> {
    /// Puts the connection back: nothing is outstanding, no transaction is open, and its label is
    /// true.
    pub fn give_back(mut self) {
        self.0.settled = true;
    }

    /// Who serves the connection at the server.
    pub fn backend(&self) -> Backend {
        self.0.connection.backend()
    }

    /// Whether the connection is of `pool`.
    pub fn is_of(&self, pool: &Pool<E>) -> bool {
        let own = Object::pool(&self.0);
        own.is_some_and(|own| std::ptr::eq(own.manager(), pool.objects.manager()))
    }

    /// Takes the connection out of the pool for good. It counts as open until it is dropped.
    pub fn detach(self) -> Member<E::Connection> {
        *Object::take(self.0)
    }
}

impl<E: Engine> Deref for Lease<E> {
    type Target = E::Connection;

    fn deref(&self) -> &E::Connection {
        &self.0.connection
    }
}

impl<E: Engine> DerefMut for Lease<E> {
    fn deref_mut(&mut self) -> &mut E::Connection {
        &mut self.0.connection
    }
}

impl<E: Engine> fmt::Debug for Lease<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0.connection).finish()
    }
}

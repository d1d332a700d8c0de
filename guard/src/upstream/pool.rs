//! Connections that wait for work, one pool for each account and wire format.
//!
//! Storage is deadpool's. It never becomes a second queue (invariant 3): it is asked without
//! waiting, and the gate admits no more transactions than there are connections, so a full pool is
//! an error of ours, counted as such. What deadpool is not asked to decide: who waits (the gate),
//! what a connection must look like for a session (`handover`), and how many there may be over all
//! pools ([`Upstream`] makes room by closing an idle one elsewhere).

use std::{
    collections::HashSet,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use parking_lot::Mutex;
use thiserror::Error;
use tracing::warn;
use wire::mysql::command::{self, Command};

use super::{
    Upstream,
    connect::{self, ConnectError, Wishes},
    connection::{Answer, Connection},
    control::read_identity,
};
use crate::{metrics::ConnectOutcome, session::settings::Settings, users::Account};

/// What connections must have in common to be lent to the same sessions: what is settled at login
/// and cannot be changed behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The account and its secret, as a fingerprint.
    pub account: u64,
    /// Capabilities that change the wire or the meaning of statements.
    pub capabilities: u64,
    /// The character set of the handshake.
    pub charset: u8,
}

/// Why no connection could be lent.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// All connections are in use. The gate should not have let this one through.
    #[error("all {0} upstream connections are in use")]
    NoRoom(u32),
    /// A new connection could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database closed the new connection, or refused the set-up.
    #[error("a new connection to the database failed: {0}")]
    Setup(String),
    /// The address led to another server than the control connections'.
    #[error("the upstream address leads to several servers: {found} and {expected}")]
    OtherServer {
        /// Where the new connection led.
        found: String,
        /// Where the control connections lead.
        expected: String,
    },
}

/// What the sessions of one account have been seen to ask for later; see `session::look_back`.
#[derive(Debug, Default)]
pub struct Habits {
    /// They use `LAST_INSERT_ID()`.
    pub last_insert: AtomicBool,
    /// They use `ROW_COUNT()`.
    pub row_count: AtomicBool,
    /// They use `FOUND_ROWS()`.
    pub found_rows: AtomicBool,
    /// They ask for warnings.
    pub warnings: AtomicBool,
}

/// The connections of one account and wire format.
#[derive(Debug)]
pub struct Pool {
    objects: managed::Pool<Manager>,
    upstream: Weak<Upstream>,
    /// What its sessions ask for.
    pub habits: Arc<Habits>,
    /// Schemas that the account was seen to reach, so that a login need not ask again.
    schemas: Mutex<HashSet<Box<[u8]>>>,
}

/// How often a session that the gate let through looks again for its connection. Another session's
/// thread may be just giving it back: then it is in no pool for a moment.
const HAND_OVER_LOOKS: u32 = 100;

/// How long it waits between two looks.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(1);

/// Schemas remembered for an account. At the bound they are forgotten, and asked for again.
const SCHEMAS_MAX: usize = 1024;

impl Pool {
    /// An empty pool.
    pub(super) fn new(upstream: &Arc<Upstream>, account: Arc<Account>, wishes: Wishes) -> Self {
        let weak = Arc::downgrade(upstream);
        let habits = upstream.habits_of(&account);
        let manager = Manager { upstream: Weak::clone(&weak), account, wishes };
        let timeouts = managed::Timeouts { wait: Some(Duration::ZERO), ..Default::default() };
        let objects = managed::Pool::builder(manager)
            .max_size(usize::try_from(upstream.connections).unwrap_or(usize::MAX >> 4))
            .queue_mode(QueueMode::Lifo)
            .timeouts(timeouts)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can always be built");
        Self { objects, upstream: weak, habits, schemas: Mutex::default() }
    }

    /// Lends a connection: one that waits, or a new one. Never waits for another session.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn lease(&self) -> Result<Lease, LeaseError> {
        let mut leased = self.try_lease().await;
        for _ in 0..HAND_OVER_LOOKS {
            let (Err(LeaseError::NoRoom(_)), Some(upstream)) = (&leased, self.upstream()) else {
                break;
            };
            tokio::time::sleep(HAND_OVER_PAUSE).await;
            // A login that asks for its schema takes a connection past the gate; none begins now.
            let _no_check = upstream.schema_checks.acquire().await;
            leased = self.try_lease().await;
        }
        leased
    }

    async fn try_lease(&self) -> Result<Lease, LeaseError> {
        loop {
            match self.objects.get().await {
                Ok(object) => return Ok(Lease(object)),
                Err(PoolError::Backend(error)) => return Err(error),
                Err(_) => {
                    let upstream = self.upstream();
                    if !upstream.as_ref().is_some_and(|u| u.lingering.take_one()) {
                        return Err(LeaseError::NoRoom(upstream.map_or(0, |u| u.connections)));
                    }
                }
            }
        }
    }

    /// Whether the account may use `schema`, as a login has to tell. Asks the database once, where a
    /// connection can be had without waiting for another session; otherwise the first statement
    /// tells.
    ///
    /// # Errors
    /// What the database said: that there is no such schema, or no access.
    pub async fn check_schema(&self, schema: &[u8]) -> Result<(), LeaseError> {
        if self.schemas.lock().contains(schema) {
            return Ok(());
        }
        let Some(upstream) = self.upstream() else { return Ok(()) };
        let _one_at_a_time = upstream.schema_checks.acquire().await;
        // A herd of logins asks for the same one.
        if self.schemas.lock().contains(schema) {
            return Ok(());
        }
        let patience = upstream.target.connect_timeout * 2;
        tokio::time::timeout(patience, self.ask_for_schema(schema))
            .await
            .unwrap_or_else(|_| Err(LeaseError::Setup("the database does not answer".into())))
    }

    async fn ask_for_schema(&self, schema: &[u8]) -> Result<(), LeaseError> {
        let mut lease = match self.try_lease().await {
            Ok(lease) => lease,
            Err(LeaseError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        command::put_init_db(&mut lease.outbuf, schema);
        match lease.command(Command::InitDb).await {
            Ok(Answer::Ok(_)) => {
                let mut settings = Settings::clone(&lease.settings);
                settings.schema = Some(schema.into());
                lease.settings = Arc::new(settings);
                lease.give_back();
            }
            Ok(Answer::Err(error)) => {
                lease.give_back();
                return Err(LeaseError::Connect(ConnectError::Refused(error)));
            }
            Err(lost) => return Err(LeaseError::Setup(lost.to_string())),
        }
        let mut schemas = self.schemas.lock();
        if schemas.len() >= SCHEMAS_MAX {
            schemas.clear();
        }
        schemas.insert(schema.into());
        Ok(())
    }

    /// The upstream it belongs to; `None` while the guard shuts down.
    pub fn upstream(&self) -> Option<Arc<Upstream>> {
        self.upstream.upgrade()
    }

    /// Connections that wait for work, and all of them.
    pub fn sizes(&self) -> (usize, usize) {
        let status = self.objects.status();
        (status.available, status.size)
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

/// Opens and checks connections for deadpool.
#[derive(Debug)]
pub struct Manager {
    upstream: Weak<Upstream>,
    account: Arc<Account>,
    wishes: Wishes,
}

impl managed::Manager for Manager {
    /// Boxed: a lease is moved several times for each statement.
    type Type = Box<Connection>;
    type Error = LeaseError;

    async fn create(&self) -> Result<Box<Connection>, LeaseError> {
        let Some(upstream) = self.upstream.upgrade() else {
            return Err(LeaseError::Setup("the guard is shutting down".into()));
        };
        let slot = upstream.open_slot()?;
        let _counted = upstream.count_connecting();
        let permit = upstream.handshakes.begin().await;
        let began = std::time::Instant::now();
        // Boxed: the state of a login, TLS included, would else be part of every session's future.
        let result = Box::pin(self.open(&upstream, slot)).await;
        let now = tokio::time::Instant::now();
        // An account that the server refuses says nothing about the server.
        let is_server_well = !matches!(&result, Err(LeaseError::Connect(e)) if !e.is_refusal());
        upstream.handshakes.ended(now, is_server_well, fastrand::f64());
        drop(permit);
        upstream.metrics.upstream.connects.of(outcome_of(&result)).increment(1);
        upstream.metrics.upstream.connect_time.record(began.elapsed());
        result.map(Box::new)
    }

    async fn recycle(
        &self,
        connection: &mut Box<Connection>,
        _metrics: &Metrics,
    ) -> RecycleResult<LeaseError> {
        let count_discard = || {
            if let Some(upstream) = self.upstream.upgrade() {
                upstream.metrics.upstream.discards.increment(1);
            }
        };
        if !connection.settled {
            count_discard();
            return Err(RecycleError::message("it was not given back"));
        }
        if connection.is_disturbed() {
            return Err(RecycleError::message("the server closed it or is out of step"));
        }
        connection.settled = false;
        Ok(())
    }
}

impl Manager {
    async fn open(&self, upstream: &Upstream, slot: OpenSlot) -> Result<Connection, LeaseError> {
        let connected = connect::connect(&upstream.target, &self.account, &self.wishes).await?;
        let settings = Settings::new(
            self.wishes.database.as_deref(),
            connected.capabilities.contains(wire::mysql::Capabilities::MULTI_STATEMENTS),
        );
        let mut connection = Connection::new(connected, Arc::new(settings));
        connection.charset = self.wishes.charset;
        connection.slot = Some(slot);
        connection.settled = false;
        let setup = upstream.setup(connection.mariadb);
        match connection.execute(&setup).await {
            Ok(Answer::Ok(_)) => {}
            Ok(Answer::Err(error)) => return Err(LeaseError::Setup(error.to_string())),
            Err(lost) => return Err(LeaseError::Setup(lost.to_string())),
        }
        let found =
            read_identity(&mut connection).await.map_err(|e| LeaseError::Setup(e.to_string()))?;
        if *upstream.identity != *found {
            let expected = upstream.identity.to_string();
            warn!(%found, %expected, "the upstream address leads to several servers");
            return Err(LeaseError::OtherServer { found, expected });
        }
        Ok(connection)
    }
}

/// How an attempt to connect ended, for the metrics.
fn outcome_of(result: &Result<Connection, LeaseError>) -> ConnectOutcome {
    match result {
        Ok(_) => ConnectOutcome::Ok,
        Err(LeaseError::Connect(error)) => match error {
            ConnectError::TimedOut(_) => ConnectOutcome::Timeout,
            ConnectError::Unreachable { .. } => ConnectOutcome::Unreachable,
            ConnectError::Tls(_) | ConnectError::NoTls => ConnectOutcome::TlsFailed,
            error if error.is_refusal() => ConnectOutcome::Denied,
            ConnectError::Refused(_) => ConnectOutcome::Full,
            _ => ConnectOutcome::Failed,
        },
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
#[derive(Debug)]
pub struct Lease(Object<Manager>);

impl Lease {
    /// Puts the connection back: nothing is outstanding, no transaction is open, and its label is
    /// true.
    pub fn give_back(mut self) {
        self.0.settled = true;
    }

    /// Takes the connection out of the pool for good.
    pub fn detach(self) -> Connection {
        *Object::take(self.0)
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

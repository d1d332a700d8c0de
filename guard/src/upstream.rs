//! The database behind the guard: its connections, and the reserved ones that control it.
//!
//! [`Upstream`] owns what all pools share: the bound on open connections, the pace of logins, the
//! statement that sets a connection up, and the identity of the server, so that a thread id is
//! never used on another one.

pub mod chosen;
pub mod connect;
pub mod connection;
pub mod control;
pub mod handover;
pub mod linger;
pub mod pool;
pub mod reclaim;

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
use wire::mysql::Capabilities;

use self::{
    connect::{Target, Wishes},
    control::Control,
    linger::Lingering,
    pool::{Habits, LeaseError, OpenSlot, Pool, PoolKey},
};
use crate::{config::NativeLimits, herd::Handshakes, metrics::Metrics, users::Account};

/// Capabilities that only concern a client's own login.
const LOGIN_ONLY: Capabilities = Capabilities(
    Capabilities::SSL.0
        | Capabilities::SSL_VERIFY_SERVER_CERT.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS.0
        | Capabilities::REMEMBER_OPTIONS.0,
);

/// Accounts whose habits are remembered. At the bound they are forgotten, and learnt again.
const ACCOUNTS_MAX: usize = 4096;

/// How often connections that nobody uses are looked for.
const IDLE_LOOK_EVERY: Duration = Duration::from_secs(5);

/// One database server.
#[derive(Debug)]
pub struct Upstream {
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
    pools: Mutex<HashMap<PoolKey, Arc<Pool>>>,
    /// What accounts ask for, by their fingerprint; outlives their pools.
    habits: Mutex<HashMap<u64, Arc<Habits>>>,
    /// Logins that ask for their schema, one at a time: they take a connection past the gate.
    schema_checks: Semaphore,
    /// Connections that linger with their sessions.
    pub lingering: Lingering,
    control: Control,
    /// Which server this is, as the reserved connections found it.
    identity: Arc<str>,
    nets: ArcSwap<Nets>,
}

/// What an upstream is made with.
#[derive(Debug)]
pub struct UpstreamOptions {
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
    /// Which server they lead to; see `control::read_identity`.
    pub identity: Arc<str>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// The server's own limits.
    pub nets: Nets,
}

impl Upstream {
    /// An upstream without connections yet.
    pub fn new(options: UpstreamOptions) -> Arc<Self> {
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
            habits: Mutex::default(),
            schema_checks: Semaphore::new(1),
            lingering: Lingering::default(),
            control: options.control,
            identity: options.identity,
            nets: ArcSwap::from_pointee(options.nets),
        })
    }

    /// The pool for an account and a wire format. Pools are few: one for each pair that clients use.
    pub fn pool_of(
        self: &Arc<Self>,
        account: &Arc<Account>,
        capabilities: Capabilities,
        charset: u8,
    ) -> Arc<Pool> {
        let capabilities = (capabilities | Capabilities::SESSION_TRACK).without(LOGIN_ONLY);
        let key = PoolKey { account: account.fingerprint(), capabilities: capabilities.0, charset };
        let mut pools = self.pools.lock();
        let pool = pools.entry(key).or_insert_with(|| {
            let attributes = vec![(Box::from(*b"program_name"), Box::from(*b"tidegate"))];
            // Without a schema: one can be selected later, and none cannot be selected at all.
            let wishes = Wishes { capabilities, charset, database: None, attributes };
            Arc::new(Pool::new(self, Arc::clone(account), wishes))
        });
        Arc::clone(pool)
    }

    /// What the sessions of an account were seen to ask for.
    fn habits_of(&self, account: &Account) -> Arc<Habits> {
        let mut habits = self.habits.lock();
        if habits.len() >= ACCOUNTS_MAX {
            habits.clear();
        }
        Arc::clone(habits.entry(account.fingerprint()).or_default())
    }

    /// The reserved connections.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The statement that sets a fresh or reset connection up.
    pub fn setup(&self, mariadb: bool) -> Arc<[u8]> {
        let nets = self.nets.load();
        Arc::clone(if mariadb { &nets.mariadb } else { &nets.mysql })
    }

    /// The server's own limit for statements, as [`Self::setup`] sets it.
    pub fn statement_net(&self) -> Option<Duration> {
        self.nets.load().statement
    }

    /// Other limits of the server's own; connections take them over as they are opened or reset.
    pub fn set_nets(&self, nets: Nets) {
        self.nets.store(Arc::new(nets));
    }

    /// Connections by what they are doing. They are not counted at one moment, so a connection that
    /// changes hands meanwhile may be missed.
    pub fn sizes(&self) -> Sizes {
        let pooled: usize = self.pools.lock().values().map(|pool| pool.sizes().0).sum();
        let idle = u32::try_from(pooled).unwrap_or(u32::MAX).saturating_add(self.lingering.len());
        let connecting = self.connecting.load(Ordering::Acquire);
        let reclaiming = self.reclaiming();
        let open = self.open.load(Ordering::Acquire);
        let leased = open.saturating_sub(idle + connecting + reclaiming);
        Sizes { idle, leased, connecting, reclaiming }
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
            let mut pools = self.pools.lock();
            for pool in pools.values() {
                pool.close_idle(self.idle_timeout);
            }
            // Nobody refers to a pool any more once its sessions are gone.
            pools.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.sizes().1 > 0);
        }
    }

    /// A place for one more connection. Where all are taken, an idle connection of another pool is
    /// closed for it.
    fn open_slot(&self) -> Result<OpenSlot, LeaseError> {
        loop {
            if let Some(slot) = OpenSlot::take(&self.open, self.connections) {
                return Ok(slot);
            }
            let has_room = self.pools.lock().values().any(|pool| pool.close_one());
            if !has_room && !self.lingering.take_one() {
                return Err(LeaseError::NoRoom(self.connections));
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

/// The statements that set a connection up: session trackers on, and the server's own time limits
/// as a net below the guard's.
#[derive(Debug, Clone)]
pub struct Nets {
    /// The limit for statements, where there is one.
    statement: Option<Duration>,
    mariadb: Arc<[u8]>,
    mysql: Arc<[u8]>,
}

/// The trackers that tell when a connection is clean. That of transactions stays off: the flags of
/// each reply tell whether one is open, and with it on every reply would carry its state.
const TRACKERS: &str = "SET session_track_system_variables='*',session_track_schema=ON,\
                        session_track_state_change=ON";

impl Nets {
    /// Trackers, and these limits. MySQL has none for writes: `max_execution_time` holds for reads.
    pub fn new(limits: &NativeLimits) -> Self {
        let mut mariadb = TRACKERS.to_owned();
        let mut mysql = TRACKERS.to_owned();
        if let Some(statement) = limits.statement {
            mariadb.push_str(&format!(",max_statement_time={:.3}", statement.as_secs_f64()));
            mysql.push_str(&format!(",max_execution_time={}", statement.as_millis()));
        }
        if let Some(lock_wait) = limits.lock_wait {
            let seconds = whole_seconds(lock_wait);
            let both = format!(",innodb_lock_wait_timeout={seconds},lock_wait_timeout={seconds}");
            mariadb.push_str(&both);
            mysql.push_str(&both);
        }
        let statement = limits.statement;
        Self { statement, mariadb: mariadb.into_bytes().into(), mysql: mysql.into_bytes().into() }
    }
}

/// A lock wait limit as the servers take it: whole seconds, at least one.
pub fn whole_seconds(limit: Duration) -> u64 {
    let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_up_statement_carries_the_nets() {
        let limits = NativeLimits {
            statement: Some(Duration::from_millis(2500)),
            lock_wait: Some(Duration::from_millis(2100)),
        };
        let nets = Nets::new(&limits);
        let lock_wait = "innodb_lock_wait_timeout=3,lock_wait_timeout=3";
        let text = String::from_utf8_lossy(&nets.mariadb);
        assert_eq!(text, format!("{TRACKERS},max_statement_time=2.500,{lock_wait}"));
        let text = String::from_utf8_lossy(&nets.mysql);
        assert_eq!(text, format!("{TRACKERS},max_execution_time=2500,{lock_wait}"));
    }

    #[test]
    fn without_limits_the_server_is_left_alone() {
        let nets = Nets::new(&NativeLimits::default());
        assert_eq!(&*nets.mariadb, TRACKERS.as_bytes());
    }
}

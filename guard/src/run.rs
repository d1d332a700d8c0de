//! Puts a guard together, once and in order: the only file that sees all parts.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use policy::{sql::Statements, switch::Switches};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use tracing::{info, warn};
use wire::mysql::auth::Plugin;

use crate::{
    admin,
    config::{AuthPlugin, Config, ListenerTls, Pooling, UpstreamTls},
    gate::Gate,
    herd::Handshakes,
    listener::Listener,
    login::{self, LoginContext, Welcome},
    metrics::Metrics,
    notify::{Condition, Notifier},
    operations::Operator,
    secret::rsa::RsaKey,
    session::{client::Buffers, file::LocalInfile, registry::Sessions},
    shared::{Door, SessionOptions, Shared},
    tls::{ClientTls, Demand, ServerTls, TlsError, TlsMode},
    upstream::{
        Nets, Upstream, UpstreamOptions,
        connect::{self, ClearPassword, ConnectError, Target},
        control::{Control, OpenError},
    },
    users::{Account, Entry, PasswordFileError, Users, Verifier, VerifierOptions},
};

/// How many digests are remembered. At about 1 KiB each, no more than 16 MiB.
const DIGESTS_MAX: usize = 16 * 1024;

/// How long a cancelled statement may take to end before its connection is killed.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How often gauges are set and histograms folded.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// Logins do work that costs (RSA, TLS signatures): this many at once for each listener.
const COSTLY_LOGINS: usize = 2;

/// Why a guard did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The password file cannot be read.
    #[error(transparent)]
    Users(#[from] PasswordFileError),
    /// The guard's own key could not be made.
    #[error("cannot generate an RSA key")]
    Key,
    /// The database cannot be reached, or does not let the control account in.
    #[error("upstream: {0}")]
    Upstream(#[from] ConnectError),
    /// The control connections cannot be opened.
    #[error("{0}; the guard does not start without a way to stop statements")]
    Control(#[from] OpenError),
}

/// A guard that listens.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    admin: TcpListener,
    metrics: Option<TcpListener>,
    operator: Arc<Operator>,
    drain: Arc<Notify>,
    drain_timeout: Duration,
    notifier: Arc<Notifier>,
}

impl Guard {
    /// Connects to the database and listens. `source` is the file that a reload reads again.
    ///
    /// # Errors
    /// [`StartError`], before any client is accepted.
    pub async fn start(config: Config, source: Option<PathBuf>) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(&config.class_names()));
        let target = Arc::new(upstream_target(&config)?);
        let control_target = Arc::new(control_target(&config, &target));
        let control_account =
            Account::new(config.control.user.as_str(), config.control.password.clone());
        let control_account = Arc::new(control_account);
        let greeting = connect::probe(&target, Some(&control_account)).await?;
        let connections = config.control.connections;
        let (control, identity) =
            Control::open(control_target, control_account, connections).await?;
        let upstream = Upstream::new(UpstreamOptions {
            target: Arc::clone(&target),
            connections: config.upstream.connections,
            statements_per_connection: whole(config.upstream.statements_per_connection),
            idle_timeout: config.upstream.idle_timeout,
            handshakes: Handshakes::new(
                config.upstream.handshakes_at_once,
                config.upstream.handshakes_per_second,
            ),
            control,
            identity,
            nets: Nets::new(&config.native_limits()),
            metrics: Arc::clone(&metrics),
        });
        let welcome = Welcome {
            connection_id: 0,
            version: Arc::clone(&greeting.version),
            capabilities: login::offer(greeting.capabilities, local_infile(&config).is_offered()),
            charset: greeting.charset,
            status: wire::mysql::response::Status::AUTOCOMMIT.0,
            mariadb: greeting.mariadb,
        };
        let users = users(&config, &target)?;
        let rsa = Arc::new(RsaKey::generate().map_err(|_| StartError::Key)?);
        let listeners = listeners(&config, &users, &rsa).await?;
        let shared = share(&config, upstream, welcome, metrics);
        let drain = Arc::new(Notify::new());
        let admin = listen(config.admin.address)?;
        let metrics = match config.admin.metrics_address {
            Some(address) => Some(listen(address)?),
            None => None,
        };
        let notifier = Arc::new(Notifier::from_env());
        let told = Arc::clone(&notifier);
        let operator = Operator::new(Arc::clone(&shared), Arc::clone(&drain), source, told);
        let drain_timeout = config.guard.drain_timeout;
        let operator = Arc::new(operator);
        Ok(Self { shared, listeners, admin, metrics, operator, drain, drain_timeout, notifier })
    }

    /// Where clients connect: the addresses that were configured, with the ports the system chose
    /// where the configuration says 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|l| l.socket.local_addr().ok()).collect()
    }

    /// Where the HTTP side is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.local_addr().ok()
    }

    /// What an operator may ask.
    pub fn operator(&self) -> Arc<Operator> {
        Arc::clone(&self.operator)
    }

    /// Serves until it is asked to drain ([`Operator`], or `stop`), and has drained: no new
    /// clients, sessions end between transactions, and what is open after `drain_timeout` is ended.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let mut listening = JoinSet::new();
        for listener in self.listeners {
            listening.spawn(listener.run(Arc::clone(&self.shared)));
        }
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.gate.run_timer().await });
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move { shared.upstream.run_idle_reaper().await });
        let operator = Arc::clone(&self.operator);
        tasks.spawn(async move { upkeep(&operator).await });
        let operations: Arc<dyn crate::control::Operations> = Arc::clone(&self.operator) as _;
        tasks.spawn(serve(self.admin, admin::router(Arc::clone(&operations))));
        if let Some(listener) = self.metrics {
            tasks.spawn(serve(listener, admin::metrics_router(operations)));
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
        drain(&self.shared, self.drain_timeout).await;
        tasks.shutdown().await;
    }
}

async fn serve(listener: TcpListener, router: axum::Router) {
    if let Err(error) = admin::serve(listener, router, std::future::pending()).await {
        warn!(%error, "the admin side ended");
    }
}

async fn upkeep(operator: &Operator) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        operator.observe();
    }
}

/// How often the end of the last session is looked for while draining.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lets sessions end between transactions, and ends those that do not.
async fn drain(shared: &Shared, patience: Duration) {
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

fn share(
    config: &Config,
    upstream: Arc<Upstream>,
    welcome: Welcome,
    metrics: Arc<Metrics>,
) -> Arc<Shared> {
    let now = Instant::now();
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
        local_infile: local_infile(config),
        lease_timeout: config.upstream.connect_timeout * 2,
        linger: config.upstream.linger,
        cancel_grace: CANCEL_GRACE,
    };
    metrics.upstream.limit.set(f64::from(config.upstream.connections));
    Arc::new(Shared {
        gate: Gate::new(now, Arc::clone(&policy)),
        policy: ArcSwap::new(policy),
        switches: ArcSwap::from_pointee(switches),
        statements: Statements::new(DIGESTS_MAX),
        upstream,
        buffers: Arc::new(Buffers::default()),
        sessions: Arc::new(Sessions::default()),
        welcome,
        options,
        metrics,
        draining: AtomicBool::new(false),
    })
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn upstream_target(config: &Config) -> Result<Target, StartError> {
    let upstream = &config.upstream;
    let mode = match upstream.tls {
        UpstreamTls::Off => TlsMode::Off,
        UpstreamTls::Unverified => TlsMode::Required,
        UpstreamTls::Required => TlsMode::VerifyFull,
    };
    let name = upstream.server_name.as_deref().unwrap_or(&upstream.address.host);
    Ok(Target {
        host: upstream.address.host.clone(),
        port: upstream.address.port,
        tls: ClientTls::load(mode, name, upstream.ca.as_deref())?,
        connect_timeout: upstream.connect_timeout,
        clear_password: ClearPassword::Refused,
    })
}

fn control_target(config: &Config, target: &Target) -> Target {
    let mut control = target.clone();
    if let Some(address) = &config.control.address {
        control.host.clone_from(&address.host);
        control.port = address.port;
    }
    control
}

fn users(config: &Config, target: &Arc<Target>) -> Result<Arc<Users>, StartError> {
    let mut entries = match &config.auth.file {
        Some(path) => crate::users::read_password_file(path)?,
        None => Vec::new(),
    };
    entries.extend(
        config
            .users
            .iter()
            .map(|user| Entry { user: user.name.as_str().into(), secret: user.password.clone() }),
    );
    let verifier = config.auth.database.then(|| {
        let options = VerifierOptions { target: Arc::clone(target), fresh: config.auth.ttl };
        Verifier::new(options)
    });
    Ok(Arc::new(Users::new(entries, verifier)))
}

fn local_infile(config: &Config) -> LocalInfile {
    let named = config.users.iter().filter_map(|user| {
        user.local_infile.map(|is_allowed| (user.name.as_str().into(), is_allowed))
    });
    LocalInfile { others: config.auth.local_infile, named: named.collect() }
}

async fn listeners(
    config: &Config,
    users: &Arc<Users>,
    rsa: &Arc<RsaKey>,
) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        let demand = match listener.tls {
            ListenerTls::Off => None,
            ListenerTls::Offered => Some(Demand::Offered),
            ListenerTls::Required => Some(Demand::Required),
        };
        let tls = match (demand, &listener.certificate, &listener.key) {
            (None, ..) => None,
            (Some(demand), Some(certificate), Some(key)) => {
                Some(ServerTls::load(certificate, key, demand)?)
            }
            (Some(demand), ..) => Some(ServerTls::self_signed(demand)?),
        };
        let plugin = match listener.auth_plugin {
            AuthPlugin::CachingSha2Password => Plugin::CachingSha2Password,
            AuthPlugin::MysqlNativePassword => Plugin::NativePassword,
        };
        let login = LoginContext {
            tls: tls.map(Arc::new),
            users: Arc::clone(users),
            plugin,
            timeout: listener.login_timeout,
            pacing: Arc::new(Semaphore::new(whole(listener.logins_at_once).max(COSTLY_LOGINS))),
            rsa: Arc::clone(rsa),
        };
        listeners.push(Listener {
            socket: listen(listener.address)?,
            door: Arc::new(Door {
                login,
                write_timeout: listener.write_timeout,
                idle_timeout: listener.idle_timeout,
            }),
            places: Arc::new(Semaphore::new(whole(listener.max_clients))),
        });
    }
    Ok(listeners)
}

/// Clients that may wait in the kernel until they are accepted. It takes no more than its own
/// `net.core.somaxconn`. Past it, a client may believe that it is connected while the kernel has
/// forgotten it, and wait for a greeting for ever: so it is as long as a herd.
const BACKLOG: u32 = 16 * 1024;

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| StartError::Listen { address, source })
}

//! Puts a guard together, once and in order: the only place that sees all parts.
//!
//! | file | what |
//! |---|---|
//! | `mysql`, `postgres` | what each engine brings |
//! | `assembly` | what every guard is made of; serving, and draining |
//! | `trial` | whether a configuration works with its servers |

mod assembly;
mod mysql;
mod postgres;
mod trial;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;

use self::assembly::Assembly;
pub use self::trial::{Trial, trial};
use crate::{
    admin::{self, Bounded},
    config::{
        self, Address, Config, Engine, Listener as ListenerConfig, ListenerTls, SocketMode,
        TlsNegotiation, UpstreamTls,
    },
    control::Operations,
    engine::Engine as EngineKind,
    listener::socket::{self, ListenSocket},
    mysql::{ControlOpenError, MySql, connect::ConnectError},
    postgres::Postgres,
    replica::ReplicaOptions,
    tls::{ClientTls, Demand, ServerTls, TlsError, TlsMode},
    upstream::target::{ClearPassword, Target},
    users::PasswordFileError,
};
use wire::postgres::startup::ALPN;

/// How long a cancelled statement may take to end before its connection is killed.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Logins do work that costs (RSA, TLS signatures): this many at once for each listener.
const COSTLY_LOGINS: usize = 2;

/// Why a guard did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: Address,
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
    /// The database cannot be reached, or does not let the control account in.
    #[error("upstream: {0}")]
    Postgres(#[from] crate::postgres::connect::ConnectError),
    /// The control connections cannot be opened.
    #[error("{0}; the guard does not start without a way to stop statements")]
    PostgresControl(#[from] crate::postgres::ControlOpenError),
    /// The control connections cannot be opened.
    #[error("{0}; the guard does not start without a way to stop statements")]
    Control(#[from] ControlOpenError),
}

/// A guard that listens.
#[derive(Debug)]
pub struct Guard(Kind);

/// By its engine.
#[derive(Debug)]
enum Kind {
    MySql(Assembly<MySql>),
    Postgres(Assembly<Postgres>),
}

/// Does the same whatever the engine is.
macro_rules! of_any {
    ($kind:expr, $assembly:ident => $act:expr) => {
        match $kind {
            Kind::MySql($assembly) => $act,
            Kind::Postgres($assembly) => $act,
        }
    };
}

impl Guard {
    /// Connects to the database and listens. `source` is the file that a reload reads again.
    ///
    /// # Errors
    /// [`StartError`], before any client is accepted.
    pub async fn start(config: Config, source: Option<PathBuf>) -> Result<Self, StartError> {
        Ok(Self(match config.upstream.engine {
            Engine::Mysql => Kind::MySql(mysql::start(&config, source).await?),
            Engine::Postgres => Kind::Postgres(postgres::start(&config, source).await?),
        }))
    }

    /// Where clients connect: the addresses that were configured, with the ports the system chose
    /// where the configuration says 0.
    pub fn addresses(&self) -> Vec<Address> {
        of_any!(&self.0, assembly => assembly.addresses())
    }

    /// Where the HTTP side is.
    pub fn admin_address(&self) -> Option<Address> {
        of_any!(&self.0, assembly => assembly.admin_address())
    }

    /// What an operator may ask.
    pub fn operator(&self) -> Arc<dyn Operations> {
        of_any!(&self.0, assembly => assembly.operator())
    }

    /// Serves until it is asked to drain ([`Operations`], or `stop`), and has drained: no new
    /// clients, sessions end between transactions, and what is open after `drain_timeout` is ended.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        of_any!(self.0, assembly => assembly.run(stop).await);
    }
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn upstream_target(config: &Config) -> Result<Target, StartError> {
    let upstream = &config.upstream;
    let name = upstream.server_name.as_deref().unwrap_or(&upstream.address.host);
    let tls = upstream_tls(config, name)?;
    Ok(Target {
        address: upstream.address.clone(),
        tls,
        connect_timeout: upstream.connect_timeout,
        clear_password: ClearPassword::Refused,
    })
}

/// Replicas, reached as the primary is; `courier` makes what opens their reserved connections.
fn replicas<E: EngineKind>(
    config: &Config,
    primary: &Target,
    courier: impl Fn(Arc<Target>) -> E::Courier,
) -> Result<Vec<ReplicaOptions<E>>, StartError> {
    let replica = |(name, own): (&String, &config::Replica)| {
        let server_name = own.server_name.as_deref().unwrap_or(&own.address.host);
        let address = own.address.clone();
        let tls = upstream_tls(config, server_name)?;
        let target = Arc::new(Target { address, tls, ..primary.clone() });
        Ok(ReplicaOptions {
            name: name.as_str().into(),
            courier: Arc::new(courier(Arc::clone(&target))),
            target,
            connections: own.connections.get(),
            weight: own.weight.get(),
        })
    };
    config.replicas.iter().map(replica).collect()
}

/// TLS towards a server whose certificate must carry `name`.
fn upstream_tls(config: &Config, name: &str) -> Result<Option<ClientTls>, TlsError> {
    let upstream = &config.upstream;
    let mode = match upstream.tls {
        UpstreamTls::Off => TlsMode::Off,
        UpstreamTls::Unverified => TlsMode::Required,
        UpstreamTls::Required => TlsMode::VerifyFull,
    };
    let tls = ClientTls::load(mode, name, upstream.ca.as_deref())?;
    Ok(match upstream.tls_negotiation {
        TlsNegotiation::Request => tls,
        TlsNegotiation::Direct => tls.map(|tls| tls.direct(ALPN)),
    })
}

fn control_target(config: &Config, target: &Target) -> Target {
    let mut control = target.clone();
    if let Some(address) = &config.control.address {
        control.address.clone_from(address);
        if address.socket().is_some() {
            control.tls = None;
        }
    }
    control
}

/// TLS for the clients of a listener; `None` where it is off, and on a Unix socket.
fn server_tls(listener: &ListenerConfig) -> Result<Option<ServerTls>, StartError> {
    if matches!(listener.address, Address::Unix(_)) {
        return Ok(None);
    }
    let demand = match listener.tls {
        ListenerTls::Off => return Ok(None),
        ListenerTls::Offered => Demand::Offered,
        ListenerTls::Required => Demand::Required,
    };
    let tls = match (&listener.certificate, &listener.key) {
        (Some(certificate), Some(key)) => ServerTls::load(certificate, key, demand)?,
        _ => ServerTls::self_signed(demand)?,
    };
    Ok(Some(tls))
}

/// Where the clients of a listener connect.
fn listen(listener: &ListenerConfig) -> Result<ListenSocket, StartError> {
    let group = listener.socket_group.as_deref();
    open(&listener.address, listener.socket_mode, group)
}

/// Where the HTTP side is.
fn listen_admin(admin: &config::Admin) -> Result<ListenSocket, StartError> {
    open(&admin.address, admin.socket_mode, admin.socket_group.as_deref())
}

/// Where scrapers come, without TLS.
fn listen_metrics(address: SocketAddr) -> Result<Bounded, StartError> {
    let address = Address::Tcp(address);
    Ok(Bounded::new(open(&address, SocketMode(0), None)?, None))
}

/// An address as it is; a Unix socket with this mode, for this group.
fn open(
    address: &Address,
    mode: SocketMode,
    group: Option<&str>,
) -> Result<ListenSocket, StartError> {
    let open = || match address {
        Address::Tcp(address) => ListenSocket::tcp(*address).map(ListenSocket::Tcp),
        Address::Unix(path) => {
            ListenSocket::unix(path, mode.0, group.map(socket::gid).transpose()?)
        }
    };
    open().map_err(|source| StartError::Listen { address: address.clone(), source })
}

/// TLS for the HTTP side; `None` where it has no certificate, and on a Unix socket.
fn admin_tls(admin: &config::Admin) -> Result<Option<ServerTls>, StartError> {
    match (&admin.address, &admin.certificate, &admin.key) {
        (Address::Tcp(_), Some(certificate), Some(key)) => {
            let tls = ServerTls::load(certificate, key, Demand::Required)?;
            Ok(Some(tls.speaking(admin::ALPN)))
        }
        _ => Ok(None),
    }
}

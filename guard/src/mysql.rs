//! MySQL and MariaDB, as an [`Engine`].
//!
//! | file | what |
//! |---|---|
//! | `login`, `users` | a client's way in, and what its proof is held against |
//! | `session` | one client, from login to disconnect |
//! | `connect`, `connection`, `handover`, `chosen` | a connection to the database, and how it changes hands |
//! | `shadows` | variables that a server tells under others' names |
//! | `memory` | what a pool remembers of its sessions |
//! | `courier` | orders to the database: `KILL` |
//! | `nets` | what a connection is set up with |

pub mod login;
pub mod users;

pub mod session;

pub mod chosen;
pub mod connect;
pub mod connection;
pub mod handover;
pub mod shadows;

mod courier;
mod memory;
mod nets;
mod texts;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tracing::{debug, warn};
use wire::mysql::Capabilities;

use self::{courier::read_identity, texts::Texts};
pub use self::{
    courier::{MySqlCourier, OpenError as ControlOpenError},
    memory::{Habits, Memory},
    nets::{Nets, whole_seconds},
};
use crate::{
    account::Account,
    config::NativeLimits,
    engine::{self, Engine, OpenError},
    listener::Arrival,
    metrics::{ClientOutcome, ConnectOutcome},
    mysql::{
        connect::{ConnectError, ServerError, Wishes},
        connection::{Answer, Connection, Lost},
        login::{Login, LoginContext, LoginError, Welcome},
        session::{Session, file::LocalInfile, refuse, settings::Settings},
    },
    session::registry::Entry,
    stream::{packets::PacketError, socket::Socket},
    upstream::{self, control::Backend, target::Target},
};

/// What all sessions share, of this engine.
pub type Shared = crate::shared::Shared<MySql>;
/// What holds for the clients of one listener, of this engine.
pub type Door = crate::shared::Door<MySql>;
/// One database server, of this engine.
pub type Upstream = upstream::Upstream<MySql>;
/// Connections of one account and wire format.
pub type Pool = upstream::pool::Pool<MySql>;
/// A connection on loan.
pub type Lease = upstream::pool::Lease<MySql>;
/// Why no connection could be lent.
pub type LeaseError = upstream::pool::LeaseErrorOf<MySql>;
/// Where one session's connection lingers.
pub type Slot = upstream::linger::Slot<MySql>;

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

/// What all sessions of MySQL and MariaDB share.
#[derive(Debug)]
pub struct MySql {
    /// What clients are greeted with.
    pub welcome: Welcome,
    /// Who may send files with `LOAD DATA LOCAL`.
    pub local_infile: LocalInfile,
    /// What clients have prepared.
    pub texts: Texts,
    /// What accounts ask for, by their fingerprint; outlives their pools.
    habits: Mutex<HashMap<u64, Arc<Habits>>>,
}

impl MySql {
    /// Nothing is known of accounts yet.
    pub fn new(welcome: Welcome, local_infile: LocalInfile) -> Self {
        Self { welcome, local_infile, texts: Texts::default(), habits: Mutex::default() }
    }

    /// What the sessions of an account were seen to ask for.
    fn habits_of(&self, account: &Account) -> Arc<Habits> {
        let mut habits = self.habits.lock();
        if habits.len() >= ACCOUNTS_MAX {
            habits.clear();
        }
        Arc::clone(habits.entry(account.fingerprint()).or_default())
    }
}

/// What connections must have in common to be lent to the same sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The account and its secret, as a fingerprint.
    pub account: u64,
    /// Capabilities that change the wire or the meaning of statements.
    pub capabilities: u64,
    /// The character set of the handshake.
    pub charset: u8,
}

/// What a connection is opened with.
#[derive(Debug)]
pub struct Opener {
    account: Arc<Account>,
    wishes: Wishes,
    shadows: shadows::Known,
}

impl Shared {
    /// The pool for an account and what it agreed on with a client. Where the account may not send
    /// files, the database is told that the client cannot: it then refuses by itself.
    pub fn pool_of(
        &self,
        account: &Arc<Account>,
        capabilities: Capabilities,
        charset: u8,
    ) -> Arc<Pool> {
        let is_allowed = self.engine.local_infile.is_allowed(&account.user);
        let denied = if is_allowed { Capabilities::default() } else { Capabilities::LOCAL_FILES };
        let agreed = capabilities.without(denied) | Capabilities::SESSION_TRACK;
        let capabilities = agreed.without(LOGIN_ONLY);
        let key = PoolKey { account: account.fingerprint(), capabilities: capabilities.0, charset };
        self.upstream.pool(key, || {
            let attributes = vec![(Box::from(*b"program_name"), Box::from(*b"tidegate"))];
            // Without a schema: one can be selected later, and none cannot be selected at all.
            let wishes = Wishes { capabilities, charset, database: None, attributes };
            let shadows = shadows::Known::default();
            let opener = Opener { account: Arc::clone(account), wishes, shadows };
            (opener, Memory::new(self.engine.habits_of(account)))
        })
    }
}

impl Opener {
    /// Connects, sets the connection up and makes sure that it leads where the others do.
    async fn dial(&self, upstream: &Upstream) -> Result<Connection, OpenError<ConnectError>> {
        let Self { account, wishes, .. } = self;
        let connected = connect::connect(&upstream.target, account, wishes).await?;
        let settings = Settings::new(
            wishes.database.as_deref(),
            connected.capabilities.contains(Capabilities::MULTI_STATEMENTS),
        );
        let mut connection = Connection::new(connected, Arc::new(settings));
        connection.charset = wishes.charset;
        let setup = upstream.setup(connection.mariadb);
        match connection.execute(&setup).await {
            Ok(Answer::Ok(_)) => {}
            Ok(Answer::Err(error)) => return Err(OpenError::Setup(error.to_string())),
            Err(lost) => return Err(OpenError::Setup(lost.to_string())),
        }
        let found = read_identity(&mut connection)
            .await
            .map_err(|error| OpenError::Setup(error.to_string()))?;
        if *upstream.identity != *found {
            let expected = upstream.identity.to_string();
            warn!(%found, %expected, "the upstream address leads to several servers");
            return Err(OpenError::OtherServer { found, expected });
        }
        Ok(connection)
    }
}

impl Pool {
    /// The pool at another server for what this one is for.
    pub fn at(&self, upstream: &Arc<Upstream>) -> Arc<Self> {
        let Opener { account, wishes, .. } = self.opener();
        let Wishes { capabilities, charset, .. } = *wishes;
        let (account, habits) = (Arc::clone(account), Arc::clone(&self.memory.habits));
        let key = PoolKey { account: account.fingerprint(), capabilities: capabilities.0, charset };
        // That server's own: it may be of another version.
        let shadows = shadows::Known::default();
        let opener = Opener { account, wishes: wishes.clone(), shadows };
        upstream.pool(key, || (opener, Memory::new(habits)))
    }
}

impl Engine for MySql {
    type Connection = Connection;
    type Key = PoolKey;
    type Opener = Opener;
    type Memory = Memory;
    type ConnectError = ConnectError;
    type Nets = Nets;
    type Courier = MySqlCourier;
    type Login = LoginContext;

    fn nets(limits: &NativeLimits) -> Nets {
        Nets::new(limits)
    }

    fn version(&self) -> Option<String> {
        Some(self.welcome.version.to_string())
    }

    async fn open(
        upstream: &Upstream,
        opener: &Opener,
    ) -> Result<Connection, OpenError<ConnectError>> {
        let mut connection = opener.dial(upstream).await?;
        if connection.mariadb && !opener.shadows.tell(&mut connection) {
            let lost = |lost: Lost| OpenError::Setup(lost.to_string());
            if !opener.shadows.ask(&mut connection).await.map_err(lost)? {
                connection.quit().await.map_err(lost)?;
                connection = opener.dial(upstream).await?;
                opener.shadows.tell(&mut connection);
            }
        }
        Ok(connection)
    }

    async fn serve(socket: Socket, mut arrival: Arrival<Self>) {
        // Boxed, like the session below: a client's task should carry one of them, not both.
        match Box::pin(enter(socket, &arrival)).await {
            Ok((login, entry)) => {
                arrival.let_in();
                let Arrival { shared, door, .. } = arrival;
                Box::pin(Session::new(shared, door, login, entry).run()).await;
            }
            Err(error) => {
                debug!(peer = %arrival.peer, %error, "a client was not let in");
                arrival.turn_away(outcome_of(&error));
            }
        }
    }
}

impl engine::Connection for Connection {
    fn is_disturbed(&mut self) -> bool {
        Self::is_disturbed(self)
    }

    fn backend(&self) -> Backend {
        Backend { id: self.thread_id, since: self.server_started }
    }

    /// No key of its own stops it: what runs goes on until the server finds that nobody listens.
    async fn leave(self, _target: &Target) {}
}

impl engine::ConnectError for ConnectError {
    fn is_refusal(&self) -> bool {
        Self::is_refusal(self)
    }

    fn outcome(&self) -> ConnectOutcome {
        match self {
            Self::TimedOut(_) => ConnectOutcome::Timeout,
            Self::Unreachable { .. } => ConnectOutcome::Unreachable,
            Self::Tls(_) | Self::NoTls => ConnectOutcome::TlsFailed,
            error if error.is_refusal() => ConnectOutcome::Denied,
            Self::Refused(_) => ConnectOutcome::Full,
            _ => ConnectOutcome::Failed,
        }
    }
}

/// Logs a client in, and tells it so once its schema is known to exist and it is among the sessions.
async fn enter(socket: Socket, arrival: &Arrival<MySql>) -> Result<(Login, Entry), LoginError> {
    let shared = &arrival.shared;
    let welcome = Welcome { connection_id: arrival.id, ..shared.engine.welcome.clone() };
    let login = login::login(socket, &welcome, &arrival.door.login);
    let mut login = Box::pin(login).await?;
    let pool = shared.pool_of(&login.account, login.capabilities, login.charset);
    if let Some(schema) = &login.database
        && let Err(error) = pool.check_schema(schema).await
    {
        let error = refuse::not_leased(&error);
        login.refuse(error.code, &error.sqlstate, &error.message).await;
        let (code, sqlstate) = (error.code, error.sqlstate);
        let message = error.message.into_bytes().into();
        return Err(LoginError::Refused(ServerError { code, sqlstate, message }));
    }
    let entry = arrival.enter(Arc::clone(&login.user), None);
    login.accept().await?;
    Ok((login, entry))
}

/// How an arrival that failed is counted.
fn outcome_of(error: &LoginError) -> ClientOutcome {
    match error {
        LoginError::TimedOut(_) => ClientOutcome::LoginTimeout,
        LoginError::Packet(PacketError::Closed | PacketError::Io(_)) => ClientOutcome::Gone,
        LoginError::Tls(_)
        | LoginError::TlsNotOffered
        | LoginError::TlsRequired
        | LoginError::PlainTextBeforeTls => ClientOutcome::TlsFailed,
        LoginError::BarePassword(_)
        | LoginError::Denied { .. }
        | LoginError::TooMany { .. }
        | LoginError::Refused(_) => ClientOutcome::LoginFailed,
        LoginError::Unverifiable(_) => ClientOutcome::Upstream,
        LoginError::Packet(_)
        | LoginError::Malformed(_)
        | LoginError::OldPassword
        | LoginError::Exchange(_) => ClientOutcome::Malformed,
    }
}

//! PostgreSQL, as an [`Engine`]: what the guard says to clients and to databases that speak its
//! protocol.
//!
//! Modules stand in the order in which a connection meets them.
//!
//! | file | what |
//! |---|---|
//! | `login`, `users`, `stored` | a client's way in, and what its proof is held against |
//! | `key`, `messages` | what a connection is cancelled by; the messages of a login |
//! | `welcome` | what a fresh session is like: asked once for each way to log in |
//! | `session`, `client` | one client, from login to disconnect |
//! | `statements`, `settings`, `holdings` | what of a session can move, and what ties it down |
//! | `sequences` | what was drawn on a connection, and who may be told |
//! | `listeners` | connections by which many clients listen together |
//! | `pauses` | single databases whose transactions are held |
//! | `traffic` | what was done in each database |
//! | `replication` | a client that replicates, and its connection |
//! | `console` | the database `tidegate`: the guard itself, for operators |
//! | `connect`, `connection`, `handover` | a connection to the database, and how it changes hands |
//! | `courier`, `stop`, `nets` | orders to the database, and what there is where none gets through; its own limits below the guard's |

pub mod key;
pub mod messages;

pub mod login;
pub mod stored;
pub mod users;

pub mod connect;

pub mod client;
pub mod connection;
pub mod console;
pub mod courier;
pub mod handover;
pub mod holdings;
pub mod listeners;
pub mod lookup;
pub mod nets;
pub mod pauses;
pub mod refuse;
mod replication;
pub mod sequences;
pub mod session;
pub mod settings;
pub mod statements;
mod stop;
pub mod traffic;
pub mod welcome;

use std::{sync::Arc, time::Instant};

use tokio::sync::Semaphore;
use tracing::{debug, warn};

use self::{
    connect::{ConnectError, Parameter, Wishes},
    connection::Connection,
    console::{Console, Guest, Visit},
    key::{BackendKey, Keys, Listing},
    listeners::{ListenOptions, Listeners},
    login::{Entered, Login, LoginContext, LoginError},
    messages::MessageError,
    pauses::Pauses,
    replication::Replication,
    session::{Entrance, Session},
    statements::Statements,
    traffic::{Own, Traffic},
    welcome::{Memory, Reports},
};
pub use self::{
    courier::{ControlOpenError, PostgresCourier},
    lookup::AuthQuery,
    nets::Nets,
};
use crate::{
    account::Account,
    config::NativeLimits,
    engine::{self, Engine, OpenError},
    listener::Arrival,
    metrics::{ClientOutcome, ConnectOutcome},
    seldom::Seldom,
    session::registry::Entry,
    stream::socket::Socket,
    upstream,
};

/// What all sessions share, of this engine.
pub type Shared = crate::shared::Shared<Postgres>;
/// What holds for the clients of one listener, of this engine.
pub type Door = crate::shared::Door<Postgres>;
/// One database server, of this engine.
pub type Upstream = upstream::Upstream<Postgres>;
/// Connections of one account to one database.
pub type Pool = upstream::pool::Pool<Postgres>;
/// A connection on loan.
pub type Lease = upstream::pool::Lease<Postgres>;
/// Why no connection could be lent.
pub type LeaseError = upstream::pool::LeaseErrorOf<Postgres>;
/// Where one session's connection lingers.
pub type Slot = upstream::linger::Slot<Postgres>;

/// What all sessions of PostgreSQL share.
#[derive(Debug)]
pub struct Postgres {
    /// The server's version, as it reports it.
    version: String,
    /// Its first number.
    major: u32,
    /// What clients cancel by, by session.
    keys: Arc<Keys>,
    /// That a cancel request came to the wrong guard.
    misled: Seldom,
    /// The statements that clients have prepared.
    statements: Statements,
    /// The connections by which clients listen.
    listeners: Listeners,
    /// The places of clients that replicate.
    replications: Arc<Semaphore>,
    /// The databases that are paused.
    pauses: Pauses,
    /// What was done in each database.
    traffic: Arc<Traffic>,
    console: Arc<Console>,
}

impl Postgres {
    /// For a server of that version, such as `15.7 (Debian 15.7-1)`.
    ///
    /// `replications` clients may replicate at once.
    pub fn new(
        version: String,
        listen: ListenOptions,
        replications: u32,
        console: Arc<Console>,
    ) -> Self {
        let number = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Self {
            major: number.parse().unwrap_or_default(),
            version,
            listeners: Listeners::new(fastrand::u32(..), listen),
            replications: Arc::new(Semaphore::new(
                usize::try_from(replications).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            keys: Arc::default(),
            misled: Seldom::default(),
            pauses: Pauses::default(),
            traffic: Arc::new(Traffic::new(Instant::now())),
            statements: Statements::default(),
            console,
        }
    }

    /// What was done in each database.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}

/// What connections must have in common to be lent to the same sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The account and its secret, as a fingerprint.
    account: u64,
    database: Box<[u8]>,
}

/// What a connection is opened with.
#[derive(Debug)]
pub struct Opener {
    account: Arc<Account>,
    database: Box<[u8]>,
    /// The first number of the server's version.
    major: u32,
    /// What the server reports to fresh connections.
    reports: Arc<Reports>,
}

impl Opener {
    /// The account and the database, for people.
    pub fn names(&self) -> (String, String) {
        let database = String::from_utf8_lossy(&self.database).into_owned();
        (self.account.user.to_string(), database)
    }
}

/// The pool of a server for an account and a database; `major` is the first number of its version.
fn pool_at(
    upstream: &Arc<Upstream>,
    account: &Arc<Account>,
    database: &[u8],
    major: u32,
) -> Arc<Pool> {
    let key = PoolKey { account: account.fingerprint(), database: database.into() };
    upstream.pool(key, || {
        let (account, database) = (Arc::clone(account), database.into());
        let memory = Memory::default();
        let reports = Arc::clone(&memory.reports);
        (Opener { account, database, major, reports }, memory)
    })
}

impl Pool {
    /// The pool at a replica for what this one is for.
    fn at(&self, upstream: &Arc<Upstream>) -> Arc<Self> {
        let Opener { account, database, major, .. } = self.opener();
        pool_at(upstream, account, database, *major)
    }
}

impl Shared {
    /// The pool for an account and a database.
    fn pool_of(&self, account: &Arc<Account>, database: &[u8]) -> Arc<Pool> {
        pool_at(&self.upstream, account, database, self.engine.major)
    }

    /// Stops what the session of a key runs, if the key is its own. Who asks is not told which.
    fn cancel(&self, key: &BackendKey) {
        let is_known = self.engine.keys.has(key);
        match self.sessions.find(key.process_id).filter(|_| is_known) {
            Some(card) => card.kill_query(),
            None if self.sessions.is_of_another(key.process_id)
                && self.engine.misled.is_due(Instant::now()) =>
            {
                warn!(
                    session = key.process_id,
                    "a cancel request for a session of another guard, of which nothing can be cancelled here: what \
                     stands before several guards must bring a client's requests to its own; told once a minute"
                );
            }
            None => debug!(session = key.process_id, "a cancel request without the right key"),
        }
    }
}

impl Engine for Postgres {
    type Connection = Connection;
    type Key = PoolKey;
    type Opener = Opener;
    type Memory = Memory;
    type ConnectError = ConnectError;
    type Nets = Nets;
    type Courier = PostgresCourier;
    type Login = LoginContext;

    fn nets(limits: &NativeLimits) -> Nets {
        Nets::new(limits)
    }

    fn version(&self) -> Option<String> {
        Some(self.version.clone())
    }

    async fn open(
        upstream: &Upstream,
        Opener { account, database, major, reports }: &Opener,
    ) -> Result<Connection, OpenError<ConnectError>> {
        let options = upstream.nets().options(*major);
        let mut wishes = Wishes { database: Some(database.to_vec()), parameters: Vec::new() };
        if !options.is_empty() {
            wishes.parameters.push((Box::from(*b"options"), options.into_bytes().into()));
        }
        let connected = connect::connect(&upstream.target, account, &wishes).await?;
        reports.note(&connected.parameters);
        let mut connection = Connection::new(connected);
        connection.reports = Arc::clone(reports);
        let setup = |error: &dyn std::fmt::Display| OpenError::Setup(error.to_string());
        let found = match courier::read_identity(&mut connection).await {
            Ok(Ok(found)) => found,
            Ok(Err(refused)) => return Err(setup(&refused)),
            Err(lost) => return Err(setup(&lost)),
        };
        if *upstream.identity != *found {
            let expected = upstream.identity.to_string();
            warn!(%found, %expected, "the upstream address leads to several servers");
            return Err(OpenError::OtherServer { found, expected });
        }
        Ok(connection)
    }

    async fn serve(socket: Socket, mut arrival: Arrival<Self>) {
        // Boxed, like the session below: a client's task should carry one of them, not both.
        let (entrance, (entry, _listing, traffic)) =
            match Box::pin(enter(socket, &mut arrival)).await {
                Ok(Came::Session(came)) => *came,
                Ok(Came::Console(login, guest)) => {
                    let peer = arrival.peer;
                    if let Err(error) = Box::pin(console::serve(arrival, *login, guest)).await {
                        debug!(%peer, %error, "a client of the console was gone");
                    }
                    return;
                }
                Ok(Came::Replica(replication)) => {
                    let peer = arrival.peer;
                    if let Err(error) = Box::pin(replication.run(arrival)).await {
                        debug!(%peer, %error, "a client that replicates was gone");
                    }
                    return;
                }
                Ok(Came::Cancel) => return arrival.turn_away(ClientOutcome::CancelRequest),
                Err(error) => {
                    debug!(peer = %arrival.peer, %error, "a client was not let in");
                    return arrival.turn_away(outcome_of(&error));
                }
            };
        let Arrival { shared, door, .. } = arrival;
        Box::pin(Session::new(shared, door, entry, traffic, entrance).run()).await;
    }
}

impl engine::ConnectError for ConnectError {
    fn is_refusal(&self) -> bool {
        Self::is_refusal(self)
    }

    fn outcome(&self) -> ConnectOutcome {
        match self {
            Self::TimedOut(_) => ConnectOutcome::Timeout,
            Self::Unreachable { .. } => ConnectOutcome::Unreachable,
            Self::Tls(_) | Self::NoTls | Self::NoAlpn => ConnectOutcome::TlsFailed,
            error if error.is_refusal() => ConnectOutcome::Denied,
            Self::Refused(_) => ConnectOutcome::Full,
            _ => ConnectOutcome::Failed,
        }
    }
}

/// A client's place among the sessions, among those that can be cancelled by a key, and in what is
/// counted of its database.
type Place = (Entry, Listing, Own);

/// Lets a client in. It has its place before it is told its key: a cancel may follow at once.
///
/// # Errors
/// When it cannot be told.
async fn let_in(
    arrival: &mut Arrival<Postgres>,
    login: &mut Login,
    parameters: &[Parameter],
) -> Result<Place, LoginError> {
    let engine = &arrival.shared.engine;
    let key = BackendKey::of_session(arrival.id, login.version);
    let listing = engine.keys.list(key.clone());
    let database: Arc<str> = String::from_utf8_lossy(&login.database).into();
    let entry = arrival.enter(Arc::clone(&login.user), Some(Arc::clone(&database)));
    login.accept(parameters, &key).await?;
    let traffic = arrival.shared.engine.traffic.enter(&database);
    arrival.let_in();
    Ok((entry, listing, traffic))
}

/// What a client came for.
enum Came {
    /// To have something cancelled, which is done.
    Cancel,
    /// To speak with the guard; it was not told yet that it is in.
    Console(Box<Login>, Guest),
    /// To replicate; it was not told yet that it is in.
    Replica(Box<Replication>),
    /// To speak with the database.
    Session(Box<(Entrance, Place)>),
}

/// Logs a client in, and tells it so once it is known what its session is like.
async fn enter(socket: Socket, arrival: &mut Arrival<Postgres>) -> Result<Came, LoginError> {
    let shared = Arc::clone(&arrival.shared);
    let mut login = match Box::pin(login::login(socket, &arrival.door.login)).await? {
        Entered::Login(login) => login,
        Entered::Cancel(cancel) => {
            shared.cancel(&cancel.key);
            cancel.hang_up().await;
            return Ok(Came::Cancel);
        }
    };
    if login.is_replication {
        let opened = Box::pin(replication::open(&shared, *login)).await?;
        return Ok(Came::Replica(Box::new(opened)));
    }
    if *login.database == *console::DATABASE {
        match shared.engine.console.visit(&login.user) {
            Visit::Database => {}
            Visit::Guest(guest) => return Ok(Came::Console(login, guest)),
            Visit::Stranger => {
                let why = "tidegate: the console is for accounts of [admin] users and stats_users";
                let user = Arc::clone(&login.user);
                login.refuse(b"42501", why).await;
                return Err(LoginError::Denied { user });
            }
        }
    }
    let pool = shared.pool_of(&login.account, &login.database);
    let patience = shared.options.lease_timeout;
    let welcome = match pool.welcome(&login.parameters, patience).await {
        Ok(welcome) => welcome,
        Err(error) => return Err(turn_away(*login, &error).await),
    };
    let place = let_in(arrival, &mut login, &welcome.parameters).await?;
    let Login { stream, leftover, user, database, .. } = *login;
    let database = String::from_utf8_lossy(&database).into();
    let settings = Arc::clone(&welcome.settings);
    let entrance = Entrance { stream, leftover, user, database, pool, settings };
    Ok(Came::Session(Box::new((entrance, place))))
}

/// Tells a client why its session cannot begin.
async fn turn_away(login: Login, error: &LeaseError) -> LoginError {
    match refuse::not_leased(error) {
        refuse::Error::Server(error) => {
            login.pass_on(&error).await;
            LoginError::Refused(error)
        }
        refuse::Error::Own { code, message } => {
            login.refuse(&code, &message).await;
            LoginError::Unverifiable(message.into())
        }
    }
}

/// How an arrival that failed is counted.
fn outcome_of(error: &LoginError) -> ClientOutcome {
    match error {
        LoginError::TimedOut(_) => ClientOutcome::LoginTimeout,
        LoginError::Message(MessageError::Closed | MessageError::Io(_)) => ClientOutcome::Gone,
        LoginError::Tls(_)
        | LoginError::NoAlpn
        | LoginError::TlsNotOffered
        | LoginError::TlsRequired
        | LoginError::PlainTextBeforeTls => ClientOutcome::TlsFailed,
        LoginError::Denied { .. } | LoginError::TooMany { .. } | LoginError::Refused(_) => {
            ClientOutcome::LoginFailed
        }
        LoginError::Unverifiable(_) => ClientOutcome::Upstream,
        LoginError::Message(_)
        | LoginError::AskedAgain
        | LoginError::Version(_)
        | LoginError::NoUser
        | LoginError::UserNotUtf8
        | LoginError::Replication(_)
        | LoginError::Exchange(_)
        | LoginError::Scram(_) => ClientOutcome::Malformed,
    }
}

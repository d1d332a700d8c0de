//! Where clients come in.
//!
//! Clients are accepted and paced, never refused into an instant retry: above `max_clients` they
//! wait in the kernel's backlog. Each gets a task of its own, which logs it in and becomes its
//! session.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{debug, warn};

use crate::{
    login::{self, Login, LoginContext, LoginError, Welcome},
    metrics::{ClientOutcome, ClientState},
    session::{Session, refuse},
    shared::{Door, Shared},
    stream::packets::PacketError,
    upstream::connect::ServerError,
};

/// How long accepting pauses when the process is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How long a silent client is left alone before the kernel asks whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// One address clients connect to.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// What holds for its clients.
    pub door: Arc<Door>,
    /// The places for clients.
    pub places: Arc<Semaphore>,
}

impl Listener {
    /// Accepts clients until the guard drains. Dropping the future stops accepting; those who are
    /// in stay.
    pub async fn run(self, shared: Arc<Shared>) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed while the listener lives");
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let arrival = Arrival {
                        stream,
                        peer,
                        place,
                        shared: Arc::clone(&shared),
                        door: Arc::clone(&self.door),
                    };
                    tokio::spawn(arrival.serve());
                }
                Err(error) => self.rest_after(&error).await,
            }
        }
    }

    /// A client that went away before it was accepted is nothing; anything else is a shortage, and
    /// trying at once again would only spin.
    async fn rest_after(&self, error: &io::Error) {
        if !matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            warn!(%error, "cannot accept clients");
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        }
    }
}

/// A client that was accepted.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    shared: Arc<Shared>,
    door: Arc<Door>,
}

impl Arrival {
    async fn serve(self) {
        let Self { stream, peer, place, shared, door } = self;
        let began = Instant::now();
        let clients = &shared.metrics.clients;
        let logging_in = LoggingIn::begin(&shared);
        let id = shared.sessions.next_id();
        // Boxed, like the session below: a client's task should carry one of them, not both.
        let entered = Box::pin(enter(stream, id, &shared, &door.login)).await;
        drop(logging_in);
        match entered {
            Ok(login) => {
                clients.arrivals.of(ClientOutcome::Accepted).increment(1);
                clients.login_time.record(began.elapsed());
                let entry = shared.sessions.enter(id, Arc::clone(&login.user), peer);
                Box::pin(Session::new(Arc::clone(&shared), door, login, entry).run()).await;
            }
            Err(error) => {
                debug!(%peer, %error, "a client was not let in");
                clients.arrivals.of(outcome_of(&error)).increment(1);
            }
        }
        drop(place);
    }
}

/// Shows a client as logging in until it is dropped. A login that panics is counted as a session
/// that does.
struct LoggingIn(Arc<Shared>);

impl LoggingIn {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.metrics.clients.connections.of(ClientState::LoggingIn).increment(1.0);
        Self(Arc::clone(shared))
    }
}

impl Drop for LoggingIn {
    fn drop(&mut self) {
        self.0.metrics.clients.connections.of(ClientState::LoggingIn).decrement(1.0);
        if std::thread::panicking() {
            self.0.metrics.guard.panics.increment(1);
        }
    }
}

/// Logs a client in, and tells it so once its schema is known to exist.
async fn enter(
    stream: TcpStream,
    id: u32,
    shared: &Arc<Shared>,
    context: &LoginContext,
) -> Result<Login, LoginError> {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
        debug!(%error, "no keepalive for a client");
    }
    let welcome = Welcome { connection_id: id, ..shared.welcome.clone() };
    let mut login = Box::pin(login::login(stream, &welcome, context)).await?;
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
    login.accept().await?;
    Ok(login)
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

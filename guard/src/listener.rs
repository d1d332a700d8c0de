//! Where clients come in.
//!
//! Clients are accepted and paced, never refused into an instant retry: above `max_clients` they
//! wait in the kernel's backlog. Each gets a task of its own, which logs it in and becomes its
//! session; how, is for the [`Engine`] to say.

pub mod socket;

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};
use tracing::warn;

use self::socket::ListenSocket;

use crate::{
    engine::Engine,
    metrics::{ClientOutcome, ClientState, Metrics},
    session::registry::Entry,
    shared::{Door, Shared},
    stream::socket::Peer,
};

/// How long accepting pauses when the process is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// One address clients connect to.
#[derive(Debug)]
pub struct Listener<E: Engine> {
    /// The socket.
    pub socket: ListenSocket,
    /// What holds for its clients.
    pub door: Arc<Door<E>>,
    /// The places for clients.
    pub places: Arc<Semaphore>,
}

impl<E: Engine> Listener<E> {
    /// Accepts clients until the guard drains. Dropping the future stops accepting; those who are
    /// in stay.
    pub async fn run(self, shared: Arc<Shared<E>>) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed while the listener lives");
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let arrival = Arrival::new(peer, Arc::clone(&shared), Arc::clone(&self.door));
                    tokio::spawn(async move {
                        E::serve(stream, arrival).await;
                        drop(place);
                    });
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

/// A client that was accepted, and shown as logging in until it has entered or been turned away.
#[derive(Debug)]
pub struct Arrival<E: Engine> {
    /// The id that it will know itself by.
    pub id: u32,
    /// Where it is.
    pub peer: Peer,
    /// What all sessions share.
    pub shared: Arc<Shared<E>>,
    /// Of the listener that it came in by.
    pub door: Arc<Door<E>>,
    began: Instant,
    logging_in: LoggingIn,
}

impl<E: Engine> Arrival<E> {
    fn new(peer: Peer, shared: Arc<Shared<E>>, door: Arc<Door<E>>) -> Self {
        let id = shared.sessions.next_id();
        let logging_in = LoggingIn::begin(Arc::clone(&shared.metrics));
        Self { id, peer, shared, door, began: Instant::now(), logging_in }
    }

    /// Enters it among the sessions that are alive, before it is told that it has logged in: from
    /// then on it may be killed by its id. `database` is what it logs in to, where that cannot change.
    pub fn enter(&self, user: Arc<str>, database: Option<Arc<str>>) -> Entry {
        self.shared.sessions.enter(self.id, user, database, self.peer)
    }

    /// It was told that it has logged in.
    pub fn let_in(&mut self) {
        let clients = &self.shared.metrics.clients;
        clients.arrivals.of(ClientOutcome::Accepted).increment(1);
        clients.login_time.record(self.began.elapsed());
        self.logging_in.end();
    }

    /// It was not let in.
    pub fn turn_away(self, outcome: ClientOutcome) {
        self.shared.metrics.clients.arrivals.of(outcome).increment(1);
    }
}

/// Shows a client as logging in until it ends or is dropped. A login that panics is counted as a
/// session that does.
#[derive(Debug)]
struct LoggingIn(Option<Arc<Metrics>>);

impl LoggingIn {
    fn begin(metrics: Arc<Metrics>) -> Self {
        metrics.clients.connections.of(ClientState::LoggingIn).increment(1.0);
        Self(Some(metrics))
    }

    fn end(&mut self) {
        if let Some(metrics) = self.0.take() {
            metrics.clients.connections.of(ClientState::LoggingIn).decrement(1.0);
            if std::thread::panicking() {
                metrics.guard.panics.increment(1);
            }
        }
    }
}

impl Drop for LoggingIn {
    fn drop(&mut self) {
        self.end();
    }
}

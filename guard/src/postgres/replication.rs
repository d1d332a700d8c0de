//! Replication: a client that speaks to a walsender has a connection of its own to one.
//!
//! Its bytes are passed on as they are, both ways, for as long as it stays: the protocol is another
//! one (COPY both ways without end), and a session of it is nobody else's. So nothing of it is
//! read, no gate is asked, and no limit holds but that on how many there are. The guard checks
//! the client's proof as any other's, and logs in for it; the server says whether the account may
//! replicate.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_buf, split},
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tracing::{info, warn};

use super::{
    Arrival, LeaseError, Postgres, Shared,
    connect::{self, Connected, Wishes},
    key::BackendKey,
    let_in,
    login::{Login, LoginError},
    stop::stop,
    turn_away,
};
use crate::{
    engine::OpenError,
    metrics::Disconnect,
    session::registry::Card,
    upstream::control::{Ask, Backend},
};

/// How many bytes are passed on at once.
const BUFFER_LEN: usize = 64 * 1024;

/// How long the server may take to end a connection whose client is gone.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that replicates, and its connection.
pub(super) struct Replication {
    login: Login,
    connected: Connected,
    _place: OwnedSemaphorePermit,
}

/// Opens a client's connection. It was not told yet that it is in.
///
/// # Errors
/// Why it is not; it was told so.
pub(super) async fn open(shared: &Shared, login: Login) -> Result<Replication, LoginError> {
    let Ok(place) = Arc::clone(&shared.engine.replications).try_acquire_owned() else {
        let why = "tidegate: no more replication connections (upstream.replication_connections)";
        login.refuse(b"53300", why).await;
        return Err(LoginError::Unverifiable("all replication connections are taken".into()));
    };
    let database = Some(login.database.to_vec());
    let wishes = Wishes { database, parameters: login.parameters.clone() };
    let upstream = &shared.upstream;
    let permit = upstream.handshakes.begin().await;
    let began = Instant::now();
    let connected = connect::connect(&upstream.target, &login.account, &wishes).await;
    let is_well = connected.as_ref().err().is_none_or(|error| error.is_refusal());
    upstream.handshakes.ended(is_well, fastrand::f64());
    drop(permit);
    shared.metrics.upstream.connect_time.record(began.elapsed());
    match connected {
        Ok(connected) => Ok(Replication { login, connected, _place: place }),
        Err(error) => {
            let error: LeaseError = OpenError::Connect(error).into();
            Err(turn_away(login, &error).await)
        }
    }
}

impl Replication {
    /// Lets the client in and passes bytes on until either side ends it. Not cancel-safe: it runs in
    /// a task of its own.
    pub(super) async fn run(mut self, mut arrival: Arrival<Postgres>) -> Result<(), LoginError> {
        let shared = Arc::clone(&arrival.shared);
        let parameters = &self.connected.parameters;
        let (entry, _listing, _traffic) = let_in(&mut arrival, &mut self.login, parameters).await?;
        let (session, user) = (arrival.id, &self.login.user);
        info!(session, %user, "a client replicates");
        shared.metrics.upstream.replications.increment(1.0);
        let Login { stream: client, leftover: sent, user, .. } = self.login;
        let Connected { stream: server, leftover: told, key, .. } = self.connected;
        let walsender = Walsender { shared: &shared, key };
        let cause = relay(&walsender, &entry.card, (client, sent), (server, told)).await;
        shared.metrics.upstream.replications.decrement(1.0);
        shared.metrics.clients.disconnects.of(cause).increment(1);
        info!(session, %user, ?cause, "a client replicates no more");
        Ok(())
    }
}

/// Passes bytes on both ways. Returns once the server has closed, or was asked to end the connection.
async fn relay<S: AsyncRead + AsyncWrite>(
    walsender: &Walsender<'_>,
    card: &Card,
    (client, sent): (S, BytesMut),
    (server, told): (S, BytesMut),
) -> Disconnect {
    let ((from_client, mut to_client), (from_server, mut to_server)) =
        (split(client), split(server));
    let up = async {
        let passed = pass(from_client, &mut to_server, &sent).await;
        // A server that reads the end of it stops by itself.
        let _gone = to_server.shutdown().await;
        passed
    };
    let down = pass(from_server, &mut to_client, &told);
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    loop {
        tokio::select! {
            biased;
            ended = &mut down => return match ended {
                Ok(()) => Disconnect::UpstreamLost,
                Err(_) => walsender.end(Disconnect::Gone).await,
            },
            ended = &mut up => {
                let cause = if ended.is_ok() { Disconnect::Quit } else { Disconnect::Gone };
                return match timeout(END_TIMEOUT, &mut down).await {
                    Ok(Ok(())) => cause,
                    _ => walsender.end(cause).await,
                };
            }
            () = card.interrupt.wait() => {
                // A replica comes again by itself, so it is not waited for.
                if walsender.shared.is_draining() {
                    return walsender.end(Disconnect::Drain).await;
                }
                if card.is_ended() {
                    return walsender.end(Disconnect::Killed).await;
                }
                walsender.stop(Ask::Cancel).await;
            }
        }
    }
}

async fn pass(
    from: impl AsyncRead,
    to: &mut (impl AsyncWrite + Unpin),
    ahead: &[u8],
) -> io::Result<()> {
    to.write_all(ahead).await?;
    let from = std::pin::pin!(from);
    let mut from = tokio::io::BufReader::with_capacity(BUFFER_LEN, from);
    copy_buf(&mut from, to).await.map(drop)
}

/// Who serves a client at the server, and what stops it.
struct Walsender<'a> {
    shared: &'a Shared,
    key: Option<BackendKey>,
}

impl Walsender<'_> {
    /// Has the server end the connection: closing it does not stop what runs there.
    async fn end(&self, cause: Disconnect) -> Disconnect {
        self.stop(Ask::End).await;
        cause
    }

    /// Gives an order.
    async fn stop(&self, ask: fn(Backend) -> Ask) {
        let Some(key) = &self.key else { return };
        let backend = Backend { id: key.process_id, since: 0 };
        let stopped = stop(&self.shared.upstream, ask(backend), Some(key), END_TIMEOUT).await;
        if let Err(error) = stopped {
            warn!(backend = backend.id, %error, "a replication connection does not obey");
        }
    }
}

//! Seeing a lost connection off.
//!
//! Closing a socket ends nothing on the server: the statement goes on, its locks stay, and the
//! client that retries makes one more. So a connection that cannot be brought back to a known
//! state is killed over a control connection, and its permit and its place among the open
//! connections are kept until its thread has left the server's list. A thread leaves it after its
//! rollback (`THD::cleanup` comes before the removal), so invariant 5 holds: what the guard counts
//! in flight is never less than what the database runs.
//!
//! A backend that the control connections may not kill, a superuser's for instance, or that they cannot be told of, is
//! left: what runs there is stopped where the protocol has a way, and the socket is closed. It is counted as before,
//! until it is seen to be gone.

use std::{sync::Arc, time::Duration};

use policy::admission::Outcome;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{
    control::{Ask, ControlError, Told},
    pool::{Lease, Member, Pool},
};
use crate::{
    engine::{Connection as _, Engine},
    gate::{Permit, Pinned},
    herd::backoff,
};

/// The longest pause between two looks at the server's thread list.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the reserved connections may take to end a backend before it is left.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Ends the connection's backend in the background, and settles the permit when it is gone.
///
/// `kept` is what the session held: its permit, and its count as a pinned session.
pub fn reclaim<E: Engine>(
    pool: &Arc<Pool<E>>,
    lease: Lease<E>,
    kept: (Option<Permit>, Option<Pinned>),
) {
    let Member { connection, slot, .. } = lease.detach();
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let counted = pool.upstream().map(|upstream| upstream.count_reclaiming());
        see_off(&pool, connection).await;
        drop(counted);
        // The place among the open connections is free from here on.
        drop(slot);
        let (permit, pinned) = kept;
        drop(pinned);
        if let Some(permit) = permit {
            permit.settle(std::time::Instant::now(), Outcome::Overload);
        }
    });
}

/// Returns when the backend is not on the server any more.
async fn see_off<E: Engine>(pool: &Pool<E>, connection: E::Connection) {
    let backend = connection.backend();
    let mut connection = Some(connection);
    let mut attempts = 0;
    while let Some(upstream) = pool.upstream() {
        let ended = timeout(END_PATIENCE, upstream.control().ask(Ask::End(backend))).await;
        match ended.unwrap_or(Err(ControlError::Unavailable)) {
            Ok(Told::Gone) => return,
            Ok(Told::Done) => {}
            Err(error) => {
                if let Some(connection) = connection.take() {
                    warn!(backend = backend.id, %error, "cannot end a backend: it is left");
                    connection.leave(&upstream.target).await;
                }
            }
        }
        if let Ok(Told::Gone) = upstream.control().ask(Ask::IsAlive(backend)).await {
            return;
        }
        attempts += 1;
        debug!(backend = backend.id, attempts, "waiting for a backend to leave the server");
        tokio::time::sleep(backoff(attempts, fastrand::f64()).min(LOOK_PAUSE_MAX)).await;
    }
}

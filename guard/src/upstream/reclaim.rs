//! Seeing a lost connection off.
//!
//! Closing a socket ends nothing on the server: the statement goes on, its locks stay, and the
//! client that retries makes one more. So a connection that cannot be brought back to a known
//! state is killed over a control connection, and its permit and its place among the open
//! connections are kept until its thread has left the server's list. A thread leaves it after its
//! rollback (`THD::cleanup` comes before the removal), so invariant 5 holds: what the guard counts
//! in flight is never less than what the database runs.

use std::{sync::Arc, time::Duration};

use policy::admission::Outcome;
use tracing::{debug, warn};

use super::{
    control::{Ask, Backend, ControlError, Told},
    pool::{Lease, Pool},
};
use crate::{
    engine::{Connection as _, Engine},
    gate::{Permit, Pinned},
    herd::backoff,
};

/// The longest pause between two looks at the server's thread list.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Ends the connection's backend in the background, and settles the permit when it is gone.
///
/// `kept` is what the session held: its permit, and its count as a pinned session.
pub fn reclaim<E: Engine>(
    pool: &Arc<Pool<E>>,
    lease: Lease<E>,
    kept: (Option<Permit>, Option<Pinned>),
) {
    let member = lease.detach();
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let backend = member.connection.backend();
        let counted = pool.upstream().map(|upstream| upstream.count_reclaiming());
        see_off(&pool, backend).await;
        drop(counted);
        // The place among the open connections is free from here on.
        drop(member);
        let (permit, pinned) = kept;
        drop(pinned);
        if let Some(permit) = permit {
            permit.settle(std::time::Instant::now(), Outcome::Overload);
        }
    });
}

/// Returns when the backend is not on the server any more.
async fn see_off<E: Engine>(pool: &Pool<E>, backend: Backend) {
    let mut attempts = 0;
    loop {
        match ask_and_look(pool, backend).await {
            Ok(Told::Gone) => return,
            Ok(Told::Done) => {}
            Err(error) => warn!(backend = backend.id, %error, "cannot see a connection off yet"),
        }
        attempts += 1;
        debug!(backend = backend.id, attempts, "waiting for a backend to leave the server");
        tokio::time::sleep(backoff(attempts, fastrand::f64()).min(LOOK_PAUSE_MAX)).await;
        if pool.upstream().is_none() {
            return;
        }
    }
}

async fn ask_and_look<E: Engine>(pool: &Pool<E>, backend: Backend) -> Result<Told, ControlError> {
    let upstream = pool.upstream().ok_or(ControlError::Unavailable)?;
    let control = upstream.control();
    match control.ask(Ask::End(backend)).await {
        Ok(Told::Gone) => return Ok(Told::Gone),
        Ok(Told::Done) | Err(ControlError::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    control.ask(Ask::IsAlive(backend)).await
}

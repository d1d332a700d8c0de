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
    connection::Connection,
    control::{Ask, ControlError, Thread, Told},
    pool::Pool,
};
use crate::{
    gate::{Permit, Pinned},
    herd::backoff,
};

/// The longest pause between two looks at the server's thread list.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Ends the connection's thread in the background, and settles the permit when it is gone.
///
/// `kept` is what the session held: its permit, and its count as a pinned session.
pub fn reclaim(pool: &Arc<Pool>, connection: Connection, kept: (Option<Permit>, Option<Pinned>)) {
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let thread = Thread::of(&connection);
        let counted = pool.upstream().map(|upstream| upstream.count_reclaiming());
        see_off(&pool, thread).await;
        drop(counted);
        // The place among the open connections is free from here on.
        drop(connection);
        let (permit, pinned) = kept;
        drop(pinned);
        if let Some(permit) = permit {
            permit.settle(std::time::Instant::now(), Outcome::Overload);
        }
    });
}

/// Returns when the thread is not on the server any more.
async fn see_off(pool: &Pool, thread: Thread) {
    let mut attempts = 0;
    loop {
        match ask_and_look(pool, thread).await {
            Ok(Told::Gone) => return,
            Ok(Told::Done) => {}
            Err(error) => warn!(thread = thread.id, %error, "cannot see a connection off yet"),
        }
        attempts += 1;
        debug!(thread = thread.id, attempts, "waiting for a thread to leave the server");
        tokio::time::sleep(backoff(attempts, fastrand::f64()).min(LOOK_PAUSE_MAX)).await;
        if pool.upstream().is_none() {
            return;
        }
    }
}

async fn ask_and_look(pool: &Pool, thread: Thread) -> Result<Told, ControlError> {
    let upstream = pool.upstream().ok_or(ControlError::Unavailable)?;
    let control = upstream.control();
    match control.ask(Ask::KillConnection(thread)).await {
        Ok(Told::Gone) => return Ok(Told::Gone),
        Ok(Told::Done) | Err(ControlError::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    control.ask(Ask::IsAlive(thread)).await
}

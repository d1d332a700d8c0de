//! PAUSE, RESUME and KILL of one database, while clients of others go on.

use std::sync::Arc;
use std::time::Instant;

use tracing::warn;

use super::{DATABASE, PAUSE_LOOK, Refused, not_done, not_settled, told_of_pinned};
use crate::control::PauseOrder;
use crate::postgres::{Pool, Shared};
use crate::session::registry::Card;

/// Holds new transactions of a database, as PAUSE does of all, and waits until what runs there is over
/// and its connections are closed.
pub(super) async fn pause(shared: &Shared, name: &str) -> Result<Vec<String>, Refused> {
    hold(shared, name)?;
    loop {
        let left = settle(shared, name);
        if left.connections <= left.pinned {
            return Ok(told_of_pinned(left.pinned));
        }
        if shared.engine.pauses.of(name, Instant::now()).is_none() {
            return Err(not_settled(left.connections - left.pinned));
        }
        tokio::time::sleep(PAUSE_LOOK).await;
    }
}

/// Ends the pause of a database.
pub(super) fn resume(shared: &Shared, name: &str) -> Result<Vec<String>, Refused> {
    if !shared.engine.pauses.resume(name) {
        return Err(not_done(format!("the database {name:?} is not paused")));
    }
    warn!(database = name, "resumed");
    Ok(Vec::new())
}

/// Ends all clients of a database, what they run first; who comes again waits, as in a pause.
pub(super) fn kill(shared: &Shared, name: &str) -> Result<Vec<String>, Refused> {
    let is_console = name.as_bytes() == DATABASE;
    let clients = clients_of(shared, name);
    if is_console || clients.is_empty() && pools_of(shared, name).is_empty() {
        return Err(Refused {
            code: *b"3D000",
            why: format!("nobody uses a database {name:?}"),
            hint: Some("SHOW DATABASES has those in use; KILL takes the id of a client, too"),
        });
    }
    hold(shared, name)?;
    clients.iter().for_each(|card| card.kill_connection());
    settle(shared, name);
    warn!(database = name, clients = clients.len(), "killed");
    Ok(vec![format!("RESUME {name} lets its clients in before the minute is over")])
}

fn hold(shared: &Shared, name: &str) -> Result<(), Refused> {
    let hold = PauseOrder::default().to_hold(Instant::now());
    shared.engine.pauses.pause(name, hold.map_err(|declined| not_done(declined.to_string()))?);
    warn!(database = name, "paused");
    Ok(())
}

/// What a database still has.
struct Left {
    connections: u32,
    /// Clients that keep one.
    pinned: u32,
}

/// Closes the connections that nobody uses, and counts the others.
fn settle(shared: &Shared, name: &str) -> Left {
    let pools = pools_of(shared, name);
    pools.iter().for_each(|pool| shared.upstream.close_unused_of(pool));
    let connections = pools.iter().map(|pool| pool.sizes().1).sum::<usize>();
    let pinned = clients_of(shared, name).iter().filter(|card| card.pins().is_some()).count();
    let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
    Left { connections: count(connections), pinned: count(pinned) }
}

fn pools_of(shared: &Shared, name: &str) -> Vec<Arc<Pool>> {
    let pools = shared.upstream.pools();
    pools.into_iter().filter(|pool| pool.opener().names().1 == name).collect()
}

fn clients_of(shared: &Shared, name: &str) -> Vec<Arc<Card>> {
    let cards = shared.sessions.all();
    cards.into_iter().filter(|card| card.database.as_deref() == Some(name)).collect()
}

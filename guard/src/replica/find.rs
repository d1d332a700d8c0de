//! Looking for a replica for one read.

use std::{sync::Arc, time::Instant};

use policy::replica::{Ask, Choice, Tried};

use super::{Replica, Replicas};
use crate::{
    engine::Engine,
    metrics::ClientState,
    session::{
        registry::Card,
        verdict::{Call, Work},
    },
    upstream::Upstream,
};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Seek {
    /// When the read came.
    pub came: Instant,
    /// When its session wrote last.
    pub wrote: Option<Instant>,
    /// Those that have failed it.
    pub tried: Tried,
}

/// What was found.
#[derive(Debug)]
pub enum Found<E: Engine, G> {
    /// This replica, and what leads there.
    Replica(Arc<Replica<E>>, Arc<Upstream<E>>),
    /// None: it is for the primary.
    Primary,
    /// None, and it is refused.
    Refused,
    /// Somebody called the session away.
    Interrupted,
    /// The client went away.
    Gone(G),
}

/// Looks for a replica, and waits for one if the policy says so; whoever waits has the servers looked at at once.
///
/// `gone` returns when the client has left. Cancel-safe: nothing is held while waiting.
pub async fn find<E: Engine, G>(
    replicas: &Replicas<E>,
    card: &Card,
    mut seek: Seek,
    gone: impl Future<Output = G>,
) -> Found<E, G> {
    let mut gone = std::pin::pin!(gone);
    loop {
        // Before the fleet is asked, so that no look between is missed.
        let mut looked = std::pin::pin!(replicas.looked.notified());
        looked.as_mut().enable();
        let Seek { came, wrote, tried } = seek;
        let ask = Ask { came, wrote, tried, dice: fastrand::f64() };
        let choice = replicas.fleet.lock().choose(Instant::now(), &ask);
        let until = match choice {
            Choice::Primary => return Found::Primary,
            Choice::Refuse => return Found::Refused,
            Choice::Wait(until) => until,
            Choice::Replica(index) => {
                let found = replicas.all.get(index);
                match found.and_then(|replica| Some((replica, replica.upstream()?))) {
                    Some((replica, upstream)) => {
                        return Found::Replica(Arc::clone(replica), upstream);
                    }
                    None => {
                        seek.tried.add(index);
                        continue;
                    }
                }
            }
        };
        card.set_state(ClientState::Waiting);
        replicas.wanted.notify_one();
        let call = Call { card, work: Work::default() };
        tokio::select! {
            biased;
            left = &mut gone => return Found::Gone(left),
            () = call.wait() => return Found::Interrupted,
            () = looked => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
}

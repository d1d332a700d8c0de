//! Waiting at the gate, for sessions of any engine.

use std::time::Instant;

use policy::{
    admission::Arrival,
    refusal::{Reason, Refusal},
};

use super::{
    registry::Card,
    verdict::{Call, Work},
};
use crate::{
    engine::Engine,
    gate::{Entry, Permit, Ticket},
    metrics::ClientState,
    shared::Shared,
};

/// What came of asking the gate.
pub enum Turn<G> {
    /// It runs.
    Permit(Permit),
    /// It does not run.
    Refused(Refusal),
    /// It would have to wait, and may not.
    Busy,
    /// Somebody called the session away.
    Interrupted,
    /// The client went away.
    Gone(G),
}

/// Asks the gate for a turn, and waits for it if it `may_wait`. Connections on hold are freed
/// first: nobody is refused for a question that may never come.
///
/// `gone` returns when the client has left. Cancel-safe: the place in line is given up.
pub async fn take_turn<E: Engine, G>(
    shared: &Shared<E>,
    card: &Card,
    mut now: Instant,
    (arrival, may_wait): (Arrival, bool),
    gone: impl Future<Output = G>,
) -> Turn<G> {
    let mut gone = std::pin::pin!(gone);
    loop {
        let turn = match shared.gate.enter(now, arrival) {
            Entry::Permit(permit) => return Turn::Permit(permit),
            Entry::Refused(_) | Entry::Wait(_) if !may_wait => return Turn::Busy,
            Entry::Refused(refusal) => Turn::Refused(refusal),
            Entry::Wait(ticket) => wait(card, ticket, gone.as_mut()).await,
        };
        match turn {
            Turn::Refused(refusal)
                if wants_room(&refusal) && shared.upstream.lingering.end_one_hold() =>
            {
                now = Instant::now();
            }
            turn => return turn,
        }
    }
}

async fn wait<G>(
    card: &Card,
    mut ticket: Ticket,
    mut gone: std::pin::Pin<&mut impl Future<Output = G>>,
) -> Turn<G> {
    card.set_state(ClientState::Waiting);
    let call = Call { card, work: Work::default() };
    tokio::select! {
        biased;
        entered = &mut ticket => match entered {
            Ok(permit) => Turn::Permit(permit),
            Err(refusal) => Turn::Refused(refusal),
        },
        gone = &mut gone => Turn::Gone(gone),
        // Who waits here holds nothing that could be melted.
        () = call.wait() => Turn::Interrupted,
    }
}

/// Whether room at the gate would have helped.
fn wants_room(refusal: &Refusal) -> bool {
    matches!(refusal.reason, Reason::Connections | Reason::QueueFull | Reason::QueueTime)
}

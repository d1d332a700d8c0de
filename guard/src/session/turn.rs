//! Waiting at the gate, for sessions of any engine.

use std::time::{Duration, Instant};

use policy::{
    admission::Arrival,
    refusal::{Reason, Refusal},
};

use super::{registry::Card, timer::Timer};
use crate::{
    engine::Engine,
    gate::{Entry, Permit, Ticket},
    metrics::ClientState,
    shared::Shared,
};

/// How long others wait at the gate before holds end for them. A client that asks does so at once;
/// so with more busy clients than connections the answer is still there, and what waits any longer
/// waits for something else.
pub const HOLD_PATIENCE: Duration = Duration::from_millis(100);

/// The pause between the ends of two holds for one that waits: the first may have been enough.
const HOLD_STEP: Duration = Duration::from_millis(10);

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

/// Asks the gate for a turn, and waits for it if it `may_wait`. Meanwhile connections on hold are
/// freed one by one: nobody is refused, or waits for long, for a question that may never come.
///
/// `gone` returns when the client has left. Cancel-safe: the place in line is given up.
pub async fn take_turn<E: Engine, G>(
    shared: &Shared<E>,
    card: &Card,
    timer: &mut Timer,
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
            Entry::Wait(ticket) => wait(shared, card, timer, ticket, gone.as_mut()).await,
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

async fn wait<E: Engine, G>(
    shared: &Shared<E>,
    card: &Card,
    timer: &mut Timer,
    mut ticket: Ticket,
    mut gone: std::pin::Pin<&mut impl Future<Output = G>>,
) -> Turn<G> {
    let mut patience = Some(ticket.since + HOLD_PATIENCE);
    card.set_state(ClientState::Waiting);
    loop {
        tokio::select! {
            biased;
            entered = &mut ticket => return match entered {
                Ok(permit) => Turn::Permit(permit),
                Err(refusal) => Turn::Refused(refusal),
            },
            gone = &mut gone => return Turn::Gone(gone),
            () = card.interrupt.wait() => return Turn::Interrupted,
            () = timer.until(patience) => {
                let has_ended = shared.upstream.lingering.end_one_hold();
                patience = has_ended.then(|| Instant::now() + HOLD_STEP);
            }
        }
    }
}

/// Whether room at the gate would have helped.
fn wants_room(refusal: &Refusal) -> bool {
    matches!(refusal.reason, Reason::Connections | Reason::QueueFull | Reason::QueueTime)
}

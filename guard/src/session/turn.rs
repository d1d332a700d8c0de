//! Waiting for what is better waited for outside the database, and at the gate, for sessions of any engine.

mod outside;
mod row;
mod table;

use std::{pin::Pin, sync::Arc, time::Instant};

use policy::{
    admission::Arrival,
    ddl::Subject,
    refusal::{Reason, Refusal},
};

use self::outside::Outside;

use super::{
    registry::Card,
    verdict::{Call, Work},
};
use crate::{
    engine::Engine,
    gate::{Entry, Gate, Permit, Ticket},
    metrics::ClientState,
    shared::Shared,
    upstream::Upstream,
};

/// What a transaction asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose limits it falls under.
    pub arrival: Arrival,
    /// Whether other statements will follow that one.
    pub has_begun: bool,
    /// Whether it may wait.
    pub may_wait: bool,
    /// The tables that its first statement names, and what it does with them.
    pub subject: Subject<'a>,
}

/// Where a turn is asked for: at the primary, or at a replica, which has a gate of its own.
#[derive(Debug, Clone, Copy)]
pub struct At<'a, E: Engine> {
    /// Who may run there.
    pub gate: &'a Arc<Gate>,
    /// Its connections.
    pub upstream: &'a Upstream<E>,
}

impl<'a, E: Engine> At<'a, E> {
    /// At the primary.
    pub fn primary(shared: &'a Shared<E>) -> Self {
        Self { gate: &shared.gate, upstream: &shared.upstream }
    }

    fn is_primary(&self, shared: &Shared<E>) -> bool {
        std::ptr::eq(self.upstream, &*shared.upstream)
    }
}

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

/// Asks the gate for a turn, and waits for it if it may; before that, for its tables if somebody wants one of them
/// for himself, and for its row if many want that. Connections on hold are freed first: nobody is refused for a question that may never come.
///
/// `gone` returns when the client has left. Cancel-safe: the place in line is given up.
pub async fn take_turn<E: Engine, G>(
    shared: &Shared<E>,
    at: At<'_, E>,
    card: &Card,
    came: Instant,
    asked: &Asked<'_>,
    gone: impl Future<Output = G>,
) -> Turn<G> {
    let Asked { mut arrival, has_begun, may_wait, subject } = *asked;
    let mut gone = std::pin::pin!(gone);
    let mut visit = None;
    let mut now = came;
    let (names_tables, comes_to_rows) = (shared.ddl.is_holding(), shared.hot.is_watching());
    // What is fought for at the primary is none of a replica's.
    if may_wait && (names_tables || comes_to_rows) && at.is_primary(shared) {
        let outside = Outside { shared, card, arrival, came };
        // Boxed: it is rare.
        if names_tables && let Err(turn) = Box::pin(outside.table(subject, gone.as_mut())).await {
            return turn;
        }
        if comes_to_rows {
            match Box::pin(outside.visit(has_begun, gone.as_mut())).await {
                Ok(begun) => visit = Some(Box::new(begun)),
                Err(turn) => return turn,
            }
        }
        now = Instant::now();
        arrival.about.waited = now.saturating_duration_since(came);
    }
    loop {
        let turn = match at.gate.enter(now, arrival) {
            Entry::Permit(permit) => Turn::Permit(permit),
            Entry::Refused(_) | Entry::Wait(_) if !may_wait => return Turn::Busy,
            Entry::Refused(refusal) => Turn::Refused(refusal),
            Entry::Wait(ticket) => wait(card, ticket, gone.as_mut()).await,
        };
        match turn {
            Turn::Refused(refusal)
                if wants_room(&refusal) && at.upstream.lingering.end_one_hold() =>
            {
                now = Instant::now();
            }
            Turn::Permit(mut permit) => {
                permit.note_visit(visit);
                return Turn::Permit(permit);
            }
            // Boxed, for it is large and rare.
            Turn::Refused(refusal) if !refusal.held.is_zero() => {
                return Box::pin(hold_back(shared, card, refusal, gone)).await;
            }
            turn => return turn,
        }
    }
}

/// Keeps the refusal of a client that comes again at once for a little: meanwhile it does not ask.
async fn hold_back<E: Engine, G>(
    shared: &Shared<E>,
    card: &Card,
    refusal: Refusal,
    gone: Pin<&mut impl Future<Output = G>>,
) -> Turn<G> {
    let Some(_held) = shared.gate.hold_back() else { return Turn::Refused(refusal) };
    shared.metrics.clients.refusals_held.increment(1);
    let call = Call { card, work: Work::default() };
    tokio::select! {
        biased;
        gone = gone => Turn::Gone(gone),
        () = call.wait() => Turn::Refused(refusal),
        () = tokio::time::sleep(refusal.held) => Turn::Refused(refusal),
    }
}

async fn wait<G>(
    card: &Card,
    mut ticket: Ticket,
    mut gone: Pin<&mut impl Future<Output = G>>,
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
    matches!(
        refusal.reason,
        Reason::Connections | Reason::QueueFull | Reason::QueueTime | Reason::QueueTarget
    )
}

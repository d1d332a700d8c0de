//! Waiting for a row that everybody wants.

use std::pin::Pin;

use policy::{
    hot::{Begin, Full},
    refusal::{Reason, Refusal, Scope},
};

use super::{Turn, outside::Outside};
use crate::{
    engine::Engine,
    hot::{Inside, Parked, Visit, Way},
    metrics::ClientState,
    session::verdict::{Call, Work},
};

impl<E: Engine> Outside<'_, E> {
    /// Waits until a row may be worked on that the transaction is about, or will be.
    pub(super) async fn visit<G>(
        &self,
        has_begun: bool,
        gone: Pin<&mut impl Future<Output = G>>,
    ) -> Result<Visit, Turn<G>> {
        let hot = &self.shared.hot;
        let row = self.card.row();
        let first = has_begun.then_some(self.arrival.about.digest);
        if self.arrival.may_hold_locks {
            let place = row.and_then(|row| hot.join(row, first, false));
            return Ok(Visit::new(first, row, place));
        }
        let mode = self.shared.policy.load().mode_of(self.arrival.class);
        let place = match hot.arrive(self.came, Begin { row, first, mode }) {
            Way::Free => None,
            Way::Enter(inside) => Some(inside),
            Way::Full(full) => return Err(Turn::Refused(self.no_room(&full))),
            Way::Park(parked) => {
                let entered = self.parked(parked, gone).await;
                self.shared.metrics.hot.wait_time.record(self.came.elapsed());
                Some(entered?)
            }
        };
        Ok(Visit::new(first, row, place))
    }

    async fn parked<G>(
        &self,
        mut parked: Parked,
        mut gone: Pin<&mut impl Future<Output = G>>,
    ) -> Result<Inside, Turn<G>> {
        let Some(patience) = self.patience() else {
            let refusal = self.may_not_wait(Reason::HotKey, parked.give_up());
            return Err(Turn::Refused(refusal));
        };
        self.card.set_state(ClientState::Waiting);
        let call = Call { card: self.card, work: Work::default() };
        tokio::select! {
            biased;
            inside = &mut parked => Ok(inside),
            gone = &mut gone => Err(Turn::Gone(gone)),
            // Who waits here holds nothing that could be melted.
            () = call.wait() => Err(Turn::Interrupted),
            () = tokio::time::sleep_until(patience.until.into()) => {
                let ratio = parked.give_up();
                Err(Turn::Refused(self.out_of_patience(patience, Reason::HotKey, ratio)))
            }
        }
    }

    fn no_room(&self, full: &Full) -> Refusal {
        let (limit, measured) = (f64::from(full.limit), f64::from(full.measured));
        let ratio = full.rejection_ratio;
        let refusal = self.refusal(Reason::HotKey, full.limit_name, limit, measured, ratio);
        Refusal { scope: Scope::Hot, ..refusal }
    }
}

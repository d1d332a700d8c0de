//! Waiting for a table that somebody wants for himself.

use std::{pin::Pin, time::Instant};

use policy::{
    ddl::{Cause, Subject},
    refusal::{Reason, Refusal, Scope},
};

use super::{Turn, outside::Outside};
use crate::{
    ddl::{Parked, Way},
    engine::Engine,
    metrics::ClientState,
    session::verdict::{Call, Work},
};

/// Nobody gets on while the table is wanted, so nobody should come back soon: about two seconds, after which
/// a careful DDL gives up by itself.
const RATIO: f64 = 0.9;
/// The most characters of a statement that a refusal tells.
const STATEMENT_LEN_MAX: usize = 120;

impl<E: Engine> Outside<'_, E> {
    /// Waits until nobody wants for himself a table that the transaction's first statement names. Who may
    /// hold locks always goes on (invariant 4).
    pub(super) async fn table<G>(
        &self,
        subject: Subject<'_>,
        gone: Pin<&mut impl Future<Output = G>>,
    ) -> Result<(), Turn<G>> {
        if self.arrival.may_hold_locks {
            return Ok(());
        }
        let now = Instant::now();
        let mode = self.shared.policy.load().mode_of(self.arrival.class);
        match self.shared.ddl.arrive(now, subject, mode) {
            Way::Free => Ok(()),
            Way::Full(cause, bound) => {
                let bound = f64::from(bound);
                let refusal = self.refusal(Reason::Ddl, "parked", bound, bound, RATIO);
                let note = Some(told(&cause));
                Err(Turn::Refused(Refusal { scope: Scope::Ddl, note, ..refusal }))
            }
            Way::Park(parked) => {
                let waited = self.kept(parked, subject, gone).await;
                self.shared.metrics.ddl.wait_time.record(now.elapsed());
                waited
            }
        }
    }

    async fn kept<G>(
        &self,
        mut parked: Parked,
        subject: Subject<'_>,
        mut gone: Pin<&mut impl Future<Output = G>>,
    ) -> Result<(), Turn<G>> {
        let Some(patience) = self.patience() else {
            let note = Some(told(&parked.give_up()));
            let refusal = self.may_not_wait(Reason::Ddl, RATIO);
            return Err(Turn::Refused(Refusal { note, ..refusal }));
        };
        self.card.set_state(ClientState::Waiting);
        let call = Call { card: self.card, work: Work::default() };
        tokio::select! {
            biased;
            () = parked.wait(subject) => Ok(()),
            gone = &mut gone => Err(Turn::Gone(gone)),
            // Who waits here holds nothing that could be melted.
            () = call.wait() => Err(Turn::Interrupted),
            () = tokio::time::sleep_until(patience.until.into()) => {
                let note = Some(told(&parked.give_up()));
                let refusal = self.out_of_patience(patience, Reason::Ddl, RATIO);
                Err(Turn::Refused(Refusal { note, ..refusal }))
            }
        }
    }
}

/// Who wants which table, and for how long: `shop.account: 7 has waited for 3.2s: ALTER TABLE …`.
fn told(cause: &Cause) -> Box<str> {
    let Cause { table, backend, statement, waited, .. } = cause;
    let schema = table.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
    let statement: String = statement.chars().take(STATEMENT_LEN_MAX).collect();
    let (name, seconds) = (&table.name, waited.as_secs_f64());
    format!("table {schema}{name}: backend {backend} wants it for itself since {seconds:.1}s: {statement}").into()
}

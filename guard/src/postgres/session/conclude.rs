//! What a unit has left behind, and giving back what it used.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use policy::{
    admission::Outcome,
    class::TimeLimits,
    deadline::Since,
    sql::{Effects, Shape},
};

use super::{End, Lost, Session, Transaction, outcome_of, relay::Unit, unit::Task};
use crate::{
    gate::Permit,
    metrics::{StatementOutcome, TransactionOutcome},
    postgres::{
        holdings::{self, Suspicion},
        traffic::Count,
    },
    session::{
        cause_of,
        pins::{Pin, Pins},
    },
};

impl Session {
    /// Takes over what a finished unit left behind.
    pub(super) async fn conclude(
        &mut self,
        task: &Task,
        unit: &Unit,
        sent: Instant,
    ) -> Result<(), End> {
        let now = Instant::now();
        self.now = now;
        let ended =
            if unit.error.is_none() { StatementOutcome::Ok } else { StatementOutcome::Error };
        let took = now.duration_since(sent);
        self.orders.metrics.of(task.class).note_statement(ended, took);
        self.note_served(took);
        self.count_statement(took);
        let transaction = self.transaction.since().or(Some(sent));
        self.observe(Since { statement: Some(sent), transaction, idle: None });
        self.take_over(task, unit);
        self.outcome = outcome_of(unit.error);
        if self.is_in_transaction() {
            if self.transaction.since().is_none() {
                self.transaction = Transaction::Open { since: sent };
            }
            self.idle_since = Some(now);
            self.show();
            self.client.hand_in();
            return Ok(());
        }
        let is_rolled_back = unit.error.is_some() || unit.rolled_back;
        let ended = if is_rolled_back {
            TransactionOutcome::RolledBack
        } else {
            TransactionOutcome::Committed
        };
        let took = self.transaction.since().map(|since| now.duration_since(since));
        self.orders.metrics.of(task.class).note_transaction(ended, took);
        self.transaction = Transaction::Idle;
        let looked = self.look(Some(&task.shape)).await;
        self.catch_up(unit).await;
        if let Err(lost) = looked {
            return self.lose_quietly(&lost).await;
        }
        self.release();
        Ok(())
    }

    /// Notes what a unit may have left, also one that was cancelled.
    pub(super) fn take_over(&mut self, task: &Task, unit: &Unit) {
        let before = self.pins.clone();
        if unit.effects.contains(Effects::LAST_INSERT_ID) {
            self.pool.memory.asks_draws.store(true, Ordering::Relaxed);
            self.pins.add(Pin::Sequence);
        }
        // Its client means to find that backend, or to end it.
        if unit.effects.contains(Effects::CONNECTION_ID) {
            self.pins.add(Pin::ConnectionId);
        }
        self.show_pins(&before, Some(&task.shape));
        self.suspicion = self.suspicion.and(unit.suspicion);
        if unit.error.is_some() || unit.rolled_back {
            self.forget_brought();
        }
        for name in &unit.customs {
            if !self.customs.contains(name) {
                self.customs.push(name.clone());
            }
        }
    }

    /// Counts a time limit that would have passed by now, if the mode were enforce. Once for each
    /// transaction: it would have been over.
    pub(super) fn observe(&mut self, since: Since) {
        let Some(times) = &self.observed else { return };
        if let Some(deadline) = times.next(since).filter(|deadline| deadline.at < self.now) {
            let metrics = self.orders.metrics.of(self.class);
            metrics.would_cancel.of(cause_of(deadline.limit)).increment(1);
            self.observed = None;
        }
    }

    /// Asks the server what the session holds now, where the transaction gave reason to. A rollback
    /// takes not all back: advisory locks of the session and what PREPARE made stay. `cause` is the
    /// statement behind it.
    pub(super) async fn look(&mut self, cause: Option<&Shape>) -> Result<(), Lost> {
        let Some(lease) = self.lease.as_mut() else { return Err(Lost::Closed) };
        if lease.tracker.doubts() > 0 {
            // An answer to anything tells which Syncs of a failed COPY were read.
            let _empty = lease.query(b"").await?;
        }
        if self.suspicion.is_empty() {
            return Ok(());
        }
        // The client need not wait for what concerns it no more.
        self.client.flush().await.map_err(Lost::Io)?;
        let suspicion = std::mem::take(&mut self.suspicion);
        lease.may_hide |= suspicion == Suspicion::ALL;
        let found = holdings::look(lease, suspicion, &self.customs).await.inspect_err(|_| {
            // It was lost with the connection, and the client was told that it is so.
            self.pins.add(Pin::Unknown);
        })?;
        let before = self.pins.clone();
        match found {
            None => _ = self.pins.add(Pin::Unknown),
            Some(found) => {
                for (pin, is_held) in found.pins {
                    if is_held {
                        self.pins.add(pin);
                    } else {
                        self.pins.remove(pin);
                    }
                }
                if let Some(settings) = found.settings {
                    lease.settings = Arc::clone(&settings);
                    self.settings = self.with_initial(settings);
                }
            }
        }
        self.share_channels().await?;
        self.show_pins(&before, cause);
        Ok(())
    }

    /// What RESET has undone is as the client's login had it; the connection is told with the next
    /// transaction.
    fn with_initial(&self, mut settings: Arc<super::Settings>) -> Arc<super::Settings> {
        if self.initial.iter().any(|(name, _)| settings.get(name).is_none()) {
            Arc::make_mut(&mut settings).fill_up(&self.initial);
        }
        settings
    }

    fn show_pins(&self, before: &Pins, cause: Option<&Shape>) {
        if self.pins == *before {
            return;
        }
        let metrics = self.orders.metrics.of(self.class);
        for pin in self.pins.iter().filter(|pin| !before.has(*pin)) {
            metrics.pins.of(pin).increment(1);
        }
        let text = cause.map(|shape| Arc::from(&*shape.text));
        self.entry.card.show_pins(&self.pins, self.now, text.as_ref());
    }

    /// Gives the connection back, or keeps it where the session is pinned; settles the permit. The
    /// database has confirmed that no transaction is open.
    pub(super) fn release(&mut self) {
        self.written.settle(self.now);
        self.times = TimeLimits::default();
        self.observed = None;
        self.idle_since = None;
        if self.pins.is_empty() {
            self.part();
            self.pinned = None;
        } else if self.pinned.is_none() {
            self.pinned = self.permit.as_mut().and_then(Permit::pin);
        }
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Success);
        if let Some(permit) = self.permit.take() {
            let took = self.now.saturating_duration_since(permit.since());
            self.client.traffic.add(Count::Transactions, 1);
            self.client.traffic.add_time(Count::TransactionTime, took);
            permit.settle(self.now, outcome);
        }
        self.show();
        self.client.hand_in();
    }

    /// Counts a statement that is over, for its database.
    pub(super) fn count_statement(&mut self, took: Duration) {
        self.client.traffic.add(Count::Statements, 1);
        self.client.traffic.add_time(Count::StatementTime, took);
    }

    /// Leaves the connection where others may take it.
    fn part(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let linger = self.shared.options.linger;
        if linger.is_zero() {
            lease.give_back();
        } else {
            self.linger_until = Some(self.now + linger);
            self.upstream().lingering.put(&self.slot, lease, None);
        }
    }

    /// Takes the lingering connection back, if nobody else has and the server has not closed it.
    pub(super) fn resume(&mut self) {
        self.linger_until = None;
        if self.lease.is_none() {
            let taken = self.upstream().lingering.take(&self.slot);
            self.lease = taken.and_then(|(mut lease, _)| {
                let is_well = !crate::engine::Connection::is_disturbed(&mut *lease);
                is_well.then_some(lease)
            });
        }
    }

    /// Gives a lingering connection back.
    pub(super) fn leave_slot(&mut self) {
        self.linger_until = None;
        if let Some((lease, _)) = self.upstream().lingering.take(&self.slot) {
            lease.give_back();
        }
    }

    /// Whether another connection can take the place of a lost one.
    pub(super) fn is_replaceable(&self) -> bool {
        self.pins.is_empty()
    }
}

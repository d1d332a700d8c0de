//! Ending what must not go on: a statement past its limit, a transaction that idles or that others
//! wait for, a client that went away.
//!
//! ```text
//! limit passed ─► pg_cancel_backend, or CancelRequest (stop.rs) ─┐
//!                                                               ├─► both over ─► ROLLBACK ─► settle
//! the reply is read to its end ────────────────────────────────┘        │   (in a transaction)
//!        │ not over within the grace time                               │
//!        └─► pg_terminate_backend, reclaim ◄────────────────────────────┘ anything unknown
//! ```
//!
//! The connection is never lent meanwhile, and the permit stays taken. Once the order is answered,
//! the signal has been sent, and a backend that waits for a command drops it; so nothing can hit
//! what comes next on that connection.
//!
//! A cancel inside a transaction leaves its locks where a savepoint is open, so the guard rolls
//! back, and the client's transaction has failed until it ends it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use policy::{admission::Outcome, class::ClassId, deadline::Deadline};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};
use wire::postgres::{
    frontend::{put_copy_fail, put_sync},
    result::{Asker, Request},
};

use super::{
    End, Lost, Series, Session, Transaction,
    relay::{Relay, Stop, Unit},
    unit::Task,
};
use crate::{
    metrics::{CancelCause, StatementOutcome, TransactionOutcome},
    postgres::{
        client::{ClientError, Message},
        connection::Connection,
        handover,
        key::BackendKey,
        refuse, stop,
    },
    session::{
        cause_of,
        pins::Pin,
        verdict::{Call, Verdict},
    },
    upstream::{
        control::{Ask, Backend, ControlError, Told},
        reclaim::reclaim,
    },
};

/// How long rolling back may take on the session's own time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A unit that is not over.
#[derive(Debug)]
pub(super) struct Open {
    pub unit: Unit,
    pub deadline: Option<Deadline>,
    pub sent: Instant,
}

/// An order that was given, and what came of it.
type Order = JoinHandle<Result<Told, ControlError>>;

/// Why a unit is ended.
#[derive(Debug)]
enum Cause {
    Limit(Deadline),
    Melted(Box<Verdict>),
    Killed,
    ClientGone,
}

impl Session {
    fn cause(&self, stop: Stop, deadline: Option<Deadline>) -> (Cause, Option<ClientError>) {
        match (stop, deadline) {
            (Stop::Deadline, Some(deadline)) => (Cause::Limit(deadline), None),
            (Stop::ClientGone(error), _) => (Cause::ClientGone, Some(error)),
            _ => match self.entry.card.take_verdict() {
                Some(verdict) => (Cause::Melted(verdict), None),
                None => (Cause::Killed, None),
            },
        }
    }

    /// Stops the running unit and brings its reply to the end.
    pub(super) async fn cancel(
        &mut self,
        task: Task,
        mut open: Open,
        stop: Stop,
    ) -> Result<(), End> {
        let began = Instant::now();
        let (cause, gone) = self.cause(stop, open.deadline);
        open.unit.let_go(Some(&mut self.client));
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        let backend = lease.backend();
        debug!(session = self.entry.card.id, backend = backend.id, ?cause, "cancelling a unit");
        if open.unit.waits_for_client(lease) {
            return self.give_up_waiting(&task, open, &cause, gone).await;
        }
        if lease.tracker.awaits_copy_data() {
            end_copy(lease, open.unit.is_extended);
        }
        let key = lease.key.clone();
        let order = self.order_cancel(backend, key);
        if let Err(lost) = self.read_out(&task, &mut open, &cause, began).await {
            return self.give_up(&task, &open.unit, &cause, gone, Some(&lost)).await;
        }
        if !self.is_order_over(order).await {
            return self.give_up(&task, &open.unit, &cause, gone, None).await;
        }
        let metrics = self.orders.metrics.of(task.class);
        metrics.cancels.add(self.label(&cause));
        metrics.cancel_time.record(began.elapsed());
        // A statement that is stopped may have taken a lock before.
        self.take_over(&task, &open.unit);
        match cause {
            Cause::ClientGone => {
                self.count(
                    task.class,
                    StatementOutcome::ClientGone,
                    TransactionOutcome::ClientGone,
                );
                Err(End::Client(gone.unwrap_or(ClientError::Closed)))
            }
            Cause::Killed if self.entry.card.is_ended() => Err(End::Killed),
            Cause::Limit(_) if open.unit.error == Some(*b"57014") => {
                self.count(task.class, StatementOutcome::TimeLimit, TransactionOutcome::TimeLimit);
                self.abort(&task, &open.unit).await
            }
            Cause::Melted(verdict) if open.unit.error == Some(*b"57014") => {
                self.count(task.class, StatementOutcome::Melted, TransactionOutcome::Melted);
                let aborted = self.abort(&task, &open.unit).await;
                verdict.carried_out();
                aborted
            }
            // It ended by itself before the cancel came, or its client cancelled it: as it is.
            cause => {
                self.conclude(&task, &open.unit, open.sent).await?;
                if let Cause::Melted(verdict) = cause {
                    // Its transaction is what is in the way: heard of while the client is silent.
                    let _is_called = self.entry.card.melt(*verdict);
                }
                Ok(())
            }
        }
    }

    /// Orders the end of what a backend runs. Dropping the handle leaves the order standing.
    fn order_cancel(&self, backend: Backend, key: Option<BackendKey>) -> Order {
        let upstream = Arc::clone(self.upstream());
        let patience = self.shared.options.cancel_grace / 2;
        tokio::spawn(async move {
            stop::stop(&upstream, Ask::Cancel(backend), key.as_ref(), patience).await
        })
    }

    /// The cause in the metrics.
    fn label(&self, cause: &Cause) -> CancelCause {
        match cause {
            Cause::Limit(deadline) => cause_of(deadline.limit),
            Cause::Melted(_) => CancelCause::Melt,
            Cause::Killed if self.shared.is_draining() => CancelCause::Drain,
            Cause::Killed => CancelCause::Kill,
            Cause::ClientGone => CancelCause::ClientGone,
        }
    }

    /// Reads the reply to its end. The client sees it, unless it is gone; a cancel is told in the
    /// guard's words when a limit or melting was its cause.
    async fn read_out(
        &mut self,
        task: &Task,
        open: &mut Open,
        cause: &Cause,
        began: Instant,
    ) -> Result<(), Lost> {
        let until = Some(began + self.shared.options.cancel_grace);
        let call = Call { card: &self.entry.card, work: self.work(Some(open.sent)) };
        let substitute = match cause {
            Cause::Melted(verdict) => Some(refuse::melted(&self.note(task.class, verdict))),
            Cause::Limit(deadline) => {
                let measured = began.duration_since(open.sent);
                let policy = &self.orders.policy;
                Some(refuse::time_limit(policy, task.class, deadline, measured))
            }
            _ => None,
        };
        let Some(lease) = self.lease.as_mut() else { return Err(Lost::Closed) };
        let mut relay = Relay {
            client: (!matches!(cause, Cause::ClientGone)).then_some(&mut self.client),
            connection: lease,
            statements: &mut self.statements,
            shared: &self.shared,
            scratch: &mut self.scratch,
            settings: &self.settings,
            pins: &self.pins,
            subscription: self.subscription.as_deref(),
            unit: &mut open.unit,
            text: None,
            substitute,
            write_timeout: self.door.write_timeout,
            replica: self.away.as_ref().map(|away| &*away.replica),
            is_ending: true,
        };
        loop {
            match relay.run(&mut self.timer, until, &call).await {
                Stop::End => break,
                Stop::Killed => {}
                Stop::ClientGone(_) => relay.client = None,
                Stop::Lost(lost) => return Err(lost),
                Stop::Deadline | Stop::Refused(_) => {
                    return Err(Lost::Io(std::io::ErrorKind::TimedOut.into()));
                }
            }
        }
        // The series was ended in the client's place: its own Sync is still to come.
        self.series = if open.unit.was_sealed { Series::Skipped } else { Series::Served };
        Ok(())
    }

    /// Whether the order has been carried out or refused. One that is still on its way may hit
    /// whatever the connection does next.
    async fn is_order_over(&self, order: Order) -> bool {
        match tokio::time::timeout(self.shared.options.cancel_grace, order).await {
            Ok(Ok(Ok(Told::Done | Told::Gone))) => true,
            Ok(Ok(Err(error))) => {
                warn!(session = self.entry.card.id, %error, "a statement could not be cancelled");
                matches!(error, ControlError::Refused(_))
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// The server waits for its client, and no signal ends that: the connection is seen off.
    async fn give_up_waiting(
        &mut self,
        task: &Task,
        open: Open,
        cause: &Cause,
        gone: Option<ClientError>,
    ) -> Result<(), End> {
        let was_pinned = !self.is_replaceable();
        let metrics = self.orders.metrics.of(task.class);
        metrics.cancels.add(self.label(cause));
        match cause {
            Cause::ClientGone => {
                let transaction = TransactionOutcome::ClientGone;
                self.count(task.class, StatementOutcome::ClientGone, transaction);
                self.reclaim_lease();
                Err(End::Client(gone.unwrap_or(ClientError::Closed)))
            }
            Cause::Killed if self.entry.card.is_ended() => {
                self.reclaim_lease();
                Err(End::Killed)
            }
            _ => {
                match cause {
                    Cause::Melted(_) => {
                        let transaction = TransactionOutcome::Melted;
                        self.count(task.class, StatementOutcome::Melted, transaction);
                    }
                    _ => {
                        let transaction = TransactionOutcome::TimeLimit;
                        self.count(task.class, StatementOutcome::TimeLimit, transaction);
                    }
                }
                let had_transaction = self.is_in_transaction();
                let error = match cause {
                    Cause::Limit(deadline) => {
                        let policy = &self.orders.policy;
                        let measured = Instant::now().duration_since(open.sent);
                        refuse::time_limit(policy, task.class, deadline, measured)
                    }
                    Cause::Melted(verdict) => refuse::melted(&self.note(task.class, verdict)),
                    _ => refuse::interrupted(),
                };
                self.reclaim_lease();
                if was_pinned {
                    return Err(End::Told(Some(error)));
                }
                self.transaction = match had_transaction {
                    true => Transaction::Failed { why: None },
                    false => Transaction::Idle,
                };
                self.client.abandon(open.unit.passing);
                let rest = Message { len: 0, here: 0, ..task.first };
                self.decline(rest, &error);
                Ok(())
            }
        }
    }

    /// The connection is in no known state: it is seen off, and the client told what can be told.
    /// `lost` is why it has no whole reply; without, it has one.
    async fn give_up(
        &mut self,
        task: &Task,
        unit: &Unit,
        cause: &Cause,
        gone: Option<ClientError>,
        lost: Option<&Lost>,
    ) -> Result<(), End> {
        match (cause, lost) {
            (Cause::ClientGone, _) => {
                self.reclaim_lease();
                Err(End::Client(gone.unwrap_or(ClientError::Closed)))
            }
            (_, Some(lost)) => self.lose_unit(task, unit, lost).await,
            (_, None) => {
                self.catch_up(unit).await;
                self.lose_quietly(&Lost::Closed).await
            }
        }
    }

    /// Rolls back after a limit. The statement's own error has been delivered.
    async fn abort(&mut self, task: &Task, unit: &Unit) -> Result<(), End> {
        self.outcome = Outcome::Overload;
        self.now = Instant::now();
        if self.is_in_transaction() {
            return self.roll_back(None).await;
        }
        self.transaction = Transaction::Idle;
        let looked = self.look(Some(&task.shape)).await;
        self.catch_up(unit).await;
        if let Err(lost) = looked {
            return self.lose_quietly(&lost).await;
        }
        self.release();
        Ok(())
    }

    /// A limit of the transaction passed while the client was silent.
    pub(super) async fn abort_idle(&mut self, deadline: &Deadline) -> Result<(), End> {
        info!(session = self.entry.card.id, user = %self.user, limit = deadline.limit.as_str(),
            "rolling back a transaction whose time is over");
        let metrics = self.orders.metrics.of(self.class);
        metrics.cancels.add(cause_of(deadline.limit));
        metrics.transactions.add(TransactionOutcome::TimeLimit);
        self.outcome = Outcome::Overload;
        let why = format!(
            "tidegate: class={0} reason={1} limit_ms={2} changed_by=class.{0}.{1}",
            self.orders.policy.class(self.class).name,
            deadline.limit.as_str(),
            deadline.allowed.as_millis(),
        );
        let error = refuse::rolled_back(deadline.limit, &why);
        self.roll_back(Some(error)).await
    }

    /// Others wait for a transaction while its client is silent.
    pub(super) async fn melt_idle(&mut self) -> Result<(), End> {
        let Some(verdict) = self.entry.card.take_verdict() else { return Ok(()) };
        let metrics = self.orders.metrics.of(self.class);
        metrics.cancels.add(CancelCause::Melt);
        metrics.transactions.add(TransactionOutcome::Melted);
        self.outcome = Outcome::Overload;
        let error = refuse::melted_idle(&self.note(self.class, &verdict));
        let rolled_back = self.roll_back(Some(error)).await;
        verdict.carried_out();
        rolled_back
    }

    fn note(&self, class: ClassId, verdict: &Verdict) -> String {
        verdict.note(&self.orders.policy.class(class).name)
    }

    async fn roll_back(&mut self, why: Option<refuse::Error>) -> Result<(), End> {
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        let rolled_back = matches!(within(lease.query(b"ROLLBACK")).await, Ok(Ok(_)));
        self.forget_brought();
        let is_over = self.lease.as_ref().is_some_and(|lease| !lease.is_in_transaction());
        if rolled_back && is_over {
            self.transaction = Transaction::Failed { why };
            self.now = Instant::now();
            if let Err(lost) = self.look(None).await {
                return self.lose_quietly(&lost).await;
            }
            self.release();
            return Ok(());
        }
        self.reclaim_lease();
        if !self.is_replaceable() {
            return Err(End::UpstreamLost);
        }
        self.transaction = Transaction::Failed { why };
        Ok(())
    }

    /// Counts a statement that the guard ended, and its transaction with it.
    fn count(&self, class: ClassId, statement: StatementOutcome, transaction: TransactionOutcome) {
        let metrics = self.orders.metrics.of(class);
        metrics.statements.add(statement);
        metrics.transactions.add(transaction);
    }

    /// The database broke off before, or in the middle of, a unit. Its client is told in the place of
    /// the message `untold`, unless it knows of an error already.
    pub(super) async fn lose(&mut self, untold: Option<Message>, lost: &Lost) -> Result<(), End> {
        warn!(session = self.entry.card.id, error = %lost, "lost the database during a statement");
        self.count(self.class, StatementOutcome::UpstreamLost, TransactionOutcome::UpstreamLost);
        let was_in_transaction = self.is_in_transaction() || self.transaction.since().is_some();
        self.reclaim_lease();
        if was_in_transaction || !self.is_replaceable() {
            // The client's connection ends as the database's did: every driver knows that case.
            return Err(End::UpstreamLost);
        }
        if let Some(message) = untold {
            self.decline(message, &refuse::lost(&lost.to_string()));
        }
        Ok(())
    }

    /// The database broke off after the reply was delivered.
    pub(super) async fn lose_quietly(&mut self, lost: &Lost) -> Result<(), End> {
        debug!(session = self.entry.card.id, error = %lost, "lost the database between statements");
        let was_in_transaction = self.is_in_transaction() || self.transaction.since().is_some();
        self.reclaim_lease();
        if was_in_transaction || !self.is_replaceable() {
            return Err(End::UpstreamLost);
        }
        Ok(())
    }

    /// Hands the connection and the permit to those who see them off.
    pub(super) fn reclaim_lease(&mut self) {
        if let Some(lease) = self.lease.take() {
            let kept = (self.permit.take(), self.pinned.take());
            reclaim(&self.pool, lease, kept);
            self.forget_brought();
        }
        self.show();
    }

    /// Ends whatever the session holds on the database, so that the connection can serve others: a
    /// transaction is rolled back, what is held is discarded. What cannot be brought to a known state
    /// is seen off.
    pub(super) async fn clean_up(&mut self) {
        let is_held = !self.pins.is_empty() || !self.suspicion.is_empty();
        let Some(lease) = self.lease.as_mut() else { return };
        if !lease.tracker.is_over() || lease.tracker.doubts() > 0 || !lease.outbuf.is_empty() {
            return self.reclaim_lease();
        }
        let is_clean = if is_held {
            tokio::time::timeout(SETTLE_TIMEOUT, handover::reset(lease))
                .await
                .is_ok_and(|r| r.is_ok())
        } else if lease.is_in_transaction() {
            matches!(within(lease.query(b"ROLLBACK")).await, Ok(Ok(_)))
        } else {
            true
        };
        if !is_clean || lease.is_in_transaction() {
            return self.reclaim_lease();
        }
        if let Some(lease) = self.lease.take() {
            // What is sent to a process that a client was told of must not hit another's statement.
            if self.pins.has(Pin::ConnectionId) { drop(lease.detach()) } else { lease.give_back() }
        }
        self.pins.clear();
        self.pinned = None;
        self.transaction = Transaction::Idle;
        if let Some(permit) = self.permit.take() {
            permit.settle(Instant::now(), Outcome::Ignored);
        }
        self.show();
    }
}

/// Ends a COPY in the client's place: the server waits for data, and looks up for nothing else.
fn end_copy(connection: &mut Connection, is_extended: bool) {
    let pushed = connection.tracker.push(Request::CopyEnd, Asker::Guard);
    put_copy_fail(&mut connection.outbuf, b"canceled by tidegate");
    if pushed.is_ok() && is_extended && connection.tracker.push(Request::Sync, Asker::Guard).is_ok()
    {
        put_sync(&mut connection.outbuf);
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
    tokio::time::timeout(SETTLE_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(Lost::Io(std::io::ErrorKind::TimedOut.into())))
}

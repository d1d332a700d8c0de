//! Ending what must not go on: a statement past its limit, a transaction that idles or that others
//! wait for, a client that went away.
//!
//! ```text
//! limit passed ─► KILL QUERY over a control connection ─┐
//!                                                        ├─► both over ─► barrier ─► ROLLBACK ─► settle
//! the reply is read to its end ─────────────────────────┘        │          (in a transaction)
//!        │ not over within the grace time                        │
//!        └─► KILL CONNECTION, reclaim ◄──────────────────────────┘ anything unknown
//! ```
//!
//! The connection is never lent meanwhile, and the permit stays taken. The barrier is there for
//! MariaDB: a `KILL QUERY` that arrives after its statement marks the idle thread, and the mark
//! hits the next statement. So one that does nothing is sent, until it is not hit.
//!
//! A cancel inside a transaction leaves its locks (InnoDB rolls the statement back, not the
//! transaction), so the guard rolls back, and the client's transaction is
//! [`Transaction::Aborted`] until it ends it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use policy::{admission::Outcome, class::ClassId, deadline::Deadline};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};
use wire::mysql::{response::Status, result::Tracker};

use super::{
    End, Session,
    client::ClientError,
    file::Files,
    refuse,
    relay::{Relay, Reply, Stop, is_interruption},
    state::Transaction,
    task::Task,
};
use crate::session::{
    cause_of,
    pins::Pin,
    verdict::{Call, Verdict, Work},
};
use crate::{
    metrics::{CancelCause, StatementOutcome, TransactionOutcome},
    mysql::{
        Lease,
        connection::{Answer, Lost},
        handover,
    },
    upstream::{
        control::{Ask, ControlError, Told},
        reclaim::reclaim,
    },
};

/// How long rolling back, or waiting for a cancelled statement, may take on the session's own time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the barrier is sent before the connection is given up. One late kill hits once.
const BARRIER_TRIES: usize = 4;

/// A reply that is not over.
#[derive(Debug)]
pub(super) struct Open {
    pub tracker: Tracker,
    pub reply: Reply,
    pub prepare_as: u32,
    pub deadline: Option<Deadline>,
    pub sent: Instant,
}

/// Why a statement is cancelled.
#[derive(Debug)]
enum Cause {
    Limit(Deadline),
    Melted(Box<Verdict>),
    Killed,
    ClientGone,
}

impl Session {
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

    fn cause(&self, stop: Stop, deadline: Option<Deadline>) -> Cause {
        match (stop, deadline) {
            (Stop::Deadline, Some(deadline)) => Cause::Limit(deadline),
            (Stop::Killed, _) => match self.entry.card.take_verdict() {
                Some(verdict) => Cause::Melted(verdict),
                None => Cause::Killed,
            },
            _ => Cause::ClientGone,
        }
    }

    /// Stops the running statement and brings its reply to the end.
    pub(super) async fn cancel(
        &mut self,
        task: Task,
        open: Open,
        stop: Stop,
        was_in_transaction: bool,
    ) -> Result<(), End> {
        let began = Instant::now();
        let sent = open.sent;
        let cause = self.cause(stop, open.deadline);
        let Some(backend) = self.lease.as_ref().map(Lease::backend) else {
            return Err(End::UpstreamLost);
        };
        debug!(
            session = self.entry.card.id,
            backend = backend.id,
            ?cause,
            "cancelling a statement"
        );
        if open.tracker.awaits_file() {
            return Err(self.give_up_file(&task, &cause));
        }
        let control = self.upstream().control().clone();
        let order = tokio::spawn(async move { control.ask(Ask::Cancel(backend)).await });
        let reply = match self.read_out(&task, open, &cause, began).await {
            Ok(reply) => {
                self.client.has_partial_reply = false;
                reply
            }
            Err(lost) => return self.give_up(&cause, Some(&lost)).await,
        };
        let session = self.identity();
        if let Some(lease) = &mut self.lease {
            // Already the barrier may be told what the statement has changed.
            lease.note_untold(session);
        }
        if !self.is_order_over(order).await || self.pass_barrier().await.is_err() {
            return self.give_up(&cause, None).await;
        }
        let metrics = self.orders.metrics.of(task.class);
        metrics.cancels.add(self.label(&cause));
        metrics.cancel_time.record(began.elapsed());
        match cause {
            Cause::ClientGone => {
                self.count(
                    task.class,
                    StatementOutcome::ClientGone,
                    TransactionOutcome::ClientGone,
                );
                Err(End::Client(ClientError::Closed))
            }
            Cause::Killed if self.entry.card.is_ended() => Err(End::Killed),
            Cause::Limit(deadline) if reply.error.is_some_and(is_interruption) => {
                self.count(task.class, StatementOutcome::TimeLimit, TransactionOutcome::TimeLimit);
                self.note_pins(&task, &reply, Instant::now());
                let why = self.why(&deadline);
                self.abort(why).await
            }
            Cause::Melted(verdict) if reply.error.is_some_and(is_interruption) => {
                self.count(task.class, StatementOutcome::Melted, TransactionOutcome::Melted);
                self.note_pins(&task, &reply, Instant::now());
                let why = self.note(task.class, &verdict);
                let aborted = self.abort(why).await;
                verdict.carried_out();
                aborted
            }
            // It ended by itself before the kill came, or without an error because of it (SLEEP), or
            // another client killed it: as it is.
            cause => {
                self.conclude(task, reply, was_in_transaction, sent).await?;
                if let Cause::Melted(verdict) = cause {
                    // Its transaction is what is in the way: heard of while the client is silent.
                    let _is_called = self.entry.card.melt(*verdict);
                }
                Ok(())
            }
        }
    }

    /// What the session is at, since the transaction or statement that it has on the database was
    /// sent.
    pub(super) fn work(&self, since: Option<Instant>) -> Work {
        let backend = self.lease.as_ref().map_or(0, |lease| lease.backend().id);
        Work { backend, since, is_ending: false }
    }

    /// Whether the order to kill the statement has been carried out or refused. One that is still on
    /// its way may hit whatever the connection does next.
    async fn is_order_over(&self, order: JoinHandle<Result<Told, ControlError>>) -> bool {
        match tokio::time::timeout(self.shared.options.cancel_grace, order).await {
            Ok(Ok(Ok(Told::Done | Told::Gone))) => true,
            Ok(Ok(Err(error))) => {
                warn!(session = self.entry.card.id, %error, "a statement could not be cancelled");
                matches!(error, ControlError::Refused(_))
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Reads the reply to its end. The client sees it, unless it is gone; an interruption is told
    /// in the guard's words when a limit or melting was its cause.
    async fn read_out(
        &mut self,
        task: &Task,
        open: Open,
        cause: &Cause,
        began: Instant,
    ) -> Result<Reply, Lost> {
        let until = Some(began + self.shared.options.cancel_grace);
        let call = Call { card: &self.entry.card, work: self.work(Some(open.sent)) };
        let substitute = match cause {
            Cause::Limit(deadline) => Some(refuse::time_limit(
                self.mariadb,
                &self.orders.policy,
                task.class,
                deadline,
                began.duration_since(open.sent),
            )),
            Cause::Melted(verdict) => {
                Some(refuse::melted(self.mariadb, &self.note(task.class, verdict)))
            }
            _ => None,
        };
        let Some(lease) = self.lease.as_mut() else { return Err(Lost::Closed) };
        let client = match cause {
            Cause::ClientGone => None,
            _ if open.reply.is_told => None,
            _ => Some(&mut self.client),
        };
        let mut relay = Relay {
            client,
            connection: lease,
            settings: &mut self.settings,
            tracker: open.tracker,
            view: &self.view,
            owed: &mut self.owed,
            prepare_as: open.prepare_as,
            substitute,
            files: Files::Refuse,
            warnings: None,
            write_timeout: self.door.write_timeout,
            replica: None,
            reply: open.reply,
        };
        loop {
            match relay.run(&mut self.timer, until, &call).await {
                Stop::End => return Ok(relay.reply),
                Stop::Killed => {}
                Stop::ClientGone => relay.client = None,
                Stop::Lost(lost) => return Err(lost),
                Stop::Deadline => {
                    let why = "a cancelled statement has not ended in time";
                    return Err(Lost::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, why)));
                }
            }
        }
    }

    /// Makes sure that no kill is still on its way to the connection's next statement.
    async fn pass_barrier(&mut self) -> Result<(), Lost> {
        let Some(lease) = self.lease.as_mut() else { return Err(Lost::Closed) };
        for _ in 0..BARRIER_TRIES {
            match within(lease.execute(b"DO 0")).await? {
                Answer::Ok(_) => return Ok(()),
                Answer::Err(error) if is_interruption(error.code) => {}
                Answer::Err(_) => return Err(Lost::Closed),
            }
        }
        Err(Lost::Closed)
    }

    /// Rolls back after a cancel, and tells the client why for as long as it does not end its
    /// transaction itself. The statement's own error has been delivered.
    async fn abort(&mut self, why: String) -> Result<(), End> {
        let was_open = self.transaction.is_open_to_client() || self.is_in_transaction();
        if !was_open {
            self.release_as(Outcome::Overload).await;
            return Ok(());
        }
        self.roll_back(why).await
    }

    /// A limit of the transaction passed while the client was silent.
    pub(super) async fn abort_idle(&mut self, deadline: Deadline) -> Result<(), End> {
        info!(session = self.entry.card.id, user = %self.user, limit = deadline.limit.as_str(),
            "rolling back a transaction whose time is over");
        let metrics = self.orders.metrics.of(self.class);
        metrics.cancels.add(CancelCause::TransactionTime);
        let why = self.why(&deadline);
        self.roll_back(why).await
    }

    /// Others wait for a transaction while its client is silent.
    pub(super) async fn melt_idle(&mut self) -> Result<(), End> {
        let Some(verdict) = self.entry.card.take_verdict() else { return Ok(()) };
        let metrics = self.orders.metrics.of(self.class);
        metrics.cancels.add(CancelCause::Melt);
        metrics.transactions.add(TransactionOutcome::Melted);
        let why = self.note(self.class, &verdict);
        let rolled_back = self.roll_back(why).await;
        verdict.carried_out();
        rolled_back
    }

    fn why(&self, deadline: &Deadline) -> String {
        format!(
            "{} of {} ms passed in class {}",
            deadline.limit.as_str(),
            deadline.allowed.as_millis(),
            self.orders.policy.class(self.class).name,
        )
    }

    fn note(&self, class: ClassId, verdict: &Verdict) -> String {
        verdict.note(&self.orders.policy.class(class).name)
    }

    async fn roll_back(&mut self, why: String) -> Result<(), End> {
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        let rolled_back = match within(lease.execute(b"ROLLBACK")).await {
            Ok(Answer::Ok(status)) => !status.contains(Status::IN_TRANS),
            _ => false,
        };
        if rolled_back {
            self.release_as(Outcome::Overload).await;
        } else {
            self.reclaim_lease();
            if !self.is_replaceable() {
                return Err(End::UpstreamLost);
            }
        }
        self.transaction = Transaction::Aborted { why };
        Ok(())
    }

    /// Counts a statement that the guard ended, and its transaction with it.
    fn count(&self, class: ClassId, statement: StatementOutcome, transaction: TransactionOutcome) {
        let metrics = self.orders.metrics.of(class);
        metrics.statements.add(statement);
        metrics.transactions.add(transaction);
    }

    /// The connection is in no known state: it is seen off, and the client told what can be told.
    /// `lost` is why it has no whole reply; without, it has one.
    async fn give_up(&mut self, cause: &Cause, lost: Option<&Lost>) -> Result<(), End> {
        match (cause, lost) {
            (Cause::ClientGone, _) => {
                self.reclaim_lease();
                Err(End::Client(ClientError::Closed))
            }
            (_, Some(lost)) => self.lose(lost).await,
            (_, None) => self.lose_quietly(&Lost::Closed).await,
        }
    }

    /// In the middle of a file nothing can be said to either side: both connections end.
    fn give_up_file(&mut self, task: &Task, cause: &Cause) -> End {
        let (statement, transaction, end) = match cause {
            Cause::Limit(_) => {
                (StatementOutcome::TimeLimit, TransactionOutcome::TimeLimit, End::Killed)
            }
            Cause::Melted(_) => (StatementOutcome::Melted, TransactionOutcome::Melted, End::Killed),
            Cause::Killed => (StatementOutcome::Error, TransactionOutcome::RolledBack, End::Killed),
            Cause::ClientGone => {
                let end = End::Client(ClientError::Closed);
                (StatementOutcome::ClientGone, TransactionOutcome::ClientGone, end)
            }
        };
        self.orders.metrics.of(task.class).cancels.add(self.label(cause));
        self.count(task.class, statement, transaction);
        self.reclaim_lease();
        end
    }

    /// The database broke off in the middle of a statement.
    pub(super) async fn lose(&mut self, lost: &Lost) -> Result<(), End> {
        warn!(session = self.entry.card.id, error = %lost, "lost the database during a statement");
        self.count(self.class, StatementOutcome::UpstreamLost, TransactionOutcome::UpstreamLost);
        let was_in_transaction = self.is_in_transaction() || self.transaction.since().is_some();
        self.reclaim_lease();
        if self.client.has_partial_reply {
            // Part of the reply is with the client: no error can be told behind half a packet.
            return Err(End::Told("lost the database in the middle of a reply"));
        }
        if was_in_transaction || !self.is_replaceable() {
            // The client's connection ends as the database's did: every driver knows that case.
            return Err(End::UpstreamLost);
        }
        self.say_error(refuse::lost(&lost.to_string()));
        self.transaction = Transaction::Idle;
        Ok(())
    }

    /// The database broke off after the reply was delivered.
    pub(super) async fn lose_quietly(&mut self, lost: &Lost) -> Result<(), End> {
        debug!(session = self.entry.card.id, error = %lost, "lost the database between statements");
        let was_in_transaction = self.is_in_transaction() || self.transaction.since().is_some();
        self.reclaim_lease();
        self.client.flush().await?;
        if was_in_transaction || !self.is_replaceable() {
            return Err(End::UpstreamLost);
        }
        Ok(())
    }

    /// Whether another connection can take the place of a lost one.
    fn is_replaceable(&self) -> bool {
        self.pins.is_empty()
    }

    /// Hands the connection and the permit to those who see them off.
    pub(super) fn reclaim_lease(&mut self) {
        self.look_back.forget();
        if let Some(lease) = self.lease.take() {
            let kept = (self.permit.take(), self.pinned.take());
            reclaim(&self.pool, lease, kept);
        }
        self.show();
    }

    /// As `release`, with the outcome that the limits learn from.
    async fn release_as(&mut self, outcome: Outcome) {
        self.now = Instant::now();
        self.look_back.set_outcome(outcome);
        self.look_back.forget();
        self.release().await;
    }

    /// Ends whatever the session holds on the database, so that the connection can serve others: a
    /// transaction is rolled back, pinned state is reset. What cannot be brought to a known state
    /// is seen off.
    pub(super) async fn clean_up(&mut self) {
        let is_open = self.is_in_transaction();
        let Some(lease) = self.lease.as_mut() else { return };
        let setup = self.shared.upstream.setup(lease.mariadb);
        if self.view.is_own() {
            // A reset keeps the schema, and the client may have turned off what tells it.
            let found = within(lease.query(b"SELECT DATABASE()")).await;
            let Ok(Ok(rows)) = found else { return self.reclaim_lease() };
            let schema = rows.into_iter().flatten().next().flatten();
            Arc::make_mut(&mut self.settings).schema = schema.map(|name| Box::from(&*name));
            lease.settings = Arc::clone(&self.settings);
        }
        let is_clean = if !self.pins.is_empty() || lease.untold_of.is_some() {
            within_handover(handover::reset(lease, &setup)).await
        } else if is_open {
            matches!(within(lease.execute(b"ROLLBACK")).await,
                Ok(Answer::Ok(status)) if !status.contains(Status::IN_TRANS))
        } else {
            true
        };
        if !is_clean {
            self.reclaim_lease();
            return;
        }
        if let Some(lease) = self.lease.take() {
            // A KILL by an id that a client was told must not hit another's statement.
            if self.pins.has(Pin::ConnectionId) { drop(lease.detach()) } else { lease.give_back() }
        }
        self.pins.clear();
        self.look_back.forget();
        self.pinned = None;
        self.transaction = Transaction::Idle;
        if let Some(permit) = self.permit.take() {
            self.now = Instant::now();
            permit.settle(self.now, Outcome::Ignored);
        }
        self.show();
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
    tokio::time::timeout(SETTLE_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(Lost::Io(std::io::ErrorKind::TimedOut.into())))
}

async fn within_handover(work: impl Future<Output = Result<(), handover::HandoverError>>) -> bool {
    tokio::time::timeout(SETTLE_TIMEOUT, work).await.is_ok_and(|done| done.is_ok())
}

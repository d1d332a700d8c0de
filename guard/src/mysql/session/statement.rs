//! The path of one statement: gate, lease, database, client, settle.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use policy::{
    deadline::{Deadline, Since},
    replica::Tried,
    sql::{Effects, Kind, Shape},
};
use wire::mysql::{Capabilities, command::Command, result::Tracker};

use super::{
    End, Session,
    admit::Borrowed,
    cancel::Open,
    effect,
    file::{Files, asks_for_file},
    is_silent,
    pins::Pin,
    refuse,
    relay::{Relay, Reply, Stop},
    send::Sent,
    state::Transaction,
    task::{Execution, Task},
};
use crate::{
    mysql::connection::Lost,
    replica::{Blame, silenced},
    session::verdict::{Call, Work},
    shared,
};

/// What a statement can ask about the one before it. The server answers from its session, so
/// nothing may come between.
pub(super) const ASKS_BACK: Effects =
    Effects::ROW_COUNT.or(Effects::FOUND_ROWS).or(Effects::WARNINGS).or(Effects::LAST_INSERT_ID);

/// How far a statement was carried.
enum Carriage {
    /// It is answered.
    Over,
    /// A replica failed before anything of an answer was with the client, whose bytes are in its buffer as they were.
    Failed { again: Task, blame: Blame },
}

/// Whether a statement sets variables for itself alone (SET STATEMENT … FOR): the server tells the
/// values that they had meanwhile.
fn is_for_itself(shape: &Shape) -> bool {
    shape.effects.contains(Effects::FOR_STATEMENT) && !shape.effects.contains(Effects::MULTI)
}

impl Session {
    /// Carries one statement through. On return it is answered, and consumed from the client's
    /// buffer. A read that a replica fails is carried once more, elsewhere.
    pub(super) async fn statement(&mut self, mut task: Task) -> Result<(), End> {
        if self.answer_transaction(&task).await? {
            return Ok(());
        }
        let mut tried = Tried::default();
        loop {
            match self.carry(task, tried).await? {
                Carriage::Over => return Ok(()),
                Carriage::Failed { again, blame } => {
                    self.leave(&mut tried, blame).await;
                    task = again;
                }
            }
        }
    }

    async fn carry(&mut self, task: Task, tried: Tried) -> Result<Carriage, End> {
        if let Some(permit) = &mut self.permit {
            if let Some(row) = self.entry.card.row() {
                permit.come_to(&self.shared.hot, row);
            }
        } else {
            if self.may_use_hold(&task) {
                self.use_hold(&task).await;
            }
            // Without replicas a session is always where its statements run.
            let is_placed = self.shared.replicas.is_none() || self.place(&task, tried).await?;
            if !is_placed || !self.admit(&task).await? {
                self.resume_hold();
                return Ok(Carriage::Over);
            }
        }
        self.resume();
        if let Err(what) =
            self.look_back.ask(task.shape.effects, &self.pool.memory.habits, self.lease.is_some())
        {
            self.permit = None;
            self.decline(task.first, refuse::looked_back_too_late(what)).await?;
            return Ok(Carriage::Over);
        }
        if let Err(lost) = self.hear_ahead(&task).await {
            return self.lose_unsent(task, &lost).await;
        }
        let replica = self.away.as_ref().map(|away| Arc::clone(&away.replica));
        let borrowed = tokio::select! {
            biased;
            borrowed = self.borrow(&task) => borrowed?,
            () = silenced(replica.as_deref()) => Borrowed::Elsewhere(Blame::CannotOpen),
        };
        match borrowed {
            Borrowed::Yes => {}
            Borrowed::Told => return Ok(Carriage::Over),
            Borrowed::Elsewhere(blame) => return Ok(Carriage::Failed { again: task, blame }),
        }
        if let Err(lost) = self.catch_up(&task).await {
            return self.lose_unsent(task, &lost).await;
        }
        self.exchange(task).await
    }

    /// The database broke off before anything of the statement was sent.
    async fn lose_unsent(&mut self, task: Task, lost: &Lost) -> Result<Carriage, End> {
        if self.away.is_some() {
            return Ok(Carriage::Failed { again: task, blame: Blame::BrokeOff });
        }
        self.skip(task.first).await?;
        self.lose(lost).await?;
        Ok(Carriage::Over)
    }

    /// The database broke off behind that.
    async fn lose_sent(&mut self, task: Task, lost: &Lost) -> Result<Carriage, End> {
        if self.take_up_again() {
            return Ok(Carriage::Failed { again: task, blame: Blame::BrokeOff });
        }
        self.lose(lost).await?;
        Ok(Carriage::Over)
    }

    /// Tells the server what the guard has answered in its place, where the statement asks for it.
    async fn catch_up(&mut self, task: &Task) -> Result<(), Lost> {
        let effects = task.shape.effects;
        self.ask_collation_for(task).await?;
        if effect::steers_trackers(&task.shape) && !self.view.is_own() {
            self.give_trackers().await?;
        }
        let Some(lease) = &mut self.lease else { return Ok(()) };
        let answered = &mut self.look_back.answered;
        // Of an account that asks for warnings, the question may come later.
        if answered.is_error() && self.pool.memory.habits.warnings.load(Ordering::Relaxed) {
            return answered.repeat(lease, effects | Effects::WARNINGS).await;
        }
        // PREPARE counts no rows.
        if !answered.is_nothing() && !matches!(task.execution, Execution::Prepare { .. }) {
            answered.repeat(lease, effects).await?;
        }
        Ok(())
    }

    /// Answers what concerns a transaction that the database does not know of. Returns whether the
    /// command is done with.
    async fn answer_transaction(&mut self, task: &Task) -> Result<bool, End> {
        let kind = task.shape.kind;
        match &self.transaction {
            Transaction::Aborted { why } => {
                let error = refuse::aborted(self.mariadb, why);
                if matches!(kind, Kind::Commit | Kind::Rollback) {
                    self.transaction = Transaction::Idle;
                }
                if kind == Kind::Rollback {
                    self.client.consume(task.first.packet);
                    self.look_back.succeed();
                    self.say_ok();
                } else {
                    self.decline(task.first, error).await?;
                }
                Ok(true)
            }
            Transaction::Begun(_) if task.is_plain_end() => {
                self.transaction = Transaction::Idle;
                self.look_back.succeed();
                self.client.consume(task.first.packet);
                self.say_ok();
                Ok(true)
            }
            Transaction::Idle | Transaction::Begun(_) => {
                let Some(begin) = task.shape.begin.filter(|_| self.may_begin_here()) else {
                    return Ok(false);
                };
                if task.command != Command::Query {
                    return Ok(false);
                }
                self.transaction = Transaction::Begun(begin);
                self.look_back.begin();
                self.client.consume(task.first.packet);
                self.say_ok();
                Ok(true)
            }
            Transaction::Open { .. } => Ok(false),
        }
    }

    /// Whether BEGIN has no effect on the database beyond beginning: no table lock to give up, no
    /// implicit transaction to commit, no XA to clash with, nothing chosen for transactions that the
    /// answer would tell.
    fn may_begin_here(&self) -> bool {
        let at_the_database =
            [Pin::TableLock, Pin::Xa, Pin::Session, Pin::NextTransaction, Pin::Variable];
        // After it MySQL goes on to tell that the transaction is read-only.
        let is_read_only = !self.mariadb
            && matches!(self.transaction, Transaction::Begun(policy::sql::Begin::ReadOnly));
        !self.is_in_transaction()
            && !is_read_only
            && !at_the_database.into_iter().any(|pin| self.pins.has(pin))
            && self.settings.variable(b"tx_read_only").is_none_or(|value| value == b"OFF")
            && self.settings.variable(b"transaction_read_only").is_none_or(|value| value == b"OFF")
    }

    /// Sends the statement and brings its reply to the client.
    async fn exchange(&mut self, task: Task) -> Result<Carriage, End> {
        let sent = self.now;
        if self.away.is_none() && !task.shape.takes_no_locks() {
            self.written.note();
        }
        let was_in_transaction = self.is_in_transaction();
        let deadline = self.deadline(&task, sent);
        self.note_told_id(&task);
        let session = self.identity();
        if let Some(lease) = &mut self.lease {
            // Unless a reply tells otherwise.
            lease.warnings_of = Some(session);
        }
        let prepare_as = match self.send(&task, deadline).await? {
            Sent::Yes { prepare_as } => prepare_as,
            // Nothing is told about a command that has no reply; what follows it will fail.
            Sent::Refused(_) if is_silent(task.command) => {
                self.skip(task.first).await?;
                self.settle_unsent().await;
                return Ok(Carriage::Over);
            }
            Sent::Refused(error) => {
                self.decline(task.first, *error).await?;
                self.settle_unsent().await;
                return Ok(Carriage::Over);
            }
            Sent::Lost(lost) => return self.lose_sent(task, &lost).await,
        };
        let files = self.files(&task, deadline, sent);
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        let tracker = Tracker::new(task.command, lease.capabilities);
        if !tracker.expects_reply() {
            self.conclude(task, Reply::default(), was_in_transaction, sent).await?;
            return Ok(Carriage::Over);
        }
        // MySQL tells those of the statement before, which may have run elsewhere.
        let is_told_again = !self.mariadb && task.command == Command::InitDb;
        let warnings = is_told_again.then(|| self.look_back.warnings_to_tell());
        let kept = is_for_itself(&task.shape).then(|| Arc::clone(&self.settings));
        let since = self.transaction.since().or(Some(sent));
        let backend = lease.backend().id;
        let work = Work { backend, since, is_ending: task.is_plain_end() };
        let call = Call { card: &self.entry.card, work };
        let mut relay = Relay {
            client: Some(&mut self.client),
            connection: lease,
            settings: &mut self.settings,
            tracker,
            view: &self.view,
            owed: &mut self.owed,
            prepare_as,
            substitute: None,
            files,
            warnings,
            write_timeout: self.door.write_timeout,
            replica: self.away.as_ref().map(|away| &*away.replica),
            reply: Reply::default(),
        };
        let until = deadline.map(|deadline| deadline.at);
        match relay.run(&mut self.timer, until, &call).await {
            Stop::End => {
                let reply = std::mem::take(&mut relay.reply);
                self.client.has_partial_reply = false;
                if let Some(kept) = kept {
                    self.settings = kept;
                }
                self.conclude(task, reply, was_in_transaction, sent).await?;
            }
            Stop::Lost(lost) => return self.lose_sent(task, &lost).await,
            stop => {
                let (tracker, reply) = (relay.tracker, std::mem::take(&mut relay.reply));
                let open = Open { tracker, reply, prepare_as, deadline, sent };
                self.cancel(task, open, stop, was_in_transaction).await?;
            }
        }
        Ok(Carriage::Over)
    }

    /// When this statement must be over: its own limit, or what is left of its transaction's.
    fn deadline(&self, task: &Task, sent: Instant) -> Option<Deadline> {
        let mut times = self.times;
        if task.class != self.class {
            times.statement = shared::times(&self.orders.policy, task.class).statement;
        }
        let transaction = self.transaction.since().or(Some(sent));
        times.next(Since { statement: Some(sent), transaction, idle: None })
    }

    /// What becomes of a question for a file of the client's.
    fn files(&self, task: &Task, deadline: Option<Deadline>, sent: Instant) -> Files {
        if self.may_send_file(task) {
            Files::Serve { idle: deadline.map(|deadline| deadline.at.duration_since(sent)) }
        } else {
            Files::Refuse
        }
    }

    /// Whether the client may be asked for a file.
    pub(super) fn may_send_file(&self, task: &Task) -> bool {
        asks_for_file(&task.shape)
            && self.client.capabilities.contains(Capabilities::LOCAL_FILES)
            && self.shared.engine.local_infile.is_allowed(&self.user)
    }

    /// Ends the turn of a statement of which nothing reached the database.
    async fn settle_unsent(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.outbuf.clear();
        }
        if self.is_in_transaction() {
            self.idle_since = Some(self.now);
        } else {
            self.release().await;
        }
    }
}

//! Taking over what a finished statement left behind, and giving back what it used.

use std::{sync::Arc, time::Instant};

use policy::{
    class::ClassId,
    deadline::Since,
    sql::{Effects, Kind},
};
use wire::mysql::{
    Capabilities,
    command::{self, Command, SetOption},
    response::Status,
};

use super::{
    End, Session,
    collation::{Chosen, chosen, may_change_scene},
    effect,
    look_back::may_insert_untold,
    pins::{Pin, Pins},
    prepared,
    relay::{Reply, Telling},
    state::Transaction,
    task::{Execution, Task},
    untold::may_hide_changes,
};
use crate::session::cause_of;
use crate::{
    metrics::{StatementOutcome, TransactionOutcome},
    mysql::connection::Lost,
};

impl Session {
    /// Takes over what a finished statement left behind.
    pub(super) async fn conclude(
        &mut self,
        task: Task,
        reply: Reply,
        was_in_transaction: bool,
        sent: Instant,
    ) -> Result<(), End> {
        let now = Instant::now();
        self.now = now;
        let ended =
            if reply.error.is_none() { StatementOutcome::Ok } else { StatementOutcome::Error };
        self.orders.metrics.of(task.class).note_statement(ended, now.duration_since(sent));
        self.note_served(now.duration_since(sent));
        let transaction = self.transaction.since().or(Some(sent));
        self.observe(Since { statement: Some(sent), transaction, idle: None });
        self.stay_in_schema(&task);
        if let Err(lost) = self.take_told() {
            return self.lose_quietly(&lost).await;
        }
        self.note_pins(&task, &reply, now);
        self.note_prepared(&task, &reply);
        let session = self.identity();
        if let Some(lease) = &mut self.lease {
            if may_hide_changes(&task.shape, &reply) {
                lease.note_untold(session);
            } else if reply.telling == Telling::All {
                lease.untold_of = None;
            }
        }
        if let Some(lease) = &mut self.lease
            && (reply.last_insert_id.is_some() || may_insert_untold(&task.shape, &reply))
        {
            lease.last_insert_of = Some(session);
        }
        let settled = self.settle_state(&task, &reply, was_in_transaction).await;
        if let Err(lost) = settled {
            return self.lose_quietly(&lost).await;
        }
        self.client.flush().await?;
        self.look_back.note(now, &task, &reply, &self.pool.memory.habits);
        if let Some(lease) = &mut self.lease {
            // Of several statements the last tells of its own only.
            let may_leave =
                self.look_back.leaves_warnings() || task.shape.effects.contains(Effects::MULTI);
            lease.warnings_of = may_leave.then_some(session);
        }
        if self.is_in_transaction() {
            // It stays for the transaction anyway.
            self.look_back.forget();
            if self.transaction.since().is_none() {
                self.transaction = Transaction::Open { since: sent };
            }
            self.idle_since = Some(now);
            return Ok(());
        }
        let is_rolled_back = reply.error.is_some() || task.shape.kind == Kind::Rollback;
        let ended = if is_rolled_back {
            TransactionOutcome::RolledBack
        } else {
            TransactionOutcome::Committed
        };
        let took = self.transaction.since().map(|since| now.duration_since(since));
        self.orders.metrics.of(task.class).note_transaction(ended, took);
        self.release().await;
        Ok(())
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

    /// Keeps the schema where a statement ran in the one of its PREPARE. A server tells that one from
    /// inside, and has gone back when the statement is over.
    fn stay_in_schema(&mut self, task: &Task) {
        let (Execution::Prepared { id, .. }, Some(lease)) = (&task.execution, &self.lease) else {
            return;
        };
        let here = &lease.settings.schema;
        let is_told_from_inside = task.shape.kind != Kind::Use
            && self.settings.schema != *here
            && self
                .statements
                .find(*id)
                .is_some_and(|statement| statement.settings.schema == self.settings.schema);
        if is_told_from_inside {
            Arc::make_mut(&mut self.settings).schema.clone_from(here);
        }
    }

    /// Asks the server what its reply left open: whether a transaction is still there after an
    /// error, and which collation came with a new character set.
    async fn settle_state(
        &mut self,
        task: &Task,
        reply: &Reply,
        was_in_transaction: bool,
    ) -> Result<(), Lost> {
        let is_autocommit = self.status.contains(Status::AUTOCOMMIT);
        let Some(lease) = self.lease.as_mut() else { return Err(Lost::Closed) };
        // An error carries no flags. A single statement outside a transaction leaves none behind.
        let is_single =
            !task.shape.effects.contains(Effects::MULTI) && leaves_no_transaction(task.shape.kind);
        let asks_flags =
            reply.error.is_some() && (was_in_transaction || !is_autocommit || !is_single);
        // In a transaction MySQL will tell it with an OK to the client.
        let tells_now = !lease.mariadb
            && lease.untold_of.is_some()
            && (reply.error.is_some() || !lease.status.contains(Status::IN_TRANS));
        if asks_flags || tells_now {
            // What follows ends with an EOF to such clients, which tells nothing.
            let pings = tells_now && !lease.capabilities.contains(Capabilities::DEPRECATE_EOF);
            if pings {
                command::put_simple(&mut lease.outbuf, Command::Ping);
            }
            // Any answer tells the flags. This one leaves ROW_COUNT() at -1, as an error and rows do;
            // an OK, as of a ping, would set it.
            let option = SetOption::multi_statements(self.settings.multi_statements);
            command::put_set_option(&mut lease.outbuf, option);
            lease.flush().await?;
            if pings {
                lease.read_answer(Command::Ping).await?;
            }
            lease.read_answer(Command::SetOption).await?;
            if tells_now {
                self.take_told_of(task, reply)?;
            }
        }
        self.ask_shadowed(task, reply).await?;
        if self.note_scene(task, reply) {
            self.ask_collation().await?;
        }
        let Some(lease) = self.lease.as_mut() else { return Err(Lost::Closed) };
        lease.relabel(&self.settings);
        let mut status = OF_ONE_REPLY.into_iter().fold(lease.status, Status::without);
        if task.shape.effects.contains(Effects::FOR_STATEMENT) {
            // What was set for this statement is as it was before.
            for flag in [Status::NO_BACKSLASH_ESCAPES, Status::ANSI_QUOTES] {
                let is_set = self.status.contains(flag);
                status = if is_set { status.with(flag) } else { status.without(flag) };
            }
        }
        self.status = status;
        Ok(())
    }

    /// Notes what of the scene a statement may have changed untold. Returns whether to ask at once.
    fn note_scene(&mut self, task: &Task, reply: &Reply) -> bool {
        let is_alone = !task.shape.effects.contains(Effects::MULTI);
        let is_set_alone = is_alone && task.shape.kind == Kind::Set;
        let is_told = reply.needs_collation && is_set_alone;
        let may_have_changed = self.view.is_own() && !is_told && may_change_scene(&task.shape);
        let was_unseen = matches!(self.collation, Some(Chosen::Unseen { .. }));
        let is_unseen = may_have_changed || was_unseen;
        if may_have_changed {
            let is_named = chosen(&task.shape) == Some(Chosen::Names);
            self.collation = Some(Chosen::Unseen { is_named });
        } else if reply.needs_collation && !was_unseen {
            self.collation = chosen(&task.shape);
        }
        // A connection that stays needs no replay, and can be asked before it matters: the question
        // would change ROW_COUNT(), and end warnings that the client may ask for.
        let leaves_nothing = is_alone && reply.error.is_none() && reply.warnings == 0;
        match is_unseen {
            true => leaves_nothing && matches!(task.shape.kind, Kind::Set | Kind::Use),
            false => leaves_nothing && is_set_alone || !self.pins.has(Pin::Unknown),
        }
    }

    /// Notes that the client is told the server's id of its connection. Before it is asked: an error
    /// may tell it as well.
    pub(super) fn note_told_id(&mut self, task: &Task) {
        if task.tells_id() && !self.pins.has(Pin::ConnectionId) {
            let before = self.pins.clone();
            self.pins.add(Pin::ConnectionId);
            let text: Arc<str> = Arc::from(&*task.shape.text);
            self.show_pins(&before, task.class, self.now, Some(&text));
        }
    }

    fn note_prepared(&mut self, task: &Task, reply: &Reply) {
        let Execution::Prepare { text } = &task.execution else { return };
        let id = self.statements.resolve(prepared::LAST_PREPARED);
        let Some(prepared) = reply.prepared else {
            self.statements.remove(id);
            return;
        };
        if let Some(statement) = self.statements.find_mut(id) {
            statement.params = prepared.params;
        }
        if let Some(lease) = &mut self.lease {
            let max = self.shared.upstream.statements_per_connection;
            let settings = Arc::clone(&self.settings);
            let evicted =
                lease.statements.insert(Arc::clone(text), prepared.statement, settings, max);
            if let Some(evicted) = evicted {
                command::put_stmt_close(&mut lease.closing, evicted);
            }
            if self.pins.are_for_good() {
                lease.statements.hold(id, text);
            }
        }
    }

    /// Notes what ties the session to its connection behind a statement.
    pub(super) fn note_pins(&mut self, task: &Task, reply: &Reply, now: Instant) {
        let before = self.pins.clone();
        // What reads nothing leaves the choice for the next transaction standing; so a few kinds
        // that surely were that transaction, or ended it, are all that count. Of several statements the last may
        // be the choice.
        let ends_transaction = reply.error.is_none()
            && !task.shape.effects.contains(Effects::MULTI)
            && matches!(
                task.shape.kind,
                Kind::Commit
                    | Kind::Rollback
                    | Kind::Insert
                    | Kind::Update
                    | Kind::Delete
                    | Kind::Replace
            );
        let has_untold = self.lease.as_ref().is_some_and(|lease| lease.untold_of.is_some());
        effect::apply(&mut self.pins, &task.shape, task.subject.as_deref(), reply, has_untold);
        if !task.carried.leaves_nothing() && reply.error.is_none() {
            self.pins.add(Pin::Unknown);
        }
        if let Execution::Prepare { text } = &task.execution
            && text.shape.effects.contains(Effects::USER_VARIABLE)
        {
            // The server makes a variable that is assigned already, without a value; and MySQL reads
            // one as what it is now.
            self.pins.add(Pin::UserVariable);
        }
        let status = self.lease.as_ref().map_or(Status(0), |lease| lease.status);
        if ends_transaction && !status.contains(Status::IN_TRANS) {
            self.pins.remove(Pin::NextTransaction);
        }
        if let Execution::Prepared { id, text, .. } = &task.execution {
            note_statement(&mut self.pins, task.command, *id, reply, status);
            let name = id.to_le_bytes();
            let is_in_use =
                self.pins.may_have(Pin::Cursor, &name) || self.pins.may_have(Pin::LongData, &name);
            if let Some(lease) = &mut self.lease {
                // MySQL 9.7 sends no rows any more for a statement that had a cursor when it is
                // executed without, and it reads a value that was sent ahead in another way than any
                // other: nobody is to get it.
                let had = |pin| before.may_have(pin, &name);
                let is_spent = !lease.mariadb && (had(Pin::Cursor) || had(Pin::LongData));
                let statements = &mut lease.statements;
                let ended = if is_in_use || self.pins.are_for_good() {
                    statements.hold(*id, text);
                    None
                } else if is_spent {
                    statements.remove_held(*id)
                } else {
                    statements.share(*id)
                };
                if let Some(ended) = ended {
                    command::put_stmt_close(&mut lease.closing, ended);
                }
            }
        }
        if self.pins != before {
            let text: Arc<str> = Arc::from(&*task.shape.text);
            self.show_pins(&before, task.class, now, Some(&text));
        }
    }

    /// Counts the pins that were not there `before`, and shows what there is.
    pub(super) fn show_pins(
        &self,
        before: &Pins,
        class: ClassId,
        now: Instant,
        text: Option<&Arc<str>>,
    ) {
        let metrics = self.orders.metrics.of(class);
        for pin in self.pins.iter().filter(|pin| !before.has(*pin)) {
            metrics.pins.of(pin).increment(1);
        }
        self.entry.card.show_pins(&self.pins, now, text);
    }
}

/// Notes what a command left open in a prepared statement, by the client's id of it.
fn note_statement(pins: &mut Pins, command: Command, id: u32, reply: &Reply, status: Status) {
    let name = id.to_le_bytes();
    let name = Some(&name[..]);
    match command {
        Command::StmtSendLongData => _ = pins.add_named(Pin::LongData, name),
        Command::StmtReset => {
            pins.remove_named(Pin::LongData, name);
            pins.remove_named(Pin::Cursor, name);
        }
        Command::StmtExecute | Command::StmtBulkExecute if reply.error.is_none() => {
            pins.remove_named(Pin::LongData, name);
            pins.remove_named(Pin::Cursor, name);
            if status.contains(Status::CURSOR_EXISTS) {
                pins.add_named(Pin::Cursor, name);
            }
        }
        Command::StmtFetch if status.contains(Status::LAST_ROW_SENT) => {
            pins.remove_named(Pin::Cursor, name);
        }
        _ => {}
    }
}

/// The flags that are about a transaction or a statement, not about the session.
const OF_ONE_REPLY: [Status; 11] = [
    Status::IN_TRANS,
    Status::IN_TRANS_READONLY,
    Status::MORE_RESULTS,
    Status::NO_GOOD_INDEX,
    Status::NO_INDEX,
    Status::CURSOR_EXISTS,
    Status::LAST_ROW_SENT,
    Status::DB_DROPPED,
    Status::METADATA_CHANGED,
    Status::QUERY_WAS_SLOW,
    Status::PS_OUT_PARAMS,
];

/// Whether a statement of this kind, alone and outside a transaction, leaves no transaction open
/// when it fails.
fn leaves_no_transaction(kind: Kind) -> bool {
    kind.touches_data_alone() || matches!(kind, Kind::Ddl | Kind::Use)
}

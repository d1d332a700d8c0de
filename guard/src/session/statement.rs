//! The path of one statement: gate, lease, database, client, settle.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use policy::{
    admission::Arrival,
    class::ClassId,
    deadline::{Deadline, Since},
    refusal::Refusal,
    sql::{Effects, Kind, Shape},
};
use tokio::io::AsyncWriteExt;
use tracing::warn;
use wire::mysql::{
    command::{self, Command, StmtBulkExecute, StmtExecute},
    frame::{HEADER_LEN, write_packet},
    response::Status,
    result::Tracker,
};

use super::{
    End, Session,
    client::{ClientError, First},
    effect,
    pins::Pin,
    prepared::ClientStatement,
    refuse,
    relay::{Relay, Reply, Stop},
    settings::Settings,
    state::{Transaction, begin_sql},
};
use crate::{
    gate::Entry,
    metrics::{StatementOutcome, TransactionOutcome},
    shared::Shared,
    upstream::{
        connection::{Answer, Connection, Lost},
        handover::{HandoverError, Incoming, hand_over},
        pool::Lease,
        whole_seconds,
    },
};

/// Connections that are tried for one statement before it is given up. More than one is needed
/// when idle connections died together, as in a restart of the database.
const LEASE_TRIES: usize = 64;

/// A command on its way to the database.
#[derive(Debug)]
pub struct Task {
    /// Which command.
    pub command: Command,
    /// Its first packet, whole at the front of the client's buffer.
    pub first: First,
    /// What it does.
    pub shape: Arc<Shape>,
    /// Whose limits it falls under.
    pub class: ClassId,
    /// A switch that turns it off.
    pub switch: Option<Refusal>,
    /// The literal name it is about.
    pub subject: Option<Box<[u8]>>,
    /// What it has to do with prepared statements.
    pub execution: Execution,
}

/// What a command has to do with prepared statements.
#[derive(Debug)]
pub enum Execution {
    /// Nothing.
    Direct,
    /// It makes one.
    Prepare {
        /// Its text.
        sql: Arc<[u8]>,
        /// What executing it will do.
        shape: Option<Arc<Shape>>,
    },
    /// It uses one.
    Prepared {
        /// The client's id.
        id: u32,
        /// Its text.
        sql: Arc<[u8]>,
        /// Whether rows stay in a cursor.
        opens_cursor: bool,
    },
}

impl Task {
    /// A command that has nothing to do with prepared statements, in the default class.
    pub fn plain(command: Command, first: First, shape: Arc<Shape>) -> Self {
        Self {
            command,
            first,
            shape,
            class: ClassId::DEFAULT,
            switch: None,
            subject: None,
            execution: Execution::Direct,
        }
    }
}

impl Session {
    /// Carries one statement through. On return it is answered, and consumed from the client's
    /// buffer.
    pub(super) async fn statement(&mut self, task: Task) -> Result<(), End> {
        if self.answer_transaction(&task).await? {
            return Ok(());
        }
        if self.permit.is_none() && !self.admit(&task).await? {
            return Ok(());
        }
        self.resume();
        if let Err(what) =
            self.look_back.ask(task.shape.effects, &self.pool.habits, self.lease.is_some())
        {
            self.permit = None;
            return self.decline(task.first, refuse::looked_back_too_late(what)).await;
        }
        if !self.borrow(&task).await? {
            return Ok(());
        }
        self.exchange(task).await
    }

    /// Answers what concerns a transaction that the database does not know of. Returns whether the
    /// command is done with.
    async fn answer_transaction(&mut self, task: &Task) -> Result<bool, End> {
        let kind = task.shape.kind;
        let is_plain_end = matches!(kind, Kind::Commit | Kind::Rollback)
            && !task.shape.effects.intersects(Effects::CHAINS | Effects::MULTI);
        match &self.transaction {
            Transaction::Aborted { why } => {
                let error = refuse::aborted(self.mariadb, why);
                if matches!(kind, Kind::Commit | Kind::Rollback) {
                    self.transaction = Transaction::Idle;
                }
                if kind == Kind::Rollback {
                    self.client.consume(task.first.packet);
                    self.say_ok();
                } else {
                    self.decline(task.first, error).await?;
                }
                Ok(true)
            }
            Transaction::Begun(_) if is_plain_end => {
                self.transaction = Transaction::Idle;
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
                self.client.consume(task.first.packet);
                self.say_ok();
                Ok(true)
            }
            Transaction::Open { .. } => Ok(false),
        }
    }

    /// Whether BEGIN has no effect on the database beyond beginning: no table lock to give up, no
    /// implicit transaction to commit, no XA to clash with.
    fn may_begin_here(&self) -> bool {
        !self.is_in_transaction()
            && ![Pin::TableLock, Pin::Xa, Pin::Session].into_iter().any(|pin| self.pins.has(pin))
    }

    /// Asks the gate. Returns whether the statement may run; if not, the client has been told.
    async fn admit(&mut self, task: &Task) -> Result<bool, End> {
        let now = Instant::now();
        let may_hold_locks = self.pins.may_hold_locks();
        if let Some(refusal) = task.switch.as_ref().filter(|_| !may_hold_locks) {
            return self.shed(task, refusal).await;
        }
        let policy = self.shared.policy.load_full();
        let arrival = Arrival {
            class: task.class,
            database: policy.database(self.database()),
            needs_connection: self.pinned.is_none(),
            may_hold_locks,
        };
        let entered = match self.shared.gate.enter(now, arrival) {
            Entry::Permit(permit) => Ok(permit),
            Entry::Refused(refusal) => Err(refusal),
            Entry::Wait(mut ticket) => tokio::select! {
                biased;
                entered = &mut ticket => entered,
                error = gone(&mut self.client) => return Err(End::Client(error)),
                () = self.entry.card.kill.notified() => {
                    self.decline(task.first, refuse::interrupted()).await?;
                    return Ok(false);
                }
            },
        };
        match entered {
            Ok(permit) => {
                let waited = permit.since().saturating_duration_since(now);
                self.shared.metrics.class(task.class).queue_wait.record(waited);
                self.permit = Some(permit);
                self.class = task.class;
                self.times = Shared::times(&policy, task.class);
                self.show();
                Ok(true)
            }
            Err(refusal) => self.shed(task, &refusal).await,
        }
    }

    async fn shed(&mut self, task: &Task, refusal: &Refusal) -> Result<bool, End> {
        let metrics = self.shared.metrics.class(task.class);
        metrics.statements.of(StatementOutcome::Shed).increment(1);
        metrics.sheds.of(refusal.reason).increment(1);
        self.decline(task.first, refuse::shed(refusal)).await?;
        Ok(false)
    }

    /// Sees to it that the session has a connection in its own state. Returns whether it has; if
    /// not, the client has been told and the permit is given back.
    async fn borrow(&mut self, task: &Task) -> Result<bool, End> {
        let mut refusal = refuse::unavailable("no connection survived");
        for _ in 0..LEASE_TRIES {
            let mut lease = match self.lease.take() {
                Some(lease) => lease,
                None => match self.lease_new().await? {
                    Ok(lease) => lease,
                    Err(error) => {
                        refusal = error;
                        break;
                    }
                },
            };
            let asks_last_insert = task.shape.effects.contains(Effects::LAST_INSERT_ID);
            let setup = self.shared.upstream.setup(lease.mariadb);
            let incoming = Incoming {
                session: self.entry.card.id,
                settings: &self.settings,
                last_insert: asks_last_insert.then_some(self.look_back.last_insert()),
                lock_wait: self.times.lock_wait.map(whole_seconds),
                setup: &setup,
            };
            match hand_over(&mut lease, incoming).await {
                Ok(()) => {
                    self.lease = Some(lease);
                    return Ok(true);
                }
                Err(HandoverError::Refused(error)) => {
                    drop(lease.detach());
                    refusal = refuse::passed_on(&error);
                    break;
                }
                // Nothing of the client's was sent: another connection will do.
                Err(HandoverError::Lost(_) | HandoverError::Unsuitable) => drop(lease.detach()),
            }
        }
        self.permit = None;
        self.decline(task.first, refusal).await?;
        if self.pinned.is_some() {
            return Err(End::UpstreamLost);
        }
        Ok(false)
    }

    /// Leases a connection from the pool. The inner error is for the client.
    async fn lease_new(&mut self) -> Result<Result<Lease, refuse::Error>, End> {
        let patience = Instant::now() + self.shared.options.lease_timeout;
        let leased = tokio::select! {
            biased;
            leased = self.pool.lease() => leased,
            error = gone(&mut self.client) => return Err(End::Client(error)),
            () = self.timer.until(Some(patience)) => {
                return Ok(Err(refuse::unavailable("no connection could be opened in time")));
            }
        };
        Ok(leased.map_err(|error| refuse::not_leased(&error)))
    }

    /// Sends the statement and brings its reply to the client.
    async fn exchange(&mut self, task: Task) -> Result<(), End> {
        let sent = Instant::now();
        let was_in_transaction = self.is_in_transaction();
        if self.transaction.since().is_none() {
            self.times_from(&task);
        }
        let deadline = self.deadline(&task, sent);
        let prepare_as = match self.send(&task, deadline).await? {
            Sent::Yes { prepare_as } => prepare_as,
            Sent::Refused(error) => {
                self.decline(task.first, *error).await?;
                self.settle_unsent().await;
                return Ok(());
            }
            Sent::Lost(lost) => return self.lose(&lost).await,
        };
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        let tracker = Tracker::new(task.command, lease.capabilities);
        if !tracker.expects_reply() {
            return self.conclude(task, Reply::default(), was_in_transaction, sent).await;
        }
        let mut relay = Relay {
            client: Some(&mut self.client),
            connection: lease,
            settings: &mut self.settings,
            tracker,
            view: self.view,
            prepare_as,
            substitute: None,
            write_timeout: self.shared.options.write_timeout,
            reply: Reply::default(),
        };
        let until = deadline.map(|deadline| deadline.at);
        match relay.run(&mut self.timer, until, &self.entry.card.kill).await {
            Stop::End => {
                let reply = std::mem::take(&mut relay.reply);
                self.conclude(task, reply, was_in_transaction, sent).await
            }
            Stop::Lost(lost) => self.lose(&lost).await,
            stop => {
                let (tracker, reply) = (relay.tracker, std::mem::take(&mut relay.reply));
                let open = super::cancel::Open { tracker, reply, prepare_as, deadline, sent };
                self.cancel(task, open, stop, was_in_transaction).await
            }
        }
    }

    /// The limits of a transaction are those of its first statement's class.
    fn times_from(&mut self, task: &Task) {
        let policy = self.shared.policy.load();
        self.class = task.class;
        self.times = Shared::times(&policy, task.class);
    }

    /// When this statement must be over: its own limit, or what is left of its transaction's.
    fn deadline(&self, task: &Task, sent: Instant) -> Option<Deadline> {
        let mut times = self.times;
        if task.class != self.class {
            times.statement = Shared::times(&self.shared.policy.load(), task.class).statement;
        }
        let transaction = self.transaction.since().or(Some(sent));
        times.next(Since { statement: Some(sent), transaction, idle: None })
    }

    /// Sends `BEGIN` if it is due, prepares what must be prepared, and sends the client's own
    /// bytes, consuming them.
    async fn send(&mut self, task: &Task, deadline: Option<Deadline>) -> Result<Sent, End> {
        let sending = async {
            let Some(lease) = self.lease.as_mut() else { return Ok(Sent::Lost(Lost::Closed)) };
            let begins = match &self.transaction {
                Transaction::Begun(begin) => {
                    let capabilities = lease.capabilities;
                    command::put_query_with(&mut lease.outbuf, capabilities, begin_sql(*begin));
                    true
                }
                _ => false,
            };
            let mut prepare_as = 0;
            let mut rebuilt = None;
            let packet = task.first.packet;
            match &task.execution {
                Execution::Direct => {}
                Execution::Prepare { sql, shape } => {
                    let shape = Arc::clone(shape.as_ref().unwrap_or(&task.shape));
                    prepare_as = self.statements.insert(ClientStatement {
                        sql: Arc::clone(sql),
                        shape,
                        params: 0,
                        types: Box::default(),
                    });
                }
                Execution::Prepared { id, sql, .. } => {
                    let found = ready_statement(lease, sql, &self.settings, &self.shared).await;
                    let server_id = match found {
                        Ok(Ok(server_id)) => server_id,
                        Ok(Err(error)) => return Ok(Sent::refused(error)),
                        Err(lost) => return Ok(Sent::Lost(lost)),
                    };
                    let bytes = &mut self.client.inbuf[HEADER_LEN..packet];
                    if command::set_statement_id(bytes, server_id).is_err() {
                        return Ok(Sent::refused(refuse::malformed("no statement id")));
                    }
                    if let Some(statement) = self.statements.find(*id) {
                        rebuilt = put_types(statement, lease, sql, &self.settings, bytes);
                    }
                    if rebuilt.is_some() && task.first.continues {
                        let why = "parameter types are missing from a packet of 16 MiB";
                        return Ok(Sent::refused(refuse::malformed(why)));
                    }
                }
            }
            send_packets(&mut self.client, lease, task.first, rebuilt).await?;
            if begins {
                match lease.read_answer(Command::Query).await {
                    Ok(Answer::Ok(_)) => {}
                    Ok(Answer::Err(error)) => {
                        warn!(%error, "the database refused BEGIN; the connection is given up");
                        return Ok(Sent::Lost(Lost::Closed));
                    }
                    Err(lost) => return Ok(Sent::Lost(lost)),
                }
            }
            Ok(Sent::Yes { prepare_as })
        };
        let until = deadline.map(|deadline| deadline.at);
        let result = tokio::select! {
            biased;
            result = sending => result,
            () = self.timer.until(until) => {
                // A statement that cannot even be sent within its limit: the database does not
                // read, or the client does not write.
                Ok(Sent::Lost(Lost::Io(std::io::ErrorKind::TimedOut.into())))
            }
        };
        match result {
            Err(SendError::Client(error)) => Err(End::Client(error)),
            Err(SendError::Upstream(lost)) => Ok(Sent::Lost(lost)),
            Ok(sent) => Ok(sent),
        }
    }

    /// Ends the turn of a statement of which nothing reached the database.
    async fn settle_unsent(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.outbuf.clear();
        }
        if !self.is_in_transaction() && !matches!(self.transaction, Transaction::Begun(_)) {
            self.release().await;
        }
    }

    /// Takes over what a finished statement left behind.
    pub(super) async fn conclude(
        &mut self,
        task: Task,
        reply: Reply,
        was_in_transaction: bool,
        sent: Instant,
    ) -> Result<(), End> {
        let now = Instant::now();
        let metrics = self.shared.metrics.class(task.class);
        let ended =
            if reply.error.is_none() { StatementOutcome::Ok } else { StatementOutcome::Error };
        metrics.statements.of(ended).increment(1);
        metrics.service_time.record(now.duration_since(sent));
        if matches!(self.transaction, Transaction::Begun(_)) {
            self.transaction = Transaction::Open { since: sent };
        }
        self.note_prepared(&task, &reply);
        self.note_pins(&task, &reply, now);
        let session = self.entry.card.id;
        if let Some(lease) = &mut self.lease
            && reply.last_insert_id.is_some()
        {
            lease.last_insert_of = Some(session);
        }
        let settled = self.settle_state(&task, &reply, was_in_transaction).await;
        if let Err(lost) = settled {
            return self.lose_quietly(&lost).await;
        }
        self.client.flush().await?;
        if self.is_in_transaction() {
            if self.transaction.since().is_none() {
                self.transaction = Transaction::Open { since: sent };
            }
            self.idle_since = Some(now);
            return Ok(());
        }
        let keeps = self.look_back.note(now, &task.shape, &reply, &self.pool.habits);
        if keeps {
            _ = self.pins.add(Pin::LookBack)
        } else {
            self.pins.remove(Pin::LookBack)
        }
        let since = self.transaction.since().unwrap_or(sent);
        metrics.transaction_time.record(now.duration_since(since));
        let is_rolled_back = reply.error.is_some() || task.shape.kind == Kind::Rollback;
        let ended = if is_rolled_back {
            TransactionOutcome::RolledBack
        } else {
            TransactionOutcome::Committed
        };
        metrics.transactions.of(ended).increment(1);
        self.release().await;
        Ok(())
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
        let is_single = !task.shape.effects.contains(Effects::MULTI) && is_simple(task.shape.kind);
        if reply.error.is_some() && (was_in_transaction || !is_autocommit || !is_single) {
            command::put_simple(&mut lease.outbuf, Command::Ping);
            lease.command(Command::Ping).await?;
        }
        if reply.needs_collation && may_choose_collation(&task.shape) {
            let rows = lease.query(b"SELECT @@collation_connection").await?.unwrap_or_default();
            let collation = rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
            if let Some(collation) = collation {
                Arc::make_mut(&mut self.settings).set_variable(b"collation_connection", collation);
            }
        }
        lease.settings = Arc::clone(&self.settings);
        let transient = [
            Status::IN_TRANS,
            Status::IN_TRANS_READONLY,
            Status::MORE_RESULTS,
            Status::CURSOR_EXISTS,
            Status::LAST_ROW_SENT,
        ];
        self.status = transient.into_iter().fold(lease.status, Status::without);
        Ok(())
    }

    fn note_prepared(&mut self, task: &Task, reply: &Reply) {
        let Execution::Prepare { sql, .. } = &task.execution else { return };
        let id = self.statements.resolve(super::prepared::LAST_PREPARED);
        let Some(prepared) = reply.prepared else {
            self.statements.remove(id);
            return;
        };
        if let Some(statement) = self.statements.find(id) {
            statement.params = prepared.params;
        }
        if let Some(lease) = &mut self.lease {
            let max = self.shared.upstream.statements_per_connection;
            let settings = Arc::clone(&self.settings);
            let evicted =
                lease.statements.insert(Arc::clone(sql), prepared.statement, settings, max);
            if let Some(evicted) = evicted {
                command::put_stmt_close(&mut lease.closing, evicted);
            }
        }
    }

    fn note_pins(&mut self, task: &Task, reply: &Reply, now: Instant) {
        let before = self.pins.clone();
        let ends_transaction = task.shape.kind != Kind::Set && reply.error.is_none();
        effect::apply(&mut self.pins, &task.shape, task.subject.as_deref(), reply);
        let status = self.lease.as_ref().map_or(Status(0), |lease| lease.status);
        if ends_transaction && !status.contains(Status::IN_TRANS) {
            self.pins.remove(Pin::NextTransaction);
        }
        match task.command {
            Command::StmtSendLongData => _ = self.pins.add(Pin::LongData),
            Command::StmtExecute | Command::StmtBulkExecute | Command::StmtReset => {
                self.pins.remove(Pin::LongData);
            }
            _ => {}
        }
        match (&task.execution, task.command) {
            (Execution::Prepared { opens_cursor: true, .. }, _)
                if status.contains(Status::CURSOR_EXISTS) =>
            {
                self.pins.add(Pin::Cursor);
            }
            (_, Command::StmtReset) => self.pins.remove(Pin::Cursor),
            (_, Command::StmtFetch) if status.contains(Status::LAST_ROW_SENT) => {
                self.pins.remove(Pin::Cursor);
            }
            _ => {}
        }
        if self.pins != before {
            let metrics = self.shared.metrics.class(task.class);
            for pin in self.pins.iter().filter(|pin| !before.has(*pin)) {
                metrics.pins.of(pin).increment(1);
            }
            let text: Arc<str> = Arc::from(&*task.shape.text);
            self.entry.card.show_pins(&self.pins, now, Some(&text));
        }
    }
}

/// How sending went.
enum Sent {
    Yes {
        prepare_as: u32,
    },
    /// It cannot be done; nothing of it was sent.
    Refused(Box<refuse::Error>),
    Lost(Lost),
}

impl Sent {
    fn refused(error: refuse::Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// Which side failed while a command was carried over.
enum SendError {
    Client(ClientError),
    Upstream(Lost),
}

/// Waits until the client is gone; what it pipelines meanwhile is taken in, up to a bound.
pub(super) async fn gone(client: &mut super::client::Client) -> ClientError {
    loop {
        if let Err(error) = client.watch().await {
            return error;
        }
    }
}

/// Small enough that copying it behind what the guard has to say costs less than a second write.
const COPY_LEN_MAX: usize = 16 * 1024;

/// Writes what the connection's `outbuf` holds, then the command with all its packets.
async fn send_packets(
    client: &mut super::client::Client,
    connection: &mut Connection,
    first: First,
    rebuilt: Option<BytesMut>,
) -> Result<(), SendError> {
    let upstream = |error: std::io::Error| SendError::Upstream(error.into());
    if !connection.closing.is_empty() {
        let closing = std::mem::take(&mut connection.closing);
        connection.outbuf.extend_from_slice(&closing);
    }
    if let Some(rebuilt) = rebuilt {
        connection.outbuf.extend_from_slice(&rebuilt);
        connection.flush().await.map_err(SendError::Upstream)?;
    } else if connection.outbuf.is_empty() {
        connection.stream.write_all(&client.inbuf[..first.packet]).await.map_err(upstream)?;
    } else if first.packet <= COPY_LEN_MAX {
        connection.outbuf.extend_from_slice(&client.inbuf[..first.packet]);
        connection.flush().await.map_err(SendError::Upstream)?;
    } else {
        connection.flush().await.map_err(SendError::Upstream)?;
        connection.stream.write_all(&client.inbuf[..first.packet]).await.map_err(upstream)?;
    }
    client.consume(first.packet);
    let (mut part, mut seq) = (first, 0_u8);
    while part.continues {
        seq = seq.wrapping_add(1);
        part = client.next_part(seq).await.map_err(SendError::Client)?;
        connection.stream.write_all(&client.inbuf[..part.packet]).await.map_err(upstream)?;
        client.consume(part.packet);
    }
    Ok(())
}

/// The server's id of a statement on this connection; prepares it there if it is not.
async fn ready_statement(
    connection: &mut Connection,
    sql: &Arc<[u8]>,
    settings: &Arc<Settings>,
    shared: &Shared,
) -> Result<Result<u32, refuse::Error>, Lost> {
    if let Some(statement) = connection.statements.find(sql, settings) {
        return Ok(Ok(statement.id));
    }
    let id = match connection.prepare(sql).await? {
        Ok(id) => id,
        Err(error) => return Ok(Err(refuse::passed_on(&error))),
    };
    let max = shared.upstream.statements_per_connection;
    let evicted = connection.statements.insert(Arc::clone(sql), id, Arc::clone(settings), max);
    if let Some(evicted) = evicted {
        command::put_stmt_close(&mut connection.closing, evicted);
    }
    Ok(Ok(id))
}

/// Remembers the parameter types that an execution carries. Where the client relies on types that
/// it sent to another connection, returns the packet rebuilt with them.
fn put_types(
    statement: &mut ClientStatement,
    connection: &mut Connection,
    sql: &[u8],
    settings: &Arc<Settings>,
    payload: &[u8],
) -> Option<BytesMut> {
    let capabilities = connection.capabilities;
    let server = connection.statements.find(sql, settings)?;
    let execute = StmtExecute::parse(payload, statement.params, capabilities);
    let bulk = StmtBulkExecute::parse(payload, statement.params);
    let types = match (&execute, &bulk) {
        (Ok(execute), _) => execute.types(),
        (_, Ok(bulk)) => bulk.types(),
        _ => None,
    };
    if let Some(types) = types {
        if *statement.types != *types {
            statement.types = types.into();
        }
        if *server.types != *types {
            server.types = types.into();
        }
        return None;
    }
    let execute = execute.ok().filter(StmtExecute::needs_types)?;
    if server.types == statement.types {
        return None;
    }
    server.types.clone_from(&statement.types);
    let mut rebuilt = BytesMut::new();
    write_packet(&mut rebuilt, 0, |out| execute.with_types(&statement.types, out));
    Some(rebuilt)
}

/// Whether a statement of this kind, alone and outside a transaction, leaves no transaction open
/// when it fails.
fn is_simple(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Select
            | Kind::LockingSelect
            | Kind::Insert
            | Kind::Update
            | Kind::Delete
            | Kind::Replace
            | Kind::Ddl
            | Kind::Show
            | Kind::Explain
            | Kind::Use
    )
}

/// Whether a statement may have chosen a collation that no tracker names.
fn may_choose_collation(shape: &Shape) -> bool {
    let text = shape.text.as_bytes();
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    shape.kind != Kind::Set
        || shape.effects.contains(Effects::MULTI)
        || has(b"COLLATE")
        || has(b"CHARACTER SET")
        || has(b"CHARSET")
}

/// How long rolling back, or waiting for a cancelled statement, may take on the session's own time.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

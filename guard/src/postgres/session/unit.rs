//! The path of one unit: gate, lease, database, client, settle.

use std::{sync::Arc, time::Instant};

use policy::{
    admission::{About, Arrival},
    class::{ClassId, Mode, Policy},
    ddl::{Names, Subject},
    deadline::{Deadline, Since},
    refusal::Refusal,
    replica::Tried,
    rule::Facts,
    sql::{Effects, Kind as StatementKind, Scratch, Shape},
};
use wire::postgres::{
    backend::{Notice, Severity, put_command_complete, put_notice},
    frame::HEADER_LEN,
    frontend::Kind,
};

use super::{
    End, Series, Session, Transaction,
    answer::take_name,
    away::{Away, Failing},
    borrow::Borrowed,
    cancel::Open,
    relay::{Relay, Stop, Unit},
};
use crate::{
    metrics::ClientState,
    postgres::{client::Message, connection::Lost, refuse, traffic::Count},
    replica::{Blame, silenced},
    session::{
        turn::{Asked, Turn, take_turn},
        verdict::{Call, Work},
    },
    shared::{observed_times, times},
};

/// A unit on its way to the database, and what was found out about it by its first message.
#[derive(Debug)]
pub(super) struct Task {
    /// The first message, at the front of the client's buffer.
    pub first: Message,
    /// What it does, or the statement that it uses.
    pub shape: Arc<Shape>,
    /// Whether it has a text, whose shape that is.
    pub has_text: bool,
    /// Whose limits it falls under.
    pub class: ClassId,
    /// A switch that turns it off, or in mode observe would.
    switch: Option<Box<(Mode, Refusal)>>,
}

/// How far a unit was carried.
enum Carriage {
    /// It is answered.
    Over,
    /// A replica failed before anything of an answer was with the client, whose bytes are in its buffer as they were.
    Failed { again: Task, failing: Failing },
}

impl Session {
    /// Carries one unit through. On return it is answered, and consumed from the client's buffer.
    pub(super) async fn unit(
        &mut self,
        first: Message,
        text: Option<Arc<Shape>>,
    ) -> Result<(), End> {
        // A cancel that came before was for the unit before: whoever asks for one goes on once the
        // guard has hung up.
        self.entry.card.begin();
        if self.entry.card.is_ended() {
            return Err(End::Killed);
        }
        if let Transaction::Failed { why } = &mut self.transaction {
            let error = why.take().unwrap_or_else(refuse::in_failed_transaction);
            self.decline(first, &error);
            return Ok(());
        }
        let mut task = self.classify(first, text);
        let mut tried = Tried::default();
        loop {
            match self.carry(task, tried).await? {
                Carriage::Over => return Ok(()),
                Carriage::Failed { again, failing } => {
                    // Boxed: it is rare.
                    Box::pin(self.leave(&mut tried, failing)).await;
                    task = again;
                }
            }
        }
    }

    async fn carry(&mut self, task: Task, tried: Tried) -> Result<Carriage, End> {
        // Without replicas a session is always where its units run.
        if self.shared.replicas.is_some() && !self.place(&task, tried).await? {
            return Ok(Carriage::Over);
        }
        if let Some(permit) = &mut self.permit {
            if let Some(row) = self.entry.card.row().filter(|_| self.away.is_none()) {
                permit.come_to(&self.shared.hot, row);
            }
        } else if !self.admit(&task).await? {
            return Ok(Carriage::Over);
        }
        let borrowed = {
            let replica = self.replica();
            tokio::select! {
                biased;
                borrowed = self.borrow(&task) => borrowed?,
                () = silenced(replica.as_deref()) => {
                    Borrowed::Elsewhere(Failing::Replica(Blame::CannotOpen))
                }
            }
        };
        match borrowed {
            Borrowed::Yes => {}
            Borrowed::Told => return Ok(Carriage::Over),
            Borrowed::Elsewhere(failing) => return Ok(Carriage::Failed { again: task, failing }),
        }
        if let Err(lost) = self.bring_channels(&task).await {
            self.lose(Some(task.first), &lost).await?;
            return Ok(Carriage::Over);
        }
        self.exchange(task).await
    }

    /// What the unit does and whose limits hold for it, by its first message.
    fn classify(&mut self, first: Message, text: Option<Arc<Shape>>) -> Task {
        let body = &self.client.inbuf[HEADER_LEN..first.here];
        let named = || name_of(first.kind, body).and_then(|name| self.statements.shape(name));
        let has_text = text.is_some();
        let known = text.or_else(|| named().cloned());
        let shape = known.unwrap_or_else(|| Arc::new(Shape::of_command(StatementKind::Other)));
        let policy = &self.orders.policy;
        let facts = self.facts(first, has_text, &shape);
        let (class, _) = policy.classify(&facts);
        let switch = self.orders.switched_off(self.now, &facts, class);
        self.entry.card.set_row(self.row_of(first, &shape));
        self.entry.card.set_statement(shape.digest);
        self.entry.card.set_asked(self.now);
        Task { first, shape, has_text, class, switch }
    }

    /// What is known of the unit by its first message, or by the statement that this executes.
    fn facts<'a>(&'a self, first: Message, has_text: bool, shape: &'a Shape) -> Facts<'a> {
        let body = &self.client.inbuf[HEADER_LEN..first.here];
        let prepared = || name_of(first.kind, body).map(|name| self.statements.text(name));
        let (sql, scratch) = match has_text {
            true => (text_of(first.kind, body), &self.scratch),
            false => prepared().unwrap_or((&b""[..], Scratch::NONE)),
        };
        Facts {
            shape,
            sql,
            scratch,
            attributes: &[],
            user: &self.user,
            database: &self.database,
            client: self.entry.card.peer.ip(),
        }
    }

    /// What is known of the work that the unit begins.
    fn about(&self, policy: &Policy, task: &Task) -> About {
        let first = task.first;
        let facts = self.facts(first, task.has_text, &task.shape);
        let body = &self.client.inbuf[HEADER_LEN..first.here];
        // With a statement of its own each time, the values are in what the client sent behind it.
        let values = match first.kind {
            Kind::Query => &[][..],
            Kind::Parse => self.client.inbuf.get(first.here..).unwrap_or_default(),
            _ => values_of(first.kind, body).unwrap_or(body),
        };
        self.shared.about(self.now, policy, &facts, values)
    }

    /// Asks the gate. Returns whether the unit may run; if not, the client has been told.
    async fn admit(&mut self, task: &Task) -> Result<bool, End> {
        let may_hold_locks = self.pins.may_hold_locks();
        // COMMIT and ROLLBACK always pass (invariant 4), also where nothing is open.
        let ends_nothing = is_plain_end(&task.shape) && !may_hold_locks;
        match task.switch.as_deref().filter(|_| !may_hold_locks) {
            None => {}
            Some((Mode::Enforce, _)) if ends_nothing => {}
            Some((Mode::Enforce, refusal)) => return Ok(self.shed(task, refusal)),
            Some(_) => self.orders.metrics.of(task.class).would_switch.increment(1),
        }
        let pauses = &self.shared.engine.pauses;
        let may_wait = !may_hold_locks && !ends_nothing;
        // Boxed: it is rare.
        if may_wait
            && self.away.is_none()
            && pauses.of(&self.database, self.now).is_some()
            && !Box::pin(self.wait_for_database(task)).await?
        {
            return Ok(false);
        }
        let now = self.now;
        let policy = &self.orders.policy;
        let (times, observed) = (times(policy, task.class), observed_times(policy, task.class));
        let arrival = Arrival {
            class: task.class,
            database: policy.database(&self.database),
            needs_connection: self.pinned.is_none(),
            may_hold_locks,
            about: About {
                // In a transaction that goes on, what comes next may take any lock.
                reads_only: matches!(self.transaction, Transaction::Idle)
                    && task.shape.takes_no_locks(),
                ..self.about(policy, task)
            },
        };
        // Where there is nothing to end, no permit is waited for. A series that goes on with something
        // else comes here again, and waits.
        let is_end = ends_nothing && self.series == Series::Served;
        let has_begun = matches!(self.transaction, Transaction::Begun(_));
        let home = self.database.as_bytes();
        let subject = Subject { shape: &task.shape, home, names: Names::Postgres };
        let asked = Asked { arrival, has_begun, may_wait: !is_end, subject };
        let gone = self.client.gone();
        let at = Away::at(self.away.as_deref(), &self.shared);
        match take_turn(&self.shared, at, &self.entry.card, now, &asked, gone).await {
            Turn::Permit(permit) => {
                self.now = permit.since();
                let waited = permit.since().saturating_duration_since(now);
                self.orders.metrics.of(task.class).queue_wait.record(waited);
                self.client.traffic.add_time(Count::WaitTime, waited);
                self.permit = Some(permit);
                self.class = task.class;
                self.series = Series::Served;
                self.times = times;
                self.observed = observed;
                self.show();
                Ok(true)
            }
            Turn::Refused(_) | Turn::Busy if is_end => {
                self.end_nothing(task);
                Ok(false)
            }
            Turn::Refused(refusal) => Ok(self.shed(task, &refusal)),
            Turn::Busy => Ok(self.shed_for_room(task)),
            Turn::Gone(error) => Err(End::Client(error)),
            Turn::Interrupted => self.interrupted(task),
        }
    }

    /// Waits while its database is paused. Returns whether it may go on; if not, the client has been
    /// told.
    async fn wait_for_database(&mut self, task: &Task) -> Result<bool, End> {
        while let Some(pause) = self.shared.engine.pauses.of(&self.database, self.now) {
            let class = &*self.orders.policy.class(task.class).name;
            self.entry.card.set_state(ClientState::Waiting);
            let call = Call { card: &self.entry.card, work: Work::default() };
            tokio::select! {
                biased;
                waited = pause.wait(self.now, class) => match waited {
                    Ok(()) => {}
                    Err(refusal) => return Ok(self.shed(task, &refusal)),
                },
                error = self.client.gone() => return Err(End::Client(error)),
                () = call.wait() => return self.interrupted(task),
            }
            self.now = Instant::now();
        }
        Ok(true)
    }

    /// It was called away while it waited for its turn.
    pub(super) fn interrupted(&mut self, task: &Task) -> Result<bool, End> {
        if self.entry.card.is_ended() {
            return Err(End::Killed);
        }
        self.decline(task.first, &refuse::interrupted());
        self.show();
        Ok(false)
    }

    pub(super) fn shed(&mut self, task: &Task, refusal: &Refusal) -> bool {
        self.orders.metrics.of(task.class).note_shed(refusal.reason);
        self.show();
        self.decline(task.first, &refuse::shed(refusal));
        false
    }

    /// Answers COMMIT or ROLLBACK where nothing is open. Of a series, it has the messages answered one
    /// by one: this one comes anew.
    fn end_nothing(&mut self, task: &Task) {
        if task.first.kind != Kind::Query {
            self.series = Series::Unadmitted;
            return;
        }
        // As on the server: a query ends the unnamed statement.
        self.statements.unnamed.forget();
        self.say_nothing_ended(task.shape.kind);
        self.say_ready();
        self.client.drop_message(task.first);
    }

    /// Says in the server's words that there was nothing to end.
    pub(super) fn say_nothing_ended(&mut self, kind: StatementKind) {
        let message = b"there is no transaction in progress";
        let (severity, code) = (Severity::Warning, *b"25P01");
        let notice = Notice { severity, code, message, detail: None, hint: None };
        put_notice(self.client.out(), &notice);
        let tag: &[u8] = if kind == StatementKind::Commit { b"COMMIT" } else { b"ROLLBACK" };
        put_command_complete(self.client.out(), tag);
    }

    fn shed_for_room(&mut self, task: &Task) -> bool {
        self.decline(task.first, &refuse::unavailable("there is no room"));
        false
    }

    /// Sends the unit and brings its reply to the client.
    async fn exchange(&mut self, task: Task) -> Result<Carriage, End> {
        let sent = self.now;
        let deadline = self.deadline(&task, sent);
        let since = self.transaction.since().or(Some(sent));
        let work = Work { is_ending: is_plain_end(&task.shape), ..self.work(since) };
        let call = Call { card: &self.entry.card, work };
        let mut unit = Unit::new(self.hold());
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        self.statements.undo.clear();
        let mut relay = Relay {
            client: Some(&mut self.client),
            connection: lease,
            statements: &mut self.statements,
            shared: &self.shared,
            scratch: &mut self.scratch,
            settings: &self.settings,
            pins: &self.pins,
            subscription: self.subscription.as_deref(),
            unit: &mut unit,
            text: task.has_text.then(|| Arc::clone(&task.shape)),
            substitute: None,
            write_timeout: self.door.write_timeout,
            replica: self.away.as_ref().map(|away| &*away.replica),
            is_ending: false,
        };
        let (until, card) = (deadline.map(|deadline| deadline.at), call.card);
        let portal = self.local.as_ref().map(|local| &*local.statement);
        let stop = match portal.map_or(Ok(()), |statement| relay.bring_portal(statement)) {
            Err(stop) => stop,
            Ok(()) => loop {
                match relay.run(&mut self.timer, until, &call).await {
                    // As the server: a cancel that finds it waiting for its client is dropped.
                    Stop::Killed
                        if !card.is_ended() && !card.has_verdict() && relay.waits_for_client() => {}
                    stop => break stop,
                }
            },
        };
        if let Some(failing) = self.take_up_again(&mut unit, &stop) {
            return Ok(Carriage::Failed { again: task, failing });
        }
        unit.let_go(Some(&mut self.client));
        if unit.may_write && self.away.is_none() {
            self.written.note();
        }
        match stop {
            Stop::End => self.conclude(&task, &unit, sent).await?,
            Stop::Lost(lost) => self.lose_unit(&task, &unit, &lost).await?,
            Stop::Refused(error) => {
                self.reclaim_lease();
                return Err(End::Told(Some(error)));
            }
            // Boxed: it is large and rare.
            stop => {
                let cancelled =
                    Box::pin(self.cancel(task, Open { unit, deadline, sent }, stop)).await;
                self.count_statement(sent.elapsed());
                self.client.hand_in();
                cancelled?;
            }
        }
        Ok(Carriage::Over)
    }

    /// When this unit must be over: its class's limit, or what is left of its transaction's.
    fn deadline(&self, task: &Task, sent: Instant) -> Option<Deadline> {
        let mut limits = self.times;
        if task.class != self.class {
            limits.statement = times(&self.orders.policy, task.class).statement;
        }
        let transaction = self.transaction.since().or(Some(sent));
        limits.next(Since { statement: Some(sent), transaction, idle: None })
    }

    /// The database broke off in the middle of a unit.
    pub(super) async fn lose_unit(
        &mut self,
        task: &Task,
        unit: &Unit,
        lost: &Lost,
    ) -> Result<(), End> {
        if unit.has_partial_reply(self.lease.as_deref()) {
            // Part of a message is with the client: no error can be told behind it.
            self.reclaim_lease();
            return Err(End::Told(None));
        }
        // What its client has done wrong ends its session, as on the server.
        if let Lost::Ended(error) = lost
            && error.sqlstate == *b"08P01"
        {
            let error = refuse::Error::Server(error.clone());
            self.reclaim_lease();
            return Err(End::Told(Some(error)));
        }
        self.client.abandon(unit.passing);
        // An error that came ends the unit as well as one of the guard's.
        let untold = unit.error.is_none().then_some(Message { len: 0, here: 0, ..task.first });
        self.lose(untold, lost).await?;
        // The Sync of a series may have gone with the connection, or be still to come.
        let is_skipping = unit.is_open || unit.was_sealed;
        self.series = if is_skipping { Series::Skipped } else { Series::Served };
        if !is_skipping && (unit.is_extended || unit.error.is_some()) {
            self.say_ready();
        }
        Ok(())
    }
}

/// The text that the first message of a unit has.
pub(super) fn text_of(kind: Kind, mut body: &[u8]) -> &[u8] {
    match kind {
        Kind::Parse => take_name(&mut body).and_then(|_| take_name(&mut body)),
        _ => body.strip_suffix(&[0]),
    }
    .unwrap_or(body)
}

/// The name of the statement that the first message of a unit uses.
fn name_of(kind: Kind, mut body: &[u8]) -> Option<&[u8]> {
    match kind {
        Kind::Bind => take_name(&mut body).and_then(|_| take_name(&mut body)),
        Kind::Describe if body.first() == Some(&b'S') => {
            body = &body[1..];
            take_name(&mut body)
        }
        _ => None,
    }
}

/// What a Bind brings beside the names of portal and statement.
fn values_of(kind: Kind, mut body: &[u8]) -> Option<&[u8]> {
    if kind != Kind::Bind {
        return None;
    }
    take_name(&mut body)?;
    take_name(&mut body)?;
    Some(body)
}

/// Whether it ends a transaction and does nothing else.
pub(super) fn is_plain_end(shape: &Shape) -> bool {
    matches!(shape.kind, StatementKind::Commit | StatementKind::Rollback)
        && !shape.effects.intersects(Effects::CHAINS | Effects::MULTI)
}

//! The path of one unit: gate, lease, database, client, settle.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use policy::{
    admission::{About, Arrival},
    class::{ClassId, Mode},
    deadline::{Deadline, Since},
    refusal::{Reason, Refusal},
    rule::Facts,
    sql::{Effects, Kind as StatementKind, Scratch, Shape},
};
use wire::postgres::{
    backend::{Notice, Severity, put_command_complete, put_notice},
    frame::HEADER_LEN,
    frontend::Kind,
};

use super::{
    End, Lease, Series, Session, Transaction,
    answer::take_name,
    cancel::Open,
    relay::{Relay, Stop, Unit},
};
use crate::{
    postgres::{
        client::Message,
        connection::Lost,
        handover::{HandoverError, Incoming, hand_over},
        refuse::{self, Error},
        sequences::{self, Draws, may_draw},
    },
    session::{
        turn::{Turn, take_turn},
        verdict::{Call, Work},
    },
    shared::{observed_times, times},
};

/// Connections that are tried for one unit before it is given up. More than one is needed when idle
/// connections died together, as in a restart of the database.
const LEASE_TRIES: usize = 64;

/// How often BEGIN is sent on one connection. One late cancel hits once.
const BEGIN_TRIES: usize = 2;

/// A unit on its way to the database, and what was found out about it by its first message.
#[derive(Debug)]
pub(super) struct Task {
    /// The first message, at the front of the client's buffer.
    pub first: Message,
    /// What its text does, if it has one.
    pub text: Option<Arc<Shape>>,
    /// What it does, or the statement that it uses.
    pub shape: Arc<Shape>,
    /// Whose limits it falls under.
    pub class: ClassId,
    /// A switch that turns it off, or in mode observe would.
    switch: Option<Box<(Mode, Refusal)>>,
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
        let task = self.classify(first, text);
        if self.permit.is_none() && !self.admit(&task).await? {
            return Ok(());
        }
        if !self.borrow(&task).await? {
            return Ok(());
        }
        if let Err(lost) = self.bring_channels(&task).await {
            return self.lose(Some(task.first), &lost).await;
        }
        self.exchange(task).await
    }

    /// What the unit does and whose limits hold for it, by its first message.
    fn classify(&mut self, first: Message, text: Option<Arc<Shape>>) -> Task {
        let body = &self.client.inbuf[HEADER_LEN..first.here];
        let nothing = Scratch::default();
        let (sql, scratch) = match text.is_some() {
            true => (text_of(first.kind, body), &self.scratch),
            false => (&b""[..], &nothing),
        };
        let named = || name_of(first.kind, body).and_then(|name| self.statements.shape(name));
        let known = text.clone().or_else(|| named().cloned());
        let shape = known.unwrap_or_else(|| Arc::new(Shape::of_command(StatementKind::Other)));
        let policy = self.shared.policy.load();
        let facts = Facts {
            shape: &shape,
            sql,
            scratch,
            attributes: &[],
            user: &self.user,
            database: &self.database,
            client: self.entry.card.peer.ip(),
        };
        let (class, _) = policy.classify(&facts);
        let switch = self.shared.switched_off(self.now, &policy, &facts, class);
        Task { first, text, shape, class, switch }
    }

    /// Asks the gate. Returns whether the unit may run; if not, the client has been told.
    async fn admit(&mut self, task: &Task) -> Result<bool, End> {
        let now = self.now;
        let may_hold_locks = self.pins.may_hold_locks();
        // COMMIT and ROLLBACK always pass (invariant 4), also where nothing is open.
        let ends_nothing = is_plain_end(&task.shape) && !may_hold_locks;
        match task.switch.as_deref().filter(|_| !may_hold_locks) {
            None => {}
            Some((Mode::Enforce, _)) if ends_nothing => {}
            Some((Mode::Enforce, refusal)) => return Ok(self.shed(task, refusal)),
            Some(_) => self.shared.metrics.class(task.class).would_switch.increment(1),
        }
        let policy = self.shared.policy.load();
        let (times, observed) = (times(&policy, task.class), observed_times(&policy, task.class));
        let arrival = Arrival {
            class: task.class,
            database: policy.database(&self.database),
            needs_connection: self.pinned.is_none(),
            may_hold_locks,
            about: About { digest: task.shape.digest },
        };
        drop(policy);
        // Where there is nothing to end, no permit is waited for. A series that goes on with something
        // else comes here again, and waits.
        let is_end = ends_nothing && self.series == Series::Served;
        let (asked, gone) = ((arrival, !is_end), self.client.gone());
        match take_turn(&self.shared, &self.entry.card, now, asked, gone).await {
            Turn::Permit(permit) => {
                self.now = permit.since();
                let waited = permit.since().saturating_duration_since(now);
                self.shared.metrics.class(task.class).queue_wait.record(waited);
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
            Turn::Interrupted if self.entry.card.is_ended() => Err(End::Killed),
            Turn::Interrupted => {
                self.decline(task.first, &refuse::interrupted());
                self.show();
                Ok(false)
            }
        }
    }

    fn shed(&mut self, task: &Task, refusal: &Refusal) -> bool {
        self.shared.metrics.class(task.class).note_shed(refusal.reason);
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

    /// Sees to it that the session has a connection in its own state. Returns whether it has; if
    /// not, the client has been told and the permit is given back.
    async fn borrow(&mut self, task: &Task) -> Result<bool, End> {
        self.resume();
        // What is open or pinned on a connection cannot be had on another one.
        let is_bound = self.lease.is_some() && (self.is_in_transaction() || !self.pins.is_empty());
        let lock_timeout = self.times.lock_wait.map(|limit| limit.as_millis().max(1) as u64);
        let mut refusal = None;
        for _ in 0..LEASE_TRIES {
            let mut lease = match self.lease.take() {
                Some(lease) => lease,
                None => match self.lease_new().await? {
                    Ok(lease) => lease,
                    Err(error) => {
                        refusal = Some(error);
                        break;
                    }
                },
            };
            let asks_draws = self.asks_draws(task);
            if is_bound && lease.is_in_transaction() {
                let forgotten = forget_draws(&mut lease, task).await;
                self.lease = Some(lease);
                if let Err(lost) = forgotten {
                    self.lose(Some(task.first), &lost).await?;
                    return Err(End::UpstreamLost);
                }
                return Ok(true);
            }
            let (session, settings) = (self.identity(), &self.settings);
            let incoming = Incoming { session, settings, lock_timeout, asks_draws };
            match hand_over(&mut lease, incoming).await {
                Ok(()) if self.needs_its_own(task, lease.last_used_by) => {
                    lease.give_back();
                    refusal = Some(refuse::sequence_elsewhere());
                    break;
                }
                Ok(()) if self.begin(&mut lease).await.is_ok() => {
                    lease.last_used_by = self.identity();
                    self.entry.card.set_backend(lease.backend(), task.class);
                    self.lease = Some(lease);
                    return Ok(true);
                }
                Ok(()) if is_bound => {
                    self.lease = Some(lease);
                    self.lose(Some(task.first), &Lost::Closed).await?;
                    return Err(End::UpstreamLost);
                }
                // No statement runs on it and no transaction is open: closing it is enough.
                Ok(()) => drop(lease.detach()),
                Err(HandoverError::Refused(error)) => {
                    // What pins the session stays on it.
                    if is_bound {
                        self.lease = Some(lease);
                    } else {
                        lease.give_back();
                    }
                    refusal = Some(Error::Server(error));
                    break;
                }
                Err(HandoverError::Lost(lost)) if is_bound => {
                    self.lease = Some(lease);
                    self.lose(Some(task.first), &lost).await?;
                    return Err(End::UpstreamLost);
                }
                // Nothing of the client's was sent: another connection will do.
                Err(HandoverError::Lost(_)) => drop(lease.detach()),
            }
        }
        self.permit = None;
        self.shared.metrics.class(task.class).note_shed(Reason::Upstream);
        self.show();
        let refusal = refusal.unwrap_or_else(|| refuse::unavailable("no connection survived"));
        self.decline(task.first, &refusal);
        Ok(false)
    }

    /// Begins the transaction that is due. The client's messages go out when the database has
    /// confirmed it: had somebody cancelled BEGIN, what is behind it would commit by itself.
    async fn begin(&mut self, lease: &mut Lease) -> Result<(), Lost> {
        let Transaction::Begun(sql) = self.transaction else { return Ok(()) };
        for _ in 0..BEGIN_TRIES {
            if lease.query(sql).await?.is_ok() {
                self.transaction = Transaction::Open { since: self.now };
                return Ok(());
            }
        }
        Err(Lost::Closed)
    }

    /// Whether this unit, or one behind it, may ask what was drawn from sequences.
    fn asks_draws(&self, task: &Task) -> bool {
        let habit = &self.pool.memory.asks_draws;
        let asks = task.shape.effects.contains(Effects::LAST_INSERT_ID);
        if asks {
            habit.store(true, Ordering::Relaxed);
        }
        asks || habit.load(Ordering::Relaxed)
    }

    /// Whether a unit does nothing but ask for what only the connection knows that this session used
    /// last: the server's error would say that nothing was drawn.
    fn needs_its_own(&self, task: &Task, last_used_by: u64) -> bool {
        task.shape.effects.contains(Effects::LAST_INSERT_ID)
            && !may_draw(&task.shape)
            && !matches!(self.transaction, Transaction::Begun(_))
            && last_used_by != self.identity()
    }

    /// Leases a connection from the pool. The inner error is for the client.
    async fn lease_new(&mut self) -> Result<Result<Lease, Error>, End> {
        let patience = self.now + self.shared.options.lease_timeout;
        let leased = tokio::select! {
            biased;
            leased = self.pool.lease() => leased,
            error = self.client.gone() => return Err(End::Client(error)),
            () = self.timer.until(Some(patience)) => {
                return Ok(Err(refuse::unavailable("no connection could be opened in time")));
            }
        };
        self.now = Instant::now();
        Ok(leased.map_err(|error| refuse::not_leased(&error)))
    }

    /// Sends the unit and brings its reply to the client.
    async fn exchange(&mut self, task: Task) -> Result<(), End> {
        let sent = self.now;
        let deadline = self.deadline(&task, sent);
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        self.statements.undo.clear();
        let since = self.transaction.since().or(Some(sent));
        let backend = lease.backend().id;
        let work = Work { backend, since, is_ending: is_plain_end(&task.shape) };
        let call = Call { card: &self.entry.card, work };
        let mut unit = Unit::default();
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
            text: task.text.clone(),
            substitute: None,
            write_timeout: self.door.write_timeout,
            is_ending: false,
        };
        let (until, card) = (deadline.map(|deadline| deadline.at), call.card);
        let stop = loop {
            match relay.run(&mut self.timer, until, &call).await {
                // As the server: a cancel that finds it waiting for its client is dropped.
                Stop::Killed
                    if !card.is_ended() && !card.has_verdict() && relay.waits_for_client() => {}
                stop => break stop,
            }
        };
        match stop {
            Stop::End => self.conclude(&task, &unit, sent).await,
            Stop::Lost(lost) => self.lose_unit(&task, &unit, &lost).await,
            Stop::Refused(error) => {
                self.reclaim_lease();
                Err(End::Told(Some(error)))
            }
            stop => self.cancel(task, Open { unit, deadline, sent }, stop).await,
        }
    }

    /// When this unit must be over: its class's limit, or what is left of its transaction's.
    fn deadline(&self, task: &Task, sent: Instant) -> Option<Deadline> {
        let mut limits = self.times;
        if task.class != self.class {
            limits.statement = times(&self.shared.policy.load(), task.class).statement;
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

/// Makes a connection forget what others have drawn, where a transaction asks that has drawn nothing.
async fn forget_draws(lease: &mut Lease, task: &Task) -> Result<(), Lost> {
    if task.shape.effects.contains(Effects::LAST_INSERT_ID) && lease.draws == Draws::Others {
        // In a transaction that has failed it is refused, as the question will be.
        if lease.query(sequences::FORGET.as_bytes()).await?.is_ok() {
            lease.draws = Draws::Own;
        }
    }
    Ok(())
}

/// The text that the first message of a unit has.
fn text_of(kind: Kind, mut body: &[u8]) -> &[u8] {
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

/// Whether it ends a transaction and does nothing else.
fn is_plain_end(shape: &Shape) -> bool {
    matches!(shape.kind, StatementKind::Commit | StatementKind::Rollback)
        && !shape.effects.intersects(Effects::CHAINS | Effects::MULTI)
}

//! Getting ready to run: a permit from the gate, and a connection in the session's own state.

use std::{sync::atomic::Ordering, time::Instant};

use policy::{
    admission::{About, Arrival},
    class::Mode,
    ddl::{Names, Subject},
    refusal::{Reason, Refusal},
    sql::{Begin, Effects, Shape},
};

use tracing::debug;
use wire::mysql::response::Status;

use super::{
    End, Session,
    away::Away,
    client::{Client, ClientError},
    look_back::asks,
    refuse,
    state::{Transaction, begin_sql},
    task::Task,
    turn::{Asked, Turn, take_turn},
    warnings::keeps_warnings,
};
use crate::{
    mysql::{
        Lease, MySql,
        connection::{Answer, Lost},
        handover::{HandoverError, Incoming, Net, hand_over},
        whole_seconds,
    },
    replica::Blame,
    shared::{observed_times, times},
};

/// Connections that are tried for one statement before it is given up. More than one is needed
/// when idle connections died together, as in a restart of the database.
const LEASE_TRIES: usize = 64;

/// How often BEGIN is sent on one connection. One late kill hits once.
const BEGIN_TRIES: usize = 2;

/// MariaDB's own limit for statements. A client that sets it has its way.
const NET: &[u8] = b"max_statement_time";

/// What came of borrowing a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Borrowed {
    /// The session has one.
    Yes,
    /// It has none; the client has been told, and the permit is given back.
    Told,
    /// The replica has none to give. The client has not been told.
    Elsewhere(Blame),
}

impl Session {
    /// Asks the gate. Returns whether the statement may run; if not, the client has been told.
    pub(super) async fn admit(&mut self, task: &Task) -> Result<bool, End> {
        let now = self.now;
        let may_hold_locks = self.pins.may_hold_locks();
        let ends_nothing = task.is_plain_end() && !may_hold_locks;
        match task.switch.as_deref().filter(|_| !may_hold_locks) {
            None => {}
            Some((Mode::Enforce, _)) if ends_nothing => return Ok(self.end_nothing(task)),
            Some((Mode::Enforce, refusal)) => return self.shed(task, refusal).await,
            Some(_) => self.orders.metrics.of(task.class).would_switch.increment(1),
        }
        let policy = &self.orders.policy;
        let times = times(policy, task.class);
        let observed = observed_times(policy, task.class);
        let arrival = Arrival {
            class: task.class,
            database: policy.database(self.database()),
            needs_connection: self.pinned.is_none(),
            may_hold_locks,
            about: About { reads_only: self.reads_only(task), ..task.about },
        };
        let has_begun = matches!(self.transaction, Transaction::Begun(_));
        let home = self.settings.schema.as_deref().unwrap_or_default();
        let subject = Subject { shape: task.worked_on(), home, names: Names::MySql };
        let asked = Asked { arrival, has_begun, may_wait: !ends_nothing, subject };
        let at = Away::at(self.away.as_deref(), &self.shared);
        let gone = gone(&mut self.client);
        match take_turn(&self.shared, at, &self.entry.card, now, &asked, gone).await {
            Turn::Permit(permit) => {
                self.now = permit.since();
                let waited = permit.since().saturating_duration_since(now);
                self.orders.metrics.of(task.class).queue_wait.record(waited);
                self.permit = Some(permit);
                self.class = task.class;
                self.times = times;
                self.observed = observed;
                self.show();
                Ok(true)
            }
            Turn::Refused(refusal) => self.shed(task, &refusal).await,
            Turn::Busy => Ok(self.end_nothing(task)),
            Turn::Gone(error) => Err(End::Client(error)),
            Turn::Interrupted => {
                self.decline(task.first, refuse::interrupted()).await?;
                self.show();
                Ok(false)
            }
        }
    }

    /// Whether it reads, takes no lock, and is over with its reply.
    fn reads_only(&self, task: &Task) -> bool {
        let is_alone = match self.transaction {
            Transaction::Idle => self.status.contains(Status::AUTOCOMMIT),
            Transaction::Begun(begin) => begin == Begin::ReadOnly,
            Transaction::Open { .. } | Transaction::Aborted { .. } => false,
        };
        is_alone && task.shape.takes_no_locks() && !task.opens_cursor()
    }

    /// COMMIT and ROLLBACK always pass (invariant 4), also where nothing is open: pools of
    /// applications send them all the time. With no room for one that does nothing, it is answered
    /// here.
    fn end_nothing(&mut self, task: &Task) -> bool {
        self.client.consume(task.first.packet);
        self.look_back.succeed();
        self.say_ok();
        false
    }

    async fn shed(&mut self, task: &Task, refusal: &Refusal) -> Result<bool, End> {
        self.orders.metrics.of(task.class).note_shed(refusal.reason);
        self.show();
        self.decline(task.first, refuse::shed(refusal)).await?;
        Ok(false)
    }

    /// Sees to it that the session has a connection in its own state.
    ///
    /// Cancel-safe at a replica, where nothing runs on a connection before it is borrowed.
    pub(super) async fn borrow(&mut self, task: &Task) -> Result<Borrowed, End> {
        // What is open or pinned on a connection cannot be had on another one.
        let is_bound = self.lease.is_some() && (self.is_in_transaction() || self.pinned.is_some());
        let mut refusal = None;
        let is_blank = self.lease.is_none() && self.look_back.is_blank(task.shape.effects);
        for _ in 0..LEASE_TRIES {
            let mut lease = match self.lease.take() {
                Some(lease) => lease,
                None => match self.lease_new().await? {
                    Ok(lease) => lease,
                    Err((_, blame)) if self.away.is_some() => {
                        return Ok(Borrowed::Elsewhere(blame));
                    }
                    Err((error, _)) => {
                        refusal = Some(error);
                        break;
                    }
                },
            };
            let asks_last_insert = self.asks_last_insert(&task.shape);
            let incoming = Incoming {
                session: self.identity(),
                settings: &self.settings,
                is_blank,
                keeps_warnings: keeps_warnings(self.mariadb, &task.shape),
                last_insert: asks_last_insert.then_some(self.look_back.last_insert()),
                net: self.net(task, &lease),
                lock_wait: self.times.lock_wait.map(whole_seconds),
                upstream: self.upstream(),
            };
            let handed_over = hand_over(&mut lease, incoming).await;
            if let Ok(true) = handed_over {
                // The time of the statement itself begins now.
                self.now = Instant::now();
            }
            match handed_over {
                Ok(_) if self.begin(&mut lease).await.is_ok() => {
                    match self.away {
                        None => self.entry.card.set_backend(lease.backend(), task.class),
                        Some(_) => self.entry.card.set_away(task.class),
                    }
                    self.lease = Some(lease);
                    return Ok(Borrowed::Yes);
                }
                Ok(_) if is_bound => {
                    self.lease = Some(lease);
                    self.lose(&Lost::Closed).await?;
                    return Err(End::UpstreamLost);
                }
                // No statement runs on it and no transaction is open: closing it is enough.
                Ok(_) => drop(lease.detach()),
                Err(HandoverError::Refused(error)) => {
                    // No statement runs on it and no transaction is open: closing it is enough.
                    drop(lease.detach());
                    if self.away.is_some() {
                        // It may not have come there yet, as a new schema.
                        return Ok(Borrowed::Elsewhere(Blame::Nobody));
                    }
                    refusal = Some(refuse::passed_on(&error));
                    break;
                }
                Err(HandoverError::Lost(lost)) if is_bound => {
                    self.lease = Some(lease);
                    self.lose(&lost).await?;
                    return Err(End::UpstreamLost);
                }
                // Nothing of the client's was sent: another connection will do.
                Err(HandoverError::Lost(_) | HandoverError::Unsuitable) => drop(lease.detach()),
            }
        }
        if self.away.is_some() {
            return Ok(Borrowed::Elsewhere(Blame::BrokeOff));
        }
        self.permit = None;
        self.orders.metrics.of(task.class).note_shed(Reason::Upstream);
        let refusal = refusal.unwrap_or_else(|| refuse::unavailable("no connection survived"));
        self.decline(task.first, refusal).await?;
        Ok(Borrowed::Told)
    }

    /// Whether a statement must find the session's own `LAST_INSERT_ID()`. Of an account that asks, an
    /// insert must not leave another session's value standing.
    pub(super) fn asks_last_insert(&self, shape: &Shape) -> bool {
        shape.effects.contains(Effects::LAST_INSERT_ID)
            || self.pool.memory.habits.last_insert.load(Ordering::Relaxed)
    }

    /// Begins the transaction that is due. The client's statement goes out when the database has
    /// confirmed it: had somebody killed BEGIN, the statement behind it would commit by itself.
    async fn begin(&mut self, lease: &mut Lease) -> Result<(), Lost> {
        let Transaction::Begun(begin) = self.transaction else { return Ok(()) };
        for _ in 0..BEGIN_TRIES {
            match lease.execute(begin_sql(begin)).await? {
                Answer::Ok(_) => {
                    self.transaction = Transaction::Open { since: self.now };
                    return Ok(());
                }
                Answer::Err(error) => debug!(%error, "the database refused BEGIN"),
            }
        }
        Err(Lost::Closed)
    }

    /// Lifts MariaDB's own limit for a statement that loads a file, and puts it back before the next
    /// that does not ask about it: setting a variable counts as a statement.
    fn net(&self, task: &Task, lease: &Lease) -> Net {
        let lifts = lease.mariadb && self.may_send_file(task);
        if !lifts && !lease.is_net_lifted || self.settings.variable(NET).is_some() {
            return Net::Keep;
        }
        match self.shared.upstream.statement_net() {
            Some(_) if lifts => Net::Lift,
            Some(limit) if !asks(task.shape.effects) => Net::Restore(limit),
            _ => Net::Keep,
        }
    }

    /// Leases a connection from the pool. The inner error is for the client; with it what it tells of a replica.
    async fn lease_new(&mut self) -> Result<Result<Lease, (refuse::Error, Blame)>, End> {
        let patience = self.now + self.shared.options.lease_timeout;
        let leased = tokio::select! {
            biased;
            leased = self.pool.lease() => leased,
            error = gone(&mut self.client) => return Err(End::Client(error)),
            () = self.timer.until(Some(patience)) => {
                let error = refuse::unavailable("no connection could be opened in time");
                return Ok(Err((error, Blame::CannotOpen)));
            }
        };
        self.now = Instant::now();
        Ok(leased.map_err(|error| (refuse::not_leased(&error), Blame::of::<MySql>(&error))))
    }
}

/// Waits until the client is gone; what it pipelines meanwhile is taken in, up to a bound.
pub(super) async fn gone(client: &mut Client) -> ClientError {
    loop {
        if let Err(error) = client.watch().await {
            return error;
        }
    }
}

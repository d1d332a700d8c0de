//! Reads that a replica answers.
//!
//! ```text
//!              a read that may go, and a replica is fit
//!   at home ───────────────────────────────────────────► away: pool, slot and gate are the replica's
//!      ▲                                                   │
//!      └───────────────────────────────────────────────────┘ any other statement; or the replica failed
//! ```
//!
//! Away the session takes the same way through `admit`, `borrow`, `exchange` and `conclude` as at home, with another
//! pool: the hand-over brings the replica's connection into the session's state as it does with any. Nothing of a
//! session is on a replica but what a statement may ask about the one before it, and that is asked there.
//!
//! What a session wrote is not noted by position but by time: `policy::replica` says which replicas are complete
//! up to then. A replica that fails before the client has seen a byte of the answer is left, and the same bytes
//! of the client are carried elsewhere.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use policy::{
    class::{Mode, ReadsFrom},
    refusal::Reason,
    replica::Tried,
    sql::Effects,
};
use wire::mysql::{command::Command, response::Status};

use super::{
    End, Session,
    admit::gone,
    refuse,
    state::Transaction,
    statement::ASKS_BACK,
    task::{Carried, Execution, Task},
};
use crate::{
    gate::Gate,
    metrics::ReadOutcome,
    mysql::{Lease, MySql, Upstream},
    replica::{self, Blame, Found, KEPT_MAX, Replica, Seek, find},
};

/// Where a session works that is not at home.
pub(super) type Away = replica::Away<MySql>;

impl Session {
    /// The server that the session works on.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        self.away.as_ref().map_or(&self.shared.upstream, |away| &away.upstream)
    }

    /// Its gate.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        self.away.as_ref().map_or(&self.shared.gate, |away| &away.replica.gate)
    }

    /// Sees to it that the session is where a statement is to run. Returns whether it may; if not, the client has
    /// been told. `tried` are the replicas that have failed it.
    pub(super) async fn place(&mut self, task: &Task, tried: Tried) -> Result<bool, End> {
        // Bound to a connection of the primary.
        if self.away.is_none() && self.lease.is_some() {
            return Ok(true);
        }
        if tried.is_empty() && self.asks_there(task) {
            return Ok(true);
        }
        match self.may_go(task) {
            Some(Mode::Enforce) => return Box::pin(self.seek(task, tried)).await,
            Some(Mode::Observe) => self.count_read(ReadOutcome::Observed),
            Some(Mode::Off) | None => {}
        }
        self.go_home().await;
        Ok(true)
    }

    /// Whether a connection on hold may be used for a statement: one of a replica's only for what asks about the read
    /// there. What else leaves the answer as it is, as an UPDATE leaves `FOUND_ROWS()`, is not for a replica.
    pub(super) fn may_use_hold(&self, task: &Task) -> bool {
        self.away.is_none() || self.asks_there(task)
    }

    /// Whether it only asks about the read that a replica has answered.
    fn asks_there(&self, task: &Task) -> bool {
        let effects = task.shape.effects;
        self.away.is_some()
            && effects.intersects(ASKS_BACK)
            && effects.without(ASKS_BACK).is_empty()
            && task.shape.takes_no_locks()
    }

    /// How far the class goes of a read that may go to a replica; `None`: it may not.
    fn may_go(&self, task: &Task) -> Option<Mode> {
        let policy = &self.orders.policy;
        if policy.class(task.class).reads != ReadsFrom::Replicas {
            return None;
        }
        let is_alone = matches!(self.transaction, Transaction::Idle)
            && self.status.contains(Status::AUTOCOMMIT)
            && self.pins.is_empty()
            && self.collation.is_none();
        let is_carried = match (&task.execution, task.command) {
            (Execution::Direct, Command::Query) => matches!(task.carried, Carried::Nothing),
            (Execution::Prepared { opens_cursor, .. }, Command::StmtExecute) => !opens_cursor,
            _ => false,
        };
        let may_go = is_alone
            && is_carried
            && task.shape.is_plain_read()
            && !task.shape.effects.intersects(Effects::LAST_INSERT_ID)
            && !task.shape.tells_of_the_server(self.database());
        may_go.then(|| policy.mode_of(task.class))
    }

    /// Looks for a replica, and goes there.
    async fn seek(&mut self, task: &Task, tried: Tried) -> Result<bool, End> {
        let shared = Arc::clone(&self.shared);
        let Some(replicas) = &shared.replicas else { return Ok(true) };
        // Whatever was under way is over: a client sends one statement after the other.
        self.written.settle(self.now);
        let seek = Seek { came: self.now, wrote: self.written.last(), tried };
        let found = find(replicas, &self.entry.card, seek, gone(&mut self.client)).await;
        self.now = Instant::now();
        match found {
            Found::Replica(replica, upstream) => {
                self.count_read(ReadOutcome::Replica);
                if self.go_to(replica, upstream).await {
                    self.keep(task);
                }
                Ok(true)
            }
            Found::Primary => {
                self.count_read(ReadOutcome::Primary);
                self.go_home().await;
                Ok(true)
            }
            Found::Refused => {
                self.count_read(ReadOutcome::Refused);
                let class = &self.orders.policy.class(task.class).name;
                let refusal = replicas.none_fit(self.now, class);
                self.orders.metrics.of(task.class).note_shed(Reason::Replica);
                self.decline(task.first, refuse::shed(&refusal)).await?;
                self.show();
                Ok(false)
            }
            Found::Interrupted => {
                self.decline(task.first, refuse::interrupted()).await?;
                self.show();
                Ok(false)
            }
            Found::Gone(error) => Err(End::Client(error)),
        }
    }

    /// Goes to a replica, unless something keeps the session on its connection after all.
    async fn go_to(&mut self, replica: Arc<Replica<MySql>>, upstream: Arc<Upstream>) -> bool {
        if self.away.as_deref().is_some_and(|away| away.is_at(&upstream)) {
            return true;
        }
        self.go_home().await;
        self.end_linger().await;
        if self.lease.is_some() || !self.pins.is_empty() {
            return false;
        }
        let pool = self.pool.at(&upstream);
        let home = (std::mem::replace(&mut self.pool, pool), std::mem::take(&mut self.slot));
        self.away = Some(Box::new(Away { replica, upstream, home, kept: None }));
        true
    }

    /// Comes back to the primary. What lingers at the replica is given back.
    pub(super) async fn go_home(&mut self) {
        if self.away.is_none() {
            return;
        }
        self.end_linger().await;
        self.drop_pinned_away();
        // A session has none there between statements; a write must not find one.
        drop(self.lease.take().map(Lease::detach));
        if let Some(away) = self.away.take() {
            (self.pool, self.slot) = away.home;
        }
    }

    /// Closes a connection to a replica on which something of the session would stay, such as what the function of
    /// a view has set: a session that stayed there as well would write there.
    pub(super) fn drop_pinned_away(&mut self) {
        if self.away.is_some() && !self.pins.is_empty() {
            self.pins.clear();
            self.pinned = None;
            drop(self.lease.take().map(Lease::detach));
        }
    }

    /// Keeps the bytes of a read, so that they can be carried elsewhere.
    fn keep(&mut self, task: &Task) {
        let Some(away) = &mut self.away else { return };
        let is_short = !task.first.continues && task.first.packet <= KEPT_MAX;
        away.kept = is_short.then(|| BytesMut::from(&self.client.inbuf[..task.first.packet]));
    }

    /// A read broke off at a replica. Returns whether it is in the client's buffer as it was, to be carried elsewhere:
    /// nothing of an answer is with the client then.
    pub(super) fn take_up_again(&mut self) -> bool {
        if self.client.has_partial_reply {
            return false;
        }
        let Some(mut kept) = self.away.as_mut().and_then(|away| away.kept.take()) else {
            return false;
        };
        kept.extend_from_slice(&self.client.inbuf);
        self.client.inbuf = kept;
        true
    }

    /// Leaves a replica that has failed a read, and whatever was begun there.
    pub(super) async fn leave(&mut self, tried: &mut Tried, blame: Blame) {
        self.reclaim_lease();
        let Some(away) = &self.away else { return };
        tried.add(away.replica.index);
        if let Some(replicas) = &self.shared.replicas {
            replicas.blame(&away.replica, blame);
        }
        self.permit = None;
        self.count_read(ReadOutcome::FailedOver);
        self.go_home().await;
    }

    /// Notes a read that a replica has answered.
    pub(super) fn note_served(&mut self, took: Duration) {
        if let Some(away) = &mut self.away {
            away.kept = None;
            away.replica.note_served(took);
        }
    }

    fn count_read(&self, outcome: ReadOutcome) {
        self.shared.metrics.replicas.reads.of(outcome).increment(1);
    }
}

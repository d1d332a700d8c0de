//! Reads that a replica answers.
//!
//! ```text
//!              a unit that only reads, and a replica is fit
//!   at home ───────────────────────────────────────────► away: pool, slot and gate are the replica's
//!      ▲                                                   │
//!      └───────────────────────────────────────────────────┘ any other unit; or the replica failed
//! ```
//!
//! Away the session takes the same way through `admit`, `borrow`, `exchange` and `conclude` as at home, with another
//! pool: the hand-over brings the replica's connection into the session's state as it does with any. A unit goes if
//! it is there to its end before any of it is sent, and all that it runs is known to read.
//!
//! What the replica answers is held back until its first row. Up to there the client knows nothing of it, and the
//! same bytes are carried elsewhere where the replica fails, or says that a standby cannot do that.
//!
//! A READ ONLY transaction goes as well, at READ COMMITTED: each of its statements sees what is committed when it
//! begins, so the next may as well see what another server has. As soon as something else comes than reads and the
//! transaction's end, it is given up and begun again at the primary, where it has nothing to lose.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use policy::{
    class::{Mode, ReadsFrom},
    replica::Tried,
};
use wire::postgres::backend::TransactionStatus;

use super::{
    End, Lease, Lost, Session, Transaction,
    relay::{Stop, Unit},
    unit::Task,
};
use crate::{
    metrics::ReadOutcome,
    postgres::{Postgres, Upstream, client::Client},
    replica::{self, Blame, Found, Replica, Seek, find, silenced},
};

/// Where a session works that is not at home.
pub(super) type Away = replica::Away<Postgres>;

/// What begins a transaction that was begun at a replica, at the primary.
const READ_ONLY: &[u8] = b"BEGIN READ ONLY";

/// Why a read was not answered by a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// It is for no standby, as what it calls writes after all.
    Standby,
    /// That one has failed.
    Replica(Blame),
}

impl Failing {
    /// By the code of an error; `None` where any server would say the same, or the client is to know.
    fn of(code: [u8; 5]) -> Option<Self> {
        match &code {
            // It writes; is serializable, or about an unlogged table; needs what there is not in recovery.
            b"25006" | b"0A000" | b"55000" => Some(Self::Standby),
            // It was in the way of what the replica has to replay.
            b"40001" | b"40P01" => Some(Self::Replica(Blame::Nobody)),
            // What it names has not come there yet.
            b"3F000" | [b'4', b'2', ..] => Some(Self::Replica(Blame::Nobody)),
            // It shuts down; its disk or its data is broken.
            [b'5', b'7', b'P', ..] | [b'5', b'8', ..] | [b'X', b'X', ..] => {
                Some(Self::Replica(Blame::BrokeOff))
            }
            _ => None,
        }
    }
}

/// What a replica has answered and the client was not told.
#[derive(Debug)]
pub(super) struct Held {
    pub bytes: BytesMut,
    /// How many rows had come on the connection before.
    pub rows: u64,
    /// How many bytes of the client's were taken.
    pub taken: usize,
}

/// Longer, it is told: what a replica says before its first row is short.
pub(super) const HELD_MAX: usize = 64 * 1024;

impl Session {
    /// The server that the session works on.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        self.away.as_ref().map_or(&self.shared.upstream, |away| &away.upstream)
    }

    /// The replica that it works at.
    pub(super) fn replica(&self) -> Option<Arc<Replica<Postgres>>> {
        self.away.as_ref().map(|away| Arc::clone(&away.replica))
    }

    /// Sees to it that the session is where a unit is to run. Returns whether it may; if not, the client has been
    /// told. `tried` are the replicas that have failed it.
    pub(super) async fn place(&mut self, task: &Task, tried: Tried) -> Result<bool, End> {
        if self.lease.is_some() {
            if self.away.is_some() {
                Box::pin(self.go_on_away(task)).await;
            }
            return Ok(true);
        }
        match self.may_go(task).filter(|_| tried != Tried::ALL) {
            Some((Mode::Enforce, len)) => return Box::pin(self.seek(task, len, tried)).await,
            Some((Mode::Observe, _)) => self.count_read(ReadOutcome::Observed),
            Some((Mode::Off, _)) | None => {}
        }
        self.go_home();
        Ok(true)
    }

    /// How far the class goes of a unit that may go to a replica, and its length; `None`: it may not.
    fn may_go(&self, task: &Task) -> Option<(Mode, usize)> {
        let policy = &self.orders.policy;
        if policy.class(task.class).reads != ReadsFrom::Replicas || !self.pins.is_empty() {
            return None;
        }
        let is_free = match self.transaction {
            Transaction::Idle => true,
            Transaction::Begun(sql) => self.reads_only(sql),
            Transaction::Open { .. } | Transaction::Failed { .. } => false,
        };
        // A standby refuses it.
        let is_serializable =
            self.settings.get("default_transaction_isolation") == Some("serializable");
        let len = self.read_len(task, false).filter(|_| is_free && !is_serializable)?;
        Some((policy.mode_of(task.class), len))
    }

    /// Whether a transaction that begins so may not write.
    fn reads_only(&self, begin: &[u8]) -> bool {
        let is_default = self.settings.get("default_transaction_read_only") == Some("on");
        begin.ends_with(b"READ ONLY") || is_default && !begin.ends_with(b"READ WRITE")
    }

    /// Looks for a replica, and goes there.
    async fn seek(&mut self, task: &Task, len: usize, tried: Tried) -> Result<bool, End> {
        let shared = Arc::clone(&self.shared);
        let Some(replicas) = &shared.replicas else { return Ok(true) };
        // Whatever was under way is over: units are carried one after the other.
        self.written.settle(self.now);
        let seek = Seek { came: self.now, wrote: self.written.last(), tried };
        let found = find(replicas, &self.entry.card, seek, self.client.gone()).await;
        self.now = Instant::now();
        match found {
            Found::Replica(replica, upstream) => {
                self.count_read(ReadOutcome::Replica);
                self.go_to(replica, upstream);
                self.keep(len);
                Ok(true)
            }
            Found::Primary => {
                self.count_read(ReadOutcome::Primary);
                self.go_home();
                Ok(true)
            }
            Found::Refused => {
                self.count_read(ReadOutcome::Refused);
                let class = &self.orders.policy.class(task.class).name;
                let refusal = replicas.none_fit(self.now, class);
                Ok(self.shed(task, &refusal))
            }
            Found::Interrupted => self.interrupted(task),
            Found::Gone(error) => Err(End::Client(error)),
        }
    }

    fn go_to(&mut self, replica: Arc<Replica<Postgres>>, upstream: Arc<Upstream>) {
        if self.away.as_deref().is_some_and(|away| away.is_at(&upstream)) {
            return;
        }
        self.go_home();
        self.leave_slot();
        let pool = self.pool.at(&upstream);
        let home = (std::mem::replace(&mut self.pool, pool), std::mem::take(&mut self.slot));
        self.away = Some(Box::new(Away { replica, upstream, home, kept: None }));
    }

    /// Comes back to the primary. What lingers at the replica is given back.
    fn go_home(&mut self) {
        if self.away.is_none() {
            return;
        }
        self.leave_slot();
        // A session has none there outside of a transaction; a write must not find one.
        drop(self.lease.take().map(Lease::detach));
        if let Some(away) = self.away.take() {
            (self.pool, self.slot) = away.home;
        }
    }

    /// Goes on with a transaction at a replica; with anything but a read or its end, at the primary.
    async fn go_on_away(&mut self, task: &Task) {
        let has_failed =
            self.lease.as_ref().is_some_and(|lease| lease.status == TransactionStatus::Failed);
        match self.read_len(task, true) {
            // The server refuses all but its end, as the primary would.
            _ if has_failed => {}
            Some(len) => self.keep(len),
            None => {
                self.give_up_away().await;
                self.go_home();
            }
        }
    }

    /// Keeps the bytes of a unit, so that they can be carried elsewhere.
    fn keep(&mut self, len: usize) {
        if let Some(away) = &mut self.away {
            away.kept = Some(BytesMut::from(&self.client.inbuf[..len]));
        }
    }

    /// Begins a transaction at a replica. Returns whether it may be given up there and go on elsewhere, as it may
    /// only where each statement sees the newest; if not, there is none.
    pub(super) async fn begin_away(&mut self, lease: &mut Lease) -> Result<bool, Lost> {
        let Transaction::Begun(sql) = self.transaction else { return Ok(true) };
        let answer = lease.query(&[sql, b";SHOW transaction_isolation"].concat()).await?;
        let isolation = answer.ok().and_then(|rows| rows.into_iter().next_back()?.pop()?);
        if isolation.as_deref() == Some(b"read committed") {
            self.transaction = Transaction::Open { since: self.now };
            return Ok(true);
        }
        if lease.is_in_transaction() && lease.query(b"ROLLBACK").await?.is_err() {
            return Err(Lost::Closed);
        }
        Ok(false)
    }

    /// Ends what was begun at a replica, whose client believes it to go on.
    async fn give_up_away(&mut self) {
        let was_open = matches!(self.transaction, Transaction::Open { .. });
        let replica = self.replica();
        tokio::select! {
            biased;
            () = self.clean_up() => {}
            () = silenced(replica.as_deref()) => {}
        }
        self.reclaim_lease();
        self.permit = None;
        if was_open {
            self.transaction = Transaction::Begun(READ_ONLY);
            self.idle_since = None;
        }
    }

    /// Leaves a replica that has failed a read, and whatever was begun there.
    pub(super) async fn leave(&mut self, tried: &mut Tried, failing: Failing) {
        let was_in_transaction = matches!(self.transaction, Transaction::Open { .. });
        self.give_up_away().await;
        let Some(away) = &self.away else { return };
        tried.add(away.replica.index);
        if let (Failing::Replica(blame), Some(replicas)) = (failing, &self.shared.replicas) {
            replicas.blame(&away.replica, blame);
        }
        // Within a transaction nothing is older than what was read before: another replica may be further behind.
        if failing == Failing::Standby || was_in_transaction {
            *tried = Tried::ALL;
        }
        self.count_read(ReadOutcome::FailedOver);
        self.go_home();
    }

    /// Has what a replica answers held back, if the unit can be carried elsewhere.
    pub(super) fn hold(&self) -> Option<Box<Held>> {
        self.away.as_ref()?.kept.as_ref()?;
        let rows = self.lease.as_ref()?.tracker.rows();
        Some(Box::new(Held { bytes: BytesMut::new(), rows, taken: 0 }))
    }

    /// Why a unit that has stopped is to be carried elsewhere, if it is; its bytes are then in the client's buffer
    /// as they were.
    pub(super) fn take_up_again(&mut self, unit: &mut Unit, stop: &Stop) -> Option<Failing> {
        let taken = unit.held.as_ref()?.taken;
        let failing = match stop {
            Stop::Lost(_) => Failing::Replica(Blame::BrokeOff),
            Stop::End => Failing::of(unit.error?)?,
            _ => return None,
        };
        let mut kept = self.away.as_mut()?.kept.take()?;
        unit.held = None;
        let left = kept.len().saturating_sub(taken).min(self.client.inbuf.len());
        kept.extend_from_slice(&self.client.inbuf[left..]);
        self.client.inbuf = kept;
        self.statements.take_back();
        Some(failing)
    }

    /// Notes a unit that a replica has answered.
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

impl Unit {
    /// Notes bytes of the client's that were taken.
    pub(super) fn take(&mut self, len: usize) {
        self.held.iter_mut().for_each(|held| held.taken += len);
    }

    /// Tells the client what was held back: it knows of the answer from here on.
    pub(super) fn let_go(&mut self, client: Option<&mut Client>) {
        if let (Some(held), Some(client)) = (self.held.take(), client) {
            client.out().extend_from_slice(&held.bytes);
        }
    }
}

//! Melting: undoing a pile-up with as few cancels as possible.
//!
//! Killing the many who wait frees nobody and makes the database undo their work; the one they
//! wait for costs one rollback. So a pile-up is met in steps, each only if the one before did not
//! help, and one cancel is verified before the next.
//!
//! ```text
//!  Normal ──much waits──► Frozen ──still──► Melting ──little waits for a second──► Probation
//!    ▲   no new writes;     │       cancels, one at a time                            │
//!    │   most end here      └──little waits────────────────────────────────────────►  │
//!    └────────────────────────── five quiet seconds ──────────────────────────────────┘
//! ```
//!
//! It proposes; who carries it out is told by [`Action`]. It never touches what is protected, what
//! commits, or what is being rolled back already.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::contention::{Contention, Doing, Snapshot, Transaction, TransactionId};

/// More than this share waiting, twice in a row, is a pile-up.
const ENTER_SHARE: f64 = 0.5;
/// So is a wait as long as this, with so many waiting.
const ENTER_WAIT: Duration = Duration::from_secs(1);
const ENTER_WAITERS: u32 = 8;
/// Fewer than this wait: nothing is a pile-up.
const WAITERS_MIN: u32 = 4;
/// It is over when less than this share waits for so long.
const LEAVE_SHARE: f64 = 0.2;
const LEAVE_AFTER: Duration = Duration::from_secs(1);
/// Freezing is given so long before anything is cancelled.
const FREEZE: Duration = Duration::from_millis(300);
/// How long nothing must happen afterwards.
const PROBATION: Duration = Duration::from_secs(5);
/// A cancel that has not taken effect by then is counted as failed: the next candidate.
const VERIFY: Duration = Duration::from_secs(2);
/// Who blocks fewer than this is left alone.
const BEHIND_MIN: usize = 3;
/// A root is not cancelled younger than this.
const AGE_MIN: Duration = Duration::from_millis(500);
/// A silent client that blocks others is given so long.
const IDLE_MAX: Duration = Duration::from_millis(250);

/// What the database makes of a rollback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// Cancels under way at a time: 1 where rollbacks are done row by row (InnoDB), 4 where they
    /// cost nothing (PostgreSQL).
    pub pace: usize,
    /// What undoing one row costs, in waiters: 0 where it costs nothing.
    pub row_cost: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { pace: 1, row_cost: 0.01 }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Admit no new transactions that write, and shed what may be shed.
    Freeze,
    /// Admit again, slowly.
    Thaw,
    /// Roll this transaction back. The cause is for the timeline.
    Cancel(TransactionId, Cause),
}

/// Why a transaction was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its client is silent and others wait for it.
    IdleBlocker,
    /// It waits for nobody and many wait for it.
    RootBlocker,
    /// It waits, has changed nothing, and no root could be found.
    Waiter,
}

/// How far a pile-up has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// Nothing to do; how many snapshots in a row looked like a pile-up.
    Normal(u32),
    /// Nothing new is admitted that writes.
    Frozen(Instant),
    /// Something is being cancelled; since when little waits.
    Melting(Option<Instant>),
    /// It is over, if it stays so.
    Probation(Instant),
}

/// The machine.
#[derive(Debug)]
pub struct Melt {
    config: Config,
    state: State,
    /// What was cancelled, when, and has not been seen to be gone.
    pending: Vec<(TransactionId, Instant)>,
    /// What a cancel had no effect on, or what was cancelled in this pile-up.
    tried: HashSet<TransactionId>,
}

impl Melt {
    /// Nothing melts.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, state: State::Normal(0), pending: Vec::new(), tried: HashSet::new() }
    }

    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What is to be done now that the locks look like this; `contention` leaves gated keys out.
    pub fn step(&mut self, now: Instant, locks: &Snapshot, seen: Contention) -> Vec<Action> {
        self.verify(now, locks);
        let is_quiet = seen.blocked < WAITERS_MIN || seen.blocked_share < LEAVE_SHARE;
        match self.state {
            State::Normal(times) => {
                let times = if is_pile_up(&seen) { times + 1 } else { 0 };
                self.state = State::Normal(times);
                if times >= 2 { self.freeze(now) } else { Vec::new() }
            }
            State::Frozen(_) if is_quiet => self.thaw(now),
            State::Frozen(since) if now.saturating_duration_since(since) < FREEZE => Vec::new(),
            State::Frozen(_) => {
                self.state = State::Melting(None);
                self.cancel(now, locks)
            }
            State::Melting(quiet) if is_quiet => {
                let since = quiet.unwrap_or(now);
                self.state = State::Melting(Some(since));
                let is_over = now.saturating_duration_since(since) >= LEAVE_AFTER;
                if is_over { self.thaw(now) } else { Vec::new() }
            }
            State::Melting(_) => {
                self.state = State::Melting(None);
                self.cancel(now, locks)
            }
            State::Probation(_) if is_pile_up(&seen) => self.freeze(now),
            State::Probation(since) => {
                if now.saturating_duration_since(since) >= PROBATION {
                    self.state = State::Normal(0);
                }
                Vec::new()
            }
        }
    }

    fn freeze(&mut self, now: Instant) -> Vec<Action> {
        self.state = State::Frozen(now);
        self.tried.clear();
        vec![Action::Freeze]
    }

    fn thaw(&mut self, now: Instant) -> Vec<Action> {
        self.state = State::Probation(now);
        vec![Action::Thaw]
    }

    /// Forgets what is gone, and what a cancel did not reach.
    fn verify(&mut self, now: Instant, locks: &Snapshot) {
        self.pending.retain(|(id, since)| {
            let is_there = locks.transactions.iter().any(|transaction| transaction.id == *id);
            is_there && now.saturating_duration_since(*since) < VERIFY
        });
    }

    /// The best candidates, as many as the pace has room for beside all that is being undone.
    fn cancel(&mut self, now: Instant, locks: &Snapshot) -> Vec<Action> {
        let undone = |transaction: &&Transaction| {
            let is_pending = self.pending.iter().any(|(id, _)| *id == transaction.id);
            transaction.doing == Doing::RollingBack && !is_pending
        };
        let under_way = self.pending.len() + locks.transactions.iter().filter(undone).count();
        let room = self.config.pace.saturating_sub(under_way);
        let mut actions = Vec::new();
        for (id, cause) in self.candidates(locks).into_iter().take(room) {
            self.tried.insert(id);
            self.pending.push((id, now));
            actions.push(Action::Cancel(id, cause));
        }
        actions
    }

    /// Who may be cancelled, the best first: silent ones, then roots by waiters over cost, and if
    /// there are none, waiters that have changed nothing, the youngest first.
    fn candidates(&self, locks: &Snapshot) -> Vec<(TransactionId, Cause)> {
        let mut roots: Vec<_> =
            locks.transactions.iter().filter_map(|it| self.root(locks, it)).collect();
        roots.sort_by(|a, b| b.0.total_cmp(&a.0));
        if !roots.is_empty() {
            return roots.into_iter().map(|(_, id, cause)| (id, cause)).collect();
        }
        let is_waiter = |it: &&Transaction| {
            it.changed == 0 && it.wait().is_some_and(|wait| wait >= AGE_MIN) && self.may_end(it)
        };
        let mut waiters: Vec<_> = locks.transactions.iter().filter(is_waiter).collect();
        waiters.sort_by_key(|waiter| waiter.age);
        waiters.into_iter().map(|waiter| (waiter.id, Cause::Waiter)).collect()
    }

    /// What ending this one is worth, if it is a root that may be ended.
    fn root(&self, locks: &Snapshot, it: &Transaction) -> Option<(f64, TransactionId, Cause)> {
        let cause = match it.doing {
            Doing::Idle(silent) if silent >= IDLE_MAX => Cause::IdleBlocker,
            Doing::Running if it.age >= AGE_MIN => Cause::RootBlocker,
            Doing::Idle(_)
            | Doing::Running
            | Doing::Waiting(_)
            | Doing::Committing
            | Doing::RollingBack => return None,
        };
        if !self.may_end(it) {
            return None;
        }
        let behind = locks.behind(it.id).len();
        if behind < BEHIND_MIN {
            return None;
        }
        let worth = behind as f64 / (1.0 + self.config.row_cost * it.changed as f64);
        // A silent one does no work: it goes before all that do.
        let bonus = if cause == Cause::IdleBlocker { 1e6 } else { 0.0 };
        Some((worth + bonus, it.id, cause))
    }

    fn may_end(&self, it: &Transaction) -> bool {
        let is_ending = matches!(it.doing, Doing::Committing | Doing::RollingBack);
        !it.is_protected && !is_ending && !self.tried.contains(&it.id)
    }
}

fn is_pile_up(seen: &Contention) -> bool {
    seen.blocked >= WAITERS_MIN && seen.blocked_share > ENTER_SHARE
        || seen.blocked >= ENTER_WAITERS && seen.longest_wait > ENTER_WAIT
}

#[cfg(test)]
mod tests;

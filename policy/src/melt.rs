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
//! It proposes; who carries it out is told by [`Action`]. It never touches what it may not, what
//! commits, or what is being rolled back already; and a waiter only where nobody can be seen that it
//! waits for.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::class::Mode;
use crate::contention::Contention;
use crate::locks::{Activity, Locks, Transaction};

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
/// A client that is silent for so long, while others wait for it, does no work.
const IDLE_MIN: Duration = Duration::from_millis(250);

/// Whom it may cancel, and what the database makes of a rollback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// Whether it is done, or only counted.
    pub mode: Mode,
    /// Whether those may be ended that are not the guard's clients.
    pub others: bool,
    /// Who blocks fewer than this is left alone.
    pub behind_min: usize,
    /// No transaction is cancelled that is younger than this.
    pub age_min: Duration,
    /// Cancels under way at a time: 1 where rollbacks are done row by row (InnoDB), 4 where they
    /// cost nothing (PostgreSQL).
    pub pace: usize,
    /// What undoing one row costs, in waiters: 0 where it costs nothing.
    pub row_cost: f64,
}

impl Default for Config {
    /// Off; else as it is for InnoDB.
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            others: false,
            behind_min: 3,
            age_min: Duration::from_secs(1),
            pace: 1,
            row_cost: 0.01,
        }
    }
}

impl Config {
    /// The same for PostgreSQL, where a rollback is a mark.
    #[must_use]
    pub const fn of_postgres(self) -> Self {
        Self { pace: 4, row_cost: 0.0, ..self }
    }
}

/// What is to be done, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A pile-up begins: admit no new transactions that write, and shed what may be shed.
    Freeze,
    /// It is over: admit again, slowly.
    Thaw,
    /// Roll this transaction back.
    Cancel(Victim),
    /// A transaction that was to be rolled back is gone.
    Gone(u32),
    /// It is not, after two seconds.
    Stayed(u32),
}

/// A transaction to be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Victim {
    /// What serves it in the database.
    pub backend: u32,
    /// Why it was chosen.
    pub cause: Cause,
    /// How many wait behind it.
    pub behind: usize,
}

/// Why a transaction was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its client is silent and others wait for it.
    IdleBlocker,
    /// It waits for nobody and many wait for it.
    RootBlocker,
    /// It waits, has changed nothing, and nobody can be seen that it waits for.
    Waiter,
}

/// How far a pile-up has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// Nothing to do; how many looks in a row were like a pile-up.
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
    state: State,
    /// What was cancelled, when, and has not been seen to be gone.
    pending: Vec<(u32, Instant)>,
    /// What was cancelled in this pile-up. A transaction that begins on the same backend
    /// afterwards is another one.
    tried: HashMap<u32, Instant>,
    /// Those that waited for nobody who could be seen, at the last look.
    stranded: HashSet<u32>,
}

impl Default for Melt {
    /// Nothing melts.
    fn default() -> Self {
        Self {
            state: State::Normal(0),
            pending: Vec::new(),
            tried: HashMap::new(),
            stranded: HashSet::new(),
        }
    }
}

impl Melt {
    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What is to be done now that the locks look like this; only those are cancelled that
    /// `may_end`.
    pub fn step(
        &mut self,
        now: Instant,
        config: &Config,
        locks: &Locks,
        may_end: impl Fn(&Transaction) -> bool,
    ) -> Vec<Action> {
        let mut actions = self.verify(now, locks);
        let seen = locks.contention();
        let is_quiet = seen.blocked < WAITERS_MIN || seen.blocked_share < LEAVE_SHARE;
        let passed = |since| now.saturating_duration_since(since);
        self.state = match self.state {
            State::Probation(since) if passed(since) >= PROBATION => State::Normal(0),
            state => state,
        };
        match self.state {
            State::Normal(times) => {
                let times = if is_pile_up(&seen) { times + 1 } else { 0 };
                self.state = State::Normal(times);
                if times >= 2 {
                    actions.push(self.freeze(now));
                }
            }
            State::Probation(_) if is_pile_up(&seen) => actions.push(self.freeze(now)),
            State::Probation(_) => {}
            State::Frozen(_) if is_quiet => actions.push(self.thaw(now)),
            State::Frozen(since) if passed(since) < FREEZE => {}
            State::Melting(quiet) if is_quiet => {
                let since = quiet.unwrap_or(now);
                self.state = State::Melting(Some(since));
                if passed(since) >= LEAVE_AFTER {
                    actions.push(self.thaw(now));
                }
            }
            State::Frozen(_) | State::Melting(_) => {
                self.state = State::Melting(None);
                actions.extend(self.cancel(now, config, locks, may_end));
            }
        }
        actions
    }

    /// A transaction that was to be rolled back went on: it may be tried again.
    pub fn missed(&mut self, backend: u32) {
        self.tried.remove(&backend);
        self.pending.retain(|(pending, _)| *pending != backend);
    }

    fn freeze(&mut self, now: Instant) -> Action {
        self.state = State::Frozen(now);
        self.tried.clear();
        self.stranded.clear();
        Action::Freeze
    }

    fn thaw(&mut self, now: Instant) -> Action {
        self.state = State::Probation(now);
        Action::Thaw
    }

    /// Looks for what was cancelled. What is being undone is waited for.
    fn verify(&mut self, now: Instant, locks: &Locks) -> Vec<Action> {
        let mut actions = Vec::new();
        self.pending.retain(|(backend, cancelled)| {
            let passed = now.saturating_duration_since(*cancelled);
            let Some(one) = locks.transaction(*backend).filter(|one| one.age >= passed) else {
                actions.push(Action::Gone(*backend));
                return false;
            };
            let is_pending = one.activity == Activity::RollsBack || passed < VERIFY;
            if !is_pending {
                actions.push(Action::Stayed(*backend));
            }
            is_pending
        });
        actions
    }

    /// The best candidates, as many as the pace has room for beside all that is being undone.
    fn cancel(
        &mut self,
        now: Instant,
        config: &Config,
        locks: &Locks,
        may_end: impl Fn(&Transaction) -> bool,
    ) -> Vec<Action> {
        if !locks.has_waits {
            return Vec::new();
        }
        let undone = |one: &&Transaction| {
            let is_pending = self.pending.iter().any(|(backend, _)| *backend == one.backend);
            one.activity == Activity::RollsBack && !is_pending
        };
        let under_way = self.pending.len() + locks.transactions.iter().filter(undone).count();
        let room = config.pace.saturating_sub(under_way);
        let may_end = |one: &Transaction| {
            let tried = self.tried.get(&one.backend);
            let was_tried = tried.is_some_and(|at| one.age >= now.saturating_duration_since(*at));
            !was_tried && one.age >= config.age_min && may_end(one)
        };
        let mut victims = roots(config, locks, may_end);
        let stranded = stranded(locks);
        if victims.is_empty() {
            // A look is never quite consistent: who is seen so twice is.
            let is_stranded = |one: &Transaction| {
                stranded.contains(&one.backend) && self.stranded.contains(&one.backend)
            };
            victims = waiters(locks, |one| is_stranded(one) && may_end(one));
        }
        self.stranded = stranded;
        victims.truncate(room);
        for victim in &victims {
            self.tried.insert(victim.backend, now);
            self.pending.push((victim.backend, now));
        }
        victims.into_iter().map(Action::Cancel).collect()
    }
}

/// Those that wait for nobody and may be ended: silent ones, then by waiters over cost.
fn roots(config: &Config, locks: &Locks, may_end: impl Fn(&Transaction) -> bool) -> Vec<Victim> {
    let mut roots: Vec<(f64, Victim)> = Vec::new();
    for root in locks.roots().iter().filter(|root| root.waiters >= config.behind_min) {
        let Some(one) = locks.transaction(root.backend).filter(|one| may_end(one)) else {
            continue;
        };
        let cause = match one.activity {
            Activity::Idle if one.for_time >= IDLE_MIN => Cause::IdleBlocker,
            Activity::Idle | Activity::Runs => Cause::RootBlocker,
            Activity::Waits | Activity::Commits | Activity::RollsBack | Activity::Prepared => {
                continue;
            }
        };
        let worth = root.waiters as f64 / (1.0 + config.row_cost * one.rows_modified as f64);
        // A silent one does no work: it goes before all that do.
        let bonus = if cause == Cause::IdleBlocker { 1e6 } else { 0.0 };
        let victim = Victim { backend: root.backend, cause, behind: root.waiters };
        roots.push((worth + bonus, victim));
    }
    roots.sort_by(|a, b| b.0.total_cmp(&a.0));
    roots.into_iter().map(|(_, victim)| victim).collect()
}

/// Those that wait behind nobody who is listed.
fn stranded(locks: &Locks) -> HashSet<u32> {
    let holders = locks.roots().into_iter().map(|root| root.backend);
    let behind = locks.behind(holders.filter(|backend| locks.transaction(*backend).is_some()));
    let waiting = locks.transactions.iter().filter(|one| one.activity == Activity::Waits);
    waiting.map(|one| one.backend).filter(|backend| !behind.contains(backend)).collect()
}

/// Waiters that have changed nothing, the youngest first.
fn waiters(locks: &Locks, may_end: impl Fn(&Transaction) -> bool) -> Vec<Victim> {
    let is_victim = |one: &&Transaction| one.rows_modified == 0 && may_end(one);
    let mut waiters: Vec<_> = locks.transactions.iter().filter(is_victim).collect();
    waiters.sort_by_key(|waiter| waiter.age);
    let victim =
        |one: &Transaction| Victim { backend: one.backend, cause: Cause::Waiter, behind: 0 };
    waiters.into_iter().map(victim).collect()
}

fn is_pile_up(seen: &Contention) -> bool {
    seen.blocked >= WAITERS_MIN && seen.blocked_share > ENTER_SHARE
        || seen.blocked >= ENTER_WAITERS && seen.longest_wait > ENTER_WAIT
}

#[cfg(test)]
mod tests;

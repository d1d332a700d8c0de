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
//! It proposes; who carries it out is told by [`Action`], and admission by [`Melt::restraint`]. It never
//! touches what it may not, what commits, or what is being rolled back already; and a waiter only
//! where nobody can be seen that it waits for.
//!
//! A freeze holds up everybody for the sake of those that wait, so it lasts only while it may help:
//! until little waits, and beside cancels for a few seconds at most. Where nobody may be ended who
//! holds the others up, writers are let in again, by half of the limit.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::class::Mode;
use crate::contention::Contention;
use crate::locks::{Activity, Locks, Root, Transaction};
use crate::restraint::Restraint;

/// More than this share waiting is a pile-up, if it stands: most of those that wait did so at the look
/// before. Where it moves, as behind a row that many change in turn, work gets done.
const ENTER_SHARE: f64 = 0.5;
/// So is a wait as long as this, with so many waiting.
const ENTER_WAIT: Duration = Duration::from_secs(1);
const ENTER_WAITERS: u32 = 8;
/// Fewer than this wait: nothing is a pile-up.
const WAITERS_MIN: u32 = 4;
/// It is over when less than this share waits for so long.
pub(crate) const LEAVE_SHARE: f64 = 0.2;
const LEAVE_AFTER: Duration = Duration::from_secs(1);
/// Freezing is given so long before anything is cancelled.
const FREEZE: Duration = Duration::from_millis(300);
/// What has not helped by then does not help: time limits are left to end what is stuck.
const FREEZE_MAX: Duration = Duration::from_secs(3);
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
    /// Nothing to do.
    Normal,
    /// Nothing new is admitted that writes.
    Frozen(Instant),
    /// Freezing alone has not helped.
    Melting {
        /// When it was frozen.
        frozen: Instant,
        /// Since when little waits.
        quiet: Option<Instant>,
    },
    /// It is over, if it stays so.
    Probation(Instant),
}

/// What is being done about a pile-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// New transactions that write are held up: most end by that.
    Freezing,
    /// That has not helped alone: who holds others up is rolled back.
    Melting,
    /// Neither helps: nobody may be ended who holds others up, or who was is still there. Writers use
    /// half of the limit.
    Waiting,
    /// Little waits since then: the limit rises from half.
    LettingIn(Instant),
    /// It is over, and the limit has been rising since then.
    Rising(Instant),
}

/// What the machine does not know of transactions by itself.
pub trait Known {
    /// Whether it may be ended.
    fn may_end(&self, one: &Transaction) -> bool;

    /// What a backend's waiting weighs: 1 in a class with the usual share, twice as much with twice
    /// that.
    fn weight(&self, backend: u32) -> f64 {
        let _all_alike = backend;
        1.0
    }
}

impl<F: Fn(&Transaction) -> bool> Known for F {
    fn may_end(&self, one: &Transaction) -> bool {
        self(one)
    }
}

/// The machine.
#[derive(Debug)]
pub struct Melt {
    state: State,
    /// Backends and transactions that waited at the last look.
    waiting: HashSet<(u32, u64)>,
    /// What was cancelled, when, and has not been seen to be gone.
    pending: Vec<(u32, Instant)>,
    /// What was cancelled in this pile-up. A transaction that begins on the same backend
    /// afterwards is another one.
    tried: HashMap<u32, Instant>,
    /// Those that waited for nobody who could be seen, at the last look.
    stranded: HashSet<u32>,
    /// Nobody may be ended who holds others up, as far as was seen.
    is_helpless: bool,
}

impl Default for Melt {
    /// Nothing melts.
    fn default() -> Self {
        Self {
            state: State::Normal,
            waiting: HashSet::new(),
            pending: Vec::new(),
            tried: HashMap::new(),
            stranded: HashSet::new(),
            is_helpless: false,
        }
    }
}

impl Melt {
    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What is being done about it; `None` where nothing is piled up.
    #[must_use]
    pub fn phase(&self, now: Instant) -> Option<Phase> {
        match self.state {
            State::Normal => None,
            State::Frozen(_) => Some(Phase::Freezing),
            State::Melting { quiet: Some(since), .. } => Some(Phase::LettingIn(since)),
            State::Melting { frozen, quiet: None } => {
                let is_new = now.saturating_duration_since(frozen) < FREEZE_MAX;
                Some(if is_new && !self.is_helpless { Phase::Melting } else { Phase::Waiting })
            }
            State::Probation(since) => Some(Phase::Rising(since)),
        }
    }

    /// Whether it is to choose whom to end, for which it must be shown who waits for whom.
    #[must_use]
    pub fn is_choosing(&self, now: Instant) -> bool {
        self.phase(now) == Some(Phase::Melting) && self.pending.is_empty()
    }

    /// What admission is to be told now that so large a share waits, 0..1.
    #[must_use]
    pub fn restraint(&self, now: Instant, mode: Mode, waiting: f64) -> Option<Restraint> {
        Some(match self.phase(now)? {
            Phase::Freezing | Phase::Melting => Restraint::frozen(mode, now, waiting),
            // It does not rise before little waits.
            Phase::Waiting => Restraint::rising(mode, now),
            Phase::LettingIn(since) | Phase::Rising(since) => Restraint::rising(mode, since),
        })
    }

    /// What is to be done now that the locks look like this.
    pub fn step(
        &mut self,
        now: Instant,
        config: &Config,
        locks: &Locks,
        known: &impl Known,
    ) -> Vec<Action> {
        let mut actions = self.verify(now, locks);
        let seen = locks.contention();
        let is_pile_up = self.is_pile_up(locks, &seen);
        let is_quiet = seen.blocked < WAITERS_MIN || seen.blocked_share < LEAVE_SHARE;
        let passed = |since| now.saturating_duration_since(since);
        self.state = match self.state {
            State::Probation(since) if passed(since) >= PROBATION => State::Normal,
            state => state,
        };
        match self.state {
            State::Normal | State::Probation(_) if is_pile_up => actions.push(self.freeze(now)),
            State::Normal | State::Probation(_) => {}
            State::Frozen(_) if is_quiet => actions.push(self.thaw(now)),
            State::Frozen(since) if passed(since) < FREEZE => {}
            State::Melting { frozen, quiet } if is_quiet => {
                let since = quiet.unwrap_or(now);
                self.state = State::Melting { frozen, quiet: Some(since) };
                if passed(since) >= LEAVE_AFTER {
                    // It has been rising since then.
                    actions.push(self.thaw(since));
                }
            }
            State::Frozen(frozen) | State::Melting { frozen, .. } => {
                let was_quiet = matches!(self.state, State::Melting { quiet: Some(_), .. });
                let frozen = if was_quiet { now } else { frozen };
                self.state = State::Melting { frozen, quiet: None };
                actions.extend(self.cancel(now, config, locks, known));
            }
        }
        actions
    }

    /// A transaction that was to be rolled back went on: it may be tried again.
    pub fn missed(&mut self, backend: u32) {
        self.tried.remove(&backend);
        self.pending.retain(|(pending, _)| *pending != backend);
    }

    /// Whether much waits, and has since the last look.
    fn is_pile_up(&mut self, locks: &Locks, seen: &Contention) -> bool {
        let waiting = locks.transactions.iter().filter(|one| one.activity == Activity::Waits);
        let waiting: HashSet<_> = waiting.map(|one| (one.backend, one.id)).collect();
        let still = waiting.intersection(&self.waiting).count();
        let is_standing = still >= WAITERS_MIN as usize && 2 * still >= waiting.len();
        self.waiting = waiting;
        let is_long = seen.blocked >= ENTER_WAITERS && seen.longest_wait > ENTER_WAIT;
        is_standing && (seen.blocked_share > ENTER_SHARE || is_long)
    }

    fn freeze(&mut self, now: Instant) -> Action {
        self.state = State::Frozen(now);
        self.tried.clear();
        self.stranded.clear();
        self.is_helpless = false;
        Action::Freeze
    }

    fn thaw(&mut self, since: Instant) -> Action {
        self.state = State::Probation(since);
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
        known: &impl Known,
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
        let is_fresh = |one: &Transaction| {
            let tried = self.tried.get(&one.backend);
            tried.is_none_or(|at| one.age < now.saturating_duration_since(*at))
        };
        let may_end =
            |one: &Transaction| is_fresh(one) && one.age >= config.age_min && known.may_end(one);
        // Who is too young is a matter of time.
        let mut holders = locks.roots().into_iter().filter_map(|it| locks.transaction(it.backend));
        let is_helpless = under_way == 0 && !holders.any(|one| is_fresh(one) && known.may_end(one));
        let mut victims = roots(config, locks, known, may_end);
        let stranded = stranded(locks);
        if victims.is_empty() {
            // A look is never quite consistent: who is seen so twice is.
            let is_stranded = |one: &Transaction| {
                stranded.contains(&one.backend) && self.stranded.contains(&one.backend)
            };
            victims = waiters(locks, |one| is_stranded(one) && may_end(one));
        }
        self.stranded = stranded;
        self.is_helpless = is_helpless && victims.is_empty();
        victims.truncate(room);
        for victim in &victims {
            self.tried.insert(victim.backend, now);
            self.pending.push((victim.backend, now));
        }
        victims.into_iter().map(Action::Cancel).collect()
    }
}

/// Those that wait for nobody and may be ended: silent ones, then by the weight of their waiters over
/// cost.
fn roots(
    config: &Config,
    locks: &Locks,
    known: &impl Known,
    may_end: impl Fn(&Transaction) -> bool,
) -> Vec<Victim> {
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
        let weight: f64 = behind(locks, root).map(|backend| known.weight(backend)).sum();
        let worth = weight / (1.0 + config.row_cost * one.rows_modified as f64);
        // A silent one does no work: it goes before all that do.
        let bonus = if cause == Cause::IdleBlocker { 1e6 } else { 0.0 };
        let victim = Victim { backend: root.backend, cause, behind: root.waiters };
        roots.push((worth + bonus, victim));
    }
    roots.sort_by(|a, b| b.0.total_cmp(&a.0));
    roots.into_iter().map(|(_, victim)| victim).collect()
}

/// Those that wait behind a root.
fn behind(locks: &Locks, root: &Root) -> impl Iterator<Item = u32> {
    let root = root.backend;
    locks.behind([root]).into_iter().filter(move |backend| *backend != root)
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

#[cfg(test)]
mod tests;

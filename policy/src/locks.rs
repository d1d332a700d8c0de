//! Who holds what up in the database: one look at its transactions and at who waits for whom.
//!
//! ```text
//!   waiter ──waits for──► blocker ──waits for──► root        a root waits for nobody
//! ```
//!
//! An observer fills a [`Locks`], the one picture of them; admission reads from it how much of the
//! work is stuck ([`Locks::contention`]), melting whom to end ([`Locks::roots`]), and a person why
//! nothing moves ([`Locks::tree`]). A look is never quite consistent: a database does not stop for it. So nothing
//! here trusts it to be a forest: waits in a circle, or for somebody who is not listed, cost
//! nothing but a line in the output.

mod tree;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::contention::{Contention, Standing};

pub use tree::{Branch, Root};

/// The most transactions and waits of one look, each. An observer asks for no more.
pub const ROWS_MAX: usize = 2000;

/// One look at a database's transactions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Locks {
    /// What is open, each backend once.
    pub transactions: Vec<Transaction>,
    /// Who waits for whom.
    pub waits: Vec<Wait>,
    /// Whether the server was asked for `waits`. It is not at every look, and never where it cannot
    /// tell without harm (MySQL before 8.0.40).
    pub has_waits: bool,
    /// Whether there was more than [`ROWS_MAX`] of either.
    pub is_cut_short: bool,
}

/// One open transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// What serves it: a thread of MySQL, a process of PostgreSQL. 0 if nothing does: one that was
    /// prepared for two-phase commit.
    pub backend: u32,
    /// When that backend began, where the server tells: ids are used again.
    pub since: u64,
    /// What the server tells it by from the others of that backend; 0 where it does not.
    pub id: u64,
    /// What it does.
    pub activity: Activity,
    /// Since it began.
    pub age: Duration,
    /// Since it began to do what it does.
    pub for_time: Duration,
    /// Row locks it holds, where the server counts them.
    pub rows_locked: u64,
    /// Rows that a rollback would have to undo, where the server counts them.
    pub rows_modified: u64,
    /// Whose it is.
    pub user: String,
    /// Where it works.
    pub database: String,
    /// The statement that it runs or ran last, as it was sent; empty where nobody may read it.
    pub statement: String,
}

/// What a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// The server works on its statement.
    Runs,
    /// It waits for its client.
    Idle,
    /// It waits for a lock.
    Waits,
    /// It is being committed.
    Commits,
    /// It is being undone; nothing makes this quicker.
    RollsBack,
    /// It was prepared for two-phase commit, and waits to be told which.
    Prepared,
}

impl Activity {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Idle => "idle",
            Self::Waits => "waits",
            Self::Commits => "commits",
            Self::RollsBack => "rolls back",
            Self::Prepared => "prepared",
        }
    }
}

/// One transaction waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The backend that waits.
    pub waiter: u32,
    /// The backend that holds what it waits for. Others may stand between them in the queue.
    pub blocker: u32,
    /// What it waits for.
    pub object: Object,
}

/// What is locked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Object {
    /// What kind of lock: `row`, `table`, `metadata`, `advisory`, as the server has it.
    pub kind: String,
    /// The table, with its schema; empty if it is about none.
    pub table: String,
    /// The index, where locks are taken in indexes.
    pub index: String,
    /// The key or the place of the row, as the server tells it.
    pub key: String,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        for part in
            [&self.table, &self.index, &self.key].into_iter().filter(|part| !part.is_empty())
        {
            write!(f, " {part}")?;
        }
        Ok(())
    }
}

impl Locks {
    /// The transaction of a backend.
    #[must_use]
    pub fn transaction(&self, backend: u32) -> Option<&Transaction> {
        self.transactions.iter().find(|one| one.backend == backend)
    }

    /// This look, with who waited for whom at an earlier one: of those who wait still, for those who are still
    /// there. Which of it is old is not told, so nothing is to be decided on it.
    #[must_use]
    pub fn with_waits_of(&self, before: &Self) -> Self {
        let same = |backend| {
            let now = self.transaction(backend)?;
            let then = before.transaction(backend)?;
            (now.since == then.since && now.id == then.id).then_some(now)
        };
        let waits_still =
            |backend| same(backend).is_some_and(|one| one.activity == Activity::Waits);
        let waits = before
            .waits
            .iter()
            .filter(|wait| waits_still(wait.waiter) && same(wait.blocker).is_some());
        Self { waits: waits.cloned().collect(), ..self.clone() }
    }

    /// How much of it stands still.
    #[must_use]
    pub fn contention(&self) -> Contention {
        self.contention_of(|_| true)
    }

    /// How much of these transactions stands still.
    #[must_use]
    pub fn contention_of(&self, counts: impl Fn(&Transaction) -> bool) -> Contention {
        let open = self.transactions.iter().filter(|one| counts(one));
        Contention::of(open.map(|one| Standing {
            wait: (one.activity == Activity::Waits).then_some(one.for_time),
            is_rolling_back: one.activity == Activity::RollsBack,
            locks: one.rows_locked,
        }))
    }

    /// Those that block others and wait for nobody, those with most behind them first; and of
    /// each circle the one that is in it longest.
    #[must_use]
    pub fn roots(&self) -> Vec<Root> {
        tree::roots(self)
    }

    /// Who waits behind a root, as a tree: each waiter once, at the first place it is met.
    #[must_use]
    pub fn tree(&self, root: u32) -> Branch {
        tree::tree(self, root)
    }

    /// Everyone who waits for one of these, directly or behind others; one of these too, if it waits
    /// for another.
    #[must_use]
    pub fn behind(&self, holders: impl IntoIterator<Item = u32>) -> HashSet<u32> {
        tree::behind(&self.waiters(), holders)
    }

    /// What most of those behind one wait for, without its key; a table goes before what has none.
    #[must_use]
    pub fn mostly_waited_for(&self, holder: u32) -> Object {
        let behind = self.behind([holder]);
        let mut counts: HashMap<Object, usize> = HashMap::new();
        for wait in self.waits.iter().filter(|wait| behind.contains(&wait.waiter)) {
            let object = Object { key: String::new(), ..wait.object.clone() };
            *counts.entry(object).or_default() += 1;
        }
        let rank = |(object, count): &(Object, usize)| (!object.table.is_empty(), *count);
        counts.into_iter().max_by_key(rank).map(|(object, _)| object).unwrap_or_default()
    }

    /// What each backend waits for, and which backends hold it.
    fn blockers(&self) -> HashMap<u32, Vec<u32>> {
        let mut blockers: HashMap<u32, Vec<u32>> = HashMap::new();
        for wait in self.waits.iter().filter(|wait| wait.waiter != wait.blocker) {
            blockers.entry(wait.waiter).or_default().push(wait.blocker);
        }
        blockers
    }

    /// Which backends wait for each backend, in the order of the look.
    fn waiters(&self) -> HashMap<u32, Vec<u32>> {
        let mut waiters: HashMap<u32, Vec<u32>> = HashMap::new();
        for wait in self.waits.iter().filter(|wait| wait.waiter != wait.blocker) {
            let of = waiters.entry(wait.blocker).or_default();
            if !of.contains(&wait.waiter) {
                of.push(wait.waiter);
            }
        }
        waiters
    }
}

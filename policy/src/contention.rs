//! What a database says of its locks: who holds, who waits for whom.
//!
//! The observer translates a database's own tables into this; the limit, the hot keys and melting
//! read it. A snapshot is old when it arrives, and may be wrong in parts: an edge may lead to a
//! transaction that is not listed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::class::ClassId;
use crate::hot::Key;

/// A transaction as the database numbers it: MySQL's thread id, PostgreSQL's process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub u64);

/// What a transaction is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// Runs a statement.
    Running,
    /// Its statement has waited for a lock for so long.
    Waiting(Duration),
    /// The client has been silent for so long.
    Idle(Duration),
    /// Its COMMIT is under way.
    Committing,
    /// It is being rolled back.
    RollingBack,
}

/// One transaction that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Its number.
    pub id: TransactionId,
    /// How long it has been open.
    pub age: Duration,
    /// What it does.
    pub doing: Doing,
    /// Whom it waits for, directly.
    pub waits_for: Vec<TransactionId>,
    /// Row locks it holds, where the database counts them, else rows it has changed.
    pub locks: u64,
    /// Rows it has changed: what a rollback has to undo.
    pub changed: u64,
    /// Its class, when it came through the guard.
    pub class: Option<ClassId>,
    /// The key its statement fights for, when that is known.
    pub key: Option<Key>,
    /// Whether it must never be ended: replication, DDL that commits, the guard's own.
    pub is_protected: bool,
}

impl Transaction {
    /// How long its statement has waited for a lock; `None` when it does not wait.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        match self.doing {
            Doing::Waiting(wait) => Some(wait),
            Doing::Running | Doing::Idle(_) | Doing::Committing | Doing::RollingBack => None,
        }
    }
}

/// All transactions that are open at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// In any order.
    pub transactions: Vec<Transaction>,
}

/// How much of what is open stands still.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Contention {
    /// Transactions that wait for a lock.
    pub blocked: u32,
    /// Waiting over all that are open, 0..1 (Thomasian's β).
    pub blocked_share: f64,
    /// Locks of all over locks of those that do not wait, from 1 on (Mönkeberg and Weikum).
    pub conflict_ratio: f64,
    /// Transactions being rolled back.
    pub rolling_back: u32,
    /// The longest wait.
    pub longest_wait: Duration,
}

/// What one open transaction adds to it.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// How long it has waited for a lock, if it does.
    pub wait: Option<Duration>,
    /// Whether it is being undone.
    pub is_rolling_back: bool,
    /// Row locks it holds; one at least is counted.
    pub locks: u64,
}

impl Contention {
    /// The contention among these.
    #[must_use]
    pub fn of(open: impl Iterator<Item = Standing>) -> Self {
        let mut sum = Self { conflict_ratio: 1.0, ..Self::default() };
        let (mut count, mut locks, mut free_locks) = (0_u32, 0_u64, 0_u64);
        for one in open {
            count += 1;
            let held = one.locks.max(1);
            locks += held;
            match one.wait {
                Some(wait) => {
                    sum.blocked += 1;
                    sum.longest_wait = sum.longest_wait.max(wait);
                }
                None => free_locks += held,
            }
            sum.rolling_back += u32::from(one.is_rolling_back);
        }
        if count > 0 {
            sum.blocked_share = f64::from(sum.blocked) / f64::from(count);
            sum.conflict_ratio = locks as f64 / free_locks.max(1) as f64;
        }
        sum
    }
}

impl Snapshot {
    /// The contention among transactions that are not waiting for one of these keys: a key with a
    /// gate of its own must not count against everybody.
    #[must_use]
    pub fn contention(&self, is_gated: impl Fn(Key) -> bool) -> Contention {
        let counts = |one: &&Transaction| one.wait().is_none() || !one.key.is_some_and(&is_gated);
        Contention::of(self.transactions.iter().filter(counts).map(|one| Standing {
            wait: one.wait(),
            is_rolling_back: one.doing == Doing::RollingBack,
            locks: one.locks,
        }))
    }

    /// Everyone who waits for this transaction, directly or behind others; the worst wait first.
    /// Cycles end: the database breaks them itself.
    #[must_use]
    pub fn behind(&self, root: TransactionId) -> Vec<&Transaction> {
        let mut direct: HashMap<TransactionId, Vec<&Transaction>> = HashMap::new();
        for transaction in &self.transactions {
            for holder in &transaction.waits_for {
                direct.entry(*holder).or_default().push(transaction);
            }
        }
        let mut seen = HashSet::from([root]);
        let mut next = vec![root];
        let mut found = Vec::new();
        while let Some(holder) = next.pop() {
            for waiter in direct.get(&holder).into_iter().flatten() {
                if seen.insert(waiter.id) {
                    next.push(waiter.id);
                    found.push(*waiter);
                }
            }
        }
        found.sort_by_key(|waiter| std::cmp::Reverse(waiter.wait()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(id: u64, doing: Doing, waits_for: &[u64], locks: u64) -> Transaction {
        Transaction {
            id: TransactionId(id),
            age: Duration::from_secs(1),
            doing,
            waits_for: waits_for.iter().copied().map(TransactionId).collect(),
            locks,
            changed: 0,
            class: None,
            key: None,
            is_protected: false,
        }
    }

    const WAITING: Doing = Doing::Waiting(Duration::from_millis(300));

    #[test]
    fn contention_is_what_stands_still_over_what_is_open() {
        assert_eq!(Snapshot::default().contention(|_| false).conflict_ratio, 1.0);
        let mut hot = transaction(4, WAITING, &[1], 3);
        hot.key = Some(Key(9));
        let transactions = vec![
            transaction(1, Doing::Running, &[], 4),
            transaction(2, WAITING, &[1], 2),
            transaction(3, Doing::RollingBack, &[], 0),
            hot,
        ];
        let all = Snapshot { transactions };
        let contention = all.contention(|_| false);
        assert_eq!((contention.blocked, contention.rolling_back), (2, 1));
        assert_eq!((contention.blocked_share, contention.conflict_ratio), (0.5, 2.0));
        let without = all.contention(|key| key == Key(9));
        assert_eq!((without.blocked, without.conflict_ratio), (1, 1.4));
    }

    #[test]
    fn behind_a_root_stand_all_who_wait_for_it_and_cycles_end() {
        let snapshot = Snapshot {
            transactions: vec![
                transaction(1, Doing::Idle(Duration::ZERO), &[], 1),
                transaction(2, WAITING, &[1], 1),
                transaction(3, WAITING, &[2, 4], 1),
                transaction(4, WAITING, &[3], 1),
                transaction(5, WAITING, &[77], 1),
            ],
        };
        let ids: HashSet<_> =
            snapshot.behind(TransactionId(1)).iter().map(|waiter| waiter.id.0).collect();
        assert_eq!(ids, HashSet::from([2, 3, 4]));
    }
}

//! How much of a database's work stands still.

use std::time::Duration;

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

//! Pile-ups of waits for locks, as the API tells them: a post-mortem of each.

use serde::{Deserialize, Serialize};

use super::LockHolder;

/// One pile-up, from its begin to its end. Times within it count from its begin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Incident {
    /// Its number, from 1 since the guard started.
    pub id: u64,
    /// When it began, in milliseconds since 1970 in UTC.
    pub began_unix_ms: u64,
    /// What the guard was to do about it: `observe` or `enforce`.
    pub mode: String,
    /// How long it took, in milliseconds; none while it goes on.
    pub lasted_ms: Option<u64>,
    /// Transactions that were open when most waited.
    pub open: u32,
    /// The most that waited at once.
    pub blocked: u32,
    /// The longest that anybody had waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// What it cost: the time that all waited, in milliseconds.
    pub waited_ms: u64,
    /// Those who held the others up, in the order in which they were seen.
    pub roots: Vec<Sighting>,
    /// What admission was told, step by step.
    pub steps: Vec<Step>,
    /// Transactions that were made to wait for the end of it.
    pub held: u64,
    /// Transactions that were refused because of it.
    pub shed: u64,
    /// What was done, or would have been.
    pub acts: Vec<Act>,
    /// Roots, steps and acts that are not listed: there were too many.
    pub left_out: u32,
}

/// One step of undoing it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// `freezing`, `melting`, `waiting`, `letting_in` or `over`.
    pub phase: String,
    /// Transactions that waited for a lock then.
    pub blocked: u32,
    /// Of so many that were open.
    pub open: u32,
}

/// One transaction that held others up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sighting {
    /// When it was seen first, in milliseconds.
    pub at_ms: u64,
    /// What was seen then; without those behind it.
    pub holder: LockHolder,
    /// What most of those behind it wait for: kind, table and index.
    pub on: String,
    /// Why it is left alone, whatever waits for it.
    pub spared: Option<String>,
}

/// One transaction that was chosen to be rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Act {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What serves it in the database.
    pub backend: u32,
    /// Why: `idle_blocker`, `root_blocker` or `waiter`.
    pub cause: String,
    /// Whether it was ordered; false where the mode is observe.
    pub is_ordered: bool,
    /// How many waited behind it.
    pub behind: usize,
    /// Rows that its rollback had to undo, where the server counts them.
    pub rows_modified: u64,
    /// What came of the order: `rolled back`, `went on or ended by itself`, or why it was refused.
    pub answer: Option<String>,
    /// After how many milliseconds a look did not find it any more.
    pub gone_after_ms: Option<u64>,
    /// Whether it was still there two seconds later.
    pub has_stayed: bool,
}

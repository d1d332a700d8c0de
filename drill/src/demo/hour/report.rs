//! What came of the second act.

use serde::Serialize;

use super::{Played, Scene};
use crate::load::reminders::Written;
use crate::load::{told_ms, whole_ms};
use crate::scheduler::{Audit, Lateness};
use crate::server::engine::Engine;
use crate::watch::most;

/// The fullest second may have so many times the mean of the window.
const PEAK_MAX: f64 = 1.25;

/// Pages are asked for by chance: so much less is no less.
const AS_MANY: f64 = 0.95;

/// A second of a curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Second {
    /// Its number, counted from the hour: those before it are negative.
    pub at: i64,
    /// What clients had the primary do: statements; of a PostgreSQL, which does not count them, transactions.
    pub load_per_second: f64,
    /// Reminders done.
    pub reminders_per_second: f64,
    /// Reads that the primary answered; none where it does not count them.
    pub primary_reads: Option<u64>,
    /// Reads that the replica answered.
    pub replica_reads: Option<u64>,
    /// Pages that came within the deadline.
    pub good: u64,
    /// What 99 of 100 pages took, with retries; none when there were fewer than 100.
    pub p99_ms: Option<f64>,
    /// Users whose patience was over.
    pub hung_up: u64,
    /// As seen last on the primary.
    pub threads_running: u32,
    /// As seen last on the primary.
    pub lock_waiters: u32,
    /// What the guard told of the primary, where there is one.
    pub pressure: Option<f64>,
}

/// What one way came to. Latencies are in milliseconds; "while they went" is from the hour to the last reminder.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    /// Pages within the deadline per second before the hour.
    pub calm_good_per_second: f64,
    /// What 99 of 100 of these took, with retries.
    pub calm_p99_ms: Option<f64>,
    /// Pages within the deadline per second while the reminders went.
    pub good_per_second: f64,
    /// What 99 of 100 of these took, with retries.
    pub p99_ms: Option<f64>,
    /// Users per second whose patience was over while the reminders went.
    pub hung_up_per_second: f64,
    /// From the hour to the last reminder.
    pub took_ms: u64,
    /// Reminders in the fullest second.
    pub reminders_max_per_second: f64,
    /// The same over the mean of the window.
    pub peak_to_mean: f64,
    /// Most that the primary was asked to do in a second.
    pub load_max_per_second: f64,
    /// Most connections seen on the primary that run a statement, from the hour on.
    pub threads_running_max: u32,
    /// Most connections seen there.
    pub threads_connected_max: u32,
    /// Most transactions seen waiting for a lock there.
    pub lock_waiters_max: u32,
    /// Reads that the primary answered, from the hour on.
    pub primary_reads: Option<u64>,
    /// Reads that the replica answered.
    pub replica_reads: Option<u64>,
    /// Different reminders whose notification is in the table.
    pub sent: u64,
    /// Reminders without one.
    pub missing: u64,
    /// Notifications of reminders that have another.
    pub doubled: u64,
    /// Attempts at a reminder that failed.
    pub failed: u64,
    /// Second by second.
    pub curve: Vec<Second>,
}

/// Both ways.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// How many reminders were due.
    pub reminders: u64,
    /// All at once.
    pub direct: Outcome,
    /// Spread and guarded.
    pub tidegate: Outcome,
    /// What the ledger's books say of the latter.
    pub audit: Audit,
    /// How long after their planned moments these went.
    pub lateness: Lateness,
}

impl Outcome {
    pub(super) fn of(scene: &Scene, played: &Played, written: Written) -> Self {
        let calm = usize::try_from(scene.calm.as_secs()).unwrap_or(0);
        let took = (played.took.as_secs_f64().ceil() as usize).max(1);
        let mut before = played.timeline.sum(0..calm);
        let mut while_they_went = played.timeline.sum(calm..calm + took);
        let most = most(&played.samples, scene.calm);
        let since: Vec<&Second> = played.curve.iter().filter(|second| second.at >= 0).collect();
        let max =
            |of: fn(&Second) -> f64| since.iter().map(|second| of(second)).fold(0.0, f64::max);
        let sum = |of: fn(&Second) -> Option<u64>| since.iter().map(|second| of(second)).sum();
        let reminders_max_per_second = max(|second| second.reminders_per_second);
        let mean = scene.reminders as f64 / scene.window.as_secs_f64();
        Self {
            calm_good_per_second: before.good as f64 / calm.max(1) as f64,
            calm_p99_ms: told_ms(&mut before.latencies, 0.99),
            good_per_second: while_they_went.good as f64 / took as f64,
            p99_ms: told_ms(&mut while_they_went.latencies, 0.99),
            hung_up_per_second: while_they_went.timed_out as f64 / took as f64,
            took_ms: whole_ms(played.took),
            reminders_max_per_second,
            peak_to_mean: reminders_max_per_second / mean.max(f64::EPSILON),
            load_max_per_second: max(|second| second.load_per_second),
            threads_running_max: most.threads_running,
            threads_connected_max: most.threads_connected,
            lock_waiters_max: most.lock_waiters,
            primary_reads: sum(|second| second.primary_reads),
            replica_reads: sum(|second| second.replica_reads),
            sent: written.reminders,
            missing: scene.reminders.saturating_sub(written.reminders),
            doubled: written.all.saturating_sub(written.reminders),
            failed: played.tally.failed(),
            curve: played.curve.clone(),
        }
    }
}

impl Report {
    /// Whether each reminder was sent once, by the application's table, by the books, and in the end.
    #[must_use]
    pub fn is_each_sent_once(&self) -> bool {
        let books = self.audit.closes && self.audit.sent == self.reminders;
        books && self.tidegate.missing == 0 && self.tidegate.doubled == 0
    }

    /// Whether the application fared better beside reminders that were spread: its pages came sooner, and no
    /// fewer of them in time.
    #[must_use]
    pub fn is_better_for_users(&self) -> bool {
        let slower = match (self.direct.p99_ms, self.tidegate.p99_ms) {
            (Some(direct), Some(tidegate)) => tidegate >= direct,
            // Too few pages to tell.
            (None, Some(_)) => false,
            (_, None) => true,
        };
        self.tidegate.good_per_second >= self.direct.good_per_second * AS_MANY && !slower
    }

    /// Whether the wall has become a line.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.tidegate.peak_to_mean <= PEAK_MAX
            && self.tidegate.peak_to_mean < self.direct.peak_to_mean
    }

    /// What must not be, in words. That the line is not flat is shown, and is none.
    #[must_use]
    pub fn failures(&self) -> Vec<&'static str> {
        let lost = "the top of the hour: reminders were lost or doubled";
        let worse = "the top of the hour: users were not better off with Tidegate";
        let failures = [(self.is_each_sent_once(), lost), (self.is_better_for_users(), worse)];
        failures.into_iter().filter(|(holds, _)| !holds).map(|(_, words)| words).collect()
    }

    /// What it comes down to, and whether it is as it should be.
    pub(super) fn verdicts(&self) -> [(bool, &'static str); 3] {
        [
            (
                self.is_each_sent_once(),
                "each reminder was sent once, by the table and by the books",
            ),
            (self.is_better_for_users(), "users were better off than beside the wall"),
            (self.is_flat(), "no second had more than 1.25 times the mean of the window"),
        ]
    }
}

//! What the database says of itself, as gauges.

use metrics::{Counter, Gauge};
use observe::counters::Counters;
use policy::locks::{self, Locks, Root};

use super::{Activity, Each, Histogram, Label as _, LookOutcome, Make};

/// The database itself.
#[derive(Debug)]
pub struct DatabaseMetrics {
    connected: Gauge,
    running: Gauge,
    lock_waiting: Gauge,
    idle_in_transaction: Gauge,
    history_length: Gauge,
    lock_waits: Counter,
    lock_wait_time: Counter,
    deadlocks: Counter,
    transactions: Each<Activity, Gauge>,
    blocked_share: Gauge,
    conflict_ratio: Gauge,
    oldest_lock_wait: Gauge,
    root_blockers: Gauge,
    idle_root_blockers: Gauge,
    most_waiters: Gauge,
    oldest_transaction: Gauge,
    /// How often it became another one, or took on another role.
    pub role_changes: Counter,
    /// Questions that were put to it.
    pub looks: Each<LookOutcome, Counter>,
    /// Seconds that an answer took.
    pub look_time: Histogram,
}

impl DatabaseMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        let gauge = |name| make.gauge(name, &[]);
        let counter = |name| make.counter(name, &[]);
        Self {
            connected: gauge("guard_database_connected"),
            running: gauge("guard_database_running"),
            lock_waiting: gauge("guard_database_lock_waiting"),
            idle_in_transaction: gauge("guard_database_idle_in_transaction"),
            history_length: gauge("guard_database_history_length"),
            lock_waits: counter("guard_database_lock_waits_total"),
            lock_wait_time: counter("guard_database_lock_wait_milliseconds_total"),
            deadlocks: counter("guard_database_deadlocks_total"),
            transactions: make.gauges("guard_database_transactions"),
            blocked_share: gauge("guard_database_blocked_share"),
            conflict_ratio: gauge("guard_database_conflict_ratio"),
            oldest_lock_wait: gauge("guard_database_oldest_lock_wait_seconds"),
            root_blockers: gauge("guard_database_root_blockers"),
            idle_root_blockers: gauge("guard_database_idle_root_blockers"),
            most_waiters: gauge("guard_database_most_waiters"),
            oldest_transaction: gauge("guard_database_oldest_transaction_seconds"),
            role_changes: counter("guard_database_role_changes_total"),
            looks: make.counters("guard_database_looks_total"),
            look_time: Histogram::default(),
        }
    }

    /// Shows what the server counts. What it does not tell stays as it is.
    pub fn show_counters(&self, counters: &Counters) {
        self.connected.set(counters.connected as f64);
        self.running.set(counters.running as f64);
        self.lock_waiting.set(counters.waiting as f64);
        let gauges = [
            (&self.idle_in_transaction, counters.idle_in_transaction),
            (&self.history_length, counters.history_length),
        ];
        for (gauge, value) in gauges {
            if let Some(value) = value {
                gauge.set(value as f64);
            }
        }
        let time = counters.lock_wait_time_total.map(|time| time.as_millis() as u64);
        let totals = [
            (&self.lock_waits, counters.lock_waits_total),
            (&self.lock_wait_time, time),
            (&self.deadlocks, counters.deadlocks_total),
        ];
        for (counter, value) in totals {
            if let Some(value) = value {
                counter.absolute(value);
            }
        }
        if counters.waiting == 0 {
            self.show_contention(&Locks::default());
        }
    }

    /// Shows a look at its transactions.
    pub fn show_locks(&self, locks: &Locks) {
        for activity in Activity::ALL {
            let is = |one: &&locks::Transaction| Activity::from(one.activity) == *activity;
            let count = locks.transactions.iter().filter(is).count();
            self.transactions.of(*activity).set(count as f64);
        }
        self.show_contention(locks);
    }

    fn show_contention(&self, locks: &Locks) {
        let seen = locks.contention();
        self.blocked_share.set(seen.blocked_share);
        self.conflict_ratio.set(seen.conflict_ratio);
        self.oldest_lock_wait.set(seen.longest_wait);
        let roots = locks.roots();
        let is_idle = |root: &&Root| {
            let transaction = locks.transaction(root.backend);
            transaction.is_some_and(|one| one.activity == locks::Activity::Idle)
        };
        self.root_blockers.set(roots.len() as f64);
        self.idle_root_blockers.set(roots.iter().filter(is_idle).count() as f64);
        // Those with most behind them come first.
        self.most_waiters.set(roots.first().map_or(0, |root| root.waiters) as f64);
        let ages = locks.transactions.iter().map(|one| one.age);
        self.oldest_transaction.set(ages.max().unwrap_or_default());
    }
}

impl From<locks::Activity> for Activity {
    fn from(activity: locks::Activity) -> Self {
        match activity {
            locks::Activity::Runs => Self::Runs,
            locks::Activity::Idle => Self::Idle,
            locks::Activity::Waits => Self::Waits,
            locks::Activity::Commits => Self::Commits,
            locks::Activity::RollsBack => Self::RollsBack,
            locks::Activity::Prepared => Self::Prepared,
        }
    }
}

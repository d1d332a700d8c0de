//! What was done in each database, counted as PgBouncer does for its `SHOW STATS`.
//!
//! A session counts by itself ([`Own`]) and hands it in when a statement or a transaction is over, so
//! what runs is not in it yet. Averages are those since the turn before the last, as PgBouncer's: over
//! one to two [`PERIOD`]s, or since the start while there were no two turns.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::metrics::{Sharded, add};

/// The time between two turns: PgBouncer's `stats_period`, by default.
pub const PERIOD: Duration = Duration::from_secs(60);

/// Databases that are counted by name. What is done in one more is not counted; only those count in which
/// somebody has logged in.
const DATABASES_MAX: usize = 4096;

/// What is counted, in the order of PgBouncer's columns. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Connections that were given to a client, for a transaction.
    Assignments,
    /// Transactions that are over on the database, a statement by itself being one.
    Transactions,
    /// Statements, or series of the extended protocol, that are over.
    Statements,
    /// Bytes from clients, behind their login.
    Received,
    /// Bytes to clients, behind their login.
    Sent,
    /// From admission to the end of the transaction.
    TransactionTime,
    /// From sending a statement to the end of its reply.
    StatementTime,
    /// From arrival to admission.
    WaitTime,
    /// Named statements that clients have prepared with the protocol.
    ClientParses,
    /// Those that were prepared on connections, once more wherever a connection lacked one.
    ServerParses,
    /// Named statements that were bound.
    Binds,
    /// Logins that succeeded.
    Logins,
}

impl Count {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Assignments,
        Self::Transactions,
        Self::Statements,
        Self::Received,
        Self::Sent,
        Self::TransactionTime,
        Self::StatementTime,
        Self::WaitTime,
        Self::ClientParses,
        Self::ServerParses,
        Self::Binds,
        Self::Logins,
    ];

    /// What a time is the time of: its average is for each of these. Of the others it is for each second.
    const fn is_time_of(self) -> Option<Self> {
        match self {
            Self::TransactionTime => Some(Self::Transactions),
            Self::StatementTime => Some(Self::Statements),
            Self::WaitTime => Some(Self::Assignments),
            _ => None,
        }
    }
}

/// A number for each [`Count`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Count::ALL.len()]);

impl Counts {
    /// Adds to one.
    pub fn add(&mut self, count: Count, by: u64) {
        self.0[count as usize] += by;
    }

    /// One of them.
    pub fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// What came in `period`, each second or each time.
    fn averages(&self, before: &Self, period: Duration) -> Self {
        let micros = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        let since = |count: Count| self.of(count).saturating_sub(before.of(count));
        let average = |count: Count| match count.is_time_of() {
            Some(whole) => since(count).checked_div(since(whole)).unwrap_or_default(),
            None => {
                let each = u128::from(since(count)) * 1_000_000;
                let each = each.checked_div(micros.into()).unwrap_or_default();
                u64::try_from(each).unwrap_or(u64::MAX)
            }
        };
        Self(Count::ALL.map(average))
    }
}

/// What was counted in all databases.
#[derive(Debug)]
pub struct Traffic(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    databases: BTreeMap<Arc<str>, Followed>,
    /// The turn before the last, and the last.
    turns: [Instant; 2],
}

/// A database, and what it had counted at both turns.
#[derive(Debug, Default)]
struct Followed {
    counted: Arc<Database>,
    at_turns: [Counts; 2],
}

/// What was counted in one database: each thread has counts of its own.
#[derive(Debug, Default)]
pub struct Database(Sharded<Shard>);

type Shard = [AtomicU64; Count::ALL.len()];

/// What is told of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Its name.
    pub database: Arc<str>,
    /// Since the guard started.
    pub totals: Counts,
    /// Each second, or for a time each time; see [`PERIOD`].
    pub averages: Counts,
}

impl Traffic {
    /// Nothing is counted yet.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Kept { databases: BTreeMap::new(), turns: [now; 2] }))
    }

    /// Notes a login to a database; what its session counts comes there.
    pub fn enter(&self, database: &str) -> Own {
        let mut kept = self.0.lock();
        let counted = match kept.databases.get(database) {
            Some(known) => Arc::clone(&known.counted),
            None if kept.databases.len() >= DATABASES_MAX => Arc::default(),
            None => Arc::clone(&kept.databases.entry(database.into()).or_default().counted),
        };
        drop(kept);
        let mut own = Own::new(counted);
        own.add(Count::Logins, 1);
        own.hand_in(0);
        own
    }

    /// Begins another period, to be called each [`PERIOD`].
    pub fn turn(&self, now: Instant) {
        let mut kept = self.0.lock();
        kept.turns = [kept.turns[1], now];
        for followed in kept.databases.values_mut() {
            followed.at_turns = [followed.at_turns[1], followed.counted.sum()];
        }
    }

    /// What is told of each database, by their names. What is counted meanwhile may be missed.
    pub fn figures(&self, now: Instant) -> Vec<Figures> {
        let kept = self.0.lock();
        let period = now.saturating_duration_since(kept.turns[0]);
        let figures = kept.databases.iter().map(|(name, followed)| {
            let totals = followed.counted.sum();
            let averages = totals.averages(&followed.at_turns[0], period);
            Figures { database: Arc::clone(name), totals, averages }
        });
        figures.collect()
    }
}

impl Database {
    fn sum(&self) -> Counts {
        Counts(Count::ALL.map(|count| self.0.sum(|shard| &shard[count as usize])))
    }
}

/// What one session has counted and not handed in yet. Boxed: every idle client has one.
#[derive(Debug)]
pub struct Own(Box<Pending>);

#[derive(Debug)]
struct Pending {
    database: Arc<Database>,
    counts: Counts,
    /// Bytes that were written and may have been counted when they were put.
    written: usize,
    /// How many bytes were counted and not written yet.
    ahead: usize,
}

impl Own {
    fn new(database: Arc<Database>) -> Self {
        Self(Box::new(Pending { database, counts: Counts::default(), written: 0, ahead: 0 }))
    }

    /// Counts.
    pub fn add(&mut self, count: Count, by: u64) {
        self.0.counts.add(count, by);
    }

    /// Counts a time. Less than a microsecond is none.
    pub fn add_time(&mut self, count: Count, time: Duration) {
        self.add(count, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Notes that so many bytes were written to the client.
    pub fn note_written(&mut self, len: usize) {
        self.0.written += len;
    }

    /// Hands it in. The `waiting` bytes that are to be written to the client count as sent.
    pub fn hand_in(&mut self, waiting: usize) {
        let pending = &mut *self.0;
        let sent = (std::mem::take(&mut pending.written) + waiting).saturating_sub(pending.ahead);
        pending.ahead = waiting;
        pending.counts.add(Count::Sent, sent as u64);
        let counts = std::mem::take(&mut pending.counts);
        let shard = pending.database.0.own();
        for (count, by) in shard.iter().zip(counts.0).filter(|(_, by)| *by > 0) {
            add(count, by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(traffic: &Traffic, database: &str, now: Instant) -> Figures {
        let figures = traffic.figures(now);
        figures.into_iter().find(|figures| *figures.database == *database).unwrap()
    }

    #[test]
    fn what_sessions_hand_in_is_summed_by_database() {
        let now = Instant::now();
        let traffic = Traffic::new(now);
        let (mut one, mut two) = (traffic.enter("app"), traffic.enter("app"));
        let mut other = traffic.enter("other");
        one.add(Count::Statements, 2);
        two.add(Count::Statements, 3);
        two.add_time(Count::StatementTime, Duration::from_micros(700));
        other.add(Count::Binds, 1);
        assert_eq!(of(&traffic, "app", now).totals.of(Count::Statements), 0, "not handed in");
        for own in [&mut one, &mut two, &mut other] {
            own.hand_in(0);
            own.hand_in(0);
        }
        let app = of(&traffic, "app", now).totals;
        let told = [Count::Statements, Count::StatementTime, Count::Binds, Count::Logins];
        assert_eq!(told.map(|count| app.of(count)), [5, 700, 0, 2]);
        assert_eq!(of(&traffic, "other", now).totals.of(Count::Binds), 1);
        // As it is at the console: by name, each once.
        let names: Vec<_> = traffic.figures(now).into_iter().map(|one| one.database).collect();
        assert_eq!(names, ["app".into(), "other".into()]);
    }

    #[test]
    fn bytes_are_counted_once_whether_they_wait_or_not() {
        let now = Instant::now();
        let traffic = Traffic::new(now);
        let mut own = traffic.enter("app");
        let mut after = |written: usize, waiting: usize| {
            own.note_written(written);
            own.hand_in(waiting);
            of(&traffic, "app", now).totals.of(Count::Sent)
        };
        assert_eq!(after(0, 10), 10, "all of it waits");
        assert_eq!(after(10, 0), 10, "it went");
        assert_eq!(after(5, 7), 22);
        assert_eq!(after(3, 4), 22, "a part of it went");
        assert_eq!(after(4, 0), 22);
    }

    #[test]
    fn averages_are_of_one_to_two_periods() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let traffic = Traffic::new(start);
        let mut own = traffic.enter("app");
        let mut run = |statements: u64, micros: u64| {
            own.add(Count::Statements, statements);
            own.add(Count::StatementTime, statements * micros);
            own.hand_in(0);
        };
        let told = |now| {
            let averages = of(&traffic, "app", now).averages;
            (averages.of(Count::Statements), averages.of(Count::StatementTime))
        };
        assert_eq!(told(start), (0, 0), "no time has passed");
        run(600, 50);
        assert_eq!(told(at(30)), (20, 50));
        traffic.turn(at(60));
        assert_eq!(told(at(60)), (10, 50), "since the start");
        run(1200, 200);
        traffic.turn(at(120));
        assert_eq!(told(at(120)), (20, 200), "since the turn before the last");
        assert_eq!(told(at(180)), (10, 200));
        traffic.turn(at(180));
        assert_eq!(told(at(240)), (0, 0), "nothing came");
        assert_eq!(of(&traffic, "app", at(240)).totals.of(Count::Statements), 1800);
    }

    #[test]
    fn there_is_a_bound_on_names() {
        let now = Instant::now();
        let traffic = Traffic::new(now);
        (0..=DATABASES_MAX).for_each(|number| drop(traffic.enter(&number.to_string())));
        assert_eq!(traffic.figures(now).len(), DATABASES_MAX);
        traffic.enter("0");
        assert_eq!(of(&traffic, "0", now).totals.of(Count::Logins), 2);
    }
}

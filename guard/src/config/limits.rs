//! Limits of the whole guard, of a database and of a class.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use policy::{class, ddl, hot, melt};

use super::{Mode, Reads, value};

/// `[overall]` for everything, `[database.NAME]` for one database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Transactions that may run at once. Absent: only `upstream.connections` bounds them.
    pub in_flight: Option<NonZeroU32>,
    /// Upstream connections that may be held at once, pinned ones included. Absent: no bound here.
    pub connections: Option<NonZeroU32>,
    /// Transactions that may begin per second. Absent: no bound.
    pub rate: Option<NonZeroU32>,
    /// Transactions that may begin at once when none began for a while. Default: `rate`.
    pub burst: Option<NonZeroU32>,
    /// Transactions that may wait for their turn. 0: none waits, what cannot run now is refused.
    pub queue_length: u32,
    /// How long one may wait for its turn.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub queue_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: None,
            connections: None,
            rate: None,
            burst: None,
            queue_length: QUEUE_LENGTH,
            queue_time: QUEUE_TIME,
        }
    }
}

/// `[limit]`: how many transactions run at once is found by trying: a little more, a little less, and what
/// that does to the work that gets done. It holds for all classes together, below the limits that are set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// `off`: only the limits that are set hold. `observe`: it is estimated, shown and not kept.
    /// `enforce`: it is tried out and kept. The milder of this and `guard.mode` holds. What cannot run
    /// waits in the queue of its class; a class without a queue is refused.
    #[serde(default = "off")]
    pub mode: Mode,
    /// Where it begins: about two for each core of the database.
    pub start: NonZeroU32,
    /// It never goes above this. Absent: `upstream.connections`.
    pub max: Option<NonZeroU32>,
    /// A file in which it is kept what was learned, so that the next start does not begin from the bottom: with
    /// seven tenths of it, within a day and for the same database. Absent: nothing is kept.
    pub memory: Option<PathBuf>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { mode: off(), start: LIMIT_START, max: None, memory: None }
    }
}

/// `[melt]`: when most of what is open waits for locks and nothing moves, new transactions that write are held
/// up for a moment, which ends most pile-ups: readers use half of the limit, and classes that are
/// `sheddable` are refused. Where that does not help, the few are rolled back that hold it up, not the many that
/// wait: who is rolled back is told so, keeps its connection and may go on. Afterwards the limit rises
/// from half within a second and a half.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Melt {
    /// `off`: a pile-up is left to time limits. `observe`: what would be done is counted, logged and shown in
    /// `tidegate incidents`. `enforce`: it is done. The milder of this and `guard.mode` holds. It needs
    /// `observe.enabled`, and a server that tells who waits for whom: not MySQL before 8.0.40.
    #[serde(default = "off")]
    pub mode: Mode,
    /// How many must wait behind a transaction, directly or behind others, before it is rolled back.
    pub waiters_min: NonZeroU32,
    /// A transaction that has been open for less is never rolled back.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub age_min: Duration,
    /// Whether transactions that do not come through this guard are ended as well, by ending their
    /// connection to the database.
    pub others: bool,
}

impl Default for Melt {
    fn default() -> Self {
        let melt::Config { age_min, others, .. } = melt::Config::default();
        Self { mode: off(), waiters_min: MELT_WAITERS, age_min, others }
    }
}

/// `[hot]`: rows that everybody wants are found from who waits for them, and worked on by few transactions at a
/// time, each until its end. The others wait in the guard, where they hold no connection and do not count
/// against limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hot {
    /// `off`: nothing is looked for. `observe`: such rows are found and shown in `tidegate hot`, and nobody
    /// waits. `enforce`: who wants one waits for its turn, for no longer than the `queue_time` of its class; a
    /// class without a queue is refused. The milder of this, `guard.mode` and the mode of the class holds. It
    /// needs `observe.enabled`.
    #[serde(default = "off")]
    pub mode: Mode,
    /// Transactions that work on one such row at a time: one works, and one is on its way.
    pub width: NonZeroU32,
    /// Transactions that may wait for one row; one more is refused.
    pub parked: u32,
    /// Transactions that may wait for all such rows together.
    pub parked_all: u32,
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            mode: off(),
            width: HOT_WIDTH,
            parked: hot::PARKED_MAX,
            parked_all: hot::PARKED_ALL_MAX,
        }
    }
}

/// `[ddl]`: while a statement waits to have a table for itself, as `ALTER TABLE` does behind a long transaction,
/// everybody who comes for that table would wait behind it in the database, readers too. New transactions whose
/// first statement names the table wait in the guard instead, where they hold no connection and do not
/// count against limits, until it has gone or is done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ddl {
    /// `off`: nothing is looked for. `observe`: such tables are found and shown in `tidegate hot`, and nobody
    /// waits. `enforce`: who names one waits, for no longer than the `queue_time` of its class; a class without a
    /// queue is refused. The milder of this, `guard.mode` and the mode of the class holds. It needs
    /// `observe.enabled`, and the database is asked once a second.
    #[serde(default = "off")]
    pub mode: Mode,
    /// How long one such statement may have others wait in the guard. Afterwards they go to the database, though
    /// it still waits or works.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub time: Duration,
    /// Transactions that may wait for all such tables together; one more is refused.
    pub parked: u32,
}

impl Default for Ddl {
    fn default() -> Self {
        Self { mode: off(), time: ddl::TIME, parked: ddl::PARKED_MAX }
    }
}

/// As [`hot::WIDTH`].
const HOT_WIDTH: NonZeroU32 = NonZeroU32::MIN.saturating_add(hot::WIDTH - 1);

/// One or two that wait are no pile-up: each has its own time limits.
const MELT_WAITERS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

fn off() -> Mode {
    Mode::Off
}

/// Two for each of four cores.
const LIMIT_START: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);

/// `[class.NAME]`: what a group of statements shares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Class {
    /// What this class's limits do. The milder of this and `guard.mode` holds.
    pub mode: Mode,
    /// Its share where several classes wait for the same room: with 40 it gets four times the work done
    /// of one with 10. What the others do not want is free for all. 1 to 1000.
    pub share: NonZeroU32,
    /// Whether it is refused first, when the database is in trouble: while a pile-up is undone
    /// (`melt.mode = "enforce"`), what it wants is refused with the time after which to come back, for a second
    /// or a few. For batches, and for what nobody waits for.
    pub sheddable: bool,
    /// Where its reads run. With `replica` single SELECT statements outside of a transaction run on one, that name
    /// a table, take no lock, change nothing and call only functions of the server's own, of clients that nothing
    /// pins; on PostgreSQL also those of a READ ONLY transaction. All else runs on the primary. The limits of the class hold on each server by itself. It is done
    /// where the mode of the class is enforce; in mode observe such reads are counted.
    pub reads: Reads,
    /// Transactions that may run at once. Absent: only the overall limits bound them.
    pub in_flight: Option<NonZeroU32>,
    /// Upstream connections that may be held at once, pinned ones included. Absent: no bound here.
    pub connections: Option<NonZeroU32>,
    /// Transactions that may begin per second. Absent: no bound.
    pub rate: Option<NonZeroU32>,
    /// Transactions that may begin at once when none began for a while. Default: `rate`.
    pub burst: Option<NonZeroU32>,
    /// Transactions that may wait for their turn. 0: none waits, what cannot run now is refused.
    pub queue_length: u32,
    /// How long one may wait for its turn.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub queue_time: Duration,
    /// With `limit.mode = "enforce"`: when the class has had somebody waiting for 100 ms, one more may wait
    /// only if its turn is expected within this time, or fewer than four wait; else it is refused at once, with a
    /// hint when to come back. Not for a class with `in_flight` or `connections` of its own.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub queue_target: Duration,
    /// In which time a client needs its answer, waiting included, or `"off"`. What cannot be done in it is
    /// refused at once, and never begun. A tag, or query attribute, `deadline_ms` says it of one transaction;
    /// the shorter holds.
    #[serde(with = "value::limit")]
    #[schemars(with = "value::LimitText")]
    pub deadline: Option<Duration>,
    /// The percentage of what may run at once (of `[limit]`, `overall.in_flight` or `upstream.connections`,
    /// whichever is least) that this class may take, even where nobody else wants it. Absent: no bound.
    pub cap: Option<NonZeroU32>,
    /// How long a statement may run before it is cancelled, or `"off"`.
    #[serde(with = "value::limit")]
    #[schemars(with = "value::LimitText")]
    pub statement_time: Option<Duration>,
    /// How long a transaction may stay open before it is rolled back, or `"off"`.
    #[serde(with = "value::limit")]
    #[schemars(with = "value::LimitText")]
    pub transaction_time: Option<Duration>,
    /// How long an open transaction may do nothing before it is rolled back, or `"off"`.
    #[serde(with = "value::limit")]
    #[schemars(with = "value::LimitText")]
    pub idle_in_transaction_time: Option<Duration>,
    /// How long a statement may wait for a lock, or `"off"`.
    #[serde(with = "value::limit")]
    #[schemars(with = "value::LimitText")]
    pub lock_wait_time: Option<Duration>,
}

impl Default for Class {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            share: class::Class::SHARE,
            sheddable: false,
            reads: Reads::default(),
            in_flight: None,
            connections: None,
            rate: None,
            burst: None,
            queue_length: QUEUE_LENGTH,
            queue_time: QUEUE_TIME,
            queue_target: QUEUE_TARGET,
            deadline: None,
            cap: None,
            statement_time: Some(Duration::from_secs(30)),
            transaction_time: Some(Duration::from_secs(60)),
            idle_in_transaction_time: Some(Duration::from_secs(10)),
            lock_wait_time: Some(Duration::from_secs(5)),
        }
    }
}

/// Enough for a burst, and short enough that its end is reached within [`QUEUE_TIME`].
const QUEUE_LENGTH: u32 = 256;
/// Enough to have the next at hand when one ends; a client hardly notices it.
const QUEUE_TARGET: Duration = Duration::from_millis(5);
/// Longer, and most applications have given up on the answer.
const QUEUE_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Loaded};
    use super::*;

    fn with(more: &str) -> Loaded {
        let text = "[upstream]\naddress = \"127.0.0.1:3306\"\n\
                    [control]\nuser = \"tidegate\"\npassword = \"secret\"\n";
        Config::parse(Path::new("t.toml"), &format!("{text}{more}"), &|_| None).unwrap()
    }

    #[test]
    fn hot_rows_are_left_alone_until_asked_for_and_need_to_be_seen() {
        assert_eq!(with("").config.policy().hot, hot::Config::default());
        let asked = "[hot]\nmode = \"observe\"\nwidth = 3\nparked = 5\nparked_all = 50\n";
        let expected =
            hot::Config { mode: class::Mode::Observe, width: 3, parked_max: 5, parked_all_max: 50 };
        assert_eq!(with(asked).config.policy().hot, expected);
        let blind = with("[hot]\nmode = \"enforce\"\n[observe]\nenabled = false\n");
        assert_eq!(
            blind.warnings[0].to_string(),
            "t.toml:7: hot.mode = \"enforce\": no row is found: observe.enabled = false, so nobody is seen \
             to wait"
        );
    }

    #[test]
    fn tables_are_left_alone_until_asked_for_and_need_to_be_seen() {
        assert_eq!(with("").config.policy().ddl, ddl::Config::default());
        let asked = "[ddl]\nmode = \"enforce\"\ntime = \"5s\"\nparked = 7\n";
        let time = Duration::from_secs(5);
        let expected = ddl::Config { mode: class::Mode::Enforce, time, parked_max: 7 };
        assert_eq!(with(asked).config.policy().ddl, expected);
        let blind = with("[ddl]\nmode = \"observe\"\n[observe]\nenabled = false\n");
        assert_eq!(
            blind.warnings[0].to_string(),
            "t.toml:7: ddl.mode = \"observe\": no table is found: observe.enabled = false, so nobody is seen \
             to wait"
        );
    }

    #[test]
    fn melting_is_off_until_asked_for_and_needs_to_see() {
        assert_eq!(with("").config.policy().melt, melt::Config::default());
        let asked =
            "[melt]\nmode = \"observe\"\nwaiters_min = 5\nage_min = \"2s\"\nothers = true\n";
        let expected = melt::Config {
            mode: class::Mode::Observe,
            behind_min: 5,
            age_min: Duration::from_secs(2),
            others: true,
            ..melt::Config::default()
        };
        assert_eq!(with(asked).config.policy().melt, expected);
        let blind = with("[melt]\nmode = \"enforce\"\n[observe]\nenabled = false\n");
        assert_eq!(
            blind.warnings[0].to_string(),
            "t.toml:7: melt.mode = \"enforce\": nothing is melted: observe.enabled = false, so nobody is \
             seen to wait"
        );
    }
}

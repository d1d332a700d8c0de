//! What is simulated: a file of numbers.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;

/// A database, its load, what goes wrong, and what is to come out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One sentence: what this is about.
    pub about: String,
    /// Dice.
    #[serde(default = "one")]
    pub seed: u64,
    /// It must come out so with as many dice, from `seed` on.
    #[serde(default = "one")]
    pub seeds: u64,
    /// How long the run is, in seconds.
    pub length: f64,
    /// The database.
    #[serde(default)]
    pub database: Database,
    /// What the transactions are; at least one.
    pub mix: Vec<Template>,
    /// The load.
    pub load: Load,
    /// The clients.
    #[serde(default)]
    pub clients: Clients,
    /// What stands between.
    #[serde(default)]
    pub guard: Guard,
    /// What goes wrong.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// What must come out.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

fn one() -> u64 {
    1
}

/// The database. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Cores.
    pub cores: f64,
    /// Reads and writes that the disks do at a time.
    pub disks: u32,
    /// Threads beyond which each makes all others slower.
    pub crowd: f64,
    /// By how much: the speed is 1 / (1 + friction × threads beyond `crowd`).
    pub friction: f64,
    /// COMMIT, locks held.
    pub commit_ms: f64,
    /// A rollback takes so many times the work it undoes, locks held.
    pub rollback: f64,
    /// The deadlock detector takes so much for each waiter it walks by.
    pub detect_us: f64,
    /// How long a deadlock stands before anybody looks (PostgreSQL: 1000).
    pub deadlock_after_ms: f64,
    /// How long a statement waits for a lock at most.
    pub lock_wait_ms: f64,
    /// A new connection, processor time.
    pub connect_ms: f64,
    /// Connections at most.
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            cores: 8.0,
            disks: 64,
            crowd: 24.0,
            friction: 0.006,
            commit_ms: 1.0,
            rollback: 1.5,
            detect_us: 5.0,
            deadlock_after_ms: 0.0,
            lock_wait_ms: 50_000.0,
            connect_ms: 1.5,
            connections: 1500,
        }
    }
}

/// One kind of transaction.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// Its name. Those of the same name are one kind of statement.
    pub name: String,
    /// How often, relative to the others.
    pub weight: f64,
    /// Its class: `critical`, `default`, `sheddable` or `batch`.
    pub class: String,
    /// Its statements.
    pub statements: u32,
    /// Processor time of a statement, mean of an exponential.
    pub cpu_ms: f64,
    /// Time on disk of a statement, mean of an exponential.
    pub disk_ms: f64,
    /// The application's time between statements.
    pub think_ms: f64,
    /// Statements that write a row, from the last back.
    pub writes: u32,
    /// Rows that it writes: any of these.
    pub rows: u32,
    /// The first of these rows that are hot.
    pub hot_rows: u32,
    /// How often a write is to a hot row.
    pub hot: f64,
    /// Where among all rows of the database its own begin, so that templates can share.
    pub first_row: u32,
    /// Whether its rows are written in order, so that it never deadlocks with its like.
    pub is_ordered: bool,
    /// From when to when it is in the mix, in seconds of the run.
    pub during: Option<[f64; 2]>,
    /// How many tenants it comes from; the first sends half of it.
    pub tenants: u32,
}

impl Default for Template {
    fn default() -> Self {
        Self {
            name: "t".to_owned(),
            weight: 1.0,
            class: "default".to_owned(),
            statements: 4,
            cpu_ms: 0.75,
            disk_ms: 0.0,
            think_ms: 0.4,
            writes: 3,
            rows: 100_000,
            hot_rows: 0,
            hot: 0.0,
            first_row: 0,
            is_ordered: false,
            during: None,
            tenants: 1,
        }
    }
}

/// How much is asked of the database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// What the database does at its best, transactions a second: what the steps multiply.
    pub peak: f64,
    /// From this second on, so many times the peak.
    #[serde(default)]
    pub steps: Vec<[f64; 2]>,
    /// Besides, so many clients that each want the next as soon as the last is over.
    #[serde(default)]
    pub clients: u32,
}

impl Load {
    /// Transactions a second at this second of the run.
    #[must_use]
    pub fn rate(&self, at: f64) -> f64 {
        let step = self.steps.iter().rev().find(|[from, _]| *from <= at);
        self.peak * step.map_or(0.0, |[_, times]| *times)
    }
}

/// How clients behave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// They leave an answer that takes longer, in milliseconds.
    pub timeout_ms: f64,
    /// And try again so often.
    pub retries: u32,
    /// After so long, twice as long each time, spread from 0.
    pub backoff_ms: f64,
    /// Whether they wait as long as a refusal asks for.
    pub heed_hints: bool,
    /// The time in which they say that they need the answer, in milliseconds; 0: they say nothing.
    pub deadline_ms: f64,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            timeout_ms: 1000.0,
            retries: 3,
            backoff_ms: 100.0,
            heed_hints: false,
            deadline_ms: 0.0,
        }
    }
}

/// What stands between clients and database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// Nothing, a pool of a fixed size, or the limit that finds its place.
    pub access: Access,
    /// Where the limit begins.
    pub start: u32,
    /// Shares of classes, by name; of all others [`policy::class::Class::SHARE`].
    pub shares: BTreeMap<String, NonZeroU32>,
    /// The percentage of what may run that a class may take, by name; of others all.
    pub caps: BTreeMap<String, u8>,
    /// Whether retries have a budget.
    pub retries: bool,
    /// How many may wait of a class.
    pub queue_length: u32,
    /// How long one may wait, in milliseconds.
    pub queue_ms: f64,
    /// The wait that a standing queue is kept to, in milliseconds.
    pub target_ms: f64,
    /// How often the observer looks when it suspects something; five times as long else.
    pub look_ms: f64,
    /// Between which seconds the observer says nothing.
    pub blind: Option<[f64; 2]>,
    /// A statement is cancelled after so long; 0: never.
    pub statement_ms: f64,
    /// Whether pile-ups are undone.
    pub melts: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            access: Access::Adaptive,
            start: 8,
            shares: BTreeMap::new(),
            caps: BTreeMap::new(),
            retries: false,
            queue_length: 200,
            queue_ms: 500.0,
            target_ms: 5.0,
            look_ms: 200.0,
            blind: None,
            statement_ms: 0.0,
            melts: false,
        }
    }
}

/// Who keeps the limit.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Nobody.
    Direct,
    /// So many transactions at a time.
    Fixed(u32),
    /// The limit that finds its place.
    Adaptive,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", deny_unknown_fields)]
pub enum Fault {
    /// A transaction writes these rows and keeps them.
    Holder {
        /// When it begins, in seconds.
        at: f64,
        /// For how long.
        hold: f64,
        /// Its rows: from the first on.
        first_row: u32,
        /// How many.
        rows: u32,
        /// Its client is silent; else it works.
        is_idle: bool,
    },
    /// The processors are slower.
    Slow {
        /// From this second.
        from: f64,
        /// To this.
        to: f64,
        /// So many times the speed.
        speed: f64,
    },
    /// The guard stands still: no ticks, no looks.
    Stall {
        /// When.
        at: f64,
        /// For how long.
        length: f64,
    },
}

/// A number that must lie in a range.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Which number.
    pub what: Figure,
    /// From this second of the run.
    #[serde(default)]
    pub from: f64,
    /// To this.
    #[serde(default = "end")]
    pub to: f64,
    /// Of this template alone.
    pub of: Option<String>,
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

fn end() -> f64 {
    f64::MAX
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Good transactions a second over the peak.
    Goodput,
    /// Good transactions over those that clients wanted.
    Served,
    /// The 99th percentile of the time of the good ones, from admission, in milliseconds.
    P99,
    /// Refused transactions over those that asked.
    Refused,
    /// Attempts whose client hung up in the line over those that asked.
    HungUp,
    /// The longest that one waited in the line, in milliseconds.
    WaitMax,
    /// Second and further attempts over all that were admitted.
    Again,
    /// How evenly the good ones are spread over the tenants, over the whole run: Jain's index, 1 if all
    /// had the same.
    Jain,
    /// Mean of the limit.
    Limit,
    /// Highest limit.
    LimitMax,
    /// Transactions that were rolled back to undo a pile-up.
    Kills,
    /// The most of these that were being rolled back at a time, over the whole run.
    KillsAtOnce,
    /// Seconds from the begin of the stretch until nine tenths of what clients want are good again, and
    /// stay so.
    Recovery,
}

/// A scenario file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {why}")]
pub struct Unreadable {
    name: String,
    why: toml::de::Error,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// When a field is missing, unknown or of the wrong type.
    pub fn parse(name: &str, text: &str) -> Result<Self, Unreadable> {
        toml::from_str(text).map_err(|why| Unreadable { name: name.to_owned(), why })
    }

    /// The same with each of its dice.
    pub fn each_seed(&self) -> impl Iterator<Item = Self> {
        (self.seed..self.seed + self.seeds).map(|seed| Self { seed, ..self.clone() })
    }

    /// The names of all classes, `default` first, and each template's place among them.
    #[must_use]
    pub fn classes(&self) -> (Vec<String>, Vec<u16>) {
        let mut ids = BTreeMap::from([("default".to_owned(), 0_u16)]);
        let mut names = vec!["default".to_owned()];
        let mut places = Vec::new();
        for template in &self.mix {
            let id = *ids.entry(template.class.clone()).or_insert_with(|| {
                names.push(template.class.clone());
                (names.len() - 1) as u16
            });
            places.push(id);
        }
        (names, places)
    }
}

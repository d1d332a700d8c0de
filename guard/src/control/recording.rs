//! Recordings of the flight recorder, as the API tells them and as they are written to files.
//!
//! A recording is one JSON object. Times in it are milliseconds from its trigger, those before it
//! negative. What is told ten times a second is in columns, one value for each moment of [`Samples::at_ms`];
//! what is said often is in [`Recording::texts`] and named by its number. No text has a literal of a statement in
//! it: statements are normalised, and of the key of a row there is a hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Incident;

/// What [`Recording::format`] says.
pub const FORMAT: &str = "tidegate-recording";
/// The version of the form that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// A text, by its number in [`Recording::texts`]; 0 is none, or one that was not kept.
pub type TextId = u32;

/// What happened around a trigger.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recording {
    /// [`FORMAT`], so that a file can be told from others.
    pub format: String,
    /// The version of this form.
    pub version: u32,
    /// What it is about.
    pub head: RecordingHead,
    /// Ten times a second.
    pub samples: Samples,
    /// Once a second.
    pub seconds: Vec<Second>,
    /// Who waited for whom, as often as the observer asked, at most twice a second.
    pub looks: Vec<LockLook>,
    /// What happened.
    pub events: Vec<Event>,
    /// Pile-ups in that time, each from its own begin.
    pub incidents: Vec<Incident>,
    /// What texts are by number.
    pub texts: BTreeMap<TextId, String>,
    /// What was left out, because there was more than there is room for: samples, seconds, looks, events.
    pub left_out: [u64; 4],
}

/// A recording without what was recorded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RecordingHead {
    /// When it was triggered, as `20220627-130030`, in UTC. It names the recording.
    pub id: String,
    /// The same, in milliseconds since 1970.
    pub triggered_unix_ms: u64,
    /// `pile_up`, `lost`, `limit`, `pressure` or `operator`.
    pub cause: String,
    /// What the operator said, if it was one.
    pub note: String,
    /// Where it begins: the first moment that is kept.
    pub from_ms: i64,
    /// Where it ends.
    pub to_ms: i64,
    /// False while it goes on.
    pub is_over: bool,
    /// The version of the guard.
    pub guard: String,
    /// What limits may do: `off`, `observe` or `enforce`.
    pub mode: String,
    /// Which database, as `MariaDB 10.11.6`.
    pub server: Option<String>,
    /// Where it is.
    pub address: String,
    /// `upstream.connections`.
    pub connections: u32,
    /// How many pile-ups were seen in that time.
    pub pile_ups: u32,
}

/// What the guard was doing, ten times a second: each column has one value for each moment. What is counted
/// counts since the moment before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Samples {
    /// The moments.
    pub at_ms: Vec<i64>,
    /// Transactions admitted and not finished.
    pub in_flight: Vec<u32>,
    /// Transactions that waited for their turn.
    pub queued: Vec<u32>,
    /// The longest wait of those, in milliseconds.
    pub oldest_wait_ms: Vec<u32>,
    /// The limit that finds its place by itself; 0 while it is off.
    pub limit: Vec<u32>,
    /// How pressed the database was; 1 is as much as is just borne.
    pub pressure: Vec<f32>,
    /// Upstream connections that sessions had.
    pub leased: Vec<u32>,
    /// Upstream connections that nobody used.
    pub idle: Vec<u32>,
    /// Upstream connections that were being opened.
    pub connecting: Vec<u32>,
    /// Upstream connections whose last statement or transaction was being ended.
    pub reclaiming: Vec<u32>,
    /// Transactions admitted.
    pub admitted: Vec<u32>,
    /// Transactions finished.
    pub finished: Vec<u32>,
    /// Transactions refused.
    pub shed: Vec<u32>,
    /// Transactions that failed because of load.
    pub overloaded: Vec<u32>,
    /// The same by class.
    pub classes: Vec<ClassSamples>,
}

/// What one class was doing. Its columns are as long as [`Samples::at_ms`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassSamples {
    /// Its name.
    pub class: String,
    /// Transactions admitted and not finished.
    pub in_flight: Vec<u32>,
    /// Transactions that waited for their turn.
    pub queued: Vec<u32>,
    /// Transactions admitted.
    pub admitted: Vec<u32>,
    /// Transactions refused.
    pub shed: Vec<u32>,
}

/// One second. What is counted counts in that second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// When it was over.
    pub at_ms: i64,
    /// Half of the statements took no longer, in microseconds, as far as the histogram tells; 0 where none
    /// ended.
    pub p50_us: u32,
    /// The same of 99 in 100.
    pub p99_us: u32,
    /// Clients that were logged in.
    pub clients: u32,
    /// What their sessions were doing, those that did the same together: those of most sessions.
    pub doing: Box<[Doing]>,
    /// Statements by how they ended.
    pub statements: Box<[Counted]>,
    /// Refusals by reason.
    pub sheds: Box<[Counted]>,
    /// Cancels by cause.
    pub cancels: Box<[Counted]>,
    /// What the database counted, if it was asked lately.
    pub database: Option<DatabaseSecond>,
}

/// How many of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Of what.
    pub what: TextId,
    /// How many.
    pub count: u32,
}

/// Sessions that did the same at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Doing {
    /// Their statement, normalised.
    pub statement: TextId,
    /// Its class.
    pub class: TextId,
    /// `waiting`, `running` or `idle_in_transaction`.
    pub state: TextId,
    /// How many.
    pub sessions: u32,
}

/// What the database counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatabaseSecond {
    /// Connections, of whatever clients.
    pub connected: u32,
    /// Connections that it works for.
    pub running: u32,
    /// Connections that wait for a lock.
    pub waiting: u32,
}

/// One look at the locks of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockLook {
    /// When.
    pub at_ms: i64,
    /// Transactions that were open.
    pub open: u32,
    /// Those that waited for a lock.
    pub blocked: u32,
    /// Those that were being undone.
    pub rolling_back: u32,
    /// The longest wait, in milliseconds.
    pub oldest_wait_ms: u32,
    /// Whether the server told who waits for whom.
    pub has_waits: bool,
    /// Those that held others up, then those behind them, level by level.
    pub transactions: Box<[LockTransaction]>,
    /// How many more there were.
    pub left_out: u32,
}

/// One transaction of a look. What is 0 or empty is left out of the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockTransaction {
    /// What serves it in the database.
    pub backend: u32,
    /// Whom it waits for; 0 where it waits for nobody.
    #[serde(skip_serializing_if = "is_zero")]
    pub waits_for: u32,
    /// How many wait behind it in all.
    #[serde(skip_serializing_if = "is_zero")]
    pub behind: u32,
    /// What it does: `runs`, `idle`, `waits`, `commits`, `rolls back`, `prepared`.
    #[serde(skip_serializing_if = "is_zero")]
    pub activity: TextId,
    /// Milliseconds since it began.
    #[serde(skip_serializing_if = "is_zero")]
    pub age_ms: u32,
    /// Milliseconds since it began to do what it does.
    #[serde(skip_serializing_if = "is_zero")]
    pub for_ms: u32,
    /// Rows that a rollback has to undo, where the server counts them.
    #[serde(skip_serializing_if = "is_zero")]
    pub rows_modified: u32,
    /// Its statement, normalised.
    #[serde(skip_serializing_if = "is_zero")]
    pub statement: TextId,
    /// Its account.
    #[serde(skip_serializing_if = "is_zero")]
    pub user: TextId,
    /// What it waits for, as `row shop.orders PRIMARY #3fa2`; the number stands for the key.
    #[serde(skip_serializing_if = "is_zero")]
    pub on: TextId,
    /// Where its client is, if it came through the guard.
    #[serde(skip_serializing_if = "is_zero")]
    pub client: TextId,
    /// Its class, if it came through the guard.
    #[serde(skip_serializing_if = "is_zero")]
    pub class: TextId,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: i64,
    /// What it is about.
    pub kind: EventKind,
    /// What, in a sentence.
    pub what: Box<str>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Why something was recorded.
    Trigger,
    /// A switch was set, or is gone.
    Switch,
    /// The configuration was reloaded.
    Reload,
    /// The guard was paused, or resumed.
    Pause,
    /// The limit was cut.
    Limit,
    /// A replica left, or came back.
    Replica,
    /// The database was restarted, changed its role, or is out of reach.
    Database,
    /// The guard sees less of the database than it should.
    Observer,
    /// The guard shuts down.
    Drain,
}

/// A recording to be begun by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordingOrder {
    /// Why, for whoever reads it; at most 200 characters are kept.
    pub note: String,
}

impl Recording {
    /// Whether it is in a form that this version reads, or why not.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "not a recording: its format is {:?}; expected {FORMAT:?}",
                self.format
            ));
        }
        if !(1..=VERSION).contains(&self.version) {
            return Err(format!(
                "its version is {}; expected 1 to {VERSION}: a newer tidegate has written it",
                self.version
            ));
        }
        let moments = self.samples.at_ms.len();
        if self
            .samples
            .columns()
            .iter()
            .any(|(name, column)| *name != "at_ms" && *column != moments)
        {
            return Err("damaged: its columns are not equally long".into());
        }
        Ok(())
    }

    /// A text by its number; empty where it was not kept.
    pub fn text(&self, id: TextId) -> &str {
        self.texts.get(&id).map_or("", String::as_str)
    }
}

impl Samples {
    /// Every column by name, with its length.
    fn columns(&self) -> Vec<(&'static str, usize)> {
        let mut columns = vec![
            ("at_ms", self.at_ms.len()),
            ("in_flight", self.in_flight.len()),
            ("queued", self.queued.len()),
            ("oldest_wait_ms", self.oldest_wait_ms.len()),
            ("limit", self.limit.len()),
            ("pressure", self.pressure.len()),
            ("leased", self.leased.len()),
            ("idle", self.idle.len()),
            ("connecting", self.connecting.len()),
            ("reclaiming", self.reclaiming.len()),
            ("admitted", self.admitted.len()),
            ("finished", self.finished.len()),
            ("shed", self.shed.len()),
            ("overloaded", self.overloaded.len()),
        ];
        for class in &self.classes {
            columns.extend([
                ("class.in_flight", class.in_flight.len()),
                ("class.queued", class.queued.len()),
                ("class.admitted", class.admitted.len()),
                ("class.shed", class.shed.len()),
            ]);
        }
        columns
    }
}

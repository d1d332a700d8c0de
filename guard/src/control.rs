//! What an operator may ask of a running guard, and what it answers.
//!
//! [`Operations`] is the seam: the guard implements it, the admin side serves it over HTTP, and the
//! command line reads the same types back. Everything here is a copy of a moment; nothing keeps the
//! guard's locks.

mod date;
mod ddl;
mod hot;
mod incidents;
mod locks;
mod pressure;
mod recording;
mod replica;
mod snapshot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::admission::{Hold, Usage};
use policy::class::Mode;
use policy::limit;
use policy::switch;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::date::{civil, date_id, is_date_id};
pub use self::ddl::{DdlCounts, DdlStatus, DdlTable};
pub use self::hot::{HotCounts, HotKey, HotStatus};
pub use self::incidents::{Act, Incident, Sighting, Step};
pub use self::locks::{Describe, LockClient, LockHolder, LocksStatus, dialect, judge, server_name};
pub use self::pressure::{Check, PressureParts, PressureStatus, rounded};
pub use self::recording::{
    ClassSamples, Counted, DatabaseSecond, Doing, Event, EventKind, FORMAT, LockLook,
    LockTransaction, Recording, RecordingHead, RecordingOrder, Samples, Second, TextId, VERSION,
};
pub use self::replica::ReplicaStatus;
pub use self::snapshot::{ClassNow, Pins, Rates, SNAPSHOT_VERSION, Sample, Snapshot};
use crate::config::{ListedKey, TargetText};
use crate::recorder::Recorder;

/// What an operator may ask. Methods return at once; none waits for the database.
pub trait Operations: Send + Sync + 'static {
    /// The guard as a whole.
    fn status(&self) -> Status;

    /// Its classes, `default` first.
    fn classes(&self) -> Vec<ClassStatus>;

    /// The sessions that are pinned, longest first.
    fn pins(&self) -> Vec<PinnedSession>;

    /// Who waits for whom in the database, as it was seen last.
    fn locks(&self) -> LocksStatus;

    /// Rows that are fought for and tables that somebody wants for himself, and what is done about it.
    fn hot(&self) -> HotStatus;

    /// Pile-ups, the newest first.
    fn incidents(&self) -> Vec<Incident>;

    /// What records what happens.
    fn recorder(&self) -> Arc<Recorder>;

    /// Has the database looked at closely for a while.
    fn look_closely(&self);

    /// The switches that are set, oldest first.
    fn switches(&self) -> Vec<SwitchStatus>;

    /// Sets a switch, in place of one with the same target.
    ///
    /// # Errors
    /// When it names a class that does not exist, or too many are set.
    fn set_switch(&self, order: SwitchOrder) -> Result<(), Declined>;

    /// Clears a switch.
    ///
    /// # Errors
    /// When none is set for this target.
    fn clear_switch(&self, target: &switch::Target) -> Result<(), Declined>;

    /// Reads the configuration anew and puts it into force. Returns its warnings.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    fn reload(&self) -> Result<Vec<String>, Declined>;

    /// The configuration that is in force.
    fn config(&self) -> Vec<ListedKey>;

    /// Pauses: new transactions are held, and what runs goes on to its end. A pause takes the place of
    /// one before.
    ///
    /// # Errors
    /// When a number is out of range.
    fn pause(&self, order: PauseOrder) -> Result<PauseStatus, Declined>;

    /// Ends a pause: what was held runs as there is room.
    ///
    /// # Errors
    /// When there is none.
    fn resume(&self) -> Result<PauseStatus, Declined>;

    /// How far a pause is. While there is one, connections that nobody uses are closed.
    fn pause_status(&self) -> PauseStatus;

    /// How pressed the database is, as it was read last.
    fn pressure(&self) -> PressureStatus;

    /// The same, from now on: whoever reads slowly is told only the newest, and holds nobody up.
    ///
    /// # Errors
    /// When as many follow already as may.
    fn follow_pressure(&self) -> Result<watch::Receiver<PressureStatus>, Declined>;

    /// All that is worth seeing at a glance.
    fn snapshot(&self) -> Snapshot;

    /// What was measured in the last ten minutes, a second each, the oldest first.
    fn history(&self) -> Vec<Sample>;

    /// A snapshot a second, from now on: whoever reads slowly is told only the newest, and holds nobody up.
    ///
    /// # Errors
    /// When as many follow already as may.
    fn follow(&self) -> Result<watch::Receiver<Arc<Snapshot>>, Declined>;

    /// Whether a tool may write now.
    fn check(&self, application: &str, store_type: &str, store: &str) -> Check;

    /// Begins to shut down: no new clients, the others leave between transactions.
    fn drain(&self);

    /// All metrics in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// Why something was not done, in a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Declined(pub String);

/// The guard as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Whether it serves.
    pub state: State,
    /// What limits may do: `off`, `observe` or `enforce`.
    pub mode: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// The database's side.
    pub upstream: UpstreamStatus,
    /// The clients' side.
    pub clients: ClientsStatus,
    /// Transactions admitted and not finished.
    pub in_flight: u32,
    /// Transactions that wait for their turn.
    pub queued: u32,
    /// The limit that finds its place by itself, unless it is off.
    pub limit: Option<LimitStatus>,
    /// Switches that are set.
    pub switches: usize,
    /// Milliseconds until a pause ends by itself; none while there is none.
    #[serde(default)]
    pub pause_ends_in_ms: Option<u64>,
    /// Its replicas, by name.
    #[serde(default)]
    pub replicas: Vec<ReplicaStatus>,
}

/// A pause to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PauseOrder {
    /// Milliseconds until it ends by itself, at least 1, at most an hour.
    pub ttl_ms: u64,
    /// How many transactions are held, those included that waited before; one more is refused.
    pub length: u32,
}

impl Default for PauseOrder {
    fn default() -> Self {
        Self { ttl_ms: 60_000, length: 10_000 }
    }
}

/// How far a pause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PauseStatus {
    /// Milliseconds until it ends by itself; none while there is no pause.
    pub ends_in_ms: Option<u64>,
    /// Transactions that are held.
    pub held: u32,
    /// Transactions that still run.
    pub in_flight: u32,
    /// Connections to the database that serve clients, open now.
    pub connections: u32,
    /// Those of them that pinned clients keep: a restart of the database would end these clients.
    pub pinned: u32,
}

impl PauseStatus {
    /// Whether nothing runs on the database any more, and only pinned clients have connections.
    pub const fn is_settled(&self) -> bool {
        self.in_flight == 0 && self.connections <= self.pinned
    }
}

impl PauseOrder {
    /// The hold that is ordered, or what is wrong with the order.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn to_hold(self, now: Instant) -> Result<Hold, Declined> {
        if !(1..=PAUSE_MS_MAX).contains(&self.ttl_ms) {
            return Err(Declined(format!(
                "ttl_ms = {}: out of range; expected 1 to {PAUSE_MS_MAX}",
                self.ttl_ms
            )));
        }
        Ok(Hold { until: now + Duration::from_millis(self.ttl_ms), length: self.length })
    }
}

/// An hour.
const PAUSE_MS_MAX: u64 = 60 * 60 * 1000;

/// The limit that finds its place by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LimitStatus {
    /// What it does: `observe` or `enforce`.
    pub mode: String,
    /// Transactions that may be in flight.
    pub limit: u32,
    /// Where the fitted curve of the database has its top, when it fits.
    pub knee: Option<f64>,
    /// Percent more work for a percent more in flight, when last measured.
    pub elasticity: Option<f64>,
    /// Cuts because of locks or failures.
    pub cuts: u64,
}

impl From<limit::Report> for LimitStatus {
    fn from(report: limit::Report) -> Self {
        Self {
            mode: mode_name(report.mode).into(),
            limit: report.limit,
            knee: report.knee,
            elasticity: report.elasticity,
            cuts: report.cuts,
        }
    }
}

/// Whether the guard serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It serves.
    #[default]
    Ready,
    /// It cannot reach the database.
    UpstreamLost,
    /// It is shutting down.
    Draining,
}

/// The database's side.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// `host:port`.
    pub address: String,
    /// The version it tells; none before the first connection.
    pub server: Option<String>,
    /// `upstream.connections`.
    pub limit: u32,
    /// Connections that are clean and unused, lingering ones included.
    pub idle: u32,
    /// Connections that sessions have.
    pub leased: u32,
    /// Control connections that are usable.
    pub control: u32,
}

/// The clients' side.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientsStatus {
    /// Clients that are logged in.
    pub connected: u32,
    /// Those of which a statement waits or runs, or a transaction is open.
    pub busy: u32,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassStatus {
    /// Its name.
    pub name: String,
    /// What its limits do: `off`, `observe` or `enforce`.
    pub mode: String,
    /// Transactions admitted and not finished.
    pub in_flight: u32,
    /// Most of them; none is no limit of its own.
    pub limit: Option<u32>,
    /// Transactions that wait for their turn.
    pub queued: u32,
    /// How long the first in line has waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// Upstream connections that it holds.
    pub connections: u32,
    /// Those kept by pinned sessions between transactions.
    pub pinned: u32,
    /// Transactions admitted since start.
    pub admitted: u64,
    /// Transactions refused since start.
    pub shed: u64,
    /// Transactions that would have waited since start, if the mode were enforce.
    pub would_wait: u64,
    /// Transactions that would have been refused since start, if the mode were enforce.
    pub would_shed: u64,
}

/// A session that keeps its upstream connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PinnedSession {
    /// The id that its client knows.
    pub id: u32,
    /// Its account.
    pub user: String,
    /// Its client's address.
    pub client: String,
    /// The causes.
    pub reasons: Vec<String>,
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// The normalised statement behind the newest cause.
    pub statement: Option<String>,
}

/// A switch that is set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SwitchStatus {
    /// What it turns down, as `class batch`.
    pub target: String,
    /// The share that may still pass, from 0 to 1.
    pub keep_ratio: f64,
    /// Milliseconds until it ends by itself; none stays until cleared.
    pub ends_in_ms: Option<u64>,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub author: String,
}

/// A switch to be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchOrder {
    /// What it turns down.
    pub target: TargetText,
    /// The share that may still pass, from 0 to 1.
    #[serde(default)]
    pub keep_ratio: f64,
    /// Milliseconds until it ends by itself, at least 1; none stays until cleared.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
    /// Why. Clients read it in the refusal.
    #[serde(default)]
    pub reason: String,
    /// Who sets it.
    #[serde(default)]
    pub author: String,
}

/// A switch to be cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchClear {
    /// What it turned down.
    pub target: TargetText,
}

impl SwitchOrder {
    /// The switch that is ordered, or what is wrong with the order.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn to_switch(&self, now: Instant) -> Result<switch::Switch, Declined> {
        if !(0.0..=1.0).contains(&self.keep_ratio) {
            return Err(Declined(format!(
                "keep_ratio = {}: out of range; expected 0 to 1",
                self.keep_ratio
            )));
        }
        let until = match self.ttl_ms {
            None => None,
            Some(1..=TTL_MS_MAX) => {
                self.ttl_ms.and_then(|ttl| now.checked_add(Duration::from_millis(ttl)))
            }
            Some(ttl) => {
                return Err(Declined(format!(
                    "ttl_ms = {ttl}: out of range; expected 1 to {TTL_MS_MAX}"
                )));
            }
        };
        Ok(switch::Switch {
            target: self.target.0.clone(),
            keep_ratio: self.keep_ratio,
            until,
            reason: self.reason.clone(),
            author: self.author.clone(),
        })
    }
}

/// A year.
const TTL_MS_MAX: u64 = 366 * 24 * 60 * 60 * 1000;

impl SwitchStatus {
    /// What is told of a switch at `now`.
    pub fn of(switch: &switch::Switch, now: Instant) -> Self {
        let ends_in = switch.until.map(|until| until.saturating_duration_since(now));
        Self {
            target: switch.target.to_string(),
            keep_ratio: switch.keep_ratio,
            ends_in_ms: ends_in.map(whole_ms),
            reason: switch.reason.clone(),
            author: switch.author.clone(),
        }
    }
}

impl From<&Usage> for ClassStatus {
    fn from(class: &Usage) -> Self {
        Self {
            name: class.name.clone(),
            mode: mode_name(class.mode).into(),
            in_flight: class.in_flight,
            limit: class.limits.in_flight,
            queued: class.queued,
            oldest_wait_ms: whole_ms(class.oldest_wait),
            connections: class.connections,
            pinned: class.pinned,
            admitted: class.counts.admitted,
            shed: class.counts.shed,
            would_wait: class.counts.would_wait,
            would_shed: class.counts.would_shed,
        }
    }
}

/// The name of a mode in configuration and status.
pub const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
    }
}

/// A duration as the API tells it.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

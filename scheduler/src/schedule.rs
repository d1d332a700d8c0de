//! Schedules: batches that come again, and are submitted by the schedulers themselves.
//!
//! ```text
//!  tick ──► look at the ledger ──► decide, pure ──► rest | pass | fire
//!                                                            │
//!     recipients ──► spool, ranked ──► window, pure ──► draft, pages, seal
//! ```
//!
//! What a schedule is in the file becomes a [`Spec`]. What the ledger knows of it is a
//! [`Standing`](crate::ledger::schedules::Standing): up to when everything that was due has been seen to.
//! [`decide`] says what follows from the two and the time. [`keeper`] looks and has it done, [`fire`] does it.
//! [`desk`] takes up the batches that applications request in a table.
//!
//! Several schedulers look at one ledger. Whoever fires holds a lease on the schedule; the batch's name is
//! made of the schedule and the moment it was due, and its number is the fence: who takes over from one that is
//! gone throws its draft away and begins anew, so a planner that wakes again has nothing to write to. A
//! batch is whole or is not there.
//!
//! Where recipients have clocks of their own ([`zones`]) a batch goes around the world once.
//!
//! Deliberately absent: what other batches of the ledger do meanwhile.

pub mod decide;

pub mod forecast;

pub mod window;

pub mod zones;

pub mod fire;

pub mod keeper;

pub mod desk;

mod tick;

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::source::check::Check;
use crate::source::file::Columns;
use crate::source::sql::{Delta, Query};
use crate::trigger::clock;
use crate::trigger::missed::{Misfire, Overlap};
use crate::trigger::quiet::Quiet;

/// What a schedule says.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What it is called.
    pub name: String,
    /// When it is due.
    pub when: clock::Schedule,
    /// The same in words: when they change, what was missed before is not missed.
    pub told: String,
    /// What becomes of missed runs.
    pub misfire: Misfire,
    /// What becomes of a run while one before it is open.
    pub overlap: Overlap,
    /// How late is late, and how early recipients are read.
    pub patience: Patience,
    /// What its batches are.
    pub shape: Shape,
    /// Who they are for.
    pub recipients: Recipients,
    /// Whose clock its times are on, where that is each recipient's own.
    pub zones: Option<zones::Zones>,
}

/// How late is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Late by no more than this is not missed.
    pub grace: SignedDuration,
    /// Later than this is given up in any case.
    pub catch_up: SignedDuration,
    /// So long before a batch is due its recipients are read.
    pub lead: SignedDuration,
}

/// What a schedule's batches are.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The window that items are spread over.
    pub spread: Duration,
    /// From its time on, when the last is to have gone.
    pub deadline: Duration,
    /// When nothing is sent.
    pub quiet: Option<Quiet>,
    /// From 0, the most urgent, to 3.
    pub class: u8,
    /// Items a second, at most.
    pub rate: Option<f64>,
    /// What the application does meanwhile.
    pub load: Option<Load>,
    /// Whose places its recipients have.
    pub family: String,
    /// Where they go.
    pub sink: String,
}

/// The load of an application, beside which a batch is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The file of the forecast, read anew for each batch.
    pub forecast: PathBuf,
    /// What one item costs, in the unit of the forecast.
    pub cost: f64,
    /// The most load a second, in that unit.
    pub capacity: Option<f64>,
}

/// Who a schedule's items are for.
#[derive(Debug, Clone)]
pub enum Recipients {
    /// A file, read anew each time.
    File(PathBuf, Columns),
    /// A query.
    Query(Box<Reading>),
}

/// A query for recipients, and what is asked after it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The `[source.NAME]`.
    pub source: String,
    /// What is asked.
    pub query: Query,
    /// What is asked afterwards, for what has changed meanwhile.
    pub delta: Option<Delta>,
    /// What is asked right before items go.
    pub check: Option<Check>,
}

impl Spec {
    /// The name of the batch that is due at a moment: the same for whoever submits it.
    #[must_use]
    pub fn batch(&self, nominal: Timestamp) -> String {
        format!("{}@{nominal}", self.name)
    }

    /// Whether a batch is this schedule's, by its name.
    #[must_use]
    pub fn has(&self, batch: &str) -> bool {
        batch.strip_prefix(&*self.name).is_some_and(|rest| rest.starts_with('@'))
    }
}

//! `[[schedule]]`: a batch that comes again, as the file has it. What it means is in `schedule/ready.rs`.

mod ready;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, DurationText};

/// A batch that comes again, and is submitted by the scheduler itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// What it is called. Its batches are called `NAME@2026-11-22T13:00:00Z`, by when they were due.
    pub name: String,
    /// When it is due, as crontab(5) has it: `"0 13 * * *"`, with seconds as an optional first field.
    #[serde(default)]
    pub cron: Option<String>,
    /// Instead of `cron`: the time of day at which it is due each day, `"13:00"` or `"13:00:30"`.
    #[serde(default)]
    pub at: Option<String>,
    /// Whose clock: `"Europe/Paris"`. Default: UTC.
    #[serde(default)]
    pub zone: Option<String>,
    /// What becomes of a time that the clock skips. Default: `shift`, but `skip` of what is due in every
    /// hour.
    #[serde(default)]
    pub gap: Option<Gap>,
    /// What becomes of a time that is there twice. Default: `first`, but `both` of what is due in every
    /// hour.
    #[serde(default)]
    pub fold: Option<Fold>,
    /// What becomes of runs that were due while no scheduler ran.
    #[serde(default)]
    pub missed: Missed,
    /// How many missed runs `missed = "all"` makes up for at most, the newest.
    #[serde(default = "missed_max")]
    pub missed_max: u32,
    /// What is late by no more than this is not missed, only late. Past it, the watchdog tells of a schedule
    /// that should have fired and has not.
    #[serde(default = "grace", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub grace: Duration,
    /// What was due longer ago than this is given up in any case.
    #[serde(default = "catch_up", with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub catch_up: Duration,
    /// What becomes of a run that is due while a batch of this schedule is still open.
    #[serde(default)]
    pub overlap: OnOverlap,
    /// A time of day in which nothing is sent, on the schedule's own clock: `"22:00-08:00"`. What is left
    /// of the window goes on after it.
    #[serde(default)]
    pub quiet: Option<String>,
    /// Recipients are read so long before the batch is due, so that its first item is in time. Default:
    /// when it is due.
    #[serde(default, with = "value::maybe")]
    #[schemars(with = "Option<DurationText>")]
    pub lead: Option<Duration>,
    /// The window over which items are spread, from the time that the batch is due on. Required where
    /// batches are submitted.
    #[serde(default, with = "value::maybe")]
    #[schemars(with = "Option<DurationText>")]
    pub spread: Option<Duration>,
    /// When the last item is to have gone, from its time on. A batch that does not fit into `spread` at
    /// `rate` is spread up to here, and further with a warning. Default: the end of `spread`.
    #[serde(default, with = "value::maybe")]
    #[schemars(with = "Option<DurationText>")]
    pub deadline: Option<Duration>,
    /// How urgent its batches are: of what is due, the more urgent is claimed first.
    #[serde(default)]
    pub class: Class,
    /// The family of batches it is of: in all of them a recipient has the same place. Default: its name.
    #[serde(default)]
    pub family: Option<String>,
    /// The sink that its items go to. Required where batches are submitted.
    #[serde(default)]
    pub sink: Option<String>,
    /// The most items a second, for the sake of who receives them.
    #[serde(default)]
    pub rate: Option<f64>,
    /// A CSV file of `SECOND,LOAD`, read anew for each batch: the load that the application causes from so many
    /// seconds after the batch's time on, as for `tidegate batch plan`. Items go where it leaves room. Where
    /// it cannot be read they go evenly.
    #[serde(default)]
    pub forecast: Option<PathBuf>,
    /// The most load a second that the database can carry, in the unit of `forecast`. A batch that does not
    /// fit into `spread` below it is spread up to `deadline`, and further with a warning.
    #[serde(default)]
    pub capacity: Option<f64>,
    /// What one item costs the database, in the unit of `forecast`.
    #[serde(default = "cost")]
    pub cost: f64,
    /// Who the items are for, and what they are: `{ file = "users.ndjson" }`, or
    /// `{ source = "app", query = "SELECT …", key = "id" }`. Required where batches are submitted.
    #[serde(default)]
    pub recipients: Option<From>,
}

/// Who the items of a schedule are for, and what they are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Recipients")]
pub struct From {
    /// A file: `.csv` with a header, `.ndjson`, or one recipient a line.
    pub file: Option<PathBuf>,
    /// Instead of a file: the `[source.NAME]` that `query` is asked of.
    pub source: Option<String>,
    /// A SELECT without ORDER BY and LIMIT; it is read in pages. `:nominal` stands for when the batch is
    /// due, `:previous` for when the one before it was.
    pub query: Option<String>,
    /// The column or field that names the recipient. Of a file by default the first column, or
    /// `recipient`; of a query, required.
    pub key: Option<String>,
    /// The column or field that is sent. Default: of `.ndjson` the whole object, of others nothing.
    pub payload: Option<String>,
    /// Of a query: the column by which it is read in pages: unique, never NULL, best with an index; a whole
    /// number, a text, or on PostgreSQL a UUID. Default: `key`.
    pub order: Option<String>,
    /// Of a query: the column that names the recipient's own zone, as `Europe/Paris`. `cron` or `at` is then met on
    /// each recipient's clock: a batch is due when it is that time in UTC+14, and goes around the world in 26
    /// hours. `zone` of the schedule is for those without one, or with an unknown one. Wants
    /// `overlap = "allow"`.
    pub zone: Option<String>,
    /// Of a query: a second SELECT of the same columns, for what has changed while the first was read. `:since`
    /// stands for when that was begun. A row whose `order` was there before takes its place.
    pub delta: Option<String>,
    /// `:since` is so long before reading was begun: as long as a transaction takes at most that notes the time
    /// of a change and commits later.
    #[serde(with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub delta_overlap: Duration,
    /// `delta` is asked so long before the batch is due, or after the first where that ends later. Within
    /// `lead`, for the first item to be in time.
    #[serde(with = "value::duration")]
    #[schemars(with = "DurationText")]
    pub delta_lead: Duration,
    /// Of a query: a SELECT that gets the ids of items right before they go, for `:ids`, and returns those that
    /// still hold: `SELECT id FROM reminders WHERE id IN (:ids) AND state = 'armed'`. The others are dropped.
    /// Its first column is compared as text.
    pub check: Option<String>,
    /// The field of the JSON object that is sent by which `check` asks. Default: the recipient.
    pub check_by: Option<String>,
}

impl Default for From {
    fn default() -> Self {
        Self {
            file: None,
            source: None,
            query: None,
            key: None,
            payload: None,
            order: None,
            zone: None,
            delta: None,
            delta_overlap: Duration::from_secs(60),
            delta_lead: Duration::from_secs(10),
            check: None,
            check_by: None,
        }
    }
}

/// What becomes of a time that the clock skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// It is due when the clock has jumped; several are due once.
    Shift,
    /// It is not due.
    Skip,
    /// It is due in the last second before the clock jumps; several are due once.
    Before,
}

/// What becomes of a time that is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fold {
    /// It is due the first time.
    First,
    /// It is due the second time.
    Second,
    /// It is due both times.
    Both,
}

/// What becomes of runs that were due while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// They are given up.
    Skip,
    /// The newest of them is made up for.
    #[default]
    Once,
    /// All are made up for, up to `missed_max` and `catch_up`.
    All,
}

/// What becomes of a run that is due while a batch of its schedule is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnOverlap {
    /// It is given up.
    #[default]
    Skip,
    /// It waits for the end of that batch. One waits at most: a newer one takes its place.
    Queue,
    /// Both run.
    Allow,
}

/// How urgent a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Urgency")]
pub enum Class {
    /// Somebody waits for it.
    Urgent,
    /// Soon.
    High,
    /// In its window.
    #[default]
    Normal,
    /// Whenever there is room.
    Bulk,
}

const fn missed_max() -> u32 {
    10
}

const fn grace() -> Duration {
    Duration::from_secs(60)
}

const fn catch_up() -> Duration {
    Duration::from_secs(24 * 3600)
}

const fn cost() -> f64 {
    1.0
}

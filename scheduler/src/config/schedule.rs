//! `[[schedule]]`: a batch that comes again, as the file has it, and what it means.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, DurationText};
use crate::schedule::{Patience, Recipients, Shape, Spec};
use crate::source::file::Columns;
use crate::source::sql::Query;
use crate::trigger::clock::{self, Rule};
use crate::trigger::cron::Cron;
use crate::trigger::missed::{Misfire, Overlap};
use crate::trigger::quiet::Quiet;

/// A name has no more bytes: with the moment behind it, it is that of a batch.
const NAME_BYTES_MAX: usize = 150;
/// What is missed is looked at one by one: of a schedule of every second, for a moment or two.
const CATCH_UP_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// No window is longer.
const SPREAD_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

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
    /// Who the items are for, and what they are: `{ file = "users.ndjson" }`, or
    /// `{ source = "app", query = "SELECT …", key = "id" }`. Required where batches are submitted.
    #[serde(default)]
    pub recipients: Option<From>,
}

/// Who the items of a schedule are for, and what they are.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
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

type Wrong = (&'static str, String);

impl Schedule {
    /// When it is due.
    ///
    /// # Errors
    /// The key that is wrong or missing, and what would be right.
    pub fn when(&self) -> Result<clock::Schedule, Wrong> {
        let cron: Cron = match (&self.cron, &self.at) {
            (Some(cron), None) => cron.parse().map_err(|why| ("cron", format!("{why}")))?,
            (None, Some(at)) => {
                let time = time_of_day(at).ok_or_else(|| {
                    ("at", format!("{at:?}: expected a time of day such as \"13:00\""))
                })?;
                let text = format!("{} {} {} * * *", time.second(), time.minute(), time.hour());
                text.parse().map_err(|why| ("at", format!("{why}")))?
            }
            (Some(_), Some(_)) => {
                return Err(("at", "cron is given; expected one of the two".into()));
            }
            (None, None) => {
                return Err(("cron", "missing; expected one like \"0 13 * * *\", or at".into()));
            }
        };
        let zone = match &self.zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                ("zone", format!("there is no {name:?}: names are like Europe/Paris"))
            })?,
        };
        let usual = Rule::of(&cron);
        let rule = Rule {
            gap: self.gap.map_or(usual.gap, std::convert::From::from),
            fold: self.fold.map_or(usual.fold, std::convert::From::from),
        };
        Ok(clock::Schedule { cron, zone, rule })
    }

    /// As it is written: the expression, or the time of day.
    #[must_use]
    pub fn text(&self) -> &str {
        self.cron.as_deref().or(self.at.as_deref()).unwrap_or_default()
    }

    /// What the scheduler goes by.
    ///
    /// # Errors
    /// The key that is wrong or missing, and what would be right.
    pub fn ready(&self) -> Result<Spec, Wrong> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.name.is_empty()
            || !self.name.chars().all(is_name)
            || self.name.len() > NAME_BYTES_MAX
        {
            let why = "expected letters, digits, and - _ . : without blanks, 1 to 150 of them";
            return Err(("name", why.into()));
        }
        let when = self.when()?;
        let misfire = match self.missed {
            Missed::Skip => Misfire::Skip,
            Missed::Once => Misfire::Once,
            Missed::All => Misfire::All(self.missed_max as usize),
        };
        let overlap = match self.overlap {
            OnOverlap::Skip => Overlap::Skip,
            OnOverlap::Queue => Overlap::Wait,
            OnOverlap::Allow => Overlap::Allow,
        };
        let signed =
            |length: Duration| SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        if self.catch_up < self.grace {
            return Err(("catch_up", "shorter than grace; expected at least as long".into()));
        }
        if self.catch_up > CATCH_UP_MAX {
            return Err(("catch_up", "out of range; expected at most \"744h\"".into()));
        }
        let patience = Patience {
            grace: signed(self.grace),
            catch_up: signed(self.catch_up),
            lead: signed(self.lead.unwrap_or_default()),
        };
        let (shape, recipients) = (self.shape()?, self.recipients()?);
        let zone = self.zone.clone().unwrap_or_default();
        let rule = when.rule;
        let told = format!("{}|{zone}|{:?}|{:?}", self.text(), rule.gap, rule.fold);
        Ok(Spec {
            name: self.name.clone(),
            when,
            told,
            misfire,
            overlap,
            patience,
            shape,
            recipients,
        })
    }

    fn shape(&self) -> Result<Shape, Wrong> {
        let spread = self
            .spread
            .ok_or_else(|| ("spread", "missing; expected one like \"15m\"".to_owned()))?;
        if spread > SPREAD_MAX {
            return Err(("spread", "out of range; expected at most \"168h\"".into()));
        }
        let deadline = self.deadline.unwrap_or(spread);
        if deadline < spread {
            return Err(("deadline", "before the end of spread; expected at least as long".into()));
        }
        let quiet = self.quiet.as_deref().map(quiet).transpose()?;
        let sink = self.sink.clone();
        let sink =
            sink.ok_or_else(|| ("sink", "missing; expected the NAME of a [sink.NAME]".to_owned()))?;
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(("rate", "out of range; expected a number above 0".into()));
        }
        let family = self.family.clone().unwrap_or_else(|| self.name.clone());
        let class = self.class as u8;
        Ok(Shape { spread, deadline, quiet, class, rate: self.rate, family, sink })
    }

    fn recipients(&self) -> Result<Recipients, Wrong> {
        let missing = || {
            let why = "missing; expected { file = \"users.ndjson\" }, or \
                       { source = \"NAME\", query = \"SELECT …\", key = \"id\" }";
            ("recipients", why.to_owned())
        };
        let from = self.recipients.as_ref().ok_or_else(missing)?;
        match (&from.file, &from.source, &from.query) {
            (Some(file), None, None) if from.order.is_none() => {
                let columns = Columns { key: from.key.clone(), payload: from.payload.clone() };
                Ok(Recipients::File(file.clone(), columns))
            }
            (None, Some(source), Some(query)) => {
                let key = from.key.clone();
                let key = key.ok_or_else(|| {
                    ("recipients", "key is missing: the column that names the recipient".to_owned())
                })?;
                let order = from.order.clone().unwrap_or_else(|| key.clone());
                let query = Query::new(query, key, from.payload.clone(), order);
                let query = query.map_err(|why| ("recipients", why))?;
                Ok(Recipients::Query { source: source.clone(), query })
            }
            _ => Err(missing()),
        }
    }
}

impl std::convert::From<Gap> for clock::Gap {
    fn from(gap: Gap) -> Self {
        match gap {
            Gap::Shift => Self::Shift,
            Gap::Skip => Self::Skip,
            Gap::Before => Self::Before,
        }
    }
}

impl std::convert::From<Fold> for clock::Fold {
    fn from(fold: Fold) -> Self {
        match fold {
            Fold::First => Self::First,
            Fold::Second => Self::Second,
            Fold::Both => Self::Both,
        }
    }
}

/// `13:00` or `13:00:30`.
fn time_of_day(text: &str) -> Option<Time> {
    let is_form = matches!(text.len(), 4..=8) && text.contains(':');
    let digits = text.split(':').all(|part| {
        !part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    if !is_form || !digits {
        return None;
    }
    let parts: Vec<i8> = text.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    match *parts.as_slice() {
        [hour, minute] => Time::new(hour, minute, 0, 0).ok(),
        [hour, minute, second] => Time::new(hour, minute, second, 0).ok(),
        _ => None,
    }
}

fn quiet(text: &str) -> Result<Quiet, Wrong> {
    let times = text
        .split_once('-')
        .map(|(from, until)| (time_of_day(from.trim()), time_of_day(until.trim())));
    match times {
        Some((Some(from), Some(until))) if from != until => Ok(Quiet { from, until }),
        _ => Err(("quiet", format!("{text:?}: expected two times of day such as \"22:00-08:00\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<Spec, Wrong> {
        let text = format!("name = \"a\"\nsink = \"app\"\n{more}");
        toml::from_str::<Schedule>(&text).unwrap().ready()
    }

    const FILE: &str = "recipients = { file = \"users.csv\" }\nspread = \"15m\"";

    #[test]
    fn a_time_of_day_is_due_once_a_day() {
        let spec = read(&format!("at = \"13:00\"\nzone = \"Europe/Paris\"\n{FILE}")).unwrap();
        let next = spec.when.next("2026-11-22T12:30:00Z".parse().unwrap()).unwrap();
        assert_eq!(next.to_string(), "2026-11-23T12:00:00Z");
        assert_eq!(spec.shape.deadline, Duration::from_secs(900));
        assert_eq!((spec.shape.class, spec.shape.family.as_str()), (2, "a"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key_and_what_would_be_right() {
        for (more, key, told) in [
            (FILE, "cron", "missing"),
            (&*format!("cron = \"@daily\"\nat = \"1:00\"\n{FILE}"), "at", "one of the two"),
            (&*format!("at = \"25:00\"\n{FILE}"), "at", "such as \"13:00\""),
            (&*format!("at = \"noon\"\n{FILE}"), "at", "such as \"13:00\""),
            (&*format!("cron = \"* *\"\n{FILE}"), "cron", "2 fields"),
            (&*format!("cron = \"@daily\"\nzone = \"Mars\"\n{FILE}"), "zone", "there is no"),
            (&*format!("cron = \"@daily\"\nquiet = \"22:00\"\n{FILE}"), "quiet", "22:00-08:00"),
            (&*format!("cron = \"@daily\"\nrate = 0.0\n{FILE}"), "rate", "above 0"),
            (
                &*format!("cron = \"@daily\"\ndeadline = \"5m\"\n{FILE}"),
                "deadline",
                "before the end",
            ),
            (&*format!("cron = \"@daily\"\ncatch_up = \"5s\"\n{FILE}"), "catch_up", "shorter"),
            ("cron = \"@daily\"\nspread = \"1m\"", "recipients", "missing"),
            ("cron = \"@daily\"\nrecipients = { file = \"x\" }", "spread", "missing"),
            (
                "cron = \"@daily\"\nspread = \"1m\"\nrecipients = { source = \"x\" }",
                "recipients",
                "SELECT",
            ),
            (
                "cron = \"@daily\"\nspread = \"1m\"\nrecipients = { source = \"x\", query = \"SELECT 1\" }",
                "recipients",
                "key",
            ),
        ] {
            let (wrong, why) = read(more).unwrap_err();
            assert!(wrong == key && why.contains(told), "{more}: {wrong}: {why}");
        }
        let blank: Schedule = toml::from_str("name = \"a b\"").unwrap();
        assert_eq!(blank.ready().unwrap_err().0, "name");
    }
}

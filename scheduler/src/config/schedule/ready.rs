//! What a `[[schedule]]` means, or what is wrong with it.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::{Fold, From, Gap, Missed, OnOverlap, Schedule};
use crate::schedule::zones::{self, Zones};
use crate::schedule::{Load, Patience, Reading, Recipients, Shape, Spec};
use crate::source::check::Check;
use crate::source::file::Columns;
use crate::source::sql::{Delta, Query};
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
        let zone = self.own_zone()?;
        let zone = if self.is_on_own_clocks() { zones::first() } else { zone };
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
        let zones = self.zones(when.rule)?;
        let zone = self.zone.clone().unwrap_or_default();
        let rule = when.rule;
        let own = if zones.is_some() { "|own" } else { "" };
        let told = format!("{}|{zone}|{:?}|{:?}{own}", self.text(), rule.gap, rule.fold);
        Ok(Spec {
            name: self.name.clone(),
            when,
            told,
            misfire,
            overlap,
            patience,
            shape,
            recipients,
            zones,
        })
    }

    /// Whether its times are those of each recipient's own clock.
    fn is_on_own_clocks(&self) -> bool {
        self.recipients.as_ref().is_some_and(|from| from.zone.is_some())
    }

    fn zones(&self, rule: Rule) -> Result<Option<Zones>, Wrong> {
        if !self.is_on_own_clocks() {
            return Ok(None);
        }
        if self.overlap != OnOverlap::Allow {
            let why = "a batch on recipients' own clocks takes more than a day; expected \"allow\"";
            return Err(("overlap", why.into()));
        }
        if rule.fold == clock::Fold::Both {
            let why = "each recipient has one item; expected \"first\" or \"second\"";
            return Err(("fold", why.into()));
        }
        if self.forecast.is_some() {
            return Err(("forecast", "recipients have clocks of their own: leave it out".into()));
        }
        let otherwise = self.own_zone()?;
        Ok(Some(Zones { otherwise, rule }))
    }

    fn own_zone(&self) -> Result<TimeZone, Wrong> {
        match &self.zone {
            None => Ok(TimeZone::UTC),
            Some(name) => TimeZone::get(name).map_err(|_| {
                ("zone", format!("there is no {name:?}: names are like Europe/Paris"))
            }),
        }
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
        let (class, load) = (self.class as u8, self.load()?);
        Ok(Shape { spread, deadline, quiet, class, rate: self.rate, load, family, sink })
    }

    fn load(&self) -> Result<Option<Load>, Wrong> {
        let positive = |key, number: f64| match number.is_finite() && number > 0.0 {
            true => Ok(()),
            false => Err((key, "out of range; expected a number above 0".to_owned())),
        };
        positive("cost", self.cost)?;
        positive("capacity", self.capacity.unwrap_or(1.0))?;
        match (&self.forecast, self.capacity) {
            (Some(forecast), capacity) => {
                Ok(Some(Load { forecast: forecast.clone(), cost: self.cost, capacity }))
            }
            (None, Some(_)) => Err(("capacity", "forecast is missing, whose unit it has".into())),
            (None, None) => Ok(None),
        }
    }

    fn recipients(&self) -> Result<Recipients, Wrong> {
        let missing = || {
            let why = "missing; expected { file = \"users.ndjson\" }, or \
                       { source = \"NAME\", query = \"SELECT …\", key = \"id\" }";
            ("recipients", why.to_owned())
        };
        let from = self.recipients.as_ref().ok_or_else(missing)?;
        match (&from.file, &from.source, &from.query) {
            (Some(file), None, None) if from.is_of_a_file() => {
                let columns = Columns { key: from.key.clone(), payload: from.payload.clone() };
                Ok(Recipients::File(file.clone(), columns))
            }
            (None, Some(source), Some(text)) => {
                let key = from.key.clone();
                let key = key.ok_or_else(|| {
                    ("recipients", "key is missing: the column that names the recipient".to_owned())
                })?;
                let order = from.order.clone().unwrap_or_else(|| key.clone());
                let wrong = |why| ("recipients", why);
                let query = Query::new(text, key, from.payload.clone(), order)
                    .and_then(|query| query.with_zone(from.zone.clone()))
                    .map_err(wrong)?;
                let delta = from.delta(&query).map_err(wrong)?;
                let check = from.check(source).map_err(wrong)?;
                let source = source.clone();
                Ok(Recipients::Query(Box::new(Reading { source, query, delta, check })))
            }
            _ => Err(missing()),
        }
    }
}

impl From {
    /// Whether nothing is said that only a query has.
    const fn is_of_a_file(&self) -> bool {
        self.order.is_none() && self.zone.is_none() && self.delta.is_none() && self.check.is_none()
    }

    fn delta(&self, query: &Query) -> Result<Option<Delta>, String> {
        let Some(text) = &self.delta else { return Ok(None) };
        let (query, overlap) = (query.since(text)?, self.delta_overlap);
        Ok(Some(Delta { query, overlap, lead: self.delta_lead }))
    }

    fn check(&self, source: &str) -> Result<Option<Check>, String> {
        match (&self.check, &self.check_by) {
            (Some(query), by) => Check::new(source.to_owned(), query, by.clone()).map(Some),
            (None, Some(_)) => Err("check_by is given without check".into()),
            (None, None) => Ok(None),
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
    fn on_recipients_own_clocks_it_is_due_where_it_is_first_that_time() {
        let from = "spread = \"15m\"\nrecipients = { source = \"x\", query = \"SELECT 1\", key = \"id\", \
                    zone = \"tz\" }";
        let spec =
            read(&format!("at = \"9:00\"\nzone = \"Europe/Paris\"\noverlap = \"allow\"\n{from}"));
        let spec = spec.unwrap();
        let next = spec.when.next("2026-11-22T12:30:00Z".parse().unwrap()).unwrap();
        assert_eq!(next.to_string(), "2026-11-22T19:00:00Z");
        assert_eq!(spec.zones.unwrap().otherwise, TimeZone::get("Europe/Paris").unwrap());
        for (more, key) in [
            ("at = \"9:00\"", "overlap"),
            ("cron = \"0 * * * *\"\noverlap = \"allow\"", "fold"),
            ("at = \"9:00\"\noverlap = \"allow\"\nforecast = \"x\"", "forecast"),
        ] {
            assert_eq!(read(&format!("{more}\n{from}")).unwrap_err().0, key, "{more}");
        }
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
            (&*format!("cron = \"@daily\"\ncost = 0.0\n{FILE}"), "cost", "above 0"),
            (&*format!("cron = \"@daily\"\ncapacity = 9.0\n{FILE}"), "capacity", "forecast"),
            (
                "cron = \"@daily\"\nspread = \"1m\"\nrecipients = { file = \"x\", check = \"SELECT 1\" }",
                "recipients",
                "SELECT",
            ),
            (
                "cron = \"@daily\"\nspread = \"1m\"\nrecipients = { source = \"x\", query = \"SELECT 1\", \
                 key = \"id\", delta = \"SELECT :until\" }",
                "recipients",
                "delta: :until is unknown; expected :nominal or :previous or :since",
            ),
            (
                "cron = \"@daily\"\nspread = \"1m\"\nrecipients = { source = \"x\", query = \"SELECT 1\", \
                 key = \"id\", check = \"SELECT 1\" }",
                "recipients",
                ":ids is missing",
            ),
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

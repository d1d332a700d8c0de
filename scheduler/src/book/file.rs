//! Our own form.
//!
//! ```toml
//! [[schedule]]
//! name = "reminders"
//! cron = "0 13 * * *"
//! zone = "Europe/Paris"       # UTC where nothing is said
//! gap = "shift"               # or skip, before
//! fold = "first"              # or second, both
//! spread = "15m"
//! ```

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;

use super::{BookError, ENTRIES_MAX, Entry};
use crate::trigger::clock::{Fold, Gap, Rule, Schedule};
use crate::trigger::cron::Cron;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    #[serde(default)]
    schedule: Vec<Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    cron: String,
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    gap: Option<RawGap>,
    #[serde(default)]
    fold: Option<RawFold>,
    #[serde(default)]
    spread: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawGap {
    Shift,
    Skip,
    Before,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFold {
    First,
    Second,
    Both,
}

pub(super) fn read(text: &str) -> Result<Vec<Entry>, BookError> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let book: Book = toml::from_str(text).map_err(|error| BookError {
        line: line(error.span().map_or(0, |span| span.start)),
        why: error.message().to_owned(),
    })?;
    let mut entries: Vec<Entry> = Vec::new();
    for raw in book.schedule {
        let at = line(raw.span().start);
        let error = |why: String| BookError { line: at, why };
        let entry = entry(raw.into_inner(), at).map_err(error)?;
        if entries.iter().any(|known| known.name == entry.name) {
            return Err(error(format!("there are two schedules {:?}", entry.name)));
        }
        if entries.len() == ENTRIES_MAX {
            return Err(error(format!("more than {ENTRIES_MAX} schedules")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(raw: Raw, line: usize) -> Result<Entry, String> {
    let cron: Cron = raw.cron.parse().map_err(|why| format!("cron: {why}"))?;
    let zone = match &raw.zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name)
            .map_err(|_| format!("zone: there is no {name:?}: names are like Europe/Paris"))?,
    };
    let mut rule = Rule::of(&cron);
    if let Some(gap) = raw.gap {
        rule.gap = match gap {
            RawGap::Shift => Gap::Shift,
            RawGap::Skip => Gap::Skip,
            RawGap::Before => Gap::Before,
        };
    }
    if let Some(fold) = raw.fold {
        rule.fold = match fold {
            RawFold::First => Fold::First,
            RawFold::Second => Fold::Second,
            RawFold::Both => Fold::Both,
        };
    }
    let spread = raw.spread.as_deref().map(duration).transpose()?;
    let schedule = Schedule { cron, zone, rule };
    Ok(Entry { name: raw.name, line, text: raw.cron, schedule, spread })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    let positive = parsed.filter(|duration| duration.is_positive());
    let duration = positive.and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| format!("spread {text:?}: a duration like 90s, 15m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_read() {
        let text = "[[schedule]]\nname = \"reminders\"\ncron = \"0 13 * * *\"\nzone = \"Europe/Paris\"\n\
                    fold = \"both\"\nspread = \"15m\"\n\n[[schedule]]\nname = \"poll\"\ncron = \"@hourly\"\n";
        let entries = read(text).unwrap();
        assert_eq!((entries[0].line, entries[1].line), (1, 8));
        assert_eq!(entries[0].spread, Some(Duration::from_secs(900)));
        assert_eq!(entries[0].schedule.rule, Rule { gap: Gap::Shift, fold: Fold::Both });
        assert_eq!(entries[1].schedule.rule, Rule { gap: Gap::Skip, fold: Fold::Both });
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let one = |more: &str| format!("[[schedule]]\nname = \"a\"\n{more}\n");
        for (text, told) in [
            (one("cron = \"0 13 * *\""), "line 1: cron: 4 fields"),
            (one("cron = \"@daily\"\nzone = \"Mars\""), "line 1: zone: there is no \"Mars\""),
            (one("cron = \"@daily\"\nspread = \"soon\""), "line 1: spread \"soon\": a duration"),
            (one("cron = \"@daily\"\nspread = \"-1m\""), "line 1: spread \"-1m\": a duration"),
            (one("cron = \"@daily\"\ngap = \"no\""), "line 4: unknown variant `no`"),
            (one("cron = \"@daily\"\nwho = 1"), "line 4: unknown field `who`"),
            (one("cron = "), "line 3: "),
            (one("cron = \"@daily\"").repeat(2), "line 4: there are two schedules \"a\""),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }
}

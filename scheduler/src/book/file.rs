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

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::{BookError, ENTRIES_MAX, Entry};
use crate::config::Schedule;

/// Beside schedules, the tables that a scheduler's own file has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is passed over has a name, so that all else is an error")]
struct Book {
    #[serde(default)]
    schedule: Vec<Spanned<Schedule>>,
    scheduler: Option<IgnoredAny>,
    sink: Option<IgnoredAny>,
    source: Option<IgnoredAny>,
    log: Option<IgnoredAny>,
}

pub(super) fn read(text: &str) -> Result<Vec<Entry>, BookError> {
    let told = |(key, why): (&str, String)| format!("{key}: {why}");
    let entry = |schedule: Schedule, line: usize| {
        let (name, text) = (schedule.name.clone(), schedule.text().to_owned());
        let when = schedule.when().map_err(told)?;
        Ok(Entry { name, line, text, schedule: when, spread: schedule.spread })
    };
    schedules(text, entry)
}

/// The schedules of a file, as a scheduler takes them.
pub(super) fn read_schedules(text: &str) -> Result<Vec<Schedule>, BookError> {
    schedules(text, |schedule, _| match schedule.ready() {
        Ok(_) => Ok(schedule),
        Err((key, why)) => Err(format!("{key}: {why}")),
    })
}

fn schedules<T>(
    text: &str,
    make: impl Fn(Schedule, usize) -> Result<T, String>,
) -> Result<Vec<T>, BookError> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let book: Book = toml::from_str(text).map_err(|error| BookError {
        line: line(error.span().map_or(0, |span| span.start)),
        why: error.message().to_owned(),
    })?;
    let (mut made, mut names) = (Vec::new(), HashSet::new());
    for raw in book.schedule {
        let at = line(raw.span().start);
        let error = |why: String| BookError { line: at, why };
        let schedule = raw.into_inner();
        if !names.insert(schedule.name.clone()) {
            return Err(error(format!("there are two schedules {:?}", schedule.name)));
        }
        if made.len() == ENTRIES_MAX {
            return Err(error(format!("more than {ENTRIES_MAX} schedules")));
        }
        made.push(make(schedule, at).map_err(error)?);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trigger::clock::{Fold, Gap, Rule};

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
            (one("cron = \"@daily\"\nspread = \"soon\""), "line 4: not a duration; expected"),
            (one("cron = \"@daily\"\nspread = \"-1m\""), "line 4: not a duration; expected"),
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

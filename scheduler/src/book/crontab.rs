//! Crontabs.

use jiff::tz::TimeZone;

use super::{BookError, ENTRIES_MAX, Entry};
use crate::trigger::clock::{Rule, Schedule};
use crate::trigger::cron::Cron;

pub(super) fn read(text: &str) -> Result<Vec<Entry>, BookError> {
    let mut entries = Vec::new();
    let mut zone = TimeZone::UTC;
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        let error = |why: String| BookError { line: number, why };
        if line.is_empty() || line.starts_with('#') || line.starts_with("@reboot") {
            continue;
        }
        if let Some((name, value)) = variable(line) {
            if matches!(name, "CRON_TZ" | "TZ") {
                zone = TimeZone::get(value).map_err(|_| {
                    error(format!("there is no zone {value:?}: names are like Europe/Paris"))
                })?;
            }
            continue;
        }
        let fields = if line.starts_with('@') { 1 } else { 5 };
        let (text, command) = split(line, fields)
            .ok_or_else(|| error("five fields and a command, as in 0 13 * * * send".into()))?;
        let cron: Cron = text.parse().map_err(|why| error(format!("{why}")))?;
        if entries.len() == ENTRIES_MAX {
            return Err(error(format!("more than {ENTRIES_MAX} entries")));
        }
        let schedule = Schedule { cron, zone: zone.clone(), rule: Rule::of(&cron) };
        let name = command.to_owned();
        entries.push(Entry { name, line: number, text, schedule, spread: None });
    }
    Ok(entries)
}

/// `NAME=value`, the value with or without quotes.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = !name.is_empty() && name.chars().all(fits);
    is_name.then(|| (name, value.trim().trim_matches(['"', '\''])))
}

/// So many words, joined by one space, and what is behind them.
fn split(line: &str, words: usize) -> Option<(String, &str)> {
    let (mut fields, mut rest) = (Vec::with_capacity(words), line);
    for _ in 0..words {
        let (field, behind) = rest.split_once(char::is_whitespace)?;
        fields.push(field);
        rest = behind.trim_start();
    }
    (!rest.is_empty()).then(|| (fields.join(" "), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crontab_is_read_with_its_zones() {
        let text = "# mail\nMAILTO=\"ops\"\n0 13 * * *  send --all=1\n\nCRON_TZ=Europe/Paris\n\
                    @daily  tidy\n@reboot start\n*/5\t* * * * poll\n";
        let entries = read(text).unwrap();
        let told: Vec<_> = entries
            .iter()
            .map(|entry| (entry.line, entry.text.as_str(), entry.name.as_str()))
            .collect();
        assert_eq!(
            told,
            [(3, "0 13 * * *", "send --all=1"), (6, "@daily", "tidy"), (8, "*/5 * * * *", "poll")]
        );
        assert_eq!(entries[0].schedule.zone, TimeZone::UTC);
        assert_eq!(entries[1].schedule.zone.iana_name(), Some("Europe/Paris"));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, told) in [
            ("\n0 13 * *", "line 2: five fields and a command, as in 0 13 * * * send"),
            ("0 13 * * *", "line 1: five fields and a command, as in 0 13 * * * send"),
            ("TZ=Mars/Base", "line 1: there is no zone \"Mars/Base\": names are like Europe/Paris"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), told);
        }
        let error = read("0 99 * * * send").unwrap_err().to_string();
        assert!(error.starts_with("line 1: hour \"99\""), "{error}");
    }
}

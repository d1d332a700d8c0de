//! `[pgbouncer]`: keys with their values, PgBouncer's defaults and forms; and the notes about what
//! is left.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::ini::{Setting, located};
use super::{ImportError, Note, advice};

/// A value, and where it is from, for the comment beside ours.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) from: String,
}

/// What `[pgbouncer]` says. Keys that are asked for have an equivalent; the others are noted.
pub(super) struct Settings {
    path: PathBuf,
    /// Of a key that is given twice the last counts.
    general: HashMap<String, Setting>,
    asked: HashSet<&'static str>,
    notes: Vec<Note>,
}

impl Settings {
    pub(super) fn new(path: &Path, ini: &[Setting]) -> Self {
        let general = ini.iter().filter(|setting| setting.section == "pgbouncer");
        let general = general.map(|setting| (setting.key.clone(), setting.clone()));
        Self {
            path: path.into(),
            general: general.collect(),
            asked: HashSet::new(),
            notes: Vec::new(),
        }
    }

    /// Notes something that has no equivalent, once.
    pub(super) fn note(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        let note = Note { what: what.into(), advice: advice.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Notes a key of a database, unless it has an equivalent.
    pub(super) fn note_database(&mut self, database: &str, key: &str, value: &str) {
        if let Some(advice) = advice::of_database(key) {
            self.note(format!("[databases] {database}: {}", shown(key, value)), advice);
        }
    }

    /// A key that has no default, if it is given and not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Given<String>> {
        let setting = self.ask(key).filter(|setting| !setting.value.is_empty())?;
        Some(Given { value: setting.value.clone(), from: key.into() })
    }

    /// A key that has no default, if it is given, empty or not.
    pub(super) fn given(&mut self, key: &'static str) -> Option<String> {
        self.ask(key).map(|setting| setting.value.clone())
    }

    /// A file, by its whole path.
    pub(super) fn file(&mut self, key: &'static str) -> Option<Given<PathBuf>> {
        let Given { value, from } = self.text(key)?;
        Some(Given { value: located(Path::new(&value), &self.path), from })
    }

    /// A whole number.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u32,
    ) -> Result<Given<u32>, ImportError> {
        self.parsed(key, default, "a whole number", |text| u32::from_str(text).ok())
    }

    /// Seconds; zero mostly means none.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        default: u64,
    ) -> Result<Given<Duration>, ImportError> {
        self.parsed(key, Duration::from_secs(default), "seconds, such as 15 or 0.5", seconds)
    }

    /// The connections of one pool, its reserve included; a database may have its own numbers.
    pub(super) fn pool(
        &mut self,
        own: Option<u32>,
        own_reserve: Option<u32>,
    ) -> Result<u32, ImportError> {
        let size = own.unwrap_or(self.number("default_pool_size", 20)?.value);
        let reserve = own_reserve.unwrap_or(self.number("reserve_pool_size", 0)?.value);
        Ok(size.saturating_add(reserve))
    }

    /// All notes; what was not asked for is among them now.
    pub(super) fn into_notes(mut self, ini: &[Setting]) -> Vec<Note> {
        for Setting { section, key, value, .. } in ini {
            let advice = match section.as_str() {
                "databases" | "users" => continue,
                "pgbouncer" if self.asked.contains(key.as_str()) => continue,
                "pgbouncer" => advice::of(key),
                "peers" => advice::PEERS,
                _ => "this section is not known",
            };
            self.note(format!("[{section}] {}", shown(key, value)), advice);
        }
        self.notes
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        default: T,
        form: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Given<T>, ImportError> {
        let Some(Setting { value, place, .. }) = self.ask(key) else {
            return Ok(Given { value: default, from: format!("PgBouncer's default {key}") });
        };
        let wrong = || place.wrong(format!("{key} = {value}: expected {form}"));
        Ok(Given { value: parse(value).ok_or_else(wrong)?, from: key.into() })
    }

    fn ask(&mut self, key: &'static str) -> Option<&Setting> {
        self.asked.insert(key);
        self.general.get(key)
    }
}

/// Seconds, of which parts of a millisecond are rounded up.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    const MOST: f64 = 366.0 * 24.0 * 60.0 * 60.0;
    let seconds: f64 = text.parse().ok().filter(|seconds| (0.0..=MOST).contains(seconds))?;
    Some(Duration::from_millis((seconds * 1000.0).ceil() as u64))
}

/// A key and its value, so far as it may be seen.
pub(super) fn shown(key: &str, value: &str) -> String {
    match key {
        "password" => key.into(),
        _ if value.is_empty() => format!("{key} ="),
        _ => format!("{key} = {value}"),
    }
}

//! The form of PgBouncer's file: sections, keys, comments on lines of their own, `%include`.
//! <https://www.pgbouncer.org/config.html>

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::ImportError;

/// How deep files may include each other.
pub(super) const DEPTH_MAX: usize = 10;

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) section: String,
    pub(super) key: String,
    /// It may hold a password.
    pub(super) value: String,
    pub(super) place: Place,
}

/// Where something stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: Arc<Path>,
    /// From 1.
    pub(super) line: usize,
}

impl Place {
    /// The error that something there is not as it should be.
    pub(super) fn wrong(&self, why: impl Into<String>) -> ImportError {
        ImportError::Malformed { path: (*self.path).into(), line: self.line, why: why.into() }
    }
}

/// Reads a file, and those that it includes in the place where it does.
pub(super) fn read(path: &Path) -> Result<Vec<Setting>, ImportError> {
    let mut reader = Reader { section: None, settings: Vec::new() };
    reader.file(path, 0)?;
    Ok(reader.settings)
}

struct Reader {
    section: Option<String>,
    settings: Vec<Setting>,
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), ImportError> {
        if depth > DEPTH_MAX {
            return Err(ImportError::TooDeep { path: path.into() });
        }
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| ImportError::Unreadable { path: path.into(), error })?;
        let shared: Arc<Path> = path.into();
        for (line, text) in (1..).zip(text.lines()) {
            let place = Place { path: Arc::clone(&shared), line };
            self.line(text.trim(), place, depth)?;
        }
        Ok(())
    }

    fn line(&mut self, text: &str, place: Place, depth: usize) -> Result<(), ImportError> {
        if text.is_empty() || text.starts_with([';', '#']) {
            return Ok(());
        }
        if let Some(file) = text.strip_prefix("%include") {
            return self.file(&located(Path::new(file.trim()), &place.path), depth + 1);
        }
        if let Some(section) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            self.section = Some(section.trim().into());
            return Ok(());
        }
        let Some(section) = self.section.clone() else {
            return Err(place.wrong("a key before the first section"));
        };
        let (key, rest) = key_of(text).ok_or_else(|| place.wrong("expected \"key = value\""))?;
        let value = rest.trim_start().strip_prefix('=');
        let value = value.ok_or_else(|| place.wrong("expected \"key = value\""))?.trim().into();
        self.settings.push(Setting { section, key, value, place });
        Ok(())
    }
}

/// The key that a line begins with, and what follows. A database's name may be quoted as in SQL.
fn key_of(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    let end = text.find(|c: char| c == '=' || c.is_whitespace())?;
    (end > 0).then(|| (text[..end].into(), &text[end..]))
}

/// What stands between two of `quote`, of which one inside is doubled; and what follows.
pub(super) fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let (part, after) = rest.split_once(quote)?;
        value.push_str(part);
        match after.strip_prefix(quote) {
            Some(more) => {
                value.push(quote);
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

/// A file that another one names. PgBouncer takes it from the folder that it was started in; if it
/// is not in ours, it is taken from that of the other file.
pub(super) fn located(named: &Path, by: &Path) -> PathBuf {
    if named.exists() {
        return std::path::absolute(named).unwrap_or_else(|_| named.into());
    }
    let beside = by.parent().unwrap_or(by).join(named);
    let path = if beside.exists() { beside } else { named.into() };
    std::path::absolute(&path).unwrap_or(path)
}

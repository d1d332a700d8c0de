//! A book of schedules: a TOML file of our own, or a crontab.

mod crontab;
mod file;

use std::time::Duration;

use crate::config;
use crate::trigger::clock::Schedule;
use crate::trigger::cron::expand;

/// No book has more entries.
pub const ENTRIES_MAX: usize = 10_000;

/// One schedule of a book.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is called; of a crontab, its command.
    pub name: String,
    /// Where it stands, counted from 1.
    pub line: usize,
    /// As it is written there.
    pub text: String,
    /// When it is due.
    pub schedule: Schedule,
    /// The window its items are spread over; none where they go at once.
    pub spread: Option<Duration>,
}

impl Entry {
    /// Its expression, so many minutes later. None where that is in another hour, or it has no sole
    /// minute.
    #[must_use]
    pub fn moved(&self, minutes: u32) -> Option<String> {
        let minute = self.schedule.cron.sole_minute()? + minutes;
        let mut fields: Vec<String> =
            expand(&self.text).split_whitespace().map(str::to_owned).collect();
        let place = fields.len().checked_sub(5)?;
        fields[place] = minute.to_string();
        (minute < 60).then(|| fields.join(" "))
    }
}

/// Something in a book that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BookError {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong, with the accepted form.
    pub why: String,
}

/// Reads a book of our own: a `[[schedule]]` for each entry.
///
/// # Errors
/// Names the first line that cannot be read, and why.
pub fn read_file(text: &str) -> Result<Vec<Entry>, BookError> {
    file::read(text)
}

/// Reads the schedules of a file that a scheduler is to run.
///
/// # Errors
/// Names the first line that cannot be read, and why.
pub fn read_schedules(text: &str) -> Result<Vec<config::Schedule>, BookError> {
    file::read_schedules(text)
}

/// Reads a user's crontab as crontab(5) has it: comments, variables, of which `CRON_TZ` and `TZ`
/// are heeded, and five fields and a command on a line. `@reboot` is passed over: it is due at no
/// time.
///
/// # Errors
/// Names the first line that cannot be read, and why.
pub fn read_crontab(text: &str) -> Result<Vec<Entry>, BookError> {
    crontab::read(text)
}

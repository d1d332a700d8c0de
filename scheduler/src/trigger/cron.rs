//! Cron expressions, as wall times: `minute hour day month weekday`, as crontab(5) has them.
//!
//! Lists, ranges, steps, names of months and weekdays, `L` for the last day of a month, `@daily`
//! and its like. Where both day and weekday are restricted, either will do. Six fields begin with
//! the second. What other programs have added (`W`, `#`, `H`, years) is refused, not guessed.

use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, Time};

/// A day that matches is found within so many, or there is none: 29 February may be eight years
/// away.
const DAYS_MAX: usize = 8 * 366 + 1;

/// Wall times that recur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    /// A bit for each value.
    second: u64,
    minute: u64,
    hour: u64,
    day: u64,
    is_last_day: bool,
    month: u64,
    weekday: u64,
    /// Whether day and weekday say anything: neither begins with `*`.
    restricted: (bool, bool),
}

/// Why something is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It has neither five nor six fields.
    #[error(
        "{0} fields: a cron expression has 5 (minute hour day month weekday), or 6 with the second before them"
    )]
    Fields(usize),
    /// A field cannot be read.
    #[error("{field} {value:?}: {form}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        form: String,
    },
    /// Such an `@` name is not known.
    #[error("{0}: known are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly")]
    Name(String),
    /// There is no such day.
    #[error("it is never due: no month has such a day")]
    Never,
}

/// One field: its name, its least and greatest value, and the names of its values.
struct Field {
    name: &'static str,
    range: (u32, u32),
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", range: (0, 59), names: &[] };
const MINUTE: Field = Field { name: "minute", range: (0, 59), names: &[] };
const HOUR: Field = Field { name: "hour", range: (0, 23), names: &[] };
const DAY: Field = Field { name: "day", range: (1, 31), names: &[] };
const MONTH: Field = Field {
    name: "month",
    range: (1, 12),
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Sunday is 0 and 7.
const WEEKDAY: Field = Field {
    name: "weekday",
    range: (0, 7),
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let text = expand(text);
        if text.starts_with('@') {
            return Err(CronError::Name(text.to_owned()));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, fields) = match fields.as_slice() {
            [second, fields @ ..] if fields.len() == 5 => (SECOND.bits(second)?, fields),
            fields if fields.len() == 5 => (1, fields),
            fields => return Err(CronError::Fields(fields.len())),
        };
        let [minute, hour, day, month, weekday] = fields else {
            return Err(CronError::Fields(fields.len()));
        };
        let is_last_day = day.eq_ignore_ascii_case("l");
        let weekdays = WEEKDAY.bits(weekday)?;
        let restricted = |field: &str| !field.starts_with(['*', '?']);
        let cron = Self {
            second,
            minute: MINUTE.bits(minute)?,
            hour: HOUR.bits(hour)?,
            day: if is_last_day { 0 } else { DAY.bits(day)? },
            is_last_day,
            month: MONTH.bits(month)?,
            weekday: weekdays | (weekdays >> 7),
            restricted: (restricted(day), restricted(weekday)),
        };
        // A leap year has every day that any year has.
        let first = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
        cron.next(first).map(|_| cron).ok_or(CronError::Never)
    }
}

/// The fields that a name like `@daily` stands for; what is no such name as it is.
#[must_use]
pub fn expand(text: &str) -> &str {
    match text.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        text => text,
    }
}

impl Field {
    /// The values of a field, a bit for each.
    fn bits(&self, text: &str) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    fn part(&self, part: &str) -> Result<u64, CronError> {
        let (least, greatest) = self.range;
        let error = || CronError::Field {
            field: self.name,
            value: part.to_owned(),
            form: format!(
                "*, or {least} to {greatest}, as 1, 1-5, */10 or 1-30/5, and lists of these"
            ),
        };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)),
            None => (part, Some(1)),
        };
        let step: u32 = step.ok_or_else(error)?;
        let value = |text: &str| self.value(text).ok_or_else(error);
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, greatest),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/10` is from 5 on, `5` is 5.
            None if part.contains('/') => (value(range)?, greatest),
            None => (value(range)?, value(range)?),
        };
        if from > to {
            return Err(error());
        }
        let values = (from..=to).step_by(step as usize);
        Ok(values.fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let (least, greatest) = self.range;
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let value = match named {
            Some(place) => place as u32 + least,
            None => text.parse().ok()?,
        };
        (least..=greatest).contains(&value).then_some(value)
    }
}

impl Cron {
    /// The first of its times at or after this one. None beyond the year 9999.
    #[must_use]
    pub fn next(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut time = self.time_from(from.time());
        for _ in 0..DAYS_MAX {
            if let Some(time) = time.filter(|_| self.has_day(date)) {
                return Some(date.to_datetime(time));
            }
            date = date.checked_add(1.day()).ok()?;
            time = self.time_from(Time::midnight());
        }
        None
    }

    /// It is due in every hour: such a schedule means the time that passes, not the time of day.
    #[must_use]
    pub const fn is_every_hour(&self) -> bool {
        self.hour == (1 << 24) - 1
    }

    /// The minute of the hour at which it is due, where there is one alone.
    #[must_use]
    pub const fn sole_minute(&self) -> Option<u32> {
        let is_sole = self.minute.count_ones() == 1 && self.second.count_ones() == 1;
        if is_sole { Some(self.minute.trailing_zeros()) } else { None }
    }

    fn has_day(&self, date: Date) -> bool {
        let has = |bits: u64, value: i8| bits & (1 << value) != 0;
        let is_day = match self.is_last_day {
            true => date.day() == date.days_in_month(),
            false => has(self.day, date.day()),
        };
        let is_weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        let is_one = match self.restricted {
            (true, true) => is_day || is_weekday,
            _ => is_day && is_weekday,
        };
        is_one && has(self.month, date.month())
    }

    /// The first of its times of day at or after this one.
    fn time_from(&self, from: Time) -> Option<Time> {
        // What is behind the second has begun it.
        let from_second = from.second() + i8::from(from.subsec_nanosecond() > 0);
        let at = |hour, minute, second| Time::new(hour, minute, second, 0).ok();
        if self.hour & (1 << from.hour()) != 0 {
            if self.minute & (1 << from.minute()) != 0
                && let Some(second) = first(self.second, from_second)
            {
                return at(from.hour(), from.minute(), second);
            }
            if let Some(minute) = first(self.minute, from.minute() + 1) {
                return at(from.hour(), minute, first(self.second, 0)?);
            }
        }
        let hour = first(self.hour, from.hour() + 1)?;
        at(hour, first(self.minute, 0)?, first(self.second, 0)?)
    }
}

/// The first of these values that is `from` or greater.
fn first(bits: u64, from: i8) -> Option<i8> {
    let left = bits >> from;
    (left != 0).then(|| from + left.trailing_zeros() as i8)
}

//! Quiet hours: when recipients are not to be disturbed, by their own clock.

use std::time::Duration;

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::clock::{Fold, Gap, Rule};

/// When the clock jumps over all that is not quiet of a day, it is the next one's; it never does so
/// on three days in a row.
const NIGHTS_MAX: usize = 3;

/// No window is over more nights, more than a year of them; what is left then is in the last stretch.
const STRETCHES_MAX: usize = 400;

/// From a time of day until another; over midnight where the second is not after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Their begin.
    pub from: Time,
    /// Their end, no longer quiet itself.
    pub until: Time,
}

impl Quiet {
    /// Whether a time of day is quiet. All day where both are the same would mean never: it means
    /// not at all.
    #[must_use]
    pub fn has(&self, time: Time) -> bool {
        match self.from <= self.until {
            true => self.from <= time && time < self.until,
            false => self.from <= time || time < self.until,
        }
    }

    /// When an item that is due at a moment may go: then, or at the end of the quiet hours. Where
    /// the clock skips that end, when it has jumped; where it has it twice, the second time, so
    /// that it is never quiet after all.
    #[must_use]
    pub fn release(&self, moment: Timestamp, zone: &TimeZone) -> Timestamp {
        let mut released = moment;
        for _ in 0..NIGHTS_MAX {
            let wall = zone.to_datetime(released);
            if !self.has(wall.time()) {
                break;
            }
            let day = match wall.time() < self.until {
                true => Some(wall.date()),
                false => wall.date().checked_add(1.day()).ok(),
            };
            let rule = Rule { gap: Gap::Shift, fold: Fold::Second };
            let end = day.and_then(|day| rule.moments(zone, day.to_datetime(self.until)).pop());
            released = end.map_or(released, |end| end.max(released));
        }
        released
    }

    /// The time from a moment on in which nobody is quiet, until there is so much of it: of each stretch, how
    /// much has passed when it begins, and when that is.
    #[must_use]
    pub fn awake(
        &self,
        from: Timestamp,
        length: Duration,
        zone: &TimeZone,
    ) -> Vec<(Duration, Timestamp)> {
        let (mut stretches, mut passed, mut at) = (Vec::new(), Duration::ZERO, from);
        while stretches.len() < STRETCHES_MAX {
            at = self.release(at, zone);
            stretches.push((passed, at));
            let Some(end) = self.begins(at, zone) else { break };
            passed += Duration::try_from(end.duration_since(at)).unwrap_or_default();
            if passed >= length {
                break;
            }
            at = end;
        }
        stretches
    }

    /// When they begin next after a moment.
    fn begins(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let rule = Rule { gap: Gap::Shift, fold: Fold::Both };
        let today = zone.to_datetime(after).date();
        let days = (0..=NIGHTS_MAX as i64).filter_map(|day| today.checked_add(day.days()).ok());
        let begins = days.flat_map(|day| rule.moments(zone, day.to_datetime(self.from)));
        begins.filter(|begin| *begin > after).min()
    }
}

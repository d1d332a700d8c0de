//! From wall times to moments: a zone, and what becomes of times that it skips or has twice.
//!
//! ```text
//!  moments   ──────────────┼─────────────────    spring: what is between the two clocks is skipped
//!  clock     1:58  1:59  3:00  3:01
//!
//!  moments   ──────────────┼─────────────────    autumn: what is before and behind is there twice
//!  clock     2:58  2:59  2:00  2:01
//! ```
//!
//! Time is walked through by stretches between two transitions of the zone, in each of which the
//! offset is one; so moments only go forward, whatever the clock does.

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::cron::Cron;

/// What becomes of a time that the clock skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gap {
    /// It is due when the clock has jumped; several are due once.
    #[default]
    Shift,
    /// It is not due.
    Skip,
    /// It is due in the last second before the clock jumps; several are due once.
    Before,
}

/// What becomes of a time that is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fold {
    /// It is due the first time.
    #[default]
    First,
    /// It is due the second time.
    Second,
    /// It is due both times.
    Both,
}

/// What becomes of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// Of what is skipped.
    pub gap: Gap,
    /// Of what is there twice.
    pub fold: Fold,
}

impl Rule {
    /// What people mean by a schedule: a time of day is due once each day, and what is due in every
    /// hour is due in every hour that passes.
    #[must_use]
    pub const fn of(cron: &Cron) -> Self {
        match cron.is_every_hour() {
            true => Self { gap: Gap::Skip, fold: Fold::Both },
            false => Self { gap: Gap::Shift, fold: Fold::First },
        }
    }

    /// The moments of one wall time in a zone: none, one or two. For recipients' own zones: `9:00`
    /// of each.
    #[must_use]
    pub fn moments(&self, zone: &TimeZone, wall: DateTime) -> Vec<Timestamp> {
        let at = |offset: Offset| offset.to_timestamp(wall).ok();
        let (before, after) = match zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => return at(offset).into_iter().collect(),
            AmbiguousOffset::Gap { after, .. } => {
                // Read by the offset after the jump, a time that is skipped is before it.
                let is_jump = |offset| offset == after;
                let jump = at(after).and_then(|moment| {
                    zone.following(moment).find(|transition| is_jump(transition.offset()))
                });
                let jump = jump.map(|transition| transition.timestamp());
                let moment = match self.gap {
                    Gap::Shift => jump,
                    Gap::Before => jump.and_then(|jump| jump.checked_sub(1.second()).ok()),
                    Gap::Skip => None,
                };
                return moment.into_iter().collect();
            }
            AmbiguousOffset::Fold { before, after } => (at(before), at(after)),
        };
        let (first, second) = match self.fold {
            Fold::First => (before, None),
            Fold::Second => (None, after),
            Fold::Both => (before, after),
        };
        first.into_iter().chain(second).collect()
    }
}

/// A schedule: wall times in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The wall times.
    pub cron: Cron,
    /// Whose wall.
    pub zone: TimeZone,
    /// What becomes of those that the zone skips or has twice.
    pub rule: Rule,
}

/// Time between two transitions of a zone.
struct Stretch {
    /// Its end, and the offset from then on.
    end: Option<(Timestamp, Offset)>,
    offset: Offset,
}

impl Schedule {
    /// The first moment after this one at which it is due. None beyond the year 9999.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.checked_add(1.nanosecond()).ok()?;
        loop {
            let stretch = self.stretch(from);
            if let Some(moment) = self.within(&stretch, from) {
                return Some(moment);
            }
            let (end, offset) = stretch.end?;
            if let Some(moment) =
                self.skipped(&stretch, end, offset).filter(|moment| *moment >= from)
            {
                return Some(moment);
            }
            from = end;
        }
    }

    /// All moments after one and up to another, `most` at most.
    pub fn between(
        &self,
        after: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> impl Iterator<Item = Timestamp> + '_ {
        let first = self.next(after);
        let moments = std::iter::successors(first, |moment| self.next(*moment));
        moments.take_while(move |moment| *moment <= until).take(most)
    }

    fn stretch(&self, from: Timestamp) -> Stretch {
        let offset = self.zone.to_offset(from);
        // A zone also has transitions that change its name and not its offset.
        let end = self.zone.following(from).find(|transition| transition.offset() != offset);
        Stretch { end: end.map(|end| (end.timestamp(), end.offset())), offset }
    }

    /// The first moment of a stretch, from `from` on, that is due and allowed by the rule.
    fn within(&self, stretch: &Stretch, from: Timestamp) -> Option<Timestamp> {
        let mut wall = stretch.offset.to_datetime(from);
        loop {
            wall = self.cron.next(wall)?;
            let moment = stretch.offset.to_timestamp(wall).ok()?;
            if stretch.end.is_some_and(|(end, _)| moment >= end) {
                return None;
            }
            if self.allows(wall, stretch.offset) {
                return Some(moment);
            }
            wall = wall.checked_add(1.second()).ok()?;
        }
    }

    fn allows(&self, wall: DateTime, offset: Offset) -> bool {
        match (self.zone.to_ambiguous_timestamp(wall).offset(), self.rule.fold) {
            (AmbiguousOffset::Fold { before, .. }, Fold::First) => offset == before,
            (AmbiguousOffset::Fold { before, .. }, Fold::Second) => offset != before,
            _ => true,
        }
    }

    /// When what the end of a stretch skips is due.
    fn skipped(&self, stretch: &Stretch, end: Timestamp, offset: Offset) -> Option<Timestamp> {
        let first = self.cron.next(stretch.offset.to_datetime(end))?;
        if first >= offset.to_datetime(end) {
            return None;
        }
        match self.rule.gap {
            Gap::Shift => Some(end),
            Gap::Skip => None,
            Gap::Before => end.checked_sub(1.second()).ok(),
        }
    }
}

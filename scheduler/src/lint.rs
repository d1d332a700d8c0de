//! What is due in the same minute, and where it could be instead.
//!
//! People write `0 * * * *`, so that everything begins when the hour does. Entries that are due
//! together are given minutes of their own: by rank, as items of a batch are, so that the same book
//! always gets the same proposals, and nothing is ever due earlier than it was.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::book::Entry;

/// So many moments of an entry are looked at: two days of every minute.
pub const MOMENTS_MAX: usize = 2 * 24 * 60;

/// Entries that are due in one minute, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The entries, by their places in the book.
    pub entries: Vec<usize>,
    /// The first time.
    pub first: Timestamp,
    /// How many times in the time that was looked at.
    pub times: usize,
}

/// What an entry could be instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Which entry.
    pub entry: usize,
    /// How much later it would be due.
    pub later: Duration,
    /// Its expression then; none where that would lead into another hour.
    pub cron: Option<String>,
}

/// What `entries` are due in the same minute within `from..until`, `least` at least of those that
/// go at once. The largest first, then the earliest.
#[must_use]
pub fn collisions(
    entries: &[Entry],
    from: Timestamp,
    until: Timestamp,
    least: usize,
) -> Vec<Collision> {
    let mut minutes: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.spread.is_none()) {
        for moment in entry.schedule.between(from, until, MOMENTS_MAX) {
            let second = moment.as_second();
            let minute = Timestamp::from_second(second - second.rem_euclid(60));
            let due = minutes.entry(minute.unwrap_or(moment)).or_default();
            // Several seconds of a minute are one.
            if due.last() != Some(&place) {
                due.push(place);
            }
        }
    }
    let mut sets: BTreeMap<Vec<usize>, Collision> = BTreeMap::new();
    for (minute, due) in minutes.into_iter().filter(|(_, due)| due.len() >= least) {
        let new = Collision { entries: due.clone(), first: minute, times: 0 };
        sets.entry(due).or_insert(new).times += 1;
    }
    let mut collisions: Vec<Collision> = sets.into_values().collect();
    collisions.sort_by_key(|found| (std::cmp::Reverse(found.entries.len()), found.first));
    collisions
}

/// Where the entries of these collisions could be, within `window` after their time. Each entry
/// that is due at one minute of an hour, but for the first of all, which stays.
#[must_use]
pub fn proposals(entries: &[Entry], found: &[Collision], window: Duration) -> Vec<Proposal> {
    let mut movable: Vec<usize> = found.iter().flat_map(|found| found.entries.clone()).collect();
    movable.sort_unstable();
    movable.dedup();
    movable.retain(|entry| entries[*entry].schedule.cron.sole_minute().is_some());
    let step = window.as_secs() as f64 / 60.0 / movable.len().max(1) as f64;
    let propose = |(rank, entry): (usize, &usize)| {
        let later = (step * rank as f64) as u32;
        Proposal {
            entry: *entry,
            later: Duration::from_secs(u64::from(later) * 60),
            cron: entries[*entry].moved(later),
        }
    };
    movable.iter().enumerate().map(propose).filter(|proposal| !proposal.later.is_zero()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::read_crontab;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Of a proposal: the entry, by how many minutes it is moved, and its expression then.
    type Moved = (usize, u64, Option<String>);

    fn lint(text: &str) -> (Vec<Collision>, Vec<Moved>) {
        let entries = read_crontab(text).unwrap();
        let (from, until) = (at("2026-11-21T00:00:30Z"), at("2026-11-22T00:00:30Z"));
        let found = collisions(&entries, from, until, 3);
        let proposed = proposals(&entries, &found, Duration::from_secs(900));
        let told =
            |proposal: Proposal| (proposal.entry, proposal.later.as_secs() / 60, proposal.cron);
        (found, proposed.into_iter().map(told).collect())
    }

    #[test]
    fn what_begins_with_the_hour_is_found_and_spread() {
        let (found, proposed) = lint(
            "0 * * * * one\n@hourly two\n0 13 * * * three\n30 * * * * alone\n*/30 * * * * poll\n",
        );
        let day =
            Collision { entries: vec![0, 1, 2, 4], first: at("2026-11-21T13:00:00Z"), times: 1 };
        let hours =
            Collision { entries: vec![0, 1, 4], first: at("2026-11-21T01:00:00Z"), times: 23 };
        assert_eq!(found, [day, hours]);
        // What is due at several minutes of an hour is left where it is.
        let moved = |minute, rest: &str| (minute, Some(format!("{minute} {rest}")));
        let expected = [(1, moved(5, "* * * *")), (2, moved(10, "13 * * *"))];
        assert_eq!(proposed, expected.map(|(entry, (later, cron))| (entry, later, cron)));
    }

    #[test]
    fn nothing_is_moved_into_another_hour_in_silence() {
        let (_, proposed) = lint("50 * * * * a\n50 * * * * b\n50 * * * * c\n");
        assert_eq!(proposed, [(1, 5, Some("55 * * * *".to_owned())), (2, 10, None)]);
        assert_eq!(lint("0 * * * * a\n1 * * * * b\n2 * * * * c\n"), (vec![], vec![]));
    }
}

//! A time of day on each recipient's own clock.
//!
//! It begins in the zone that is furthest ahead and goes around the world in 26 hours. A batch is due when it
//! begins there, and has all recipients; those of each zone have a window of their own, that opens when it is
//! that time there. What a zone's clock skips or has twice is met by the schedule's rule.

use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use policy::spread::plan::BatchError;

use super::Shape;
use crate::source::spool::Ranked;
use crate::trigger::clock::Rule;

/// What recipients' own clocks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zones {
    /// Of those without a zone, or with one that is unknown.
    pub otherwise: TimeZone,
    /// What becomes of a time that a zone skips, or has twice.
    pub rule: Rule,
}

/// A batch around the world.
#[derive(Debug)]
pub struct Tour {
    /// Moments and ranks, by moment.
    pub order: Vec<(Timestamp, u32)>,
    /// When the first goes.
    pub opens: Timestamp,
    /// When the last is to have gone.
    pub deadline: Timestamp,
    /// Those of some zone do not fit before their deadline.
    pub is_over: bool,
    /// Recipients whose zone is unknown.
    pub unknown: u64,
    /// Recipients that are left out, because their zone skips that time and the rule leaves it out.
    pub skipped: u64,
}

/// The clock that is ahead of all others (UTC+14).
#[must_use]
pub fn first() -> TimeZone {
    TimeZone::fixed(tz::offset(14))
}

impl Zones {
    /// Plans the recipients of a batch that is due at `nominal`, on the clock of [`first`], at the time `now`. Those
    /// of each zone are planned by themselves.
    ///
    /// # Errors
    /// As [`Shape::plan`].
    pub fn plan(
        &self,
        shape: &Shape,
        ranked: &Ranked,
        (nominal, now): (Timestamp, Timestamp),
    ) -> Result<Tour, BatchError> {
        let wall = first().to_datetime(nominal);
        let mut ranks: Vec<Vec<u32>> = vec![Vec::new(); ranked.zones().len()];
        for (rank, place) in (0..).zip(ranked.places()) {
            ranks[usize::from(place)].push(rank);
        }
        let order = Vec::with_capacity(usize::try_from(ranked.len()).unwrap_or(0));
        let (opens, deadline) = (Timestamp::MAX, nominal);
        let mut tour = Tour { order, opens, deadline, is_over: false, unknown: 0, skipped: 0 };
        for (name, ranks) in ranked.zones().iter().zip(ranks).filter(|(_, ranks)| !ranks.is_empty())
        {
            let items = ranks.len() as u64;
            let zone = TimeZone::get(name).ok().filter(|_| !name.is_empty());
            tour.unknown += if zone.is_none() && !name.is_empty() { items } else { 0 };
            let zone = zone.unwrap_or_else(|| self.otherwise.clone());
            let Some(due) = self.rule.moments(&zone, wall).first().copied() else {
                tour.skipped += items;
                continue;
            };
            let planned = shape.plan(items, (due, now), &zone, None)?;
            tour.opens = tour.opens.min(planned.opens);
            tour.deadline = tour.deadline.max(planned.deadline);
            tour.is_over |= planned.is_over;
            tour.order.extend(planned.moments().zip(ranks));
        }
        tour.opens = tour.opens.min(tour.deadline);
        tour.order.sort_unstable();
        Ok(tour)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::spool::Spool;
    use crate::trigger::clock::{Fold, Gap};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn shape() -> Shape {
        let spread = Duration::from_secs(600);
        Shape {
            spread,
            deadline: spread,
            quiet: None,
            class: 2,
            rate: None,
            load: None,
            family: "a".into(),
            sink: "app".into(),
        }
    }

    fn ranked(zones: &[&str]) -> Ranked {
        let mut spool = Spool::new(None, "a").unwrap();
        for n in 0..60 * zones.len() {
            let zone = zones[n % zones.len()];
            spool.turn_to(zone).unwrap().push(&format!("{zone}:{n}"), "").unwrap();
        }
        spool.rank().unwrap()
    }

    /// When the first and the last of each zone go.
    fn spans(tour: &Tour, ranked: &Ranked, zone: &str) -> (Timestamp, Timestamp, usize) {
        let of = |(_, rank): &&(Timestamp, u32)| {
            let item = ranked.item(*rank).unwrap().unwrap();
            String::from_utf8(item.recipient).unwrap().starts_with(&format!("{zone}:"))
        };
        let moments: Vec<Timestamp> = tour.order.iter().filter(of).map(|(at, _)| *at).collect();
        (moments[0], *moments.last().unwrap(), moments.len())
    }

    fn plan(ranked: &Ranked, rule: Rule, nominal: &str) -> Tour {
        let zones = Zones { otherwise: TimeZone::get("Europe/Paris").unwrap(), rule };
        zones.plan(&shape(), ranked, (at(nominal), at(nominal))).unwrap()
    }

    #[test]
    fn each_zone_has_its_window_when_it_is_that_time_there() {
        let all = ["Pacific/Kiritimati", "Asia/Kathmandu", "", "Mars/Base", "America/New_York"];
        let ranked = ranked(&all);
        // Nine o'clock on 23 November, first on Kiritimati.
        let tour = plan(&ranked, Rule::default(), "2026-11-22T19:00:00Z");
        for (zone, due) in [
            ("Pacific/Kiritimati", "2026-11-22T19:00:00Z"),
            ("Asia/Kathmandu", "2026-11-23T03:15:00Z"),
            ("", "2026-11-23T08:00:00Z"),
            ("Mars/Base", "2026-11-23T08:00:00Z"),
            ("America/New_York", "2026-11-23T14:00:00Z"),
        ] {
            let (first, last, items) = spans(&tour, &ranked, zone);
            let window = (first.duration_since(at(due)), last.duration_since(at(due)));
            assert!(window.0.as_secs() < 60 && window.1.as_secs() < 600, "{zone}: {window:?}");
            assert!(first >= at(due) && items == 60, "{zone}: {items} from {first}");
        }
        assert!(tour.order.is_sorted());
        assert_eq!((tour.unknown, tour.skipped), (60, 0));
        assert_eq!(tour.deadline, at("2026-11-23T14:10:00Z"));
    }

    #[test]
    fn what_a_zone_skips_or_has_twice_is_met_by_the_rule() {
        let ranked = ranked(&["Europe/Paris", "Asia/Tokyo"]);
        // Half past two on 29 March: Paris has none.
        let nominal = "2026-03-28T12:30:00Z";
        let shifted = plan(&ranked, Rule { gap: Gap::Shift, fold: Fold::First }, nominal);
        let (first, ..) = spans(&shifted, &ranked, "Europe/Paris");
        assert_eq!(first.duration_since(at("2026-03-29T01:00:00Z")).as_secs(), 5);
        let skipped = plan(&ranked, Rule { gap: Gap::Skip, fold: Fold::First }, nominal);
        assert_eq!((skipped.skipped, skipped.order.len()), (60, 60));
        // On 25 October it has two.
        let nominal = "2026-10-24T12:30:00Z";
        for (fold, due) in
            [(Fold::First, "2026-10-25T00:30:00Z"), (Fold::Second, "2026-10-25T01:30:00Z")]
        {
            let tour = plan(&ranked, Rule { gap: Gap::Shift, fold }, nominal);
            let (first, ..) = spans(&tour, &ranked, "Europe/Paris");
            assert_eq!(first.duration_since(at(due)).as_secs(), 5);
        }
    }

    #[test]
    fn one_that_is_late_has_its_whole_window_from_now_on() {
        let ranked = ranked(&["Pacific/Kiritimati", "Asia/Tokyo"]);
        let zones = Zones { otherwise: TimeZone::UTC, rule: Rule::default() };
        let (nominal, now) = (at("2026-11-22T19:00:00Z"), at("2026-11-22T21:00:00Z"));
        let tour = zones.plan(&shape(), &ranked, (nominal, now)).unwrap();
        let (first, last, _) = spans(&tour, &ranked, "Pacific/Kiritimati");
        assert!(first >= now && last < at("2026-11-22T21:10:00Z"));
        assert!(spans(&tour, &ranked, "Asia/Tokyo").0 >= at("2026-11-23T00:00:00Z"));
    }
}

//! Makes rates of what is counted since start.

use std::time::{Duration, Instant};

use crate::control::{Rates, rounded};
use crate::metrics::{BUCKETS, Totals, quantile};

/// Makes rates of what was counted between two readings.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<(Instant, Vec<(String, Totals)>)>,
}

impl Meter {
    /// One reading more: the rates of all together, and of each class, since the reading before. Nothing at the
    /// first. A class that is new counts from zero.
    pub fn read(
        &mut self,
        now: Instant,
        totals: Vec<(String, Totals)>,
    ) -> (Rates, Vec<(String, Rates)>) {
        let read = self.last.as_ref().map(|(at, before)| {
            let passed = now.saturating_duration_since(*at);
            let none = Totals::default();
            let classes = totals.iter().map(|(name, now)| {
                let before = before.iter().find(|(known, _)| known == name);
                let before = before.map_or(&none, |(_, totals)| totals);
                (name.clone(), rates(passed, before, now))
            });
            (rates(passed, &sum(before), &sum(&totals)), classes.collect())
        });
        self.last = Some((now, totals));
        read.unwrap_or_default()
    }
}

fn sum(totals: &[(String, Totals)]) -> Totals {
    let mut sum = Totals::default();
    totals.iter().for_each(|(_, one)| sum.add(one));
    sum
}

fn rates(passed: Duration, before: &Totals, now: &Totals) -> Rates {
    let a_second = |before: u64, now: u64| match passed.as_secs_f64() {
        0.0 => 0.0,
        seconds => rounded(now.saturating_sub(before) as f64 / seconds),
    };
    let service = between(&before.service, &now.service);
    let wait = between(&before.wait, &now.wait);
    let ms = |counts, part| quantile(counts, part).map(|took| rounded(took.as_secs_f64() * 1000.0));
    Rates {
        statements: a_second(before.answered, now.answered),
        committed: a_second(before.committed, now.committed),
        refused: a_second(before.refused, now.refused),
        cancelled: a_second(before.cancelled, now.cancelled),
        service_p50_ms: ms(&service, 0.5),
        service_p99_ms: ms(&service, 0.99),
        wait_p99_ms: ms(&wait, 0.99),
    }
}

fn between(before: &[u64; BUCKETS], now: &[u64; BUCKETS]) -> [u64; BUCKETS] {
    std::array::from_fn(|bucket| now[bucket].saturating_sub(before[bucket]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(answered: u64, refused: u64) -> Totals {
        let mut totals = Totals { answered, refused, ..Totals::default() };
        totals.service[2] = answered; // 0.5 to 1 ms each
        totals
    }

    #[test]
    fn rates_are_what_came_since_the_reading_before() {
        let mut meter = Meter::default();
        let start = Instant::now();
        let web = |answered, refused| ("web".to_owned(), totals(answered, refused));
        let first = meter.read(start, vec![web(1_000, 7)]);
        assert_eq!(first, (Rates::default(), Vec::new()), "there is nothing to compare with");

        let later = start + Duration::from_secs(2);
        let jobs = ("jobs".to_owned(), totals(100, 0));
        let (all, classes) = meter.read(later, vec![web(1_300, 11), jobs]);
        assert_eq!((all.statements, all.refused), (200.0, 2.0));
        assert_eq!(classes[0].1.statements, 150.0);
        assert_eq!(classes[1].1.statements, 50.0, "a new class counts from zero");
        assert_eq!(classes[0].1.service_p50_ms, Some(0.75));
        assert_eq!(classes[0].1.wait_p99_ms, None, "nobody was admitted");

        let (all, _) = meter.read(later, vec![web(1_300, 11)]);
        assert_eq!(all.statements, 0.0, "no time has passed");
    }
}

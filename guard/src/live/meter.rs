//! Makes rates of what is counted since start.

use std::time::{Duration, Instant};

use crate::control::{Rates, rounded};
use crate::metrics::{StatementOutcome, Totals};

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
            let sum = |totals: &[(String, Totals)]| Totals::sum(totals.iter().map(|(_, one)| one));
            (rates(passed, &sum(before), &sum(&totals)), classes.collect())
        });
        self.last = Some((now, totals));
        read.unwrap_or_default()
    }
}

fn rates(passed: Duration, before: &Totals, now: &Totals) -> Rates {
    let since = now.since(before);
    let a_second = |count: u64| match passed.as_secs_f64() {
        0.0 => 0.0,
        seconds => rounded(count as f64 / seconds),
    };
    let ms = |took: Option<Duration>| took.map(|took| rounded(took.as_secs_f64() * 1000.0));
    Rates {
        statements: a_second(since.ended(&[StatementOutcome::Ok, StatementOutcome::Error])),
        committed: a_second(since.committed()),
        refused: a_second(since.ended(&[StatementOutcome::Shed])),
        cancelled: a_second(since.ended(&[StatementOutcome::TimeLimit, StatementOutcome::Melted])),
        service_p50_ms: ms(since.service_at(0.5)),
        service_p99_ms: ms(since.service_at(0.99)),
        wait_p99_ms: ms(since.wait_at(0.99)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Label as _;

    fn totals(answered: u64, refused: u64) -> Totals {
        let mut totals = Totals::default();
        totals.statements[StatementOutcome::Ok.index()] = answered;
        totals.statements[StatementOutcome::Shed.index()] = refused;
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

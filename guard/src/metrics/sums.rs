//! What was counted of all classes together, for whoever wants to know what has happened since he last asked.

use policy::refusal::Reason;

use super::{CancelCause, Label, Metrics, StatementOutcome, Tally, histogram};

/// Sums since the start, each by the values of its label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// Statements by [`StatementOutcome`].
    pub statements: Vec<u64>,
    /// Refusals by [`Reason`].
    pub sheds: Vec<u64>,
    /// Cancels by [`CancelCause`].
    pub cancels: Vec<u64>,
    /// Statements by how long they took: up to each bound of the histograms, and beyond all.
    pub service: Vec<u64>,
}

impl Metrics {
    /// What was counted so far.
    pub fn sums(&self) -> Sums {
        let known = self.known.lock();
        let mut sums = Sums {
            statements: vec![0; StatementOutcome::ALL.len()],
            sheds: vec![0; Reason::ALL.len()],
            cancels: vec![0; CancelCause::ALL.len()],
            service: vec![0; histogram::BUCKETS],
        };
        for class in &*known {
            add(&mut sums.statements, &class.statements);
            add(&mut sums.sheds, &class.sheds);
            add(&mut sums.cancels, &class.cancels);
            let counts = class.service_time.counts();
            sums.service.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sums
    }
}

fn add<L: Label, const N: usize>(sums: &mut [u64], tally: &Tally<L, N>) {
    L::ALL.iter().zip(sums).for_each(|(value, sum)| *sum += tally.count(*value));
}

impl Sums {
    /// What has been counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: &[u64], before: &[u64]| {
            let before = before.iter().copied().chain(std::iter::repeat(0));
            now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect()
        };
        Self {
            statements: less(&self.statements, &before.statements),
            sheds: less(&self.sheds, &before.sheds),
            cancels: less(&self.cancels, &before.cancels),
            service: less(&self.service, &before.service),
        }
    }

    /// The bound that so large a share of the statements did not exceed, in microseconds; 0 where there were
    /// none, the last bound where it was more.
    pub fn service_us(&self, share: f64) -> u32 {
        let all: u64 = self.service.iter().sum();
        if all == 0 {
            return 0;
        }
        let wanted = (all as f64 * share).ceil() as u64;
        let mut sum = 0;
        let bucket = self.service.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        let bounds = histogram::seconds();
        let seconds = bounds.take(bucket.unwrap_or(usize::MAX).saturating_add(1)).last();
        (seconds.unwrap_or_default() * 1e6) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use policy::class::ClassId;

    use super::*;

    #[test]
    fn what_has_been_counted_since_is_told_by_all_classes() {
        let metrics = Metrics::new(&["default", "batch"]);
        let classes = metrics.classes();
        let ended = |class, millis| {
            let took = Duration::from_millis(millis);
            classes.of(ClassId(class)).note_statement(StatementOutcome::Ok, took);
        };
        ended(0, 90_000);
        let before = metrics.sums();
        assert_eq!(before.service_us(0.5), 60_000_000, "more than the last bound");
        (0..98).for_each(|_| ended(0, 2));
        ended(1, 40);
        ended(1, 40);
        classes.of(ClassId(1)).note_shed(Reason::Melt);
        classes.of(ClassId(0)).cancels.add(CancelCause::Kill);
        let since = metrics.sums().since(&before);
        assert_eq!(since.statements[StatementOutcome::Ok.index()], 100);
        assert_eq!(since.statements[StatementOutcome::Shed.index()], 1);
        assert_eq!(since.sheds[Reason::Melt.index()], 1);
        assert_eq!(since.cancels[CancelCause::Kill.index()], 1);
        assert_eq!([since.service_us(0.5), since.service_us(0.99)], [2500, 50_000]);
        assert_eq!(Sums::default().service_us(0.5), 0);
        assert_eq!(metrics.sums().since(&Sums::default()), metrics.sums());
    }
}

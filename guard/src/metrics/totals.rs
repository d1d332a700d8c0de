//! What was counted since the guard started, for whoever makes rates of it.

use std::time::Duration;

use policy::refusal::Reason;

use super::histogram::{BUCKETS, quantile};
use super::{
    CancelCause, ClassMetrics, Label, Metrics, StatementOutcome, Tally, TransactionOutcome,
};

/// What was counted since the guard started, for one class or for several together. Each array has a place for
/// every value of its label, in the order of [`Label::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Statements by [`StatementOutcome`].
    pub statements: [u64; StatementOutcome::ALL.len()],
    /// Transactions by [`TransactionOutcome`].
    pub transactions: [u64; TransactionOutcome::ALL.len()],
    /// Refusals by [`Reason`].
    pub sheds: [u64; Reason::ALL.len()],
    /// Cancels by [`CancelCause`].
    pub cancels: [u64; CancelCause::ALL.len()],
    /// Statements by what they took, each bucket by itself.
    pub service: [u64; BUCKETS],
    /// Admitted transactions by what they waited for their turn.
    pub wait: [u64; BUCKETS],
}

impl Totals {
    /// That of several classes together.
    #[must_use]
    pub fn sum<'a>(classes: impl IntoIterator<Item = &'a Self>) -> Self {
        classes.into_iter().fold(Self::default(), |sum, one| sum.with(one, |a, b| a + b))
    }

    /// What has been counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(&self, other: &Self, merge: impl Fn(u64, u64) -> u64 + Copy) -> Self {
        Self {
            statements: zip(&self.statements, &other.statements, merge),
            transactions: zip(&self.transactions, &other.transactions, merge),
            sheds: zip(&self.sheds, &other.sheds, merge),
            cancels: zip(&self.cancels, &other.cancels, merge),
            service: zip(&self.service, &other.service, merge),
            wait: zip(&self.wait, &other.wait, merge),
        }
    }

    /// Statements that ended in one of these ways.
    pub fn ended(&self, outcomes: &[StatementOutcome]) -> u64 {
        outcomes.iter().map(|outcome| self.statements[outcome.index()]).sum()
    }

    /// Transactions that were committed.
    pub fn committed(&self) -> u64 {
        self.transactions[TransactionOutcome::Committed.index()]
    }

    /// What this share of the statements took at most; `None` when there were none.
    pub fn service_at(&self, share: f64) -> Option<Duration> {
        quantile(&self.service, share)
    }

    /// What this share of the admitted transactions waited at most; `None` when there were none.
    pub fn wait_at(&self, share: f64) -> Option<Duration> {
        quantile(&self.wait, share)
    }
}

fn zip<const N: usize>(
    these: &[u64; N],
    those: &[u64; N],
    merge: impl Fn(u64, u64) -> u64,
) -> [u64; N] {
    std::array::from_fn(|place| merge(these[place], those[place]))
}

impl Metrics {
    /// By name, also of classes that an earlier configuration had. What is counted meanwhile may be missed.
    pub fn totals(&self) -> Vec<(String, Totals)> {
        self.known.lock().iter().map(|class| (class.name.to_string(), class.totals())).collect()
    }
}

impl ClassMetrics {
    fn totals(&self) -> Totals {
        Totals {
            statements: counts(&self.statements),
            transactions: counts(&self.transactions),
            sheds: counts(&self.sheds),
            cancels: counts(&self.cancels),
            service: self.service_time.counts(),
            wait: self.queue_wait.counts(),
        }
    }
}

fn counts<L: Label, const M: usize, const N: usize>(tally: &Tally<L, M>) -> [u64; N] {
    std::array::from_fn(|place| L::ALL.get(place).map_or(0, |value| tally.count(*value)))
}

#[cfg(test)]
mod tests {
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
        let all = || Totals::sum(metrics.totals().iter().map(|(_, totals)| totals));
        ended(0, 90_000);
        let before = all();
        assert_eq!(before.service_at(0.5), Some(Duration::from_secs(60)), "more than all bounds");
        (0..98).for_each(|_| ended(0, 2));
        ended(1, 40);
        ended(1, 40);
        classes.of(ClassId(1)).note_shed(Reason::Melt);
        classes.of(ClassId(0)).cancels.add(CancelCause::Kill);
        let since = all().since(&before);
        assert_eq!(since.ended(&[StatementOutcome::Ok]), 100);
        assert_eq!(since.ended(&[StatementOutcome::Ok, StatementOutcome::Shed]), 101);
        assert_eq!(since.sheds[Reason::Melt.index()], 1);
        assert_eq!(since.cancels[CancelCause::Kill.index()], 1);
        let took = [0.5, 0.99].map(|share| since.service_at(share).unwrap().as_micros());
        assert!((1000..=2500).contains(&took[0]) && (25_000..=50_000).contains(&took[1]));
        assert_eq!(Totals::default().service_at(0.5), None);
        assert_eq!(all().since(&Totals::default()), all());
    }
}

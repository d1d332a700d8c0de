//! What was counted for a class since the guard started, for whoever makes rates of it.

use super::histogram::BUCKETS;
use super::{ClassMetrics, Metrics, StatementOutcome, TransactionOutcome};

/// What was counted for one class since the guard started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Statements that the server answered.
    pub answered: u64,
    /// Statements that the guard refused.
    pub refused: u64,
    /// Statements that a time limit or a pile-up ended.
    pub cancelled: u64,
    /// Transactions that were committed.
    pub committed: u64,
    /// Statements by what they took, each bucket by itself.
    pub service: [u64; BUCKETS],
    /// Admitted transactions by what they waited for their turn.
    pub wait: [u64; BUCKETS],
}

impl Totals {
    /// Adds another class's.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.committed += other.committed;
        for bucket in 0..BUCKETS {
            self.service[bucket] += other.service[bucket];
            self.wait[bucket] += other.wait[bucket];
        }
    }
}

impl Metrics {
    /// By name, also of classes that an earlier configuration had. What is counted meanwhile may be missed.
    pub fn totals(&self) -> Vec<(String, Totals)> {
        self.known.lock().iter().map(|class| (class.name.to_string(), class.totals())).collect()
    }
}

impl ClassMetrics {
    fn totals(&self) -> Totals {
        let statements = |outcome| self.statements.count(outcome);
        Totals {
            answered: statements(StatementOutcome::Ok) + statements(StatementOutcome::Error),
            refused: statements(StatementOutcome::Shed),
            cancelled: statements(StatementOutcome::TimeLimit)
                + statements(StatementOutcome::Melted),
            committed: self.transactions.count(TransactionOutcome::Committed),
            service: self.service_time.counts(),
            wait: self.queue_wait.counts(),
        }
    }
}

//! Deadlines: in which time a client needs its answer, and which time limit ends a statement or a
//! transaction next, and when.

use std::time::{Duration, Instant};

use crate::class::TimeLimits;
use crate::rule::Facts;

/// The tag, or query attribute, by which a client says in how many milliseconds it needs its answer.
pub const TAG: &str = "deadline_ms";

/// The time in which the client of a statement says that it needs the answer. What is no whole number
/// of milliseconds says nothing.
#[must_use]
pub fn asked(facts: &Facts<'_>) -> Option<Duration> {
    let value = facts.tag(TAG.as_bytes())?;
    let digits = str::from_utf8(&value).ok()?;
    digits.parse().ok().map(Duration::from_millis)
}

/// A time limit that the guard keeps by cancelling.
///
/// [`TimeLimits::lock_wait`] is absent: the server keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeLimit {
    /// When one statement has run long enough.
    Statement,
    /// When the transaction as a whole has taken long enough.
    Transaction,
    /// When the client has been silent inside its transaction for long enough.
    IdleInTransaction,
}

impl TimeLimit {
    /// The name in errors, metrics and logs; also the end of the key that changes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement_time",
            Self::Transaction => "transaction_time",
            Self::IdleInTransaction => "idle_in_transaction_time",
        }
    }

    /// The configured duration.
    #[must_use]
    pub const fn of(self, limits: &TimeLimits) -> Option<Duration> {
        match self {
            Self::Statement => limits.statement,
            Self::Transaction => limits.transaction,
            Self::IdleInTransaction => limits.idle_in_transaction,
        }
    }
}

/// Since when what runs has been running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Since {
    /// The running statement was sent; `None` when none runs.
    pub statement: Option<Instant>,
    /// The transaction's first statement was sent; `None` outside a transaction.
    pub transaction: Option<Instant>,
    /// The last reply inside the transaction ended and the client has been silent since.
    pub idle: Option<Instant>,
}

/// The instant at which a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Which limit.
    pub limit: TimeLimit,
    /// Its value.
    pub allowed: Duration,
}

impl TimeLimits {
    /// The next deadline, or `None` when nothing that is limited runs.
    ///
    /// Of two limits at the same instant the narrower one is named. A limit too far away for the
    /// clock to express is no limit.
    #[must_use]
    pub fn next(&self, since: Since) -> Option<Deadline> {
        [
            (TimeLimit::Statement, since.statement),
            (TimeLimit::IdleInTransaction, since.idle),
            (TimeLimit::Transaction, since.transaction),
        ]
        .into_iter()
        .filter_map(|(limit, began)| {
            let allowed = limit.of(self)?;
            Some(Deadline { at: began?.checked_add(allowed)?, limit, allowed })
        })
        .min_by_key(|deadline| deadline.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Dialect, Scratch, Statements};

    const LIMITS: TimeLimits = TimeLimits {
        statement: Some(Duration::from_secs(2)),
        transaction: Some(Duration::from_secs(5)),
        idle_in_transaction: Some(Duration::from_secs(1)),
        lock_wait: Some(Duration::from_millis(1)),
    };

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    /// What began at which second, and what ends it at which second.
    fn check(
        limits: TimeLimits,
        (statement, transaction, idle): (Option<u64>, Option<u64>, Option<u64>),
        expect: Option<(u64, TimeLimit)>,
    ) {
        let start = start();
        let at = |second| start + Duration::from_secs(second);
        let since = Since {
            statement: statement.map(at),
            transaction: transaction.map(at),
            idle: idle.map(at),
        };
        let found = limits.next(since).map(|deadline| (deadline.at, deadline.limit));
        assert_eq!(found, expect.map(|(second, limit)| (at(second), limit)));
    }

    #[test]
    fn the_earliest_limit_of_what_runs_decides() {
        use TimeLimit::{IdleInTransaction, Statement, Transaction};
        check(LIMITS, (None, None, None), None);
        check(LIMITS, (Some(0), None, None), Some((2, Statement)));
        check(LIMITS, (Some(1), Some(0), None), Some((3, Statement)));
        check(LIMITS, (Some(4), Some(0), None), Some((5, Transaction)));
        check(LIMITS, (None, Some(0), Some(2)), Some((3, IdleInTransaction)));
        check(LIMITS, (None, Some(0), Some(4)), Some((5, IdleInTransaction)));
        check(LIMITS, (Some(3), Some(0), None), Some((5, Statement)));
    }

    #[test]
    fn without_a_limit_there_is_no_deadline() {
        check(TimeLimits::default(), (Some(0), Some(0), Some(0)), None);
        let far = TimeLimits { statement: Some(Duration::MAX), ..TimeLimits::default() };
        check(far, (Some(0), None, None), None);
    }

    /// What a statement with this comment, and this attribute, asks for, in milliseconds.
    fn asked_ms(comment: &str, attributes: &[(&[u8], &[u8])]) -> Option<u128> {
        let sql = format!("SELECT 1 {comment}");
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(sql.as_bytes(), Dialect::default(), &mut scratch);
        let facts = Facts {
            shape: &shape,
            sql: sql.as_bytes(),
            scratch: &scratch,
            attributes,
            user: "",
            database: "",
            client: [127, 0, 0, 1].into(),
        };
        asked(&facts).map(|time| time.as_millis())
    }

    #[test]
    fn a_client_says_when_it_needs_its_answer_by_tag_or_attribute() {
        assert_eq!(asked_ms("", &[]), None);
        assert_eq!(asked_ms("/*deadline_ms='200'*/", &[]), Some(200));
        assert_eq!(asked_ms("/*controller:orders,deadline_ms:50*/", &[]), Some(50));
        assert_eq!(asked_ms("", &[(b"deadline_ms", b"75")]), Some(75));
        assert_eq!(asked_ms("/*deadline_ms='200'*/", &[(b"deadline_ms", b"75")]), Some(75));
        for odd in ["soon", "-1", "1.5", ""] {
            assert_eq!(asked_ms(&format!("/*deadline_ms='{odd}'*/"), &[]), None, "{odd}");
        }
    }

    #[test]
    fn a_deadline_tells_its_limit() {
        let since = Since { statement: Some(start()), ..Since::default() };
        let deadline = LIMITS.next(since).unwrap();
        assert_eq!(deadline.allowed, Duration::from_secs(2));
        assert_eq!(deadline.limit.as_str(), "statement_time");
    }
}

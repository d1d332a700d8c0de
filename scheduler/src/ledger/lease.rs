//! The right to work on a chunk, for a while.
//!
//! The database's clock says when a lease is over, so that clocks of machines need not agree. Its
//! holder cannot read that clock all the time; it counts on its own from before it has asked, by which
//! its lease is over a little earlier than it is. And whatever its clock says, or if it was frozen
//! and does not know: each claim of a chunk gets a higher number, its *fence*, and nothing is
//! written under an old one.

use std::time::{Duration, Instant};

/// The right to work on a chunk. Not for two at once: what it writes is what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub(super) batch: i64,
    pub(super) volume: i64,
    pub(super) seq: u32,
    pub(super) fence: i64,
    pub(super) class: u8,
    pub(super) terms: LeaseTerms,
    pub(super) until: Instant,
}

/// How long leases are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// From the claim, and each renewal, on. 30 s are usual.
    pub length: Duration,
    /// So much longer nobody else claims the chunk: as long as the sink may take over what was
    /// begun within the lease.
    pub grace: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { length: Duration::from_secs(30), grace: Duration::from_secs(5) }
    }
}

impl Lease {
    /// The batch's number.
    #[must_use]
    pub const fn batch(&self) -> i64 {
        self.batch
    }

    /// The chunk's place in its batch.
    #[must_use]
    pub const fn seq(&self) -> u32 {
        self.seq
    }

    /// Its fence: higher than that of any holder before. A sink that keeps the progress where the
    /// effect is refuses what comes with a lower one.
    #[must_use]
    pub const fn fence(&self) -> i64 {
        self.fence
    }

    /// How much of it is left: at zero, begin nothing more whose effect is not in the ledger's own
    /// database.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// Whether a third of it is over: a write then renews it, too. A write that does not touch no index.
    #[must_use]
    pub fn wants_renewal(&self, now: Instant) -> bool {
        self.left(now) < self.terms.length * 2 / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_after_a_third() {
        let now = Instant::now();
        let terms = LeaseTerms::default();
        let until = now + terms.length;
        let lease = Lease { batch: 1, volume: 1, seq: 0, fence: 1, class: 0, terms, until };
        assert!(!lease.wants_renewal(now + Duration::from_secs(10)));
        assert!(lease.wants_renewal(now + Duration::from_millis(10_001)));
        assert_eq!(lease.left(now + Duration::from_secs(40)), Duration::ZERO);
    }
}

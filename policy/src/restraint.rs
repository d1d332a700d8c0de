//! How admission is held back while a pile-up is undone or a database is cold, and let up afterwards.
//!
//! ```text
//!   Frozen ──told so, or nobody confirms it in time──► Rising ──5 s──► none
//!   nothing new that writes;                           from half of the limit on, ×1.05 each tenth
//!   readers up to half of the limit;                   of a second; what the limit is does not move
//!   who may be shed is refused
//! ```
//!
//! Most pile-ups end when nothing new is added to them, so this comes before anybody is cancelled
//! ([`crate::melt`]). It ends by itself: who asked for it may have gone blind, and nothing must
//! stand still because of that.

use std::time::{Duration, Instant};

use crate::class::Mode;

/// What readers may use of the limit while all others are held up, and where everybody begins
/// afterwards.
pub const SHARE_MIN: f64 = 0.5;
/// Where everybody begins on a database whose caches are cold.
const COLD: f64 = 0.05;
/// It rises by this factor.
const STEP: f64 = 1.05;
/// So often.
const STEP_EVERY: Duration = Duration::from_millis(100);
/// A freeze that is not confirmed for so long is over. Looks at the database come five times a second,
/// and less often the slower it answers.
const CONFIRM: Duration = Duration::from_secs(2);
/// For so long after a freeze the limit stays what it is: what it would learn is of the pile-up.
const PROBATION: Duration = Duration::from_secs(5);

/// What admission is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restraint {
    /// Whether it holds, or is only counted.
    pub mode: Mode,
    /// How far it goes.
    pub stage: Stage,
}

/// How far a restraint goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// Nothing new that writes is admitted.
    Frozen {
        /// Unless it is confirmed, until then.
        until: Instant,
        /// The share of what is open that waited for a lock when it was last seen, 0..1: what a
        /// refusal names as measured.
        waiting: f64,
    },
    /// The limit is let up.
    Rising {
        /// From then on.
        since: Instant,
        /// From this share of the limit on, in 0..1.
        from: f64,
    },
}

impl Restraint {
    /// Nothing new that writes, now that so large a share of what is open waits.
    #[must_use]
    pub fn frozen(mode: Mode, now: Instant, waiting: f64) -> Self {
        Self { mode, stage: Stage::Frozen { until: now + CONFIRM, waiting } }
    }

    /// Everybody again, from half of the limit on.
    #[must_use]
    pub const fn rising(mode: Mode, since: Instant) -> Self {
        Self { mode, stage: Stage::Rising { since, from: SHARE_MIN } }
    }

    /// Everybody, from little on: the database has just come back.
    #[must_use]
    pub const fn warming_up(mode: Mode, since: Instant) -> Self {
        Self { mode, stage: Stage::Rising { since, from: COLD } }
    }

    /// What has become of it by now; `None` when it is over.
    #[must_use]
    pub fn at(self, now: Instant) -> Option<Self> {
        match self.stage {
            Stage::Frozen { until, .. } if now < until => Some(self),
            Stage::Frozen { until, .. } => Self::rising(self.mode, until).at(now),
            Stage::Rising { .. } => (now < self.over()).then_some(self),
        }
    }

    /// When it changes next if nobody tells it otherwise.
    #[must_use]
    pub fn changes(self, now: Instant) -> Instant {
        match self.stage {
            Stage::Frozen { until, .. } => until,
            Stage::Rising { .. } if self.share(now) >= 1.0 => self.over(),
            Stage::Rising { since, .. } => since + STEP_EVERY * (steps(since, now) + 1),
        }
    }

    /// How much of the limit may be used: by readers while it is frozen, by everybody while it rises.
    #[must_use]
    pub fn share(self, now: Instant) -> f64 {
        match self.stage {
            Stage::Frozen { .. } => SHARE_MIN,
            Stage::Rising { since, from } => {
                (from * STEP.powf(f64::from(steps(since, now)))).min(1.0)
            }
        }
    }

    /// Whether nothing new that writes is admitted.
    #[must_use]
    pub const fn is_frozen(self) -> bool {
        matches!(self.stage, Stage::Frozen { .. })
    }

    /// Until when the limit must not learn.
    #[must_use]
    pub fn over(self) -> Instant {
        match self.stage {
            Stage::Frozen { until, .. } => until + PROBATION,
            Stage::Rising { since, from } => {
                let steps = (from.recip().ln() / STEP.ln()).max(0.0);
                since + PROBATION.max(STEP_EVERY.mul_f64(steps.min(1000.0)))
            }
        }
    }
}

/// Whole steps from `since` to `now`; many more than there can be where somebody slept.
fn steps(since: Instant, now: Instant) -> u32 {
    let passed = now.saturating_duration_since(since).as_millis() / STEP_EVERY.as_millis();
    u32::try_from(passed).unwrap_or(u32::MAX).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_freeze_that_nobody_confirms_ends_and_the_limit_rises_from_half() {
        let start = start();
        let at = |ms| start + Duration::from_millis(ms);
        let frozen = Restraint::frozen(Mode::Enforce, start, 0.9);
        assert_eq!(frozen.at(at(1999)), Some(frozen));
        let rising = frozen.at(at(2000)).unwrap();
        assert_eq!(rising, Restraint::rising(Mode::Enforce, at(2000)));
        assert_eq!(rising.changes(at(2000)), at(2100));
        let shares: Vec<f64> = [2000, 2099, 2100, 3399, 3500].map(|ms| rising.share(at(ms))).into();
        assert_eq!(shares[..3], [0.5, 0.5, 0.525]);
        assert!(shares[3] < 1.0 && shares[4] == 1.0, "full after a second and a half: {shares:?}");
        assert_eq!(rising.changes(at(3500)), at(7000));
        assert_eq!(rising.at(at(7000)), None, "what the limit learns begins anew");
        assert_eq!(frozen.at(at(9000)), None, "who slept through all of it");
    }

    #[test]
    fn a_rise_from_far_below_is_not_cut_off() {
        let start = start();
        let rising = Restraint::warming_up(Mode::Enforce, start);
        let mut now = start;
        while rising.at(now).is_some() {
            let before = rising.share(now);
            let next = rising.changes(now);
            assert!(next > now);
            now = next;
            assert!(rising.share(now) <= before * 1.0501, "never more than a step at once");
        }
        assert!(rising.share(now - STEP_EVERY) > 0.94, "it ends where nothing is left to let up");
    }
}

//! Saying no.

use std::time::{Duration, Instant};

use super::permit::{About, Seat};
use super::{Admission, Level};
use crate::class::Mode;
use crate::refusal::{Reason, Refusal, Scope, retry_after};

impl Admission {
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        seat: Seat,
        about: About,
        unmet: Unmet,
    ) -> Refusal {
        self.each(seat, |room| room.refused(now));
        self.rein.done.shed += u64::from(unmet.level == Level::Melt);
        let dice = self.dice.throw();
        let class = self.classes.room(seat.class);
        let reached = self.room(seat, unmet.level).unwrap_or(class);
        let name = reached.name.clone();
        let retry_after = match unmet.level {
            // Many are refused at the same moment: they must not come back at the same one.
            Level::Melt => unmet.at_least.mul_f64(1.0 + dice),
            _ => retry_after(reached.rejection_ratio(), dice).max(unmet.at_least),
        };
        Refusal {
            reason: unmet.reason,
            class: class.name.clone(),
            scope: match unmet.level {
                _ if unmet.reason == Reason::Paused => Scope::Pause,
                Level::Class => Scope::Class(name),
                Level::Database => Scope::Database(name),
                Level::Overall => Scope::Overall,
                Level::Adaptive => Scope::Limit,
                Level::Melt => Scope::Melt,
                Level::Upstream => Scope::Upstream,
                Level::Tag => Scope::Tag,
                Level::Retries => Scope::Retries,
                Level::Tenant => Scope::Tenants,
            },
            limit_name: unmet.limit_name,
            limit: unmet.limit,
            measured: unmet.measured,
            retry_after,
            held: self.retries.refused(now, about.asker, retry_after),
            note: None,
        }
    }

    /// Why one that finds no room may not even wait: it comes again too often.
    pub(super) fn check_retry(
        &mut self,
        now: Instant,
        seat: Seat,
        about: About,
    ) -> Result<(), Unmet> {
        if !self.retries.is_beyond(now, about.asker) {
            return Ok(());
        }
        let config = self.retries.config();
        if config.mode != Mode::Enforce {
            self.classes.room_mut(seat.class).counts.would_shed += 1;
            return Ok(());
        }
        Err(Unmet {
            reason: Reason::Retries,
            level: Level::Retries,
            limit_name: "budget",
            limit: config.budget,
            measured: self.retries.measured(about.asker),
            at_least: Duration::ZERO,
        })
    }
}

/// A refusal before it has names and a retry hint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unmet {
    pub(super) reason: Reason,
    pub(super) level: Level,
    pub(super) limit_name: &'static str,
    pub(super) limit: f64,
    pub(super) measured: f64,
    /// The retry hint is not below this.
    pub(super) at_least: Duration,
}

/// Throws that spread retry hints; the same from every start, so that a run can be repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Uniform in 0..1 (splitmix64).
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

//! What follows from a fate: done, again at some moment, held for a human, or dead.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use policy::dispatch::again;

use super::{Fate, Item, Reason};

/// What to do with what was sent and not answered. It is listed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnAmbiguous {
    /// Offer it again, with the same id: right for a receiver that keeps ids.
    #[default]
    Resend,
    /// Wait for somebody to decide.
    Hold,
    /// Take it for done: right where a second one is worse than none.
    Skip,
}

/// How a sink's failures are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config {
    /// When something is tried again.
    pub again: again::Config,
    /// What was sent and not answered.
    pub ambiguous: OnAmbiguous,
}

/// How long what was not sent, for a reason that is the sink's, is left alone at most.
const UNSENT_MAX: Duration = Duration::from_secs(60);

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is there.
    Done,
    /// It was sent, may be there, and is not sent again.
    Skipped(Reason),
    /// It is offered again.
    Again {
        /// Not before this moment.
        at: Timestamp,
        /// Which attempt that will be.
        attempt: u32,
        /// Why the last one was not enough.
        why: Reason,
        /// Whether it may be there already: to be listed.
        is_ambiguous: bool,
    },
    /// It was sent, may be there, and waits for somebody to decide.
    Held(Reason),
    /// It goes to the dead letters.
    Dead(Reason),
    /// Its chunk is no longer ours: nothing of it may be written.
    Stop,
}

impl Config {
    /// What follows from the fate of this item now. `dice` is an even draw.
    #[must_use]
    pub fn judge(&self, now: Timestamp, item: &Item, fate: Fate, dice: u64) -> Next {
        let (asked, why, is_ambiguous) = match fate {
            Fate::Done => return Next::Done,
            Fate::Dead(Reason::Fenced) | Fate::Unsent(Reason::Fenced) => return Next::Stop,
            Fate::Dead(why) => return Next::Dead(why),
            Fate::Unsent(why) => return Self::unsent(now, item, why, dice),
            Fate::Ambiguous(why) => match self.ambiguous {
                OnAmbiguous::Resend => (None, why, true),
                OnAmbiguous::Hold => return Next::Held(why),
                OnAmbiguous::Skip => return Next::Skipped(why),
            },
            Fate::Retry { asked, why } => (asked, why, false),
        };
        let Some(delay) = self.again.after(item.attempt, asked, dice) else {
            // What may be there is not declared dead: that would be a claim.
            return if is_ambiguous { Next::Held(why) } else { Next::Dead(why) };
        };
        let at = later(now, delay);
        if !is_ambiguous && item.is_expired(at) {
            return Next::Dead(why);
        }
        Next::Again { at, attempt: item.attempt.saturating_add(1), why, is_ambiguous }
    }

    /// What was not sent loses no attempt, and does not come back at once, all at the same time.
    fn unsent(now: Timestamp, item: &Item, why: Reason, dice: u64) -> Next {
        if item.is_expired(now) {
            return Next::Dead(Reason::Expired);
        }
        let evenly =
            again::Config { base: UNSENT_MAX, cap: UNSENT_MAX, attempts_max: NonZeroU32::MAX };
        let delay = evenly.after(1, None, dice).unwrap_or(UNSENT_MAX);
        Next::Again { at: later(now, delay), attempt: item.attempt, why, is_ambiguous: false }
    }
}

/// So much later, or the end of time.
fn later(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn item(attempt: u32, deadline: Option<i64>) -> Item {
        let deadline = deadline.map(|second| Timestamp::from_second(second).unwrap());
        let body = Bytes::new();
        Item { position: 0, recipient: body.clone(), body, attempt, tenant: 0, deadline }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(asked: Option<u64>) -> Fate {
        Fate::Retry { asked: asked.map(Duration::from_secs), why: Reason::Status(500) }
    }

    #[test]
    fn a_failure_is_tried_again_until_attempts_or_time_are_over() {
        let config = Config::default();
        let again = |at, attempt| Next::Again {
            at,
            attempt,
            why: Reason::Status(500),
            is_ambiguous: false,
        };
        assert_eq!(
            config.judge(at(100), &item(1, None), failed(None), u64::MAX),
            again(at(101), 2)
        );
        let asked = config.judge(at(100), &item(1, Some(1_000)), failed(Some(60)), 0);
        assert_eq!(asked, again(at(160), 2));
        let dead = Next::Dead(Reason::Status(500));
        assert_eq!(config.judge(at(100), &item(12, None), failed(None), 0), dead);
        assert_eq!(config.judge(at(100), &item(1, Some(110)), failed(Some(60)), 0), dead);
    }

    #[test]
    fn what_may_be_there_is_never_called_dead() {
        for (ambiguous, attempt, expected) in [
            (OnAmbiguous::Hold, 1, Next::Held(Reason::Status(504))),
            (OnAmbiguous::Skip, 1, Next::Skipped(Reason::Status(504))),
            (OnAmbiguous::Resend, 12, Next::Held(Reason::Status(504))),
        ] {
            let config = Config { ambiguous, ..Config::default() };
            let fate = Fate::Ambiguous(Reason::Status(504));
            assert_eq!(config.judge(at(0), &item(attempt, Some(-1)), fate, 0), expected);
        }
    }

    #[test]
    fn what_was_not_sent_loses_no_attempt() {
        let fate = Fate::Unsent(Reason::SwitchedOff);
        let next = Config::default().judge(at(0), &item(12, None), fate.clone(), u64::MAX);
        assert!(matches!(next, Next::Again { attempt: 12, .. }), "{next:?}");
        let next = Config::default().judge(at(9), &item(1, Some(8)), fate, 0);
        assert_eq!(next, Next::Dead(Reason::Expired));
        let next = Config::default().judge(at(0), &item(1, None), Fate::Unsent(Reason::Fenced), 0);
        assert_eq!(next, Next::Stop);
    }

    proptest! {
        /// Nothing comes back before it is due, more often than allowed, or with its attempts lost.
        #[test]
        fn nothing_comes_back_early_or_for_ever(
            attempt in 1..20_u32, asked in prop::option::of(0..u64::MAX), dice: u64, which in 0..3_u8,
        ) {
            let config = Config::default();
            let fate = match which {
                0 => failed(asked),
                1 => Fate::Ambiguous(Reason::Status(502)),
                _ => Fate::Unsent(Reason::Full),
            };
            match config.judge(at(0), &item(attempt, None), fate, dice) {
                Next::Again { at: moment, attempt: next, is_ambiguous, .. } => {
                    prop_assert!(moment >= at(0));
                    prop_assert_eq!(next, if which == 2 { attempt } else { attempt + 1 });
                    prop_assert_eq!(is_ambiguous, which == 1);
                    prop_assert!(which == 2 || next <= config.again.attempts_max.get());
                }
                Next::Dead(_) | Next::Held(_) => prop_assert!(attempt >= 12 && which < 2),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

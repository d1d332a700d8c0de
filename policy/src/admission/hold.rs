//! A pause: nothing new is admitted while it lasts, and what asks is held in the line.
//!
//! The limits of queues do not hold meanwhile: a class that may not wait is held, and nobody is shed
//! for the time that the pause took. In their place stand the pause's own: its end, and how many
//! it holds. When it is over, what there is room for is admitted, and the rest is as if it had just
//! come.

use std::time::{Duration, Instant};

use super::queue::Waiting;
use super::refuse::Unmet;
use super::{Admission, Event, Level};
use crate::refusal::Reason;

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When it ends by itself.
    pub until: Instant,
    /// How many tickets it holds, those included that waited before. One more is refused.
    pub length: u32,
}

impl Admission {
    /// Admits nothing new until [`release`](Self::release), or the hold's end. A hold takes the place
    /// of one before. What may hold locks is admitted all the same.
    pub fn hold(&mut self, hold: Hold) {
        self.queue.postpone(hold.until);
        self.hold = Some(hold);
    }

    /// Ends a hold. Returns whether there was one.
    pub fn release(&mut self, now: Instant) -> bool {
        let was_held = self.hold.take().is_some();
        if was_held {
            self.pump(now);
            self.queue_anew(now);
        }
        was_held
    }

    /// The hold that there is.
    #[must_use]
    pub fn held(&self) -> Option<Hold> {
        self.hold
    }

    /// Why one more may not be held, if it may not.
    pub(super) fn may_be_held(&self, hold: Hold) -> Result<(), Unmet> {
        let queued = self.overall.queued;
        if queued < hold.length {
            return Ok(());
        }
        Err(Unmet {
            reason: Reason::Paused,
            level: Level::Overall,
            limit_name: "pause",
            limit: f64::from(hold.length),
            measured: f64::from(queued),
            at_least: Duration::ZERO,
        })
    }

    /// What is still in the line has just come: it waits from now on, or is refused where it may not.
    fn queue_anew(&mut self, now: Instant) {
        for (ticket, waiting) in self.queue.take_all() {
            let (line, about) = (waiting.line, waiting.about);
            self.left_line(now, line);
            let may_wait = match self.lack(line, crate::class::Mode::Enforce) {
                Some((level, lack)) => self.may_wait(line.seat, level, lack),
                None => Ok(()),
            };
            match may_wait.and_then(|()| self.patience(now, waiting.since, line, about)) {
                Ok(patience) => {
                    self.join_line(now, line);
                    self.queue.put_back(ticket, Waiting { patience, ..waiting });
                }
                Err(unmet) => {
                    let refusal = self.refuse(now, line.seat, about, unmet);
                    self.events.push_back(Event::Shed(ticket, refusal));
                }
            }
        }
    }
}

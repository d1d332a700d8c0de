//! How long one may wait, and in which order those go who do.
//!
//! Before a limit that somebody has set, it is the queue time, and who came first goes first: order
//! is part of what was asked for. Before the limit that finds its place by itself the queue is there
//! for bursts: once it stands, one more joins it only if it will soon have its turn, and is told at
//! once if not. So nobody is left waiting until its client hangs up, and who waits is served in the
//! order of arrival. Where the guess was wrong, because the database has become slower, or a burst
//! has left many behind, who came last goes first, and who waits much too long is told so.
//!
//! Nothing waits that could not be done in the time in which its client needs it: what it would wait
//! and what it will take are known about, and a ticket leaves the line in time to be done, or never
//! starts.

use std::time::{Duration, Instant};

use super::hold::Hold;
use super::permit::{About, Seat};
use super::queue::{Bound, EPOCH, Line, Order, Patience, Waiting};
use super::refuse::Unmet;
use super::{Admission, Level};
use crate::class::Mode;
use crate::refusal::Reason;

/// So many must be at hand, unless that is more than one of them takes.
const AT_HAND: u32 = 3;

/// Half of all take longer than is expected; few take more than so many times as long.
const CERTAIN: u32 = 2;

impl Admission {
    /// Until when one may wait that came at `since`, or why it may not.
    pub(super) fn patience(
        &self,
        now: Instant,
        since: Instant,
        line: Line,
        about: About,
    ) -> Result<Patience, Unmet> {
        let expected = self.expected_wait(now, line).unwrap_or_default();
        let time = self.tightest(line.seat).map_or(Duration::ZERO, |(_, time)| time);
        let until = later(now, time.saturating_sub(about.waited));
        let mut patience = Patience { until, limit: Bound::QueueTime };
        if self.keeps_target(line.seat) && self.flows[line.seat.class].stands(now) {
            let target = self.target(line.seat);
            if expected > target {
                return Err(too_long(target, expected));
            }
            // What was expected may come out a little longer.
            patience = patience.at_most(later(now, 2 * target), Bound::Target);
        }
        let Some((allowed, limit)) = self.deadline(line.seat, about) else { return Ok(patience) };
        let waited = about.waited + now.saturating_duration_since(since);
        let service = self.service(about);
        match allowed.checked_sub(waited + expected + service) {
            None => Err(too_late(allowed, limit, waited + expected + service)),
            Some(left) => Ok(patience.at_most(later(now, expected + left), limit)),
        }
    }

    /// The same during a pause.
    pub(super) fn patience_held(
        &self,
        now: Instant,
        line: Line,
        about: About,
        hold: Hold,
    ) -> Patience {
        let patience = Patience { until: hold.until, limit: Bound::QueueTime };
        match self.deadline(line.seat, about) {
            None => patience,
            Some((allowed, limit)) => {
                let spent = about.waited + self.service(about);
                patience.at_most(later(now, allowed.saturating_sub(spent)), limit)
            }
        }
    }

    /// Why the wait of a ticket is over.
    pub(super) fn out_of_patience(&self, now: Instant, waiting: &Waiting) -> Unmet {
        let Waiting { line, about, since, patience } = *waiting;
        if self.is_held_up(line) {
            return self.pile_up();
        }
        let here = now.saturating_duration_since(since);
        let waited = about.waited + here;
        match (patience.limit, self.deadline(line.seat, about)) {
            (Bound::Target, _) => too_long(self.target(line.seat), here),
            (limit @ (Bound::Deadline | Bound::OwnDeadline), Some((allowed, _))) => {
                too_late(allowed, limit, waited + self.service(about))
            }
            _ => Unmet {
                reason: Reason::QueueTime,
                level: self.tightest(line.seat).map_or(Level::Class, |(level, _)| level),
                limit_name: "queue_time",
                limit: (about.waited + patience.until.saturating_duration_since(since))
                    .as_secs_f64(),
                measured: waited.as_secs_f64(),
                at_least: Duration::ZERO,
            },
        }
    }

    /// Which ticket of a class goes first. Newest first where the oldest has waited longer than a
    /// queue is kept to.
    pub(super) fn order(&self, now: Instant, class: usize) -> Order {
        let seat = Seat { class, database: None };
        let too_long = EPOCH.max(self.target(seat));
        let stands = |since| now.saturating_duration_since(since) > too_long;
        if self.keeps_target(seat) && self.queue.oldest(class).is_some_and(stands) {
            Order::NewestFirst
        } else {
            Order::OldestFirst
        }
    }

    /// Whether the queue of a class is kept short: nobody has set how many of it may run.
    fn keeps_target(&self, seat: Seat) -> bool {
        let limits = &self.classes.room(seat.class).limits;
        let is_set = limits.in_flight.is_some() || limits.connections.is_some();
        !is_set && self.limit.as_ref().is_some_and(|limit| limit.mode() == Mode::Enforce)
    }

    /// The wait that a standing queue of a class is kept to; but somebody must be at hand when a
    /// transaction ends.
    fn target(&self, seat: Seat) -> Duration {
        let limits = &self.classes.room(seat.class).limits;
        let typical = self.shares.typical(seat.class);
        let at_hand = self.flows[seat.class].wait(None, AT_HAND);
        limits.queue_target.max(at_hand.map_or(typical, |at_hand| at_hand.min(typical)))
    }

    /// How long one more of a line would wait; `None` while that is not known.
    fn expected_wait(&self, now: Instant, line: Line) -> Option<Duration> {
        let class = line.seat.class;
        let ahead = match self.order(now, class) {
            Order::OldestFirst => {
                let queued = self.classes.room(class).queued;
                self.tenants[class].ahead(line.tenant).map_or(queued, |ahead| ahead.min(queued))
            }
            Order::NewestFirst => self.queue.newest(now, class),
        };
        self.flows[class].wait(Some(now), ahead)
    }

    /// The time in which a client needs its answer, and who says so.
    fn deadline(&self, seat: Seat, about: About) -> Option<(Duration, Bound)> {
        let own = about.deadline.map(|own| (own, Bound::OwnDeadline));
        let class = self.classes.room(seat.class).limits.deadline;
        let class = class.map(|class| (class, Bound::Deadline));
        own.into_iter().chain(class).min_by_key(|(allowed, _)| *allowed)
    }

    /// How long it will run with some certainty; nothing where that is not known.
    fn service(&self, about: About) -> Duration {
        let limit = self.limit.as_ref();
        limit.and_then(|limit| limit.expected(about.digest)).unwrap_or_default() * CERTAIN
    }
}

/// A time too far away for the clock to express is a configuration error that costs no panic.
fn later(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}

fn too_long(target: Duration, wait: Duration) -> Unmet {
    Unmet {
        reason: Reason::QueueTarget,
        level: Level::Class,
        limit_name: "queue_target",
        limit: target.as_secs_f64(),
        measured: wait.as_secs_f64(),
        at_least: Duration::ZERO,
    }
}

fn too_late(allowed: Duration, limit: Bound, needed: Duration) -> Unmet {
    Unmet {
        reason: Reason::Deadline,
        level: if limit == Bound::OwnDeadline { Level::Tag } else { Level::Class },
        limit_name: "deadline",
        limit: allowed.as_secs_f64(),
        measured: needed.as_secs_f64(),
        at_least: Duration::ZERO,
    }
}

//! How a restraint is kept ([`crate::restraint`]): what it takes away from those that ask, and what it
//! gives back as time passes.
//!
//! It is one more limit, before all others. What it holds up waits where its class may wait, and is
//! refused where it may not; what may hold locks passes, as it passes every limit.

use std::time::{Duration, Instant};

use super::queue::Line;
use super::refuse::Unmet;
use super::room::Lack;
use super::{Admission, Event, Level};
use crate::class::Mode;
use crate::limit::Limit;
use crate::melt;
use crate::refusal::Reason;
use crate::restraint::{Restraint, Stage};

/// When whom a pile-up refuses should come back: by then most are over.
const RETRY: Duration = Duration::from_secs(1);

/// What restraints have done since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restrained {
    /// Transactions that were made to wait.
    pub held: u64,
    /// Transactions that were refused.
    pub shed: u64,
}

/// The restraint that there is, and what is needed to keep it.
#[derive(Debug, Default)]
pub(super) struct Rein {
    restraint: Option<Restraint>,
    /// How much of the limit may be used, since the last change.
    share: f64,
    /// When it changes by itself.
    pub(super) next: Option<Instant>,
    /// Readers in flight.
    pub(super) reading: u32,
    /// By place, whether a class is refused while nothing is admitted that writes.
    pub(super) sheddable: Vec<bool>,
    pub(super) done: Restrained,
}

impl Rein {
    fn set(&mut self, now: Instant, restraint: Option<Restraint>) {
        self.restraint = restraint.and_then(|restraint| restraint.at(now));
        self.share = self.restraint.map_or(1.0, |restraint| restraint.share(now));
        self.next = self.restraint.map(|restraint| restraint.changes(now));
    }

    fn in_mode(&self, mode: Mode) -> Option<Restraint> {
        self.restraint.filter(|restraint| restraint.mode == mode)
    }

    /// Whether a class is refused: it may be, and nothing new is admitted that writes.
    fn sheds(&self, restraint: Restraint, class: usize) -> bool {
        restraint.is_frozen() && self.sheddable.get(class).copied().unwrap_or(false)
    }

    /// Whether a class may be refused first, by its place.
    pub(super) fn set_sheddable(&mut self, place: usize, is_sheddable: bool) {
        if self.sheddable.len() <= place {
            self.sheddable.resize(place + 1, false);
        }
        self.sheddable[place] = is_sheddable;
    }
}

impl Admission {
    /// Takes the place of the restraint before; `None` lets everything in again at once. Who may be
    /// refused and waits already is refused when a freeze begins. Without another call it ends by
    /// itself, in steps that [`handle_timeout`](Self::handle_timeout) takes.
    pub fn restrain(&mut self, now: Instant, restraint: Option<Restraint>) {
        let was_frozen = self.rein.in_mode(Mode::Enforce).is_some_and(Restraint::is_frozen);
        self.rein.set(now, restraint);
        if let Some(restraint) = self.rein.in_mode(Mode::Enforce) {
            if let Some(limit) = &mut self.limit {
                limit.hold_still(now, restraint.over());
            }
            if restraint.is_frozen() && !was_frozen && self.hold.is_none() {
                self.shed_first(now, restraint);
            }
        }
        self.pump(now);
    }

    /// The database is another one, or has been restarted: its caches are cold. The limit that finds its
    /// place begins at its least; without one, all that may run rises from little.
    pub fn start_over(&mut self, now: Instant) {
        match &mut self.limit {
            Some(limit) if limit.mode() == Mode::Enforce => {
                limit.start_over(now, self.overall.in_flight);
            }
            _ => self.rein.set(now, Some(Restraint::warming_up(self.overall.mode, now))),
        }
        self.pump(now);
    }

    /// The restraint that there is.
    #[must_use]
    pub fn restraint(&self) -> Option<Restraint> {
        self.rein.restraint
    }

    /// What restraints have done since start.
    #[must_use]
    pub fn restrained(&self) -> Restrained {
        self.rein.done
    }

    /// Lets up what is due by now.
    pub(super) fn let_up(&mut self, now: Instant) {
        if self.rein.next.is_some_and(|next| next <= now) {
            self.rein.set(now, self.rein.restraint);
            self.pump(now);
        }
    }

    /// Refuses those that wait and may be refused first.
    fn shed_first(&mut self, now: Instant, restraint: Restraint) {
        for class in 0..self.classes.len() {
            if !self.rein.sheds(restraint, class) {
                continue;
            }
            for ticket in self.queue.of(class) {
                let Some(waiting) = self.leave_line(now, ticket) else { continue };
                let refusal = self.refuse(now, waiting.line.seat, waiting.about, self.pile_up());
                self.events.push_back(Event::Shed(ticket, refusal));
            }
        }
    }

    /// What a restraint in this mode leaves no room for.
    pub(super) fn lack_of_restraint(&self, line: Line, mode: Mode) -> Option<(Level, Lack)> {
        let restraint = self.rein.in_mode(mode)?;
        let in_flight = self.overall.in_flight;
        let may_wait = self.classes.room(line.seat.class).has_queue();
        let (limit, measured) = match restraint.stage {
            _ if self.rein.sheds(restraint, line.seat.class) => (0, in_flight),
            Stage::Frozen { .. } if !line.reads_only => (0, in_flight),
            Stage::Frozen { .. } => (self.part_of_limit()?, self.rein.reading),
            // It is not worth refusing anybody for.
            Stage::Rising { .. } if self.rein.share >= 1.0 || !may_wait => return None,
            Stage::Rising { .. } => (self.part_of_limit()?, in_flight),
        };
        let lack = Lack { limit_name: "mode", limit, measured };
        (measured >= limit).then_some((Level::Melt, lack))
    }

    /// Whether one of a class may wait for the end of a restraint.
    pub(super) fn may_wait_out(&self, class: usize) -> Result<(), Unmet> {
        let is_shed = self.rein.restraint.is_some_and(|it| self.rein.sheds(it, class));
        let may_wait = !is_shed && self.classes.room(class).has_queue();
        if may_wait { Ok(()) } else { Err(self.pile_up()) }
    }

    /// Whether a freeze holds up what waits here.
    pub(super) fn is_held_up(&self, line: Line) -> bool {
        let restraint = self.rein.in_mode(Mode::Enforce);
        restraint.is_some_and(Restraint::is_frozen) && !line.reads_only
    }

    /// That a pile-up is why: it is one until a smaller share of what is open waits.
    pub(super) fn pile_up(&self) -> Unmet {
        let waiting = match self.rein.restraint.map(|restraint| restraint.stage) {
            Some(Stage::Frozen { waiting, .. }) => waiting,
            Some(Stage::Rising { .. }) | None => 0.0,
        };
        Unmet {
            reason: Reason::Melt,
            level: Level::Melt,
            limit_name: "mode",
            limit: melt::LEAVE_SHARE,
            measured: waiting,
            at_least: RETRY,
        }
    }

    /// The share that may be used of the smallest limit on all together: one at least. `None` where
    /// there is no limit.
    fn part_of_limit(&self) -> Option<u32> {
        let adaptive = self.limit.as_ref().filter(|limit| limit.mode() == Mode::Enforce);
        let set = self.overall.limits.in_flight.filter(|_| self.overall.mode == Mode::Enforce);
        let whole = adaptive.map(Limit::value).into_iter().chain(set).chain(self.connections).min();
        whole.map(|whole| (f64::from(whole) * self.rein.share).ceil().max(1.0) as u32)
    }
}

//! Admission: may this transaction run now, must it wait, is it refused?
//!
//! The caller owns time, lock and I/O. It says what happens (`arrive`, `finish`, `abandon`), asks
//! until when it may sleep (`poll_timeout`) and drains what follows (`poll`).
//!
//! ```text
//!   arrive ──► room in class, database and overall? ──yes──► Admitted ──► finish
//!                 │ no                                          ▲
//!                 ├─ queue there and not full ──► Ticket ───────┤ room
//!                 │                                 ├── abandon │
//!                 └─ else ──► Refusal ◄─ deadline ──┘
//! ```
//!
//! Three things hold after every call. No ticket waits for which there is room. No class waits for
//! another class's limit. A permit is in use until its holder says that the database has let go.
//!
//! Whether something may wait is up to its class and to the limit that is reached: both must have
//! a queue. Of the queue lengths and times that are set for its class, for its database, and
//! overall, the smallest holds.

mod hold;
mod permit;
mod queue;
mod room;
mod share;
mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use hold::Hold;
pub use permit::{About, Admitted, Arrival, Event, Outcome, Pinned, Ticket, Verdict};
pub use room::Counts;
pub use snapshot::{Snapshot, Usage};

use self::permit::Seat;
use self::queue::{Line, Order, Queue, Waiting};
use self::room::{Lack, Room, Rooms};
use self::share::Shares;
use crate::class::{ClassId, Limits, Mode, Policy};
use crate::contention::Contention;
use crate::limit::{self, Limit};
use crate::refusal::{Reason, Refusal, Scope, retry_after};

/// The three kinds of limits, from the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Class,
    Database,
    Overall,
    /// The limit that finds its place by itself; counted with `Overall`, waited for if the class may.
    Adaptive,
    /// Beyond all limits: the connections that there are. Counted and queued for with `Overall`.
    Upstream,
}

/// The levels that have limits of their own.
const LEVELS: [Level; 3] = [Level::Class, Level::Database, Level::Overall];

/// Who may run.
#[derive(Debug)]
pub struct Admission {
    classes: Rooms,
    databases: Rooms,
    overall: Room,
    /// How many upstream connections there are.
    connections: Option<u32>,
    queue: Queue,
    /// A pause, while there is one.
    hold: Option<Hold>,
    /// Which class is offered room next.
    shares: Shares,
    /// The class that was offered room last: among equals the next one follows.
    turn: usize,
    limit: Option<Limit>,
    /// At most one for each ticket.
    events: VecDeque<Event>,
    dice: Dice,
}

impl Admission {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(now: Instant, policy: Arc<Policy>) -> Self {
        let mut admission = Self {
            classes: Rooms::default(),
            databases: Rooms::default(),
            overall: Room::new(now, "", policy.mode, policy.overall),
            connections: policy.connections,
            queue: Queue::new(now),
            hold: None,
            shares: Shares::default(),
            turn: 0,
            limit: None,
            events: VecDeque::new(),
            dice: Dice(0),
        };
        admission.reconfigure(now, policy);
        admission
    }

    /// Other limits from now on. What runs goes on, though limits may now be below it; what waits
    /// keeps its deadline.
    ///
    /// Classes and databases are the same when they have the same name, whatever their ids.
    pub fn reconfigure(&mut self, now: Instant, policy: Arc<Policy>) {
        let classes = policy.classes.iter().enumerate().map(|(id, class)| {
            let id = ClassId(u16::try_from(id).unwrap_or(u16::MAX));
            (class.name.as_str(), policy.mode_of(id), class.limits)
        });
        let default = (policy.mode_of(ClassId::DEFAULT), policy.class(ClassId::DEFAULT).limits);
        self.classes.reconfigure(now, classes, default);
        for (class, place) in policy.classes.iter().zip(self.classes.places()) {
            self.shares.set(*place, class.share);
        }
        let databases =
            policy.databases.iter().map(|(name, limits)| (name.as_str(), policy.mode, *limits));
        self.databases.reconfigure(now, databases, (policy.mode, Limits::default()));
        self.overall.reconfigure(now, policy.mode, policy.overall);
        self.connections = policy.connections;
        let mode = policy.limit.mode.min(policy.mode);
        let config = limit::Config { mode, ..policy.limit };
        match &mut self.limit {
            _ if mode == Mode::Off => self.limit = None,
            Some(limit) => limit.reconfigure(config),
            none => *none = Some(Limit::new(now, config, self.overall.in_flight, None)),
        }
        self.pump(now);
    }

    /// A transaction asks to run.
    pub fn arrive(&mut self, now: Instant, arrival: Arrival) -> Verdict {
        let seat = self.seat(arrival);
        self.each(seat, |room| room.offered(now));
        let line = Line { class: arrival.class, seat, needs_connection: arrival.needs_connection };
        if arrival.may_hold_locks {
            return Verdict::Admit(self.admit(now, line, arrival.about));
        }
        if let Some(hold) = self.hold {
            return match self.may_be_held(hold) {
                Ok(()) => Verdict::Wait(self.wait(now, line, arrival.about)),
                Err(refusal) => Verdict::Shed(self.refuse(now, seat, refusal)),
            };
        }
        self.would(line);
        let lack = self.lack(line, Mode::Enforce);
        if let Some((level, lack)) = lack
            && let Err(refusal) = self.may_wait(seat, level, lack)
        {
            return Verdict::Shed(self.refuse(now, seat, refusal));
        }
        if let Err(refusal) = self.check_rates(now, seat) {
            return Verdict::Shed(self.refuse(now, seat, refusal));
        }
        match lack {
            Some(_) => Verdict::Wait(self.wait(now, line, arrival.about)),
            None => Verdict::Admit(self.admit(now, line, arrival.about)),
        }
    }

    /// A transaction's end has been confirmed by the database, after `service` of running.
    pub fn finish(
        &mut self,
        now: Instant,
        admitted: Admitted,
        outcome: Outcome,
        service: Duration,
    ) {
        self.each(admitted.seat, |room| {
            room.give_back(admitted.connection);
            room.counts.service += service;
            match outcome {
                Outcome::Success => room.counts.succeeded += 1,
                Outcome::Overload => room.counts.overloaded += 1,
                Outcome::Ignored => room.counts.ignored += 1,
            }
        });
        self.shares.learn(admitted.seat.class, service);
        if let Some(limit) = &mut self.limit {
            limit.ended(now, admitted.digest, outcome, service);
        }
        self.pump(now);
    }

    /// A waiting client went away. A permit that its ticket was given but that was not polled yet
    /// is taken back. A ticket whose end was polled is ignored.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) {
        if let Some(waiting) = self.queue.remove(ticket) {
            self.each(waiting.line.seat, |room| {
                room.queued -= 1;
                room.counts.abandoned += 1;
            });
            return;
        }
        let ended = |event: &Event| match event {
            Event::Admitted(of, _) | Event::Shed(of, _) => *of == ticket,
        };
        let Some(index) = self.events.iter().position(ended) else { return };
        if let Some(Event::Admitted(_, admitted)) = self.events.remove(index) {
            self.each(admitted.seat, |room| {
                room.give_back(admitted.connection);
                room.counts.abandoned += 1;
            });
            if let Some(limit) = &mut self.limit {
                limit.ended(now, admitted.digest, Outcome::Ignored, Duration::ZERO);
            }
            self.pump(now);
        }
    }

    /// The session keeps its connection beyond the transaction: call before `finish`. `None` when
    /// the permit holds no connection, because its session was pinned already.
    pub fn pin(&mut self, admitted: &mut Admitted) -> Option<Pinned> {
        if !std::mem::take(&mut admitted.connection) {
            return None;
        }
        self.each(admitted.seat, |room| room.pinned += 1);
        Some(Pinned { seat: admitted.seat })
    }

    /// A pinned session gives its connection back, clean or closed.
    pub fn unpin(&mut self, now: Instant, pinned: Pinned) {
        self.each(pinned.seat, |room| {
            room.pinned = room.pinned.saturating_sub(1);
            room.connections = room.connections.saturating_sub(1);
        });
        self.pump(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let hold = self.hold.map(|hold| hold.until);
        let tick = self.limit.as_ref().map(Limit::next_tick);
        self.queue.next_deadline().into_iter().chain(hold).chain(tick).min()
    }

    /// Time has passed: ends a hold that is over, sheds what has waited as long as it may, and thinks the limit over.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.hold.is_some_and(|hold| hold.until <= now) {
            self.release(now);
        }
        self.expire(now);
        if let Some(limit) = self.limit.as_mut().filter(|limit| limit.next_tick() <= now) {
            limit.tick(now);
            self.pump(now);
        }
    }

    /// What the database says of its locks.
    pub fn observe(&mut self, now: Instant, seen: Contention) {
        if let Some(limit) = &mut self.limit {
            limit.observe(now, seen);
            self.pump(now);
        }
    }

    /// The adaptive limit, unless it is off.
    #[must_use]
    pub fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }

    /// Begins the adaptive limit with what an earlier run has learned.
    pub fn remember(&mut self, now: Instant, memory: limit::Memory) {
        if let Some(limit) = &mut self.limit {
            let config = limit.config();
            *limit = Limit::new(now, config, self.overall.in_flight, Some(memory));
            self.pump(now);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(ticket) = self.queue.expired(now) {
            let Some(waiting) = self.queue.remove(ticket) else { break };
            let seat = waiting.line.seat;
            self.each(seat, |room| room.queued -= 1);
            let level = self.tightest(seat).map_or(Level::Class, |(level, _)| level);
            let unmet = Unmet {
                reason: Reason::QueueTime,
                level,
                limit_name: "queue_time",
                limit: (waiting.deadline - waiting.since).as_secs_f64(),
                measured: now.saturating_duration_since(waiting.since).as_secs_f64(),
                at_least: Duration::ZERO,
            };
            let refusal = self.refuse(now, seat, unmet);
            self.events.push_back(Event::Shed(ticket, refusal));
        }
    }

    /// Since when the ticket waits that has waited longest.
    #[must_use]
    pub fn oldest_wait(&self) -> Option<Instant> {
        self.queue.first()
    }

    /// The next thing that happened to a ticket. Call until `None` after every other call.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is going on.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let class = |place: &usize| {
            let oldest = self.queue.oldest(*place);
            let wait = oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            Usage::of(self.classes.room(*place), wait)
        };
        let database = |place: &usize| Usage::of(self.databases.room(*place), Duration::ZERO);
        Snapshot {
            classes: self.classes.places().iter().map(class).collect(),
            databases: self.databases.places().iter().map(database).collect(),
            overall: Usage::of(&self.overall, Duration::ZERO),
        }
    }

    /// Gives what has room to those that wait.
    fn pump(&mut self, now: Instant) {
        while self.hold.is_none()
            && let Some((line, ticket)) = self.next(now)
        {
            let Some(Waiting { about, .. }) = self.queue.remove(ticket) else { break };
            self.turn = line.seat.class;
            self.each(line.seat, |room| room.queued -= 1);
            let admitted = self.admit(now, line, about);
            self.events.push_back(Event::Admitted(ticket, admitted));
        }
    }

    /// The ticket that goes next, of the class whose turn it is among those that have one with room.
    fn next(&self, now: Instant) -> Option<(Line, Ticket)> {
        let mut first: Option<(f64, (Line, Ticket))> = None;
        for step in 1..=self.classes.len() {
            let class = (self.turn + step) % self.classes.len();
            let start = self.shares.start(class);
            let is_sooner = first.is_none_or(|(least, _)| start < least);
            if self.classes.room(class).queued > 0
                && is_sooner
                && let Some(head) = self.head(now, class)
            {
                first = Some((start, head));
            }
        }
        first.map(|(_, head)| head)
    }

    /// The first ticket of a class that has room: the one that has waited longest, or where a queue
    /// stands under the adaptive limit, the newest.
    fn head(&self, now: Instant, class: usize) -> Option<(Line, Ticket)> {
        // With limits that somebody has set, order is part of what was asked for.
        let order = match &self.limit {
            Some(limit) if limit.mode() == Mode::Enforce => self.queue.order(now, class),
            _ => Order::OldestFirst,
        };
        self.queue.head(class, order, |line| self.lack(*line, Mode::Enforce).is_none())
    }

    fn admit(&mut self, now: Instant, line: Line, about: About) -> Admitted {
        let Line { class, seat, needs_connection: connection } = line;
        self.each(seat, |room| room.take(connection));
        self.shares.charge(seat.class);
        if let Some(limit) = &mut self.limit {
            limit.began(now);
        }
        Admitted { class, seat, connection, digest: about.digest }
    }

    fn wait(&mut self, now: Instant, line: Line, about: About) -> Ticket {
        self.each(line.seat, |room| room.queued += 1);
        let deadline = self.hold.map_or_else(|| self.deadline(now, line.seat), |hold| hold.until);
        self.queue.push(Waiting { line, about, since: now, deadline })
    }

    /// Until when something may wait that begins to now.
    fn deadline(&self, now: Instant, seat: Seat) -> Instant {
        let time = self.tightest(seat).map_or(Duration::ZERO, |(_, time)| time);
        // A wait too long for the clock to express is a configuration error that costs no panic.
        now.checked_add(time).unwrap_or(now)
    }

    /// Counts what would have happened where the mode is observe.
    fn would(&mut self, line: Line) {
        let Some((level, lack)) = self.lack(line, Mode::Observe) else { return };
        let waits = self.may_wait(line.seat, level, lack).is_ok();
        let counts = &mut self.classes.room_mut(line.seat.class).counts;
        if waits {
            counts.would_wait += 1;
        } else {
            counts.would_shed += 1;
        }
    }

    /// Counts one against every rate; the first that is exceeded refuses.
    fn check_rates(&mut self, now: Instant, seat: Seat) -> Result<(), Unmet> {
        for level in LEVELS {
            let Some(room) = self.room(seat, level) else { continue };
            let (Some(rate), Err(wait)) = (room.limits.rate, room.check_rate(now)) else {
                continue;
            };
            match room.mode {
                Mode::Off => {}
                Mode::Observe => self.classes.room_mut(seat.class).counts.would_shed += 1,
                Mode::Enforce => {
                    let limit = f64::from(rate.per_second.get());
                    return Err(Unmet {
                        reason: Reason::Rate,
                        level,
                        limit_name: "rate",
                        limit,
                        measured: f64::from(room.arrivals()),
                        at_least: wait,
                    });
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, now: Instant, seat: Seat, unmet: Unmet) -> Refusal {
        self.each(seat, |room| room.refused(now));
        let dice = self.dice.throw();
        let class = self.classes.room(seat.class);
        let reached = self.room(seat, unmet.level).unwrap_or(class);
        let name = reached.name.clone();
        Refusal {
            reason: unmet.reason,
            class: class.name.clone(),
            scope: match unmet.level {
                _ if unmet.reason == Reason::Paused => Scope::Pause,
                Level::Class => Scope::Class(name),
                Level::Database => Scope::Database(name),
                Level::Overall => Scope::Overall,
                Level::Adaptive => Scope::Limit,
                Level::Upstream => Scope::Upstream,
            },
            limit_name: unmet.limit_name,
            limit: unmet.limit,
            measured: unmet.measured,
            retry_after: retry_after(reached.rejection_ratio(), dice).max(unmet.at_least),
            note: None,
        }
    }

    /// Where an arrival counts. An id that the configuration does not know is the default's.
    fn seat(&self, arrival: Arrival) -> Seat {
        let class = self.classes.place(arrival.class.0).or_else(|| self.classes.place(0));
        let database = arrival.database.and_then(|id| self.databases.place(id.0));
        Seat { class: class.unwrap_or(0), database }
    }

    fn each(&mut self, seat: Seat, mut change: impl FnMut(&mut Room)) {
        change(self.classes.room_mut(seat.class));
        if let Some(database) = seat.database {
            change(self.databases.room_mut(database));
        }
        change(&mut self.overall);
    }

    fn room(&self, seat: Seat, level: Level) -> Option<&Room> {
        match level {
            Level::Class => Some(self.classes.room(seat.class)),
            Level::Database => seat.database.map(|place| self.databases.room(place)),
            Level::Overall | Level::Adaptive | Level::Upstream => Some(&self.overall),
        }
    }

    /// The narrowest limit in this mode that leaves no room.
    fn lack(&self, line: Line, mode: Mode) -> Option<(Level, Lack)> {
        let limited = LEVELS.into_iter().find_map(|level| {
            let room = self.room(line.seat, level).filter(|room| room.mode == mode)?;
            Some((level, room.lack(line.needs_connection)?))
        });
        limited.or_else(|| self.lack_of_limit(mode)).or_else(|| {
            let limit = self.connections.filter(|_| line.needs_connection)?;
            let measured = self.overall.connections;
            let is_out = mode == Mode::Enforce && measured >= limit;
            is_out.then_some((Level::Upstream, Lack { limit_name: "connections", limit, measured }))
        })
    }

    /// Whether the adaptive limit, when it is in this mode, leaves no room.
    fn lack_of_limit(&self, mode: Mode) -> Option<(Level, Lack)> {
        let limit = self.limit.as_ref().filter(|limit| limit.mode() == mode)?;
        let (limit, measured) = (limit.value(), self.overall.in_flight);
        let lack = Lack { limit_name: "max", limit, measured };
        (measured >= limit).then_some((Level::Adaptive, lack))
    }

    /// Whether one more may wait for a limit at this level.
    fn may_wait(&self, seat: Seat, level: Level, lack: Lack) -> Result<(), Unmet> {
        let has_queue = |level| self.room(seat, level).is_some_and(Room::has_queue);
        if !has_queue(Level::Class) || level != Level::Adaptive && !has_queue(level) {
            return Err(Unmet {
                reason: if lack.limit_name == "connections" {
                    Reason::Connections
                } else {
                    Reason::InFlight
                },
                level,
                limit_name: lack.limit_name,
                limit: f64::from(lack.limit),
                measured: f64::from(lack.measured),
                at_least: Duration::ZERO,
            });
        }
        let full = |level: &Level| self.room(seat, *level).is_some_and(Room::queue_is_full);
        let Some(level) = LEVELS.into_iter().find(full) else { return Ok(()) };
        let (length, queued) =
            self.room(seat, level).map_or((0, 0), |room| (room.limits.queue_length, room.queued));
        Err(Unmet {
            reason: Reason::QueueFull,
            level,
            limit_name: "queue_length",
            limit: f64::from(length),
            measured: f64::from(queued),
            at_least: Duration::ZERO,
        })
    }

    /// The shortest queue time that is set, and where.
    fn tightest(&self, seat: Seat) -> Option<(Level, Duration)> {
        LEVELS
            .into_iter()
            .filter_map(|level| Some((level, self.room(seat, level)?.limits.queue_time)))
            .filter(|(_, time)| *time > Duration::ZERO)
            .min_by_key(|(_, time)| *time)
    }
}

/// A refusal before it has names and a retry hint.
#[derive(Debug, Clone, Copy)]
struct Unmet {
    reason: Reason,
    level: Level,
    limit_name: &'static str,
    limit: f64,
    measured: f64,
    /// The retry hint is not below this.
    at_least: Duration,
}

/// Throws that spread retry hints; the same from every start, so that a run can be repeated.
#[derive(Debug, Clone, Copy)]
struct Dice(u64);

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

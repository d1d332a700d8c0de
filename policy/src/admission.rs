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
//! overall, the smallest holds. A queue that stands before the limit that finds its place by itself
//! takes no more than it can serve soon, and nothing waits that could not be done in time
//! (`patience`).

mod flow;
mod hold;
mod lack;
mod patience;
mod permit;
mod queue;
mod refuse;
mod restrain;
mod room;
mod share;
mod snapshot;
mod tenants;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use hold::Hold;
pub use permit::{About, Admitted, Arrival, Event, Outcome, Pinned, Ticket, Verdict};
pub use restrain::Restrained;
pub use room::Counts;
pub use snapshot::{Snapshot, Usage};

use self::flow::Flow;
use self::permit::Seat;
use self::queue::{Line, Patience, Queue, Waiting};
use self::refuse::Dice;
use self::restrain::Rein;
use self::room::{Room, Rooms};
use self::share::Shares;
use self::tenants::Tenants;
use crate::class::{ClassId, Limits, Mode, Policy};
use crate::contention::Contention;
use crate::limit::{self, Limit};
use crate::retry::{self, Retries};
use crate::tenant::Tenant;

/// The three kinds of limits, from the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Class,
    Database,
    Overall,
    /// The limit that finds its place by itself; counted with `Overall`, waited for if the class may.
    Adaptive,
    /// A pile-up is being undone; counted with `Overall`, waited for if the class may.
    Melt,
    /// Beyond all limits: the connections that there are. Counted and queued for with `Overall`.
    Upstream,
    /// What the client itself has said.
    Tag,
    /// The budget of an application's retries.
    Retries,
    /// What one tenant may take of its class; waited for if the class may.
    Tenant,
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
    /// How the queue of each class moves, by its place.
    flows: Vec<Flow>,
    /// The tenants of each class, by its place.
    tenants: Vec<Tenants>,
    /// The percentage of the room of its class that one tenant may take beside others.
    tenant_cap: u8,
    retries: Retries,
    /// A pause, while there is one.
    hold: Option<Hold>,
    /// Which class is offered room next.
    shares: Shares,
    /// The class that was offered room last: among equals the next one follows.
    turn: usize,
    limit: Option<Limit>,
    /// What a pile-up takes away, while there is one.
    rein: Rein,
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
            flows: Vec::new(),
            tenants: Vec::new(),
            tenant_cap: policy.tenants.cap,
            retries: Retries::new(policy.retries),
            hold: None,
            shares: Shares::default(),
            turn: 0,
            limit: None,
            rein: Rein::default(),
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
            self.rein.set_sheddable(*place, class.sheddable);
        }
        self.flows.resize(self.classes.len(), Flow::new(now));
        self.tenants.resize_with(self.classes.len(), Tenants::default);
        self.tenant_cap = policy.tenants.cap;
        let mode = policy.retries.mode.min(policy.mode);
        self.retries.reconfigure(retry::Config { mode, ..policy.retries });
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
        let Arrival { class, needs_connection, about, .. } = arrival;
        let line = Line {
            seat,
            needs_connection,
            class,
            tenant: about.tenant,
            reads_only: about.reads_only,
        };
        self.tenants[seat.class].meet(about.tenant);
        if arrival.may_hold_locks {
            return Verdict::Admit(self.admit(now, line, about));
        }
        if let Some(hold) = self.hold {
            return match self.may_be_held(hold) {
                Ok(()) => {
                    let patience = self.patience_held(now, line, about, hold);
                    Verdict::Wait(self.wait(now, line, about, patience))
                }
                Err(refusal) => Verdict::Shed(self.refuse(now, seat, about, refusal)),
            };
        }
        self.would(line);
        let patience = match self.lack(line, Mode::Enforce) {
            None => None,
            Some((level, lack)) => {
                let may_wait = self.may_wait(seat, level, lack);
                let patience = may_wait.and_then(|()| self.patience(now, now, line, about));
                let is_borne = |patience| self.check_retry(now, seat, about).map(|()| patience);
                match patience.and_then(is_borne) {
                    Ok(patience) => {
                        self.rein.done.held += u64::from(level == Level::Melt);
                        Some(patience)
                    }
                    Err(unmet) => return Verdict::Shed(self.refuse(now, seat, about, unmet)),
                }
            }
        };
        if let Err(unmet) = self.check_rates(now, seat) {
            return Verdict::Shed(self.refuse(now, seat, about, unmet));
        }
        match patience {
            Some(patience) => Verdict::Wait(self.wait(now, line, about, patience)),
            None => {
                self.retries.found_room(now, about.asker);
                Verdict::Admit(self.admit(now, line, about))
            }
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
        self.tenants[admitted.seat.class].ended(admitted.tenant, Some(service));
        self.rein.reading -= u32::from(admitted.reads_only);
        if let Some(limit) = &mut self.limit {
            limit.ended(now, admitted.digest, outcome, service);
        }
        self.pump(now);
    }

    /// A waiting client went away. A permit that its ticket was given but that was not polled yet
    /// is taken back. A ticket whose end was polled is ignored.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) {
        if let Some(waiting) = self.leave_line(now, ticket) {
            self.each(waiting.line.seat, |room| room.counts.abandoned += 1);
            // A tenant that is alone again may take more.
            self.pump(now);
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
            self.tenants[admitted.seat.class].ended(admitted.tenant, None);
            self.rein.reading -= u32::from(admitted.reads_only);
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
        self.queue.next_deadline().into_iter().chain(hold).chain(tick).chain(self.rein.next).min()
    }

    /// Time has passed: ends a hold that is over, sheds what has waited as long as it may, and thinks the limit over.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.hold.is_some_and(|hold| hold.until <= now) {
            self.release(now);
        }
        self.let_up(now);
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
            let Some(waiting) = self.leave_line(now, ticket) else { break };
            self.give_up(now, ticket, &waiting);
        }
    }

    fn give_up(&mut self, now: Instant, ticket: Ticket, waiting: &Waiting) {
        let unmet = self.out_of_patience(now, waiting);
        let refusal = self.refuse(now, waiting.line.seat, waiting.about, unmet);
        self.events.push_back(Event::Shed(ticket, refusal));
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

    /// Gives what has room to those that wait, and can still be done in time.
    fn pump(&mut self, now: Instant) {
        while self.hold.is_none()
            && let Some((line, ticket)) = self.next(now)
        {
            let Some(waiting) = self.leave_line(now, ticket) else { break };
            if waiting.is_too_late(now) {
                self.give_up(now, ticket, &waiting);
                continue;
            }
            self.turn = line.seat.class;
            self.flows[line.seat.class].served(now);
            let admitted = self.admit(now, line, waiting.about);
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

    /// The first ticket of a class that has room: of the tenant whose turn it is.
    fn head(&self, now: Instant, class: usize) -> Option<(Line, Ticket)> {
        let order = self.order(now, class);
        let mut last: Option<(Line, bool)> = None;
        self.queue.head(class, order, |line| {
            // All that differs between lines beside each other may be the tenant.
            let common = Line { tenant: Tenant::NONE, ..*line };
            let has_room = match last {
                Some((same, has_room)) if same == common => has_room,
                _ => self.lack(common, Mode::Enforce).is_none(),
            };
            last = Some((common, has_room));
            let is_capped = || self.lack_of_cap(*line, Mode::Enforce).is_some();
            let fits = has_room && (line.tenant == Tenant::NONE || !is_capped());
            fits.then(|| self.tenants[class].start(line.tenant))
        })
    }

    fn admit(&mut self, now: Instant, line: Line, about: About) -> Admitted {
        let Line { class, seat, needs_connection: connection, tenant, reads_only } = line;
        self.each(seat, |room| room.take(connection));
        self.shares.charge(seat.class);
        self.tenants[seat.class].began(tenant);
        self.rein.reading += u32::from(reads_only);
        self.retries.admitted(now, about.asker);
        if let Some(limit) = &mut self.limit {
            limit.began(now, about.digest);
        }
        Admitted { class, seat, connection, reads_only, digest: about.digest, tenant }
    }

    fn wait(&mut self, now: Instant, line: Line, about: About, patience: Patience) -> Ticket {
        self.join_line(now, line);
        self.queue.push(Waiting { line, about, since: now, patience })
    }

    fn join_line(&mut self, now: Instant, line: Line) {
        self.each(line.seat, |room| room.queued += 1);
        self.flows[line.seat.class].joined(now);
        self.tenants[line.seat.class].joined(line.tenant);
    }

    /// Takes a ticket out, if it still waits.
    fn leave_line(&mut self, now: Instant, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.queue.remove(ticket)?;
        self.left_line(now, waiting.line);
        Some(waiting)
    }

    fn left_line(&mut self, now: Instant, line: Line) {
        let class = line.seat.class;
        self.each(line.seat, |room| room.queued -= 1);
        self.tenants[class].left(line.tenant);
        if self.classes.room(class).queued == 0 {
            self.flows[class].emptied(now);
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
            Level::Tenant => Some(self.classes.room(seat.class)),
            Level::Overall
            | Level::Adaptive
            | Level::Melt
            | Level::Upstream
            | Level::Tag
            | Level::Retries => Some(&self.overall),
        }
    }
}

//! Room: what one class, one database or everything together may use, and uses.

use std::time::{Duration, Instant};

use crate::class::{Limits, Mode};
use crate::rate::RateLimiter;

/// What is in use under one set of limits.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Box<str>,
    pub(super) mode: Mode,
    pub(super) limits: Limits,
    rate: Option<RateLimiter>,
    /// Transactions admitted and not finished.
    pub(super) in_flight: u32,
    /// Connections in use, those of pinned sessions included.
    pub(super) connections: u32,
    /// Connections of pinned sessions between transactions.
    pub(super) pinned: u32,
    /// Tickets that wait.
    pub(super) queued: u32,
    pub(super) counts: Counts,
    refusals: Ratio,
}

/// What has happened since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Transactions admitted, after waiting or not.
    pub admitted: u64,
    /// Transactions refused.
    pub shed: u64,
    /// Tickets that were given up by their clients.
    pub abandoned: u64,
    /// Transactions that would have waited, if the mode were enforce.
    pub would_wait: u64,
    /// Transactions that would have been refused, if the mode were enforce.
    pub would_shed: u64,
    /// Transactions finished with success.
    pub succeeded: u64,
    /// Transactions that failed because of load.
    pub overloaded: u64,
    /// Transactions that failed for reasons of their own.
    pub ignored: u64,
    /// Time that finished transactions ran, all together.
    pub service: Duration,
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) limit_name: &'static str,
    pub(super) limit: u32,
    pub(super) measured: u32,
}

impl Room {
    pub(super) fn new(now: Instant, name: &str, mode: Mode, limits: Limits) -> Self {
        Self {
            name: name.into(),
            mode,
            limits,
            rate: limits.rate.map(|rate| RateLimiter::new(now, rate)),
            in_flight: 0,
            connections: 0,
            pinned: 0,
            queued: 0,
            counts: Counts::default(),
            refusals: Ratio::new(now),
        }
    }

    /// Other limits; what is in use stays in use. A rate that stays the same keeps its count.
    pub(super) fn reconfigure(&mut self, now: Instant, mode: Mode, limits: Limits) {
        if self.rate.as_ref().map(RateLimiter::rate) != limits.rate {
            self.rate = limits.rate.map(|rate| RateLimiter::new(now, rate));
        }
        (self.mode, self.limits) = (mode, limits);
    }

    /// The limit that leaves no room for one more, if any.
    pub(super) fn lack(&self, needs_connection: bool) -> Option<Lack> {
        let full = |limit_name, limit: Option<u32>, measured| {
            let limit = limit.filter(|limit| measured >= *limit)?;
            Some(Lack { limit_name, limit, measured })
        };
        full("in_flight", self.limits.in_flight, self.in_flight).or_else(|| {
            full(
                "connections",
                self.limits.connections.filter(|_| needs_connection),
                self.connections,
            )
        })
    }

    /// Whether something may wait here at all.
    pub(super) fn has_queue(&self) -> bool {
        self.limits.queue_length > 0 && self.limits.queue_time > Duration::ZERO
    }

    /// Whether the queue is as long as it may be; a length of 0 sets no bound.
    pub(super) fn queue_is_full(&self) -> bool {
        self.limits.queue_length > 0 && self.queued >= self.limits.queue_length
    }

    pub(super) fn take(&mut self, connection: bool) {
        self.in_flight += 1;
        self.connections += u32::from(connection);
        self.counts.admitted += 1;
    }

    pub(super) fn give_back(&mut self, connection: bool) {
        debug_assert!(self.in_flight > 0, "more finished than was admitted");
        self.in_flight = self.in_flight.saturating_sub(1);
        self.connections = self.connections.saturating_sub(u32::from(connection));
    }

    /// Whether nothing of it is in use, so that it may be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.connections == 0 && self.queued == 0
    }

    /// Counts one against the rate; how long to wait when it is one too many.
    pub(super) fn check_rate(&self, now: Instant) -> Result<(), Duration> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.check(now))
    }

    pub(super) fn offered(&mut self, now: Instant) {
        self.refusals.add(now, false);
    }

    pub(super) fn refused(&mut self, now: Instant) {
        self.counts.shed += 1;
        self.refusals.add(now, true);
    }

    /// Arrivals in the busier of the second that runs and the one before it.
    pub(super) fn arrivals(&self) -> u32 {
        self.refusals.current.1.max(self.refusals.previous.1)
    }

    /// Refused over offered during the last second or two.
    pub(super) fn rejection_ratio(&self) -> f64 {
        self.refusals.value()
    }
}

// === impl Ratio ===

/// Refused over offered, in the second that runs and the one before it.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    began: Instant,
    current: (u32, u32),
    previous: (u32, u32),
}

impl Ratio {
    const WINDOW: Duration = Duration::from_secs(1);

    fn new(now: Instant) -> Self {
        Self { began: now, current: (0, 0), previous: (0, 0) }
    }

    /// One more that was offered or, counted besides, refused.
    fn add(&mut self, now: Instant, refused: bool) {
        let age = now.saturating_duration_since(self.began);
        if age >= Self::WINDOW {
            self.previous = if age < 2 * Self::WINDOW { self.current } else { (0, 0) };
            self.current = (0, 0);
            self.began = now;
        }
        let count = if refused { &mut self.current.0 } else { &mut self.current.1 };
        *count = count.saturating_add(1);
    }

    fn value(self) -> f64 {
        let refused = f64::from(self.current.0) + f64::from(self.previous.0);
        let offered = f64::from(self.current.1) + f64::from(self.previous.1);
        if offered > 0.0 { (refused / offered).min(1.0) } else { 0.0 }
    }
}

// === impl Rooms ===

/// Rooms by name. A permit keeps its place among them over a change of the configuration, in
/// which ids may come to mean other names.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    by_id: Vec<usize>,
}

impl Rooms {
    /// The place of an id in the current configuration.
    pub(super) fn place(&self, id: u16) -> Option<usize> {
        self.by_id.get(usize::from(id)).copied()
    }

    /// The places of all ids, in their order.
    pub(super) fn places(&self) -> &[usize] {
        &self.by_id
    }

    pub(super) fn room(&self, place: usize) -> &Room {
        &self.rooms[place]
    }

    pub(super) fn room_mut(&mut self, place: usize) -> &mut Room {
        &mut self.rooms[place]
    }

    /// How many there are, those of earlier configurations included that are still in use.
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Rooms of the same name go on; new ones take the places of those that are gone and idle. A
    /// room that is gone and in use empties under the limits of `orphans`.
    pub(super) fn reconfigure<'a>(
        &mut self,
        now: Instant,
        named: impl Iterator<Item = (&'a str, Mode, Limits)>,
        orphans: (Mode, Limits),
    ) {
        let mut by_id: Vec<Option<usize>> = Vec::new();
        let mut named: Vec<_> = named.collect();
        for (name, mode, limits) in &named {
            let place = self.rooms.iter().position(|room| *room.name == **name);
            if let Some(place) = place {
                self.rooms[place].reconfigure(now, *mode, *limits);
            }
            by_id.push(place);
        }
        for (place, room) in self.rooms.iter_mut().enumerate() {
            if !by_id.contains(&Some(place)) {
                room.reconfigure(now, orphans.0, orphans.1);
            }
        }
        for (id, (name, mode, limits)) in named.drain(..).enumerate() {
            if by_id[id].is_none() {
                let free = (0..self.rooms.len())
                    .find(|place| self.rooms[*place].is_idle() && !by_id.contains(&Some(*place)));
                let room = Room::new(now, name, mode, limits);
                by_id[id] = Some(free.unwrap_or(self.rooms.len()));
                match free {
                    Some(place) => self.rooms[place] = room,
                    None => self.rooms.push(room),
                }
            }
        }
        self.by_id = by_id.into_iter().flatten().collect();
    }
}

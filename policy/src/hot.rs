//! Hot keys: rows that everybody wants.
//!
//! When many fight for one row, more of them in the database only make the row slower, and the
//! limit for everybody falls. So such a key gets a gate of its own: few at a time, until commit;
//! the others are parked outside, where they hold no permit and no connection. Keys are found from
//! waits that were observed; nobody has to name them.
//!
//! ```text
//!  seen waiting ──enough──► gated ──few wanted it for half a minute──► forgotten
//!
//!  arrive ──► Enter ───────────────────────────────► leave
//!         ──► Park ──(its turn: leave of another)──►   │
//!         │     └──(gone, or out of patience)──► abandon
//!         └─► Full
//! ```
//!
//! Only the first statement of a transaction waits; where that is about something else, what its
//! transaction is about is guessed from those before it (`hot/template.rs`).
//!
//! Who is parked waits no longer than it may, which who parks it sees to.

mod gate;
mod template;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::class::Mode;
use crate::sql::{Digest, Shape};

use self::gate::Gate;
pub use self::gate::{Counts, Place, Ticket};
use self::template::Templates;

/// A key that statements fight for: table and key value, hashed ([`Shape::row`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

/// Keys that are watched or gated at most. A new one takes the place of the least waited for, with
/// its count (space-saving): what is wrong by that is at most one part in as many of all waits.
pub const KEYS_MAX: usize = 64;
/// Waiters at once that make a key hot.
const OPEN_WAITERS: f64 = 5.0;
/// So does this share of all waiters for so long, where as many wait as would not all be let in.
const OPEN_SHARE: f64 = 0.2;
const OPEN_SHARE_WAITERS: f64 = 2.0;
const OPEN_AFTER: Duration = Duration::from_secs(1);
/// What is left of a count a second later.
const KEEPS: f64 = 0.9;
/// Transactions of one key that run at a time: one works and one is on its way.
pub const WIDTH: u32 = 2;
/// Transactions that may be parked for one key, and for all.
pub const PARKED_MAX: u32 = 20;
/// See [`PARKED_MAX`].
pub const PARKED_ALL_MAX: u32 = 1000;
/// A gate closes when nobody was parked for so long.
const CLOSE_AFTER: Duration = Duration::from_secs(30);

/// How hot keys are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Whether they are looked for, and whether anybody is parked.
    pub mode: Mode,
    /// Transactions of one key that run at a time, at least 1.
    pub width: u32,
    /// Transactions that may be parked for one key.
    pub parked_max: u32,
    /// Transactions that may be parked for all keys together.
    pub parked_all_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            width: WIDTH,
            parked_max: PARKED_MAX,
            parked_all_max: PARKED_ALL_MAX,
        }
    }
}

/// What an arrival for a key is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Passage {
    /// The key is not gated.
    Free,
    /// It may ask for a permit, and must [leave](HotKeys::leave) the key when it has ended.
    Enter(Place),
    /// Too many are at it: it waits outside, until its ticket is let in or it
    /// [gives up](HotKeys::abandon).
    Park(Ticket),
    /// And too many wait.
    Full(Full),
}

/// Which bound leaves no room to be parked, in numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Full {
    /// The name of the bound in configuration.
    pub limit_name: &'static str,
    /// The bound.
    pub limit: u32,
    /// How many are parked.
    pub measured: u32,
    /// The part of the last arrivals for the key that found no room.
    pub rejection_ratio: f64,
}

/// A transaction that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The row that its first statement is about, if it is about one.
    pub row: Option<Key>,
    /// The digest of that statement, where others will follow.
    pub first: Option<Digest>,
    /// How far the limits of its class go.
    pub mode: Mode,
}

/// A statement that was seen to wait.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it waits for.
    pub key: Key,
    /// What it is, where that is known.
    pub shape: Option<Arc<Shape>>,
}

/// One key.
#[derive(Debug)]
struct Watched {
    shape: Option<Arc<Shape>>,
    /// Waiters, as last seen and decaying.
    waits: f64,
    /// Since when it has had its share of all waiters.
    leads_since: Option<Instant>,
    gate: Option<Gate>,
}

/// A key got a gate, or lost it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turned {
    /// Which.
    pub key: Key,
    /// A statement that was seen to wait for it.
    pub shape: Option<Arc<Shape>>,
    /// What its gate has done, which is closed; `None` where it was opened.
    pub closed: Option<Counts>,
}

/// What one key is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// Which.
    pub key: Key,
    /// A statement that was seen to wait for it.
    pub shape: Option<Arc<Shape>>,
    /// Waiters in the database, as last seen and decaying.
    pub waits: f64,
    /// What its gate does; none while it is only watched.
    pub gate: Option<GateUsage>,
}

/// What one gate is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateUsage {
    /// Transactions at the key.
    pub inside: u32,
    /// Transactions that wait outside.
    pub parked: u32,
    /// What it has done.
    pub counts: Counts,
}

/// All keys that are watched.
#[derive(Debug, Default)]
pub struct HotKeys {
    config: Config,
    keys: HashMap<Key, Watched>,
    parked: u32,
    templates: Templates,
    /// What gates have done that are closed.
    closed: Counts,
    seen: Option<Instant>,
    /// Tells tickets and gates apart.
    last_id: u64,
}

impl HotKeys {
    /// None is hot.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Other bounds from now on. Returns who is let in by them: all that are parked, where nobody is
    /// parked any more.
    pub fn reconfigure(&mut self, config: Config) -> Vec<(Ticket, Place)> {
        self.config = config;
        let width = if config.mode == Mode::Enforce { config.width } else { u32::MAX };
        let gates = self.keys.iter_mut().filter_map(|(key, one)| Some((*key, one.gate.as_mut()?)));
        let mut entered = Vec::new();
        for (key, gate) in gates {
            while let Some(next) = gate.next(key, width) {
                entered.push(next);
            }
        }
        self.parked -= entered.len() as u32;
        if config.mode == Mode::Off {
            self.closed = self.counts();
            self.keys.clear();
            self.templates.clear();
        }
        entered
    }

    /// Learns from what waits now: each statement that does. Returns the gates that were opened and closed by
    /// it.
    pub fn observe(
        &mut self,
        now: Instant,
        waits: impl IntoIterator<Item = Wanted>,
    ) -> Vec<Turned> {
        let mut turned = Vec::new();
        if self.config.mode == Mode::Off {
            return turned;
        }
        let passed = self.seen.map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen));
        self.seen = Some(now);
        let keeps = KEEPS.powf(passed.as_secs_f64());
        self.templates.decay(keeps);
        for watched in self.keys.values_mut() {
            watched.waits *= keeps;
            if let Some(gate) = &mut watched.gate {
                gate.decay(keeps);
            }
        }
        let mut waiting: HashMap<Key, (f64, Option<Arc<Shape>>)> = HashMap::new();
        for Wanted { key, shape } in waits {
            let (waiters, known) = waiting.entry(key).or_default();
            *waiters += 1.0;
            *known = known.take().or(shape);
        }
        let all: f64 = waiting.values().map(|(waiters, _)| waiters).sum();
        for (key, watched) in &mut self.keys {
            let waiters = waiting.get(key).map_or(0.0, |(waiters, _)| *waiters);
            let leads = waiters >= OPEN_SHARE_WAITERS && waiters > all * OPEN_SHARE;
            watched.leads_since = watched.leads_since.or(Some(now)).filter(|_| leads);
        }
        let mut waiting: Vec<_> = waiting.into_iter().collect();
        waiting.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(&b.0)));
        for (key, (waiters, shape)) in waiting.into_iter().take(KEYS_MAX) {
            if self.watch(now, key, waiters, shape) {
                let shape = self.keys.get(&key).and_then(|watched| watched.shape.clone());
                turned.push(Turned { key, shape, closed: None });
            }
        }
        self.keys.retain(|key, watched| match &watched.gate {
            None => watched.waits >= 0.5,
            Some(gate) if gate.is_unwanted(now, CLOSE_AFTER) => {
                self.closed.add(gate.counts);
                let (shape, closed) = (watched.shape.take(), Some(gate.counts));
                turned.push(Turned { key: *key, shape, closed });
                false
            }
            Some(_) => true,
        });
        turned
    }

    /// A transaction begins that holds no locks. It is for the key that its first statement is about,
    /// or else for the one that most come to that begin as it does.
    pub fn arrive(&mut self, now: Instant, begin: Begin) -> Passage {
        let Begin { row, first, mode } = begin;
        let Config { width, parked_max, parked_all_max, .. } = self.config;
        let expected = first.and_then(|first| self.templates.begin(first));
        let row = row.filter(|row| self.is_gated(*row));
        let Some(key) = row.or(expected) else { return Passage::Free };
        let Some(gate) = self.keys.get_mut(&key).and_then(|watched| watched.gate.as_mut()) else {
            return Passage::Free;
        };
        if gate.has_room(width) {
            return Passage::Enter(gate.enter(key));
        }
        gate.wanted = now;
        if mode.min(self.config.mode) != Mode::Enforce {
            gate.counts.would_park += 1;
            return Passage::Enter(gate.enter(key));
        }
        let full = |limit_name, limit, measured, gate: &mut Gate| {
            let rejection_ratio = gate.refuse();
            Passage::Full(Full { limit_name, limit, measured, rejection_ratio })
        };
        if gate.parked() >= parked_max {
            return full("parked", parked_max, gate.parked(), gate);
        }
        if self.parked >= parked_all_max {
            return full("parked_all", parked_all_max, self.parked, gate);
        }
        self.last_id += 1;
        self.parked += 1;
        Passage::Park(gate.park(Ticket { key, id: self.last_id }))
    }

    /// A transaction comes to this key that may hold locks: it enters whoever else is there. `first` is
    /// what it began with; one that `has_place` already, there or elsewhere, takes no other. Returns
    /// its place, where it takes one.
    pub fn join(&mut self, key: Key, first: Option<Digest>, has_place: bool) -> Option<Place> {
        let gate = self.keys.get_mut(&key)?.gate.as_mut()?;
        if let Some(first) = first {
            self.templates.come(first, key);
        }
        (!has_place).then(|| gate.enter(key))
    }

    /// One that was parked goes away.
    pub fn abandon(&mut self, ticket: Ticket) {
        let gate = self.keys.get_mut(&ticket.key).and_then(|watched| watched.gate.as_mut());
        if gate.is_some_and(|gate| gate.abandon(ticket)) {
            self.parked -= 1;
        }
    }

    /// One that was parked goes away because it has waited for as long as it may. Returns the part of
    /// the last arrivals for the key that got no place.
    pub fn give_up(&mut self, ticket: Ticket) -> f64 {
        self.abandon(ticket);
        let gate = self.keys.get_mut(&ticket.key).and_then(|watched| watched.gate.as_mut());
        gate.map_or(0.0, Gate::refuse)
    }

    /// One that entered has ended, its locks are gone. Returns who enters in its stead.
    #[must_use = "who is let in must be told"]
    pub fn leave(&mut self, place: Place) -> Option<(Ticket, Place)> {
        let gate = self.keys.get_mut(&place.key())?.gate.as_mut()?;
        gate.leave(place);
        let next = gate.next(place.key(), self.config.width)?;
        self.parked -= 1;
        Some(next)
    }

    /// Whether any key is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key has a gate.
    #[must_use]
    pub fn is_gated(&self, key: Key) -> bool {
        self.keys.get(&key).is_some_and(|watched| watched.gate.is_some())
    }

    /// How far it goes.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// What all gates have done, those that are closed included.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = self.closed;
        let gates = self.keys.values().filter_map(|watched| watched.gate.as_ref());
        gates.for_each(|gate| all.add(gate.counts));
        all
    }

    /// Transactions that are parked, of all keys.
    #[must_use]
    pub fn parked(&self) -> u32 {
        self.parked
    }

    /// The keys, those with most parked first, then those that most wait for.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let mut usage: Vec<_> = self
            .keys
            .iter()
            .map(|(key, watched)| Usage {
                key: *key,
                shape: watched.shape.clone(),
                waits: watched.waits,
                gate: watched.gate.as_ref().map(Gate::usage),
            })
            .collect();
        usage.sort_by(|a, b| {
            let parked = |usage: &Usage| usage.gate.map(|gate| (gate.parked, gate.inside));
            parked(b).cmp(&parked(a)).then(b.waits.total_cmp(&a.waits)).then(a.key.cmp(&b.key))
        });
        usage
    }

    /// Returns whether a gate was opened.
    fn watch(&mut self, now: Instant, key: Key, waiters: f64, shape: Option<Arc<Shape>>) -> bool {
        let mut inherited = 0.0;
        if !self.keys.contains_key(&key) && self.keys.len() >= KEYS_MAX {
            let ungated = self.keys.iter().filter(|(_, watched)| watched.gate.is_none());
            let least = ungated.min_by(|a, b| a.1.waits.total_cmp(&b.1.waits).then(a.0.cmp(b.0)));
            let Some((least, waits)) = least.map(|(key, watched)| (*key, watched.waits)) else {
                return false;
            };
            // Not the present number of waiters but a mere chance to be kept.
            inherited = waits.min(waiters);
            self.keys.remove(&least);
        }
        let fresh = Watched { shape: None, waits: inherited, leads_since: None, gate: None };
        let watched = self.keys.entry(key).or_insert(fresh);
        watched.waits = watched.waits.max(waiters);
        watched.shape = watched.shape.take().or(shape);
        let leads = watched
            .leads_since
            .is_some_and(|since| now.saturating_duration_since(since) >= OPEN_AFTER);
        let opens = (leads || waiters >= OPEN_WAITERS) && watched.gate.is_none();
        if opens {
            self.last_id += 1;
            watched.gate = Some(Gate::new(self.last_id, now));
        }
        opens
    }
}

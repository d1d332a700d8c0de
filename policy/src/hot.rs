//! Hot keys: rows that everybody wants.
//!
//! When many fight for one row, more of them in the database only make the row slower, and the
//! limit for everybody falls. So such a key gets a gate of its own: few at a time, until commit;
//! the others are parked outside, where they hold no permit and no connection. Keys are found from
//! waits that were observed; nobody has to name them.
//!
//! ```text
//!  seen waiting ──enough──► gated ──few wanted it for half a minute──► forgotten
//! ```

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A key that statements fight for: table and key value, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

/// Keys that are watched or gated at most. A new one takes the place of the least waited for, with
/// its count (space-saving): what is wrong by that is at most one part in as many of all waits.
const KEYS_MAX: usize = 64;
/// Waiters at once that make a key hot.
const OPEN_WAITERS: f64 = 5.0;
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

/// What an arrival for a key is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The key is not gated.
    Free,
    /// It may ask for a permit, and must [leave](HotKeys::leave) the key when it has ended.
    Enter,
    /// Too many are at it: it waits outside, and must be [unparked](HotKeys::unpark) in the end.
    Park,
    /// And too many wait.
    Full,
}

/// One key.
#[derive(Debug, Clone, Copy)]
struct Watched {
    /// Waiters, as last seen and decaying.
    waits: f64,
    gate: Option<Gate>,
}

#[derive(Debug, Clone, Copy)]
struct Gate {
    inside: u32,
    parked: u32,
    /// Somebody was parked here last.
    wanted: Instant,
}

/// What one gated key is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Which.
    pub key: Key,
    /// Transactions at it.
    pub inside: u32,
    /// Transactions that wait outside.
    pub parked: u32,
}

/// All keys that are watched.
#[derive(Debug, Default)]
pub struct HotKeys {
    keys: HashMap<Key, Watched>,
    parked: u32,
    seen: Option<Instant>,
}

impl HotKeys {
    /// Learns from what waits now: the key of each statement that waits.
    pub fn observe(&mut self, now: Instant, waits: impl IntoIterator<Item = Key>) {
        let passed = self.seen.map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen));
        self.seen = Some(now);
        let keeps = KEEPS.powf(passed.as_secs_f64());
        for watched in self.keys.values_mut() {
            watched.waits *= keeps;
        }
        let mut waiting: HashMap<Key, f64> = HashMap::new();
        for key in waits {
            *waiting.entry(key).or_default() += 1.0;
        }
        let mut waiting: Vec<_> = waiting.into_iter().collect();
        waiting.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (key, waiters) in waiting.into_iter().take(KEYS_MAX) {
            self.watch(now, key, waiters);
        }
        self.keys.retain(|_, watched| match watched.gate {
            None => watched.waits >= 0.5,
            Some(gate) => {
                let is_empty = gate.inside == 0 && gate.parked == 0;
                !is_empty || now.saturating_duration_since(gate.wanted) < CLOSE_AFTER
            }
        });
    }

    /// Whether a key has a gate.
    #[must_use]
    pub fn is_gated(&self, key: Key) -> bool {
        self.keys.get(&key).is_some_and(|watched| watched.gate.is_some())
    }

    /// A transaction whose first statement is for this key.
    pub fn arrive(&mut self, now: Instant, key: Key) -> Passage {
        let Some(gate) = self.keys.get_mut(&key).and_then(|watched| watched.gate.as_mut()) else {
            return Passage::Free;
        };
        if gate.inside < WIDTH && gate.parked == 0 {
            gate.inside += 1;
            return Passage::Enter;
        }
        gate.wanted = now;
        if gate.parked >= PARKED_MAX || self.parked >= PARKED_ALL_MAX {
            return Passage::Full;
        }
        gate.parked += 1;
        self.parked += 1;
        Passage::Park
    }

    /// One that was parked goes: in, when it is its turn, else away.
    pub fn unpark(&mut self, key: Key, enters: bool) {
        if let Some(gate) = self.keys.get_mut(&key).and_then(|watched| watched.gate.as_mut()) {
            gate.parked = gate.parked.saturating_sub(1);
            gate.inside += u32::from(enters);
            self.parked = self.parked.saturating_sub(1);
        }
    }

    /// One that entered has ended, its locks are gone. Whether a parked one may enter now.
    pub fn leave(&mut self, key: Key) -> bool {
        let Some(gate) = self.keys.get_mut(&key).and_then(|watched| watched.gate.as_mut()) else {
            return false;
        };
        gate.inside = gate.inside.saturating_sub(1);
        gate.parked > 0 && gate.inside < WIDTH
    }

    /// The gated keys, those with most parked first.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let gated = self.keys.iter().filter_map(|(key, watched)| {
            let Gate { inside, parked, .. } = watched.gate?;
            Some(Usage { key: *key, inside, parked })
        });
        let mut usage: Vec<_> = gated.collect();
        usage.sort_by_key(|usage| (std::cmp::Reverse(usage.parked), usage.key));
        usage
    }

    fn watch(&mut self, now: Instant, key: Key, waiters: f64) {
        let mut inherited = 0.0;
        if !self.keys.contains_key(&key) && self.keys.len() >= KEYS_MAX {
            let ungated = self.keys.iter().filter(|(_, watched)| watched.gate.is_none());
            let least = ungated.min_by(|a, b| a.1.waits.total_cmp(&b.1.waits).then(a.0.cmp(b.0)));
            let Some((least, waits)) = least.map(|(key, watched)| (*key, watched.waits)) else {
                return;
            };
            // Not the present number of waiters but a mere chance to be kept.
            inherited = waits.min(waiters);
            self.keys.remove(&least);
        }
        let fresh = Watched { waits: inherited, gate: None };
        let watched = self.keys.entry(key).or_insert(fresh);
        watched.waits = watched.waits.max(waiters);
        if waiters >= OPEN_WAITERS && watched.gate.is_none() {
            watched.gate = Some(Gate { inside: 0, parked: 0, wanted: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    /// So many waiters for each key.
    fn waiting(keys: &[(u64, u32)]) -> Vec<Key> {
        keys.iter().flat_map(|(key, waiters)| (0..*waiters).map(|_| Key(*key))).collect()
    }

    #[test]
    fn a_key_that_many_wait_for_is_gated_two_wide_until_the_end() {
        let (mut keys, now) = (HotKeys::default(), start());
        assert_eq!(keys.arrive(now, Key(7)), Passage::Free);
        keys.observe(now, waiting(&[(7, 5), (8, 4)]));
        assert!(keys.is_gated(Key(7)) && !keys.is_gated(Key(8)));
        let got: Vec<_> = (0..4).map(|_| keys.arrive(now, Key(7))).collect();
        assert_eq!(got, [Passage::Enter, Passage::Enter, Passage::Park, Passage::Park]);
        assert!(keys.leave(Key(7)));
        keys.unpark(Key(7), true);
        assert_eq!(keys.usage(), [Usage { key: Key(7), inside: 2, parked: 1 }]);
        // Who gives up makes no room inside.
        keys.unpark(Key(7), false);
        assert!(!keys.leave(Key(7)));
        assert_eq!(keys.arrive(now, Key(8)), Passage::Free);
    }

    #[test]
    fn parking_is_bounded_for_a_key_and_for_all() {
        let (mut keys, now) = (HotKeys::default(), start());
        let hot: Vec<_> = (0..60).map(|key| (key, 5)).collect();
        keys.observe(now, waiting(&hot));
        let mut parked = 0;
        for key in 0..60 {
            let got: Vec<_> = (0..40).map(|_| keys.arrive(now, Key(key))).collect();
            let here = got.iter().filter(|passage| **passage == Passage::Park).count() as u32;
            assert!(here <= PARKED_MAX);
            parked += here;
        }
        assert_eq!(parked, PARKED_ALL_MAX);
    }

    #[test]
    fn a_gate_that_nobody_waits_at_closes_and_one_in_use_does_not() {
        let (mut keys, mut now) = (HotKeys::default(), start());
        keys.observe(now, waiting(&[(1, 9), (2, 9)]));
        assert_eq!(keys.arrive(now, Key(2)), Passage::Enter);
        now += CLOSE_AFTER;
        keys.observe(now, []);
        assert!(!keys.is_gated(Key(1)) && keys.is_gated(Key(2)));
        keys.leave(Key(2));
        keys.observe(now, []);
        assert!(!keys.is_gated(Key(2)));
    }

    #[test]
    fn many_cold_keys_do_not_push_out_a_hot_one() {
        let (mut keys, mut now) = (HotKeys::default(), start());
        for round in 0..100 {
            let mut seen = vec![(1, 4)];
            seen.extend((0..50).map(|key| (1000 + round * 50 + key, 1)));
            keys.observe(now, waiting(&seen));
            now += Duration::from_millis(200);
        }
        assert!(keys.keys.len() <= KEYS_MAX && keys.keys.contains_key(&Key(1)));
    }
}

//! Whether what begins is still the mix of which something was found.
//!
//! What begins is counted by its kind. While the mix stays as it is, so does the share of each kind;
//! the part of all that is of another kind than usual (the total variation distance) tells that it has
//! changed. It is counted when it begins, as what ends is also a question of what is held up. Times do not count:
//! they change with the limit, and with what else the machine has to do.

use crate::sql::Digest;

/// Kinds that are told apart; others share a place with one of these.
const KINDS: usize = 32;
/// A sample is taken for so many ticks at least.
const TICKS_MIN: u32 = 3;
/// And until so many have begun: of fewer, much differs by chance.
const BEGUN_MIN: u32 = 100;
/// From here on it is another mix.
const CHANGED: f64 = 0.5;
/// A mix is usual after so many samples, three seconds or more.
const USUAL: u32 = 10;
/// Where mixes come and go, each that has stayed for less than so many times as long as the one
/// before had to makes the next have to stay for twice as long.
const SHORT: u32 = 2;
/// But no longer than for so many samples, half a minute: together they are one mix then.
const USUAL_MAX: u32 = 100;

type Shares = [f64; KINDS];

/// What is usual, and what has begun lately.
#[derive(Debug)]
pub(super) struct Traffic {
    usual: Shares,
    /// How many samples it has been so.
    samples: u32,
    /// How many it has to be so to be usual.
    wanted: u32,
    lately: [u32; KINDS],
    ticks: u32,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self { usual: [0.0; KINDS], samples: 0, wanted: USUAL, lately: [0; KINDS], ticks: 0 }
    }

    /// One has begun.
    pub(super) fn began(&mut self, digest: Digest) {
        let kind = (digest.0 ^ (digest.0 >> 32)) as usize % KINDS;
        self.lately[kind] = self.lately[kind].saturating_add(1);
    }

    /// What has begun says nothing: somebody kept the rest back.
    pub(super) fn forget(&mut self) {
        *self = Self { wanted: self.wanted, ..Self::new() };
    }

    /// A tick has passed. Whether the mix has become another one than the usual: that is said once, and
    /// the new one is then taken for usual.
    pub(super) fn has_changed(&mut self) -> bool {
        self.ticks += 1;
        let begun: u32 = self.lately.iter().sum();
        if self.ticks < TICKS_MIN || begun < BEGUN_MIN {
            return false;
        }
        let lately = self.lately.map(|of| f64::from(of) / f64::from(begun));
        (self.lately, self.ticks) = ([0; KINDS], 0);
        if self.samples >= self.wanted && distance(&self.usual, &lately) > CHANGED {
            let was_short = self.samples < SHORT * self.wanted;
            self.wanted = if was_short { USUAL_MAX.min(2 * self.wanted) } else { USUAL };
            (self.usual, self.samples) = (lately, 1);
            return true;
        }
        self.samples = self.samples.saturating_add(1);
        let weight = f64::from(self.samples.min(self.wanted));
        for (usual, lately) in self.usual.iter_mut().zip(lately) {
            *usual += (lately - *usual) / weight;
        }
        false
    }
}

/// The part of one mix that would have to be of another kind to make it the other: 0 to 1.
fn distance(one: &Shares, other: &Shares) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets so many ticks pass in which each kind begins so often, and says in which it was told of a change.
    fn pass(traffic: &mut Traffic, ticks: u32, kinds: &[(u64, u32)]) -> Vec<u32> {
        let mut told = Vec::new();
        for tick in 0..ticks {
            for (kind, count) in kinds {
                (0..*count).for_each(|_| traffic.began(Digest(*kind)));
            }
            if traffic.has_changed() {
                told.push(tick);
            }
        }
        told
    }

    #[test]
    fn another_mix_is_told_once_and_within_two_samples() {
        let mut traffic = Traffic::new();
        assert!(pass(&mut traffic, 100, &[(1, 50), (2, 50)]).is_empty());
        let told = pass(&mut traffic, 100, &[(1, 10), (3, 90)]);
        assert!(told.len() == 1 && told[0] < 2 * TICKS_MIN, "{told:?}");
        assert_eq!(pass(&mut traffic, 100, &[(1, 50), (2, 50)]).len(), 1, "and back");
    }

    #[test]
    fn a_little_more_of_one_kind_is_the_same_mix() {
        let mut traffic = Traffic::new();
        assert!(pass(&mut traffic, 100, &[(1, 50), (2, 50)]).is_empty());
        assert!(pass(&mut traffic, 100, &[(1, 90), (2, 10), (3, 9)]).is_empty());
    }

    #[test]
    fn what_changes_slowly_is_followed() {
        let mut traffic = Traffic::new();
        for step in 0..100 {
            let told = pass(&mut traffic, 3, &[(1, 100 - step), (2, step)]);
            assert!(told.is_empty(), "{step}");
        }
    }

    #[test]
    fn few_say_nothing() {
        let mut traffic = Traffic::new();
        assert!(pass(&mut traffic, 1000, &[(1, 10)]).is_empty());
        let told = pass(&mut traffic, 20, &[(2, 10)]);
        assert!(told.len() == 1 && told[0] >= 9, "not before a hundred have begun: {told:?}");
    }

    #[test]
    fn mixes_that_take_turns_become_one() {
        let mut traffic = Traffic::new();
        let mut told = |seconds: u64| -> usize {
            (0..seconds).map(|second| pass(&mut traffic, 10, &[(second % 3, 100)]).len()).sum()
        };
        assert!(told(60) <= 8);
        assert!(told(60) <= 3, "half a minute or more from one to the next");
    }
}

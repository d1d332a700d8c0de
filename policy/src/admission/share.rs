//! Whose turn it is, where several classes wait for the same room.
//!
//! Each transaction is an amount of work: what one of its class takes on the average. A class that
//! had work done has to wait until the others that want room had theirs, in proportion to their
//! shares. This is start-time fair queueing (Goyal, Vin, Cheng, 1996): a transaction *starts* in
//! virtual time where the one before it of its class *ended*, or now if that was earlier, and who
//! starts first goes first. So what nobody else wants is free, nobody saves up for later, and however
//! small its share, a class that waits gets something.
//!
//! It shares work and not transactions: a class of long ones begins fewer.

use std::num::NonZeroU32;
use std::time::Duration;

/// What a transaction is taken for while none of its class has ended, in seconds.
const UNKNOWN: f64 = 0.001;

/// How much one more transaction says of its class.
const GAIN: f64 = 1.0 / 16.0;

/// The account of each class, by its place.
#[derive(Debug, Default)]
pub(super) struct Shares {
    accounts: Vec<Account>,
    /// The start of the latest transaction.
    now: f64,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    weight: f64,
    /// Where its last transaction ended.
    end: f64,
    /// What its transactions take, in seconds.
    typical: Option<f64>,
}

impl Shares {
    /// The weight of a class from now on.
    pub(super) fn set(&mut self, place: usize, share: NonZeroU32) {
        let weight = f64::from(share.get());
        match self.accounts.get_mut(place) {
            Some(account) => account.weight = weight,
            None => {
                let new = Account { weight, end: self.now, typical: None };
                self.accounts.resize(place + 1, new);
            }
        }
    }

    /// Where its next transaction would start: the least goes first.
    pub(super) fn start(&self, place: usize) -> f64 {
        self.accounts.get(place).map_or(self.now, |account| account.end.max(self.now))
    }

    /// One of its transactions begins.
    pub(super) fn charge(&mut self, place: usize) {
        let start = self.start(place);
        if let Some(account) = self.accounts.get_mut(place) {
            account.end = start + account.typical.unwrap_or(UNKNOWN) / account.weight;
            self.now = start;
        }
    }

    /// What one of its transactions takes; nothing while none has ended.
    pub(super) fn typical(&self, place: usize) -> Duration {
        let typical = self.accounts.get(place).and_then(|account| account.typical);
        Duration::from_secs_f64(typical.unwrap_or_default())
    }

    /// One of its transactions took so long.
    pub(super) fn learn(&mut self, place: usize, service: Duration) {
        if let Some(account) = self.accounts.get_mut(place) {
            let took = service.as_secs_f64();
            let typical = account.typical.get_or_insert(took);
            *typical += (took - *typical) * GAIN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Classes with these shares, whose transactions take so many milliseconds.
    fn shares(of: &[(u32, u32)]) -> Shares {
        let mut shares = Shares::default();
        for (place, (share, took)) in of.iter().enumerate() {
            shares.set(place, NonZeroU32::new(*share).unwrap());
            shares.learn(place, *took * MS);
        }
        shares
    }

    /// How many of so many turns each gets, where all always wait.
    fn turns(shares: &mut Shares, classes: usize, count: usize) -> Vec<usize> {
        let mut turns = vec![0; classes];
        for _ in 0..count {
            let first =
                |place: &usize| (0..classes).all(|o| shares.start(*place) <= shares.start(o));
            let place = (0..classes).find(first).unwrap();
            shares.charge(place);
            turns[place] += 1;
        }
        turns
    }

    #[test]
    fn turns_are_in_proportion_to_shares() {
        assert_eq!(turns(&mut shares(&[(10, 1), (40, 1)]), 2, 100), [20, 80]);
        assert_eq!(turns(&mut shares(&[(1, 1), (999, 1)]), 2, 10_000), [10, 9_990]);
    }

    #[test]
    fn long_transactions_have_fewer_turns() {
        assert_eq!(turns(&mut shares(&[(10, 1), (10, 9)]), 2, 100), [90, 10]);
    }

    #[test]
    fn who_did_not_want_any_has_saved_nothing_and_owes_nothing() {
        let mut shares = shares(&[(10, 1), (10, 1)]);
        (0..1_000).for_each(|_| shares.charge(0));
        assert_eq!(turns(&mut shares, 2, 100), [50, 50]);
    }
}

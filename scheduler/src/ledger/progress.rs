//! What has become of a chunk's items, as its holder knows it.
//!
//! ```text
//!            ┌──────────── retried ────────────┐
//!            ▼                                 │
//!  untouched ─► sent        failed ─► waiting ─┤        only what is not sent
//!       │  ├──────────────────┴──► dead ───────┤        at first has a row
//!       │  └─ it no longer applies: dropped    │
//!       └─ offered, and its holder gone: ambiguous ─► waiting or held
//! ```
//!
//! Whoever holds the lease of a chunk is the only one who changes it, so it writes down what is, not
//! what has changed: a write that is repeated does no harm. An item that is *offered* may be with
//! its receiver, with an outcome that nobody knows yet. Where the effect is stored together with
//! the progress nothing needs to be offered; where it is not (a webhook), the holder flushes what it
//! is about to offer, offers it, and flushes what came of it with what it offers next. So what a
//! holder that has died may have sent is known item by item.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::bitmap::Bitmap;
use super::lateness::Lateness;

/// A failure's text is cut here.
pub const WHY_BYTES_MAX: usize = 500;

/// What is to become of an item that was not sent at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is tried again, not before this moment.
    Waiting(Timestamp),
    /// Whether it was sent is not known, and somebody has to decide.
    Held,
    /// It is not tried any more.
    Dead,
    /// It was sent later. Its row stays, as a note.
    Sent,
    /// What it is about no longer holds: it is not sent.
    Dropped,
}

/// An item that was not sent at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is to become of it.
    pub fate: Fate,
    /// How often it was tried and has failed.
    pub attempts: u32,
    /// Whether it was ever offered by a holder that was gone before the outcome was known: it may have
    /// been sent twice where the receiver does not tell by its id.
    pub is_ambiguous: bool,
    /// Why, the last time.
    pub why: String,
}

/// How many items of a chunk, or a batch, are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All.
    pub items: u64,
    /// Sent.
    pub sent: u64,
    /// Failed, and to be tried again.
    pub waiting: u64,
    /// Ambiguous, and waiting for a decision.
    pub held: u64,
    /// Given up.
    pub dead: u64,
    /// Not sent because they no longer applied.
    pub dropped: u64,
}

impl Tally {
    /// Those that were never tried, or whose outcome is not known yet. None where the others are more
    /// than all: a contradiction.
    #[must_use]
    pub const fn untouched(self) -> Option<u64> {
        let settled = self.sent + self.held + self.dead + self.dropped;
        self.items.checked_sub(settled + self.waiting)
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            items: self.items + other.items,
            sent: self.sent + other.sent,
            waiting: self.waiting + other.waiting,
            held: self.held + other.held,
            dead: self.dead + other.dead,
            dropped: self.dropped + other.dropped,
        }
    }
}

/// How a chunk stands when its holder lets go of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is left to be done.
    Complete,
    /// Some items were never tried.
    Untouched,
    /// All that is left is to try again, not before this moment. Behind all first attempts.
    Retry(Timestamp),
}

/// What has become of a chunk's items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    sent: Bitmap,
    offered: Bitmap,
    failures: BTreeMap<u32, Failure>,
    lateness: Lateness,
    paced: Lateness,
    changed: BTreeSet<u32>,
}

impl Progress {
    /// Of a chunk that nobody has begun.
    #[must_use]
    pub fn new(items: u32) -> Self {
        Self { sent: Bitmap::new(items), offered: Bitmap::new(items), ..Self::default() }
    }

    /// As it was stored. None where the parts contradict each other.
    #[must_use]
    pub fn restore(
        (sent, offered): (Bitmap, Bitmap),
        failures: BTreeMap<u32, Failure>,
        (lateness, paced): (Lateness, Lateness),
    ) -> Option<Self> {
        let fits = failures.iter().all(|(item, failure)| {
            *item < sent.len() && sent.contains(*item) == (failure.fate == Fate::Sent)
        });
        let apart = offered.items().all(|item| !sent.contains(item));
        let whole = fits && apart && offered.len() == sent.len();
        let changed = BTreeSet::new();
        whole.then_some(Self { sent, offered, failures, lateness, paced, changed })
    }

    /// An item was sent, so late. Said twice it counts once.
    pub fn sent(&mut self, item: u32, late: Duration) {
        self.offered.clear(item);
        if self.sent.set(item) {
            self.lateness.add(late);
            self.settle(item, Fate::Sent);
        }
    }

    /// An item goes so long after its moment, with nothing but its dispatcher to hold it up. Of who is gone
    /// before it writes that down, it is lost.
    pub fn paced(&mut self, error: Duration) {
        self.paced.add(error);
    }

    /// An item has failed and is tried again, not before `next`. One that was sent stays so.
    pub fn failed(&mut self, item: u32, next: Timestamp, why: &str) {
        self.fail(item, Fate::Waiting(next), why);
    }

    /// An item has failed and is given up. One that was sent stays so.
    pub fn bury(&mut self, item: u32, why: &str) {
        self.fail(item, Fate::Dead, why);
    }

    /// An item no longer applies, and is not sent; no attempt is counted. One that was sent stays so. What was
    /// ambiguous stays listed as that, too.
    pub fn dropped(&mut self, item: u32, why: &str) {
        self.fail(item, Fate::Dropped, why);
        self.count_no_attempt(item);
    }

    /// An item is kept until somebody decides: nobody knows whether it was sent.
    pub fn hold(&mut self, item: u32) {
        if !self.sent.contains(item)
            && let Some(failure) = self.failures.get_mut(&item)
        {
            failure.fate = Fate::Held;
            self.offered.clear(item);
            self.changed.insert(item);
        }
    }

    /// An item was not sent, for a reason that is not its own: it is tried again, not before `next`, and no
    /// attempt is counted. One that was sent stays so.
    pub fn postpone(&mut self, item: u32, next: Timestamp, why: &str) {
        self.fail(item, Fate::Waiting(next), why);
        self.count_no_attempt(item);
    }

    /// An item was offered, and nobody knows what came of it: it is listed as ambiguous from now on, and
    /// is tried again, not before `next`; without one it is kept until somebody decides.
    pub fn doubt(&mut self, item: u32, next: Option<Timestamp>, why: &str) {
        self.fail(item, next.map_or(Fate::Held, Fate::Waiting), why);
        if let Some(failure) = self.failures.get_mut(&item).filter(|_| !self.sent.contains(item)) {
            failure.is_ambiguous = true;
        }
    }

    /// An item that was about to be offered is not, after all.
    pub fn withdraw(&mut self, item: u32) {
        self.offered.clear(item);
    }

    /// An item is about to be offered. Flush before it is.
    pub fn offer(&mut self, item: u32) {
        if !self.sent.contains(item) {
            self.offered.set(item);
        }
    }

    /// The holder before is gone: what it had offered and not settled is ambiguous now, and waits to
    /// be offered again at `now`, or to be put to [`Fate::Held`]. Returns those items.
    pub fn take_over(&mut self, now: Timestamp) -> Vec<u32> {
        let ambiguous: Vec<u32> = self.offered.items().collect();
        for item in &ambiguous {
            let why = "its holder was gone before the outcome was known";
            let known = self.failures.get(item);
            let attempts = known.map_or(0, |failure| failure.attempts);
            let failure =
                Failure { fate: Fate::Waiting(now), attempts, is_ambiguous: true, why: why.into() };
            self.failures.insert(*item, failure);
            self.changed.insert(*item);
            self.offered.clear(*item);
        }
        ambiguous
    }

    /// The items to try at `now`, in order: those never tried, and those whose time has come again.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        (0..self.sent.len())
            .filter(move |item| !self.offered.contains(*item) && self.is_due(*item, now))
    }

    fn is_due(&self, item: u32, now: Timestamp) -> bool {
        match self.failures.get(&item).map(|failure| failure.fate) {
            None => !self.sent.contains(item),
            Some(Fate::Waiting(next)) => next <= now,
            Some(Fate::Held | Fate::Dead | Fate::Sent | Fate::Dropped) => false,
        }
    }

    fn fail(&mut self, item: u32, fate: Fate, why: &str) {
        if self.sent.contains(item) || item >= self.sent.len() {
            return;
        }
        let new = Failure { fate, attempts: 0, is_ambiguous: false, why: String::new() };
        let failure = self.failures.entry(item).or_insert(new);
        failure.attempts += 1;
        failure.why = cut(why).to_owned();
        self.settle(item, fate);
    }

    fn count_no_attempt(&mut self, item: u32) {
        if let Some(failure) = self.failures.get_mut(&item).filter(|_| !self.sent.contains(item)) {
            failure.attempts = failure.attempts.saturating_sub(1);
        }
    }

    fn settle(&mut self, item: u32, fate: Fate) {
        self.offered.clear(item);
        if let Some(failure) = self.failures.get_mut(&item) {
            failure.fate = fate;
            self.changed.insert(item);
        }
    }

    /// What is known of an item that was not sent at first.
    #[must_use]
    pub fn failure(&self, item: u32) -> Option<&Failure> {
        self.failures.get(&item)
    }

    /// Whether an item was sent.
    #[must_use]
    pub fn is_sent(&self, item: u32) -> bool {
        self.sent.contains(item)
    }

    /// How many items are how far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            items: u64::from(self.sent.len()),
            sent: u64::from(self.sent.count()),
            ..Tally::default()
        };
        for failure in self.failures.values() {
            match failure.fate {
                Fate::Waiting(_) => tally.waiting += 1,
                Fate::Held => tally.held += 1,
                Fate::Dead => tally.dead += 1,
                Fate::Dropped => tally.dropped += 1,
                Fate::Sent => {}
            }
        }
        tally
    }

    /// How the chunk stands when its holder lets go of it now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let nexts = self.failures.values().filter_map(|failure| match failure.fate {
            Fate::Waiting(next) => Some(next),
            _ => None,
        });
        match (self.tally().untouched(), nexts.min()) {
            (Some(0), Some(next)) => Standing::Retry(next),
            (Some(0), None) => Standing::Complete,
            _ => Standing::Untouched,
        }
    }

    /// How late its items were.
    #[must_use]
    pub const fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// How far behind their moments those went that nothing held up.
    #[must_use]
    pub const fn pacing(&self) -> &Lateness {
        &self.paced
    }

    pub(super) fn bitmaps(&self) -> (&[u8], &[u8]) {
        (self.sent.stored(), self.offered.stored())
    }

    /// The failures that are not written down yet.
    pub(super) fn changed(&self) -> impl Iterator<Item = (u32, &Failure)> {
        self.changed.iter().filter_map(|item| Some((*item, self.failures.get(item)?)))
    }

    pub(super) fn has_offered(&self) -> bool {
        self.offered.count() > 0
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// All is written down.
    pub(super) fn written(&mut self) {
        self.changed.clear();
    }
}

/// The text up to its bound, at a letter's end.
fn cut(why: &str) -> &str {
    &why[..why.floor_char_boundary(WHY_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Sent(u32),
        Failed(u32, i64),
        Bury(u32),
        Dropped(u32),
        Offer(u32),
        Hold(u32),
        Postpone(u32, i64),
        Doubt(u32, i64),
        Withdraw(u32),
        TakeOver,
        Store,
    }

    fn act() -> impl Strategy<Value = Act> {
        let item = 0_u32..22;
        prop_oneof![
            4 => item.clone().prop_map(Act::Sent),
            3 => (item.clone(), 0_i64..100).prop_map(|(item, next)| Act::Failed(item, next)),
            1 => item.clone().prop_map(Act::Bury),
            1 => item.clone().prop_map(Act::Dropped),
            3 => item.clone().prop_map(Act::Offer),
            1 => item.clone().prop_map(Act::Hold),
            1 => (item.clone(), 0_i64..100).prop_map(|(item, next)| Act::Postpone(item, next)),
            1 => (item.clone(), 0_i64..100).prop_map(|(item, next)| Act::Doubt(item, next)),
            1 => item.prop_map(Act::Withdraw),
            1 => Just(Act::TakeOver),
            1 => Just(Act::Store),
        ]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What a store gives back.
    fn reread(progress: &Progress) -> Progress {
        let (sent, offered) = progress.bitmaps();
        let items = progress.sent.len();
        let bitmaps = (Bitmap::parse(items, sent).unwrap(), Bitmap::parse(items, offered).unwrap());
        let late = [&progress.lateness, &progress.paced];
        let [lateness, paced] = late.map(|late| Lateness::parse(&late.stored()).unwrap());
        Progress::restore(bitmaps, progress.failures.clone(), (lateness, paced)).unwrap()
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_place_and_what_was_sent_stays_sent(acts in proptest::collection::vec(act(), 0..120)) {
            let mut progress = Progress::new(20);
            let mut sent = BTreeMap::new();
            for act in acts {
                match act {
                    Act::Sent(item) => {
                        progress.sent(item, Duration::from_millis(5));
                        if item < 20 { sent.insert(item, ()); }
                    }
                    Act::Failed(item, next) => progress.failed(item, at(next), "no"),
                    Act::Bury(item) => progress.bury(item, "never"),
                    Act::Dropped(item) => progress.dropped(item, "no longer"),
                    Act::Offer(item) => progress.offer(item),
                    Act::Hold(item) => progress.hold(item),
                    Act::Postpone(item, next) => progress.postpone(item, at(next), "later"),
                    Act::Doubt(item, next) => progress.doubt(item, Some(at(next)), "who knows"),
                    Act::Withdraw(item) => progress.withdraw(item),
                    Act::TakeOver => {
                        let ambiguous = progress.take_over(at(50));
                        prop_assert!(ambiguous.iter().all(|item| !sent.contains_key(item)));
                        prop_assert!(ambiguous.iter().all(|item| progress.failure(*item).unwrap().is_ambiguous));
                    }
                    Act::Store => {
                        progress.written();
                        prop_assert_eq!(reread(&progress), progress.clone());
                    }
                }
                let tally = progress.tally();
                prop_assert_eq!(tally.sent, sent.len() as u64);
                prop_assert!(tally.untouched().is_some());
                prop_assert_eq!(progress.lateness().count(), tally.sent);
                prop_assert!(progress.due(at(1000)).all(|item| !sent.contains_key(&item)));
            }
            // With nothing on its way, what is due at the end of time is all that is open.
            progress.take_over(at(0));
            let open = progress.due(at(1000)).count() as u64;
            let tally = progress.tally();
            prop_assert_eq!(open, tally.untouched().unwrap() + tally.waiting);
            prop_assert_eq!(progress.standing() == Standing::Complete, open == 0);
        }
    }

    #[test]
    fn what_a_dead_holder_had_offered_is_listed() {
        let mut progress = Progress::new(4);
        progress.offer(0);
        progress.offer(1);
        progress.sent(0, Duration::ZERO);
        assert_eq!(progress.due(at(0)).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(progress.take_over(at(9)), [1]);
        assert_eq!(progress.due(at(9)).collect::<Vec<_>>(), [1, 2, 3]);
        progress.hold(1);
        assert_eq!(progress.due(at(9)).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(progress.tally().held, 1);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_letter() {
        let mut progress = Progress::new(1);
        progress.bury(0, &"é".repeat(WHY_BYTES_MAX));
        assert_eq!(progress.failure(0).unwrap().why.len(), WHY_BYTES_MAX);
        progress.bury(0, &format!("a{}", "é".repeat(WHY_BYTES_MAX)));
        assert_eq!(progress.failure(0).unwrap().why.len(), WHY_BYTES_MAX - 1);
    }

    #[test]
    fn parts_that_contradict_are_not_taken() {
        let failure =
            Failure { fate: Fate::Dead, attempts: 1, is_ambiguous: false, why: String::new() };
        let mut sent = Bitmap::new(2);
        sent.set(1);
        let failures = BTreeMap::from([(1, failure)]);
        let bitmaps = (sent, Bitmap::new(2));
        assert_eq!(Progress::restore(bitmaps, failures, Default::default()), None);
    }
}

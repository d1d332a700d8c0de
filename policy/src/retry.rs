//! Who comes again after it was refused, and how much of that is borne with.
//!
//! Retries are what keeps an overload up after its cause has gone. So those of one application may
//! be a tenth of what it has had admitted, or a few a second where that is more. Who finds room is served, and
//! taken off that; one more does not wait for any (Finagle's RetryBudget; Google, "Site Reliability Engineering", ch.
//! 21). Who comes again at once is kept waiting for its next refusal a little: its thread is then not
//! there to ask.
//!
//! That a request is the same as one refused before is told by a number of its statement, its values
//! and its user. Nothing is kept of quiet times, and the memory of others is bounded.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::class::Mode;
use crate::rule::Facts;

/// A request that comes within this time of its refusal comes again.
pub const AGAIN: Duration = Duration::from_secs(5);
/// One that comes within this time has not waited at all.
const AT_ONCE: Duration = Duration::from_millis(50);
/// The longest that a refusal is held back.
pub const HELD_MAX: Duration = Duration::from_millis(100);
/// Places for refused requests that are remembered (2 MiB, once anybody was refused).
const REMEMBERED: usize = 1 << 18;
/// A request may be in so many places; where all are taken the oldest is forgotten: at worst a retry
/// passes as a first attempt.
const WAYS: usize = 4;
/// Applications that have a budget of their own; beyond, they share.
const APPLICATIONS: usize = 64;
/// A budget is saved up to so many retries.
const SAVED_MAX: f64 = 20.0;

/// What is done about retries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// [`Mode::Observe`] counts what would be refused.
    pub mode: Mode,
    /// Retries for each transaction of the application that was admitted.
    pub budget: f64,
    /// At least so many a second.
    pub per_second: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Off, budget: 0.1, per_second: 5.0 }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asker {
    /// A number of the application.
    pub application: u64,
    /// A number of the request: the same when it comes again. 0: not known, it always comes first.
    pub request: u64,
}

impl Asker {
    /// Who asks with a statement, of one user; `values` is what it carries beside its text. Of long
    /// values only the first [`READ_MAX`] bytes are looked at.
    #[must_use]
    pub fn of(facts: &Facts<'_>, values: &[u8]) -> Self {
        let application = mix(SEED, facts.user.as_bytes());
        let digest = mix(application, &facts.shape.digest.0.to_le_bytes());
        let literals = facts.scratch.literals().iter().map(|span| span.of(facts.sql));
        let mut left = READ_MAX;
        let request = literals.chain([values]).fold(digest, |hash, value| {
            let read = &value[..value.len().min(left)];
            left -= read.len();
            // What ends here and what begins there are not the same as what does elsewhere.
            mix(mix(hash, read), &[0xff])
        });
        Self { application, request: request.max(1) }
    }
}

/// FNV-1a.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
/// How much of a request's values tells it from others.
pub const READ_MAX: usize = 4096;

/// The retries of all applications.
#[derive(Debug)]
pub(crate) struct Retries {
    config: Config,
    /// What was refused, by its place; empty until the first was.
    refused: Vec<Slot>,
    budgets: Vec<Budget>,
    /// When the first was refused: slots count from here.
    origin: Option<Instant>,
    /// When the last was refused.
    latest: Option<Instant>,
}

/// A request that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Slot {
    /// A part of its number that is not its place; 0: none.
    request: u32,
    /// When, in milliseconds, which come anew after seven weeks.
    at: u32,
}

/// The budget of one application.
#[derive(Debug, Clone, Copy)]
struct Budget {
    left: f64,
    at: Instant,
    /// Earned by what was admitted, and not yet set off against what each second brings at least.
    ahead: f64,
    /// Retries that came while there was no room, and transactions that were admitted, of late.
    asked: f64,
    admitted: f64,
}

/// Counts of retries and of what was admitted go back this far.
const COUNTED_MAX: f64 = 1000.0;

impl Retries {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, refused: Vec::new(), budgets: Vec::new(), origin: None, latest: None }
    }

    pub(crate) fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    pub(crate) fn config(&self) -> Config {
        self.config
    }

    /// Whether somebody may come again now: whether anything was refused lately.
    pub(crate) fn is_awake(&self, now: Instant) -> bool {
        let lately = |latest| now.saturating_duration_since(latest) <= AGAIN;
        self.config.mode != Mode::Off && self.latest.is_some_and(lately)
    }

    /// Somebody asks and there is no room. Returns whether it comes again beyond the budget.
    pub(crate) fn is_beyond(&mut self, now: Instant, asker: Asker) -> bool {
        if !self.is_awake(now) || self.since(now, asker).is_none() {
            return false;
        }
        let config = self.config;
        let Some(budget) = self.budget(asker) else { return false };
        budget.earn(now, config.per_second);
        budget.count(1.0, 0.0);
        let is_beyond = budget.left < 1.0;
        if !is_beyond {
            budget.left -= 1.0;
        }
        is_beyond
    }

    /// Somebody asks and there is room: it is served, and if it comes again, taken off the budget all the same.
    pub(crate) fn found_room(&mut self, now: Instant, asker: Asker) {
        if !self.is_awake(now) || self.since(now, asker).is_none() {
            return;
        }
        let per_second = self.config.per_second;
        if let Some(budget) = self.budget(asker) {
            budget.earn(now, per_second);
            budget.left = (budget.left - 1.0).max(0.0);
        }
    }

    /// It was admitted.
    pub(crate) fn admitted(&mut self, now: Instant, asker: Asker) {
        if !self.is_awake(now) {
            return;
        }
        if let Some(place) = self.find(asker) {
            self.refused[place] = Slot::default();
        }
        let Config { budget: earned, per_second, .. } = self.config;
        if let Some(budget) = self.budget(asker) {
            budget.earn(now, per_second);
            budget.left = (budget.left + earned).min(SAVED_MAX);
            budget.ahead = (budget.ahead + earned).min(per_second);
            budget.count(0.0, 1.0);
        }
    }

    /// Retries of its application for each transaction that was admitted, of late.
    pub(crate) fn measured(&self, asker: Asker) -> f64 {
        let budget = self.budgets.get(asker.application as usize % APPLICATIONS);
        budget.map_or(0.0, |budget| budget.asked / budget.admitted.max(1.0))
    }

    /// It was refused, and is told to come back after so long. Returns how long the refusal is to be
    /// held back.
    pub(crate) fn refused(&mut self, now: Instant, asker: Asker, after: Duration) -> Duration {
        if self.config.mode == Mode::Off {
            return Duration::ZERO;
        }
        if self.budgets.is_empty() {
            self.origin = Some(now);
            self.refused = vec![Slot::default(); REMEMBERED];
            self.budgets = vec![
                Budget { left: 0.0, at: now, ahead: 0.0, asked: 0.0, admitted: 0.0 };
                APPLICATIONS
            ];
        }
        self.latest = Some(now);
        if asker.request == 0 {
            return Duration::ZERO;
        }
        let before = self.since(now, asker);
        self.remember(now, asker);
        match before {
            Some(before) if before < AT_ONCE && self.config.mode == Mode::Enforce => {
                HELD_MAX.min(after / 4)
            }
            _ => Duration::ZERO,
        }
    }

    /// How long ago the same request was refused.
    fn since(&self, now: Instant, asker: Asker) -> Option<Duration> {
        let since = self.age(now, self.refused[self.find(asker)?]);
        (since <= AGAIN).then_some(since)
    }

    fn find(&self, asker: Asker) -> Option<usize> {
        let places = places(asker);
        let slots = self.refused.get(places.clone()).filter(|_| asker.request != 0)?;
        let way = slots.iter().position(|slot| slot.request == mark(asker))?;
        Some(places.start + way)
    }

    fn remember(&mut self, now: Instant, asker: Asker) {
        let oldest = |place: &usize| match self.refused[*place] {
            Slot { request: 0, .. } => Duration::MAX,
            slot => self.age(now, slot),
        };
        if let Some(place) = self.find(asker).or_else(|| places(asker).max_by_key(oldest)) {
            self.refused[place] = Slot { request: mark(asker), at: self.millis(now) };
        }
    }

    fn age(&self, now: Instant, slot: Slot) -> Duration {
        Duration::from_millis(u64::from(self.millis(now).wrapping_sub(slot.at)))
    }

    fn millis(&self, now: Instant) -> u32 {
        let since =
            self.origin.map_or(Duration::ZERO, |origin| now.saturating_duration_since(origin));
        since.as_millis() as u32
    }

    fn budget(&mut self, asker: Asker) -> Option<&mut Budget> {
        self.budgets.get_mut(asker.application as usize % APPLICATIONS)
    }
}

/// Where a request may be.
fn places(asker: Asker) -> Range<usize> {
    let first = mixed(asker) as usize % (REMEMBERED / WAYS) * WAYS;
    first..first + WAYS
}

/// What tells a request from others with its place.
fn mark(asker: Asker) -> u32 {
    (mixed(asker) >> 32).max(1) as u32
}

/// All bits of its number in each of these.
fn mixed(asker: Asker) -> u64 {
    let mixed = asker.request.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl Budget {
    fn count(&mut self, asked: f64, admitted: f64) {
        (self.asked, self.admitted) = (self.asked + asked, self.admitted + admitted);
        if self.asked + self.admitted > COUNTED_MAX {
            (self.asked, self.admitted) = (self.asked / 2.0, self.admitted / 2.0);
        }
    }

    fn earn(&mut self, now: Instant, per_second: f64) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        // At rest there is a second's worth, whatever was saved up before by what was admitted.
        let set_off = self.ahead.min(per_second * seconds);
        self.ahead -= set_off;
        let earned = self.left + per_second * seconds - set_off;
        self.left = earned.min(self.left.max(per_second)).min(SAVED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    fn retries() -> Retries {
        Retries::new(Config { mode: Mode::Enforce, ..Config::default() })
    }

    fn asker(request: u64) -> Asker {
        Asker { application: 7, request }
    }

    #[test]
    fn what_was_refused_lately_comes_again_and_nothing_else_does() {
        let (now, mut retries) = (start(), retries());
        assert!(!retries.is_awake(now));
        retries.refused(now, asker(1), ms(200));
        // The budget is empty at first.
        assert!(retries.is_beyond(now, asker(1)));
        assert!(!retries.is_beyond(now, asker(2)));
        assert!(!retries.is_beyond(now, asker(0)));
        assert!(!retries.is_beyond(now + ms(5001), asker(1)));
        assert_eq!(retries.measured(asker(1)), 1.0);
        // Once admitted, the same comes anew.
        retries.admitted(now, asker(1));
        assert!(!retries.is_beyond(now, asker(1)));
    }

    #[test]
    fn the_budget_is_a_tenth_of_what_was_admitted_or_five_a_second() {
        let (now, mut retries) = (start(), retries());
        let again = |retries: &mut Retries, now| {
            (1..=100).filter(|n| !retries.is_beyond(now, asker(*n))).count()
        };
        for n in 1..=100 {
            retries.refused(now, asker(n), ms(200));
        }
        assert_eq!(again(&mut retries, now), 0);
        assert_eq!(again(&mut retries, now + ms(1000)), 5);
        (0..101).for_each(|_| retries.admitted(now, asker(1000)));
        assert_eq!(again(&mut retries, now + ms(1000)), 10);
        // Four seconds of rest are worth no more than one.
        assert_eq!(again(&mut retries, now + ms(5000)), 5);
    }

    #[test]
    fn what_is_admitted_earns_instead_of_the_seconds_not_besides() {
        let (now, mut retries) = (start(), retries());
        for n in 1..=10_000 {
            retries.refused(now, asker(n), ms(200));
        }
        let mut again = 0;
        for tenth in 0..40 {
            let now = now + ms(100 * tenth);
            (0..30).for_each(|_| retries.admitted(now, asker(20_000)));
            let first = 1 + tenth * 100;
            again += (first..first + 100).filter(|n| !retries.is_beyond(now, asker(*n))).count();
        }
        assert!((119..=121).contains(&again), "{again} of 1200 admitted");
    }

    #[test]
    fn who_comes_again_and_finds_room_is_taken_off_the_budget() {
        let (now, mut retries) = (start(), retries());
        for n in 1..=20 {
            retries.refused(now, asker(n), ms(200));
        }
        let later = now + ms(1000);
        // Five have been earned: a first attempt costs nothing, three retries do.
        (1..=3).chain([99]).for_each(|n| retries.found_room(later, asker(n)));
        let again = (4..=20).filter(|n| !retries.is_beyond(later, asker(*n))).count();
        assert_eq!(again, 2);
    }

    #[test]
    fn who_comes_again_at_once_is_held() {
        let (now, mut retries) = (start(), retries());
        assert_eq!(retries.refused(now, asker(1), ms(200)), Duration::ZERO);
        assert_eq!(retries.refused(now + ms(49), asker(1), ms(200)), ms(50));
        assert_eq!(retries.refused(now + ms(98), asker(1), ms(9000)), HELD_MAX);
        assert_eq!(retries.refused(now + ms(148), asker(1), ms(200)), Duration::ZERO);
    }

    #[test]
    fn off_remembers_nothing() {
        let (now, mut retries) = (start(), Retries::new(Config::default()));
        retries.refused(now, asker(1), ms(200));
        assert!(!retries.is_awake(now) && !retries.is_beyond(now, asker(1)));
        assert!(retries.refused.is_empty());
    }
}

//! When to ask what.
//!
//! Counters are asked always; transactions when somebody waits; the graph of waits then too, but at
//! most once a second, because on MySQL and PostgreSQL telling it takes the locks that everybody
//! needs. And nothing is asked again before ten times as long as it took: what gets slow with
//! the trouble it looks at is asked less, and never takes more than a tenth of one connection.
//!
//! Who wants tables for himself is asked only while that is [wanted](Ladder::look_for_ddl); then always, because not
//! every server counts such waits.
//!
//! A pile-up that lasts is looked at still less: transactions and graphs together take half a per cent of the
//! time, beyond what calm times have saved up for a beginning. With 400 that wait for one row, MariaDB 10.11 took
//! 50 ms of CPU to list its transactions (by hand, from its time in `/proc`), behind a latch that all need,
//! because it counts for each of them who is before it. `tidegate-benches -- probe` shows what looking costs in all.

use std::time::{Duration, Instant};

use crate::server::Question;

/// Between counters, while all is well.
pub const CALM: Duration = Duration::from_secs(1);

/// Between counters, and between transactions, while somebody waits.
pub const TENSE: Duration = Duration::from_millis(200);

/// Between graphs.
pub const GRAPH: Duration = Duration::from_secs(1);

/// How long after the last wait was seen it is still looked closely.
pub const TENSE_FOR: Duration = Duration::from_secs(5);

/// A question is not asked again before this many times as long as it took.
pub const DUTY: u32 = 10;

/// Transactions and graphs take one part in so many of the time.
pub const SELDOM: u32 = 200;

/// What they may take beyond that, once it was saved up: a hundred seconds of looking as closely as [`DUTY`] lets
/// them, and some ten minutes where a look takes a few milliseconds. A server that has no time
/// answers late, which counts as work; so this is long enough to see a pile-up through.
pub const SAVED_MAX: Duration = Duration::from_secs(10);

/// How long a question that was refused, for a missing privilege perhaps, is not asked again.
pub const REFUSED: Duration = Duration::from_secs(60);

/// What to ask next, and when.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// Of each question, in the order of [`Question::ALL`].
    rungs: [Rung; Question::ALL.len()],
    /// Until when it is looked closely.
    tense_until: Option<Instant>,
    spent: Spent,
    /// Whether [`Question::Ddl`] is asked.
    looks_for_ddl: bool,
}

/// What all but counters took, less what time has made up for.
#[derive(Debug, Clone, Copy)]
struct Spent {
    time: Duration,
    at: Instant,
}

impl Spent {
    /// From when there is something left to spend.
    fn affords_at(&self) -> Instant {
        self.at + self.time.saturating_sub(SAVED_MAX).saturating_mul(SELDOM)
    }

    fn add(&mut self, now: Instant, took: Duration) {
        let made_up = now.saturating_duration_since(self.at) / SELDOM;
        self.time = self.time.saturating_sub(made_up) + took;
        self.at = now;
    }
}

#[derive(Debug, Clone, Copy)]
struct Rung {
    asked: Option<Instant>,
    not_before: Instant,
}

impl Ladder {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let spent = Spent { time: Duration::ZERO, at: now };
        let rungs = [Rung { asked: None, not_before: now }; Question::ALL.len()];
        Self { rungs, tense_until: None, spent, looks_for_ddl: false }
    }

    /// What to ask next, and when. The dearest of those that are due at once.
    #[must_use]
    pub fn next(&self, now: Instant) -> (Instant, Question) {
        let due = Question::ALL
            .iter()
            .zip(&self.rungs)
            .filter_map(|(question, rung)| Some((self.due(now, *question, rung)?, *question)));
        // The graph tells all that transactions do, so where both are due only the former is asked.
        let rank = |question: &Question| match question {
            Question::Counters => 0,
            Question::Graph => 1,
            Question::Transactions => 2,
            Question::Ddl => 3,
        };
        let first = due.min_by_key(|(at, question)| ((*at).max(now), rank(question)));
        first.unwrap_or((now + CALM, Question::Counters))
    }

    fn due(&self, now: Instant, question: Question, rung: &Rung) -> Option<Instant> {
        let is_tense = self.is_tense(now);
        let affords_at = self.spent.affords_at();
        let (every, from) = match question {
            Question::Counters if is_tense && affords_at <= now => (TENSE, now),
            Question::Counters => (CALM, now),
            Question::Transactions if is_tense => (TENSE, affords_at),
            Question::Graph if is_tense => (GRAPH, affords_at),
            Question::Transactions | Question::Graph => return None,
            Question::Ddl if !self.looks_for_ddl => return None,
            Question::Ddl if is_tense => (TENSE, affords_at),
            Question::Ddl => (CALM, affords_at),
        };
        let due = rung.asked.map_or(rung.not_before, |asked| asked + every);
        Some(due.max(rung.not_before).max(from))
    }

    /// Whether it is looked closely.
    #[must_use]
    pub fn is_tense(&self, now: Instant) -> bool {
        self.tense_until.is_some_and(|until| until > now)
    }

    /// A question was answered at `now`, after `took`; `waits` is whether anybody waited for a lock.
    pub fn answered(&mut self, now: Instant, question: Question, took: Duration, waits: bool) {
        let rest = Rung { asked: Some(now), not_before: now + took.saturating_mul(DUTY) };
        self.rungs[question as usize] = rest;
        if question != Question::Counters {
            self.spent.add(now, took);
        }
        if question == Question::Graph {
            self.rungs[Question::Transactions as usize] = rest;
        }
        if waits {
            self.suspect(now);
        }
    }

    /// A question was refused, or its answer could not be read.
    pub fn refused(&mut self, now: Instant, question: Question) {
        self.rungs[question as usize] = Rung { asked: Some(now), not_before: now + REFUSED };
    }

    /// Whether it is to be asked who wants tables for himself.
    pub fn look_for_ddl(&mut self, looks: bool) {
        self.looks_for_ddl = looks;
    }

    /// Somebody is to be ended, and who holds the others up must be seen: the graph is due as soon as it has
    /// rested for as long as it must.
    pub fn hurry(&mut self, now: Instant) {
        self.rungs[Question::Graph as usize].asked = None;
        self.suspect(now);
    }

    /// Somebody seems to wait: a statement takes far longer than it uses to, for one.
    pub fn suspect(&mut self, now: Instant) {
        self.tense_until = Some(now + TENSE_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "some instant to start from")]
    fn epoch() -> Instant {
        Instant::now()
    }

    /// Asks for `time` what a ladder wants, each taking `took`; counts the questions.
    fn run(
        ladder: &mut Ladder,
        start: Instant,
        time: Duration,
        took: Duration,
        waits: bool,
    ) -> [u32; 4] {
        let mut counts = [0; 4];
        let mut now = start;
        loop {
            let (at, question) = ladder.next(now);
            now = now.max(at);
            if now >= start + time {
                return counts;
            }
            counts[question as usize] += 1;
            now += took;
            ladder.answered(now, question, took, waits);
        }
    }

    #[test]
    fn while_nobody_waits_only_counters_are_asked_once_a_second() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        assert_eq!(run(&mut ladder, start, 10_000 * MS, MS, false), [10, 0, 0, 0]);
    }

    #[test]
    fn while_somebody_waits_it_looks_five_times_a_second_and_draws_the_graph_once() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        ladder.suspect(start);
        let [counters, transactions, graphs, _] = run(&mut ladder, start, 10_000 * MS, MS, true);
        assert!((45..=50).contains(&counters), "{counters}");
        assert!((9..=10).contains(&graphs), "{graphs}");
        assert!((38..=50).contains(&(transactions + graphs)), "{transactions}");
    }

    #[test]
    fn what_takes_long_is_asked_less_and_the_rest_goes_on() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        ladder.suspect(start);
        let asked = run(&mut ladder, start, 20_000 * MS, 100 * MS, true);
        let busy = asked.iter().sum::<u32>() * 100;
        assert!(
            busy <= 20_000 / 3,
            "busy {busy} of 20000 ms: three questions, a tenth each at most"
        );
        // The graph tells what transactions would, and rests for as long.
        let [counters, transactions, graphs, _] = asked;
        assert!(counters > 15 && graphs > 15 && transactions == 0, "{asked:?}");
    }

    #[test]
    fn a_pile_up_that_lasts_is_looked_at_for_half_a_per_cent_of_the_time() {
        for took in [4 * MS, 50 * MS, 150 * MS] {
            let start = epoch();
            let mut ladder = Ladder::new(start);
            ladder.suspect(start);
            let [counters, transactions, graphs, _] =
                run(&mut ladder, start, 3_600_000 * MS, took, true);
            let looks = took * (transactions + graphs);
            let allowed = 3_600_000 * MS / SELDOM + SAVED_MAX;
            assert!(looks <= allowed + took && looks >= allowed - took, "{looks:?} of {allowed:?}");
            assert!(counters >= 2_000, "{counters} of {took:?}");
            // Calm times save up again.
            let later = start + 2 * 3_600_000 * MS;
            ladder.suspect(later);
            let [_, transactions, graphs, _] = run(&mut ladder, later, 4_000 * MS, took, true);
            assert!(transactions + graphs >= 3, "{transactions} and {graphs} of {took:?}");
        }
    }

    #[test]
    fn a_graph_that_is_wanted_is_asked_at_once_but_not_before_it_has_rested() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        ladder.answered(start, Question::Graph, 30 * MS, true);
        let others = [Question::Counters, Question::Transactions];
        others.into_iter().for_each(|other| ladder.answered(start, other, MS, true));
        ladder.hurry(start);
        assert_eq!(ladder.next(start + 200 * MS).1, Question::Counters);
        others.into_iter().for_each(|other| ladder.answered(start + 250 * MS, other, MS, true));
        assert_eq!(ladder.next(start + 260 * MS), (start + 300 * MS, Question::Graph));
    }

    #[test]
    fn who_wants_a_table_is_asked_only_where_that_is_wanted_and_then_always() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        ladder.suspect(start);
        assert_eq!(run(&mut ladder, start, 3_000 * MS, MS, true)[Question::Ddl as usize], 0);
        let mut ladder = Ladder::new(start);
        ladder.look_for_ddl(true);
        assert_eq!(run(&mut ladder, start, 10_000 * MS, MS, false), [10, 0, 0, 10]);
        let later = start + 10_000 * MS;
        ladder.suspect(later);
        let [counters, .., asked] = run(&mut ladder, later, 10_000 * MS, MS, true);
        assert!((45..=50).contains(&asked) && counters >= 45, "{asked} and {counters}");
    }

    #[test]
    fn it_calms_down_and_leaves_what_is_refused_alone() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        ladder.answered(start, Question::Counters, MS, true);
        let (_, question) = ladder.next(start + MS);
        assert_eq!(question, Question::Graph);
        ladder.refused(start + MS, Question::Graph);
        let (_, question) = ladder.next(start + 2 * MS);
        assert_eq!(question, Question::Transactions, "the other goes on");
        let later = start + TENSE_FOR + MS;
        ladder.answered(later, Question::Counters, MS, false);
        let (at, question) = ladder.next(later);
        assert_eq!((at, question), (later + CALM, Question::Counters));
    }
}

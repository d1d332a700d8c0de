//! When to ask what.
//!
//! Counters are asked always; transactions when somebody waits; the graph of waits then too, but at
//! most once a second, because on MySQL and PostgreSQL telling it takes the locks that everybody
//! needs. And nothing is asked again before ten times as long as it took: what gets slow with
//! the trouble it looks at is asked less, and never takes more than a tenth of one connection.

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

/// How long a question that was refused, for a missing privilege perhaps, is not asked again.
pub const REFUSED: Duration = Duration::from_secs(60);

/// What to ask next, and when.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// Of each question, in the order of [`Question::ALL`].
    rungs: [Rung; 3],
    /// Until when it is looked closely.
    tense_until: Option<Instant>,
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
        Self { rungs: [Rung { asked: None, not_before: now }; 3], tense_until: None }
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
        };
        let first = due.min_by_key(|(at, question)| ((*at).max(now), rank(question)));
        first.unwrap_or((now + CALM, Question::Counters))
    }

    fn due(&self, now: Instant, question: Question, rung: &Rung) -> Option<Instant> {
        let is_tense = self.is_tense(now);
        let every = match question {
            Question::Counters if is_tense => TENSE,
            Question::Counters => CALM,
            Question::Transactions if is_tense => TENSE,
            Question::Graph if is_tense => GRAPH,
            Question::Transactions | Question::Graph => return None,
        };
        let due = rung.asked.map_or(rung.not_before, |asked| asked + every);
        Some(due.max(rung.not_before))
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
    ) -> [u32; 3] {
        let mut counts = [0; 3];
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
        assert_eq!(run(&mut ladder, start, 10_000 * MS, MS, false), [10, 0, 0]);
    }

    #[test]
    fn while_somebody_waits_it_looks_five_times_a_second_and_draws_the_graph_once() {
        let start = epoch();
        let mut ladder = Ladder::new(start);
        ladder.suspect(start);
        let [counters, transactions, graphs] = run(&mut ladder, start, 10_000 * MS, MS, true);
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
        let [counters, transactions, graphs] = asked;
        assert!(counters > 15 && graphs > 15 && transactions == 0, "{asked:?}");
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

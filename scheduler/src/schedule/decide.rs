//! What a schedule does now: nothing, fire, or pass over what was due.
//!
//! Pure: it is told the time, what the ledger knows, and whether a batch of the schedule is open. One step
//! is decided at a time, and done, before the next is asked for; so whoever is interrupted asks again and
//! gets the same answer.

use std::time::Duration;

use jiff::Timestamp;

use super::Spec;
use crate::trigger::missed::{self, Due, Overlap, Start};

/// How far a schedule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// All that was due up to here has been seen to.
    pub last: Timestamp,
    /// The newest that was fired; when the schedule was first seen, where none was.
    pub fired: Timestamp,
    /// One that waits for the end of the batch before it.
    pub waiting: Option<Timestamp>,
}

/// Why runs were passed over, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Nobody was there when they were due.
    pub missed: u64,
    /// A batch before them was open.
    pub overlapped: u64,
    /// The schedule was paused.
    pub paused: u64,
    /// No replica was fit to read them from. Never decided here: it is known when they are fired.
    pub refused: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Nothing is submitted, but the cursor moves.
    Pass {
        /// Where to.
        to: Cursor,
        /// What it passes over.
        passed: Passed,
    },
    /// A batch is submitted; then the cursor moves.
    Fire {
        /// When it is, or was, due.
        nominal: Timestamp,
        /// Where to.
        to: Cursor,
        /// What it passes over.
        passed: Passed,
    },
}

impl Spec {
    /// What the schedule does at `now`. `is_open` is whether a batch of it is not over yet; it is asked only
    /// when that matters.
    #[must_use]
    pub fn decide(&self, at: Cursor, is_paused: bool, now: Timestamp, is_open: bool) -> Step {
        let due = self.due(at.last, now);
        if is_paused {
            return self.pass_paused(at, &due, now);
        }
        let missed = due.given_up as u64;
        let running = usize::from(is_open);
        if let (Some(waiting), Start::Now) = (at.waiting, self.overlap.decide(running)) {
            let to = Cursor { fired: waiting.max(at.fired), waiting: None, ..at };
            return Step::Fire { nominal: waiting, to, passed: Passed::default() };
        }
        let (Some(first), Some(newest)) = (due.run.first(), due.run.last()) else {
            return self.pass_missed(at, missed, now);
        };
        let over = Cursor { last: *newest, ..at };
        let overlapped = due.run.len() as u64;
        match self.overlap.decide(running) {
            Start::Now => {
                let to = Cursor { last: *first, fired: *first, ..at };
                Step::Fire { nominal: *first, to, passed: Passed { missed, ..Passed::default() } }
            }
            Start::Never => {
                let passed = Passed { missed, overlapped, ..Passed::default() };
                Step::Pass { to: over, passed }
            }
            Start::Next => {
                let overlapped = overlapped - 1 + u64::from(at.waiting.is_some());
                let passed = Passed { missed, overlapped, ..Passed::default() };
                Step::Pass { to: Cursor { waiting: Some(*newest), ..over }, passed }
            }
        }
    }

    /// Whether [`Self::decide`] may say anything but to rest.
    #[must_use]
    pub fn is_due(&self, at: Cursor, now: Timestamp) -> bool {
        let due = self.due(at.last, now);
        at.waiting.is_some() || !due.run.is_empty() || due.given_up > 0
    }

    /// Whether what it decides depends on open batches.
    #[must_use]
    pub const fn heeds_open_batches(&self) -> bool {
        !matches!(self.overlap, Overlap::Allow)
    }

    /// For how long it should have fired, or been passed over, and has not: what the watchdog tells.
    /// None within its grace, and while it is paused.
    #[must_use]
    pub fn overdue(&self, at: Cursor, is_paused: bool, now: Timestamp) -> Option<Duration> {
        let since = self.when.next(at.last).filter(|_| !is_paused)?;
        let late = now.duration_since(since);
        Duration::try_from(late).ok().filter(|_| late > self.patience.grace)
    }

    /// By how much a run is late.
    #[must_use]
    pub fn late(nominal: Timestamp, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(nominal)).unwrap_or_default()
    }

    /// What is due, recipients being read `lead` before.
    fn due(&self, last: Timestamp, now: Timestamp) -> Due {
        let patience = &self.patience;
        let bounds = (patience.grace + patience.lead, patience.catch_up + patience.lead);
        let ahead = now.saturating_add(patience.lead).unwrap_or(now);
        missed::due(&self.when, last, ahead, self.misfire, bounds)
    }

    /// Of a schedule that is paused nothing is made up for when it is resumed.
    fn pass_paused(&self, at: Cursor, due: &Due, now: Timestamp) -> Step {
        let paused = (due.run.len() + due.given_up) as u64;
        if paused == 0 {
            return Step::Rest;
        }
        let last = due.run.last().copied().unwrap_or(self.given_up_to(at, now));
        let passed = Passed { paused, ..Passed::default() };
        Step::Pass { to: Cursor { last, ..at }, passed }
    }

    fn pass_missed(&self, at: Cursor, missed: u64, now: Timestamp) -> Step {
        if missed == 0 {
            return Step::Rest;
        }
        let to = Cursor { last: self.given_up_to(at, now), ..at };
        Step::Pass { to, passed: Passed { missed, ..Passed::default() } }
    }

    /// All that was given up is later than its grace.
    fn given_up_to(&self, at: Cursor, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.patience.grace).unwrap_or(now).max(at.last)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, ToSpan as _};
    use proptest::prelude::*;

    use super::*;
    use crate::config::Schedule;
    use crate::trigger::missed::Misfire;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    fn cursor(last: &str) -> Cursor {
        Cursor { last: at(last), fired: at(last), waiting: None }
    }

    /// Due every hour, with a minute of grace.
    fn hourly(more: &str) -> Spec {
        let text = format!(
            "name = \"a\"\ncron = \"@hourly\"\nspread = \"15m\"\nsink = \"app\"\n\
             recipients = {{ file = \"a.csv\" }}\n{more}"
        );
        toml::from_str::<Schedule>(&text).unwrap().ready().unwrap()
    }

    fn fired(step: Step) -> (Timestamp, Cursor, Passed) {
        match step {
            Step::Fire { nominal, to, passed } => (nominal, to, passed),
            other => panic!("{other:?}"),
        }
    }

    fn passed(step: Step) -> (Cursor, Passed) {
        match step {
            Step::Pass { to, passed } => (to, passed),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_fires_when_it_is_due_and_not_before() {
        let spec = hourly("");
        assert_eq!(spec.decide(cursor("12:00:00"), false, at("12:59:59"), false), Step::Rest);
        let step = spec.decide(cursor("12:00:00"), false, at("13:00:00"), false);
        assert_eq!(fired(step), (at("13:00:00"), cursor("13:00:00"), Passed::default()));
        assert_eq!(spec.decide(cursor("13:00:00"), false, at("13:00:01"), false), Step::Rest);
        assert_eq!(spec.batch(at("13:00:00")), "a@2026-11-21T13:00:00Z");
        assert!(spec.has("a@2026-11-21T13:00:00Z") && !spec.has("ab@1") && !spec.has("a"));
    }

    #[test]
    fn recipients_are_read_ahead_and_that_is_not_late() {
        let spec = hourly("lead = \"5m\"");
        assert_eq!(spec.decide(cursor("12:00:00"), false, at("12:54:59"), false), Step::Rest);
        let step = spec.decide(cursor("12:00:00"), false, at("12:55:00"), false);
        assert_eq!(fired(step).0, at("13:00:00"));
        // A minute late counted from its time, not from when it was to be read.
        assert_eq!(
            fired(spec.decide(cursor("12:00:00"), false, at("13:01:00"), false)).2.missed,
            0
        );
        let skip = hourly("lead = \"5m\"\nmissed = \"skip\"");
        let (to, missed) = passed(skip.decide(cursor("12:00:00"), false, at("13:01:01"), false));
        assert_eq!((to.last, missed.missed), (at("13:00:01"), 1));
    }

    #[test]
    fn what_was_missed_is_made_up_for_by_its_policy() {
        let (last, now) = (cursor("03:00:00"), at("09:30:00"));
        let (nominal, to, of) = fired(hourly("").decide(last, false, now, false));
        assert_eq!((nominal, to.last, of.missed), (at("09:00:00"), at("09:00:00"), 5));
        let skip = hourly("missed = \"skip\"");
        let (to, of) = passed(skip.decide(last, false, now, false));
        assert_eq!((to.last, to.fired, of.missed), (at("09:29:00"), at("03:00:00"), 6));
        assert_eq!(skip.decide(to, false, now, false), Step::Rest);
        let all = hourly("missed = \"all\"\nmissed_max = 2\noverlap = \"allow\"");
        let (nominal, to, of) = fired(all.decide(last, false, now, false));
        assert_eq!((nominal, of.missed), (at("08:00:00"), 4));
        let (nominal, to, of) = fired(all.decide(to, false, now, true));
        assert_eq!((nominal, of.missed), (at("09:00:00"), 0));
        assert_eq!(all.decide(to, false, now, true), Step::Rest);
    }

    #[test]
    fn a_run_that_is_due_while_a_batch_is_open_is_skipped_queued_or_allowed() {
        let (last, now) = (cursor("12:00:00"), at("13:00:01"));
        let (to, of) = passed(hourly("").decide(last, false, now, true));
        assert_eq!((to.last, to.waiting, of.overlapped), (at("13:00:00"), None, 1));
        assert_eq!(
            fired(hourly("overlap = \"allow\"").decide(last, false, now, true)).0,
            at("13:00:00")
        );
        let queue = hourly("overlap = \"queue\"");
        let (waits, of) = passed(queue.decide(last, false, now, true));
        assert_eq!((waits.waiting, of.overlapped), (Some(at("13:00:00")), 0));
        assert_eq!(queue.decide(waits, false, at("13:40:00"), true), Step::Rest);
        // However long it has waited, it was not missed.
        let (nominal, to, _) = fired(queue.decide(waits, false, at("13:50:00"), false));
        assert_eq!((nominal, to), (at("13:00:00"), cursor("13:00:00")));
        // A newer one takes its place.
        let (newer, of) = passed(queue.decide(waits, false, at("14:00:00"), true));
        assert_eq!((newer.waiting, of.overlapped), (Some(at("14:00:00")), 1));
    }

    #[test]
    fn what_is_due_while_it_is_paused_is_never_made_up_for() {
        let spec = hourly("missed = \"all\"");
        let (to, of) = passed(spec.decide(cursor("03:00:00"), true, at("09:30:00"), false));
        assert_eq!(of, Passed { paused: 6, ..Passed::default() });
        assert_eq!(spec.decide(to, false, at("09:30:01"), false), Step::Rest);
        assert_eq!(fired(spec.decide(to, false, at("10:00:00"), false)).0, at("10:00:00"));
    }

    #[test]
    fn a_schedule_that_should_have_fired_and_has_not_is_overdue() {
        let spec = hourly("");
        let overdue = |last, is_paused, now| spec.overdue(cursor(last), is_paused, at(now));
        assert_eq!(overdue("12:00:00", false, "13:01:00"), None);
        assert_eq!(overdue("12:00:00", false, "13:01:01"), Some(Duration::from_secs(61)));
        assert_eq!(overdue("13:00:00", false, "13:59:00"), None);
        assert_eq!(overdue("12:00:00", true, "13:59:00"), None);
    }

    proptest! {
        /// Whenever it is looked at, whatever is open: the cursor only goes forward, each run is fired once
        /// at most, and in the end each is fired or told to be passed over.
        #[test]
        fn each_run_is_fired_once_or_told_of(
            looks in prop::collection::vec((1..9_000_i64, any::<bool>(), prop::bool::weighted(0.1)), 1..30),
            overlap in prop::sample::select(vec![Overlap::Allow, Overlap::Skip, Overlap::Wait]),
            misfire in prop::sample::select(vec![Misfire::Skip, Misfire::Once, Misfire::All(3)]),
            lead in 0..600_i64,
        ) {
            let mut spec = hourly("");
            (spec.overlap, spec.misfire) = (overlap, misfire);
            spec.patience.lead = SignedDuration::from_secs(lead);
            let begin = at("00:00:00");
            let (mut now, mut known) = (begin, cursor("00:00:00"));
            let mut runs: Vec<Timestamp> = Vec::new();
            let mut told = 0;
            for (wait, is_open, is_paused) in looks {
                now += wait.seconds();
                for steps in 0.. {
                    prop_assert!(steps < 10, "it does not come to rest");
                    // What was just fired is open.
                    let is_open = is_open || steps > 0 && overlap != Overlap::Allow;
                    let step = spec.decide(known, is_paused, now, is_open);
                    prop_assert!(step == Step::Rest || spec.is_due(known, now));
                    let (to, passed) = match step {
                        Step::Rest => break,
                        Step::Pass { to, passed } => (to, passed),
                        Step::Fire { nominal, to, passed } => {
                            prop_assert!(nominal <= now + lead.seconds());
                            runs.push(nominal);
                            (to, passed)
                        }
                    };
                    prop_assert!(to.last >= known.last && to.fired >= known.fired);
                    told += passed.missed + passed.overlapped + passed.paused;
                    known = to;
                }
                prop_assert_eq!(spec.overdue(known, is_paused, now), None);
            }
            prop_assert!(runs.is_sorted_by(|one, next| one < next), "{:?}", runs);
            let due = spec.when.between(begin, known.last, 10_000).count() as u64;
            prop_assert_eq!(due, runs.len() as u64 + told + u64::from(known.waiting.is_some()));
        }
    }
}

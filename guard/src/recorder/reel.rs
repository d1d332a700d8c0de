//! Which part of the tape is kept: it waits for a cause, and for the end of the time after it.
//!
//! ```text
//!           a cause begins                     `after` is over, or the guard ends
//!  Waiting ───────────────► Going ───────────────────────────────────────────────► Waiting, and a recording
//!                             └─ more causes: noted
//! ```
//!
//! Nothing is copied before the end: the tape is as long as `before` and `after` together.

use std::time::{Duration, Instant};

use policy::trigger::{Cause, Signs, Trigger};

use super::tape::{Sample, Tape, offset_ms};
use crate::control::{EventKind, FORMAT, Recording, RecordingHead, Second, VERSION, date_id};

/// The tape, and what is kept of it.
#[derive(Debug)]
pub struct Reel {
    /// What is always recorded.
    pub tape: Tape,
    trigger: Trigger,
    before: Duration,
    after: Duration,
    going: Option<Going>,
    /// The second of the last recording's id: no two have the same.
    last_id: u64,
}

/// What has come of a turn.
#[derive(Debug, Default)]
pub struct Turned {
    /// The recording that is over.
    pub over: Option<Recording>,
    /// That which begins.
    pub begun: Option<RecordingHead>,
}

/// A recording that goes on.
#[derive(Debug, Clone)]
struct Going {
    triggered: Instant,
    unix_ms: u64,
    id: String,
    cause: Cause,
    note: String,
}

impl Reel {
    /// Nothing is recorded yet, in so many bytes.
    pub fn new(before: Duration, after: Duration, bytes: usize) -> Self {
        let tape = Tape::new(before + after, bytes);
        Self { tape, trigger: Trigger::default(), before, after, going: None, last_id: 0 }
    }

    /// Records a moment, and a second if one is over. `unix_ms` is what a clock on the wall shows.
    pub fn turn(
        &mut self,
        (now, unix_ms): (Instant, u64),
        signs: &Signs,
        sample: Sample,
        second: Option<Second>,
    ) -> Turned {
        self.tape.sample(now, sample);
        if let Some(second) = second {
            self.tape.second(now, second);
        }
        let is_over = |going: &Going| now.saturating_duration_since(going.triggered) >= self.after;
        let over = self.going.take_if(|going| is_over(going));
        let over = over.map(|going| self.cut(&going, now, true));
        let mut begun = None;
        for cause in self.trigger.see(now, signs) {
            let (head, is_new) = self.begin((now, unix_ms), cause, "");
            begun = begun.or(is_new.then_some(head));
        }
        Turned { over, begun }
    }

    /// Keeps what there is from `before` now on. While a recording goes on, only the cause is noted.
    /// Returns the recording that goes on, and whether it is new.
    pub fn begin(
        &mut self,
        (now, unix_ms): (Instant, u64),
        cause: Cause,
        note: &str,
    ) -> (RecordingHead, bool) {
        let why = match note {
            "" => format!("recorded: {}", describe(cause)),
            note => format!("recorded: {}: {note}", describe(cause)),
        };
        self.tape.note(now, EventKind::Trigger, &why);
        let is_new = self.going.is_none();
        let last_id = &mut self.last_id;
        let going = self.going.get_or_insert_with(|| {
            *last_id = (unix_ms / 1000).max(*last_id + 1);
            let id = date_id(*last_id);
            Going { triggered: now, unix_ms, id, cause, note: note.into() }
        });
        (going.head(now, self.before), is_new)
    }

    /// What goes on, without what was recorded.
    pub fn going(&self, now: Instant) -> Option<RecordingHead> {
        Some(self.going.as_ref()?.head(now, self.before))
    }

    /// What goes on, as far as it is.
    pub fn so_far(&self, now: Instant) -> Option<Recording> {
        Some(self.cut(self.going.as_ref()?, now, false))
    }

    /// Ends what goes on.
    pub fn end(&mut self, now: Instant) -> Option<Recording> {
        let going = self.going.take()?;
        Some(self.cut(&going, now, true))
    }

    fn cut(&self, going: &Going, now: Instant, is_over: bool) -> Recording {
        let triggered = going.triggered;
        let from = triggered.checked_sub(self.before).unwrap_or(triggered);
        let recording = self.tape.cut(from, now, triggered);
        let from_ms = recording.samples.at_ms.first().copied();
        let mut head = going.head(now, self.before);
        head.from_ms = from_ms.unwrap_or_default().min(0);
        head.is_over = is_over;
        Recording { format: FORMAT.into(), version: VERSION, head, ..recording }
    }
}

impl Going {
    /// What it is about, as far as this knows; it goes on.
    fn head(&self, now: Instant, before: Duration) -> RecordingHead {
        RecordingHead {
            id: self.id.clone(),
            triggered_unix_ms: self.unix_ms,
            cause: self.cause.as_str().into(),
            note: self.note.clone(),
            from_ms: -i64::try_from(before.as_millis()).unwrap_or(i64::MAX),
            to_ms: offset_ms(self.triggered, now),
            ..RecordingHead::default()
        }
    }
}

/// A cause in words.
fn describe(cause: Cause) -> &'static str {
    match cause {
        Cause::PileUp => "a pile-up of waits for locks begins",
        Cause::Lost => "the database cannot be reached",
        Cause::Limit => "the limit fell to half within seconds",
        Cause::Pressure => "the pressure stays high",
        Cause::Operator => "somebody asked for it",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEFORE: Duration = Duration::from_secs(20);
    const AFTER: Duration = Duration::from_secs(10);
    const UNIX_MS: u64 = 1_656_334_830_000;

    fn reel() -> Reel {
        Reel::new(BEFORE, AFTER, 1 << 20)
    }

    /// Runs so many tenths of a second in which this is seen, and returns what was kept, and when.
    fn run(reel: &mut Reel, tenths: u32, signs: impl Fn(u32) -> Signs) -> Vec<(u32, Recording)> {
        let start = Instant::now();
        let turn = |tenth: u32| {
            let now = start + Duration::from_millis(100) * tenth;
            let unix_ms = UNIX_MS + 100 * u64::from(tenth);
            let sample = Sample { in_flight: tenth, ..Sample::default() };
            let second = tenth.is_multiple_of(10).then(Second::default);
            Some((tenth, reel.turn((now, unix_ms), &signs(tenth), sample, second).over?))
        };
        (0..tenths).filter_map(turn).collect()
    }

    fn piled_up(from: u32) -> impl Fn(u32) -> Signs {
        move |tenth| Signs { is_piled_up: (from..from + 20).contains(&tenth), ..Signs::default() }
    }

    #[test]
    fn the_time_before_and_after_a_cause_is_kept() {
        let kept = run(&mut reel(), 1000, piled_up(500));
        let [(tenth, recording)] = &kept[..] else { panic!("{}", kept.len()) };
        assert_eq!(*tenth, 600, "when `after` is over");
        let head = &recording.head;
        assert_eq!((head.id.as_str(), head.cause.as_str()), ("20220627-130120", "pile_up"));
        assert_eq!((head.from_ms, head.to_ms, head.is_over), (-20_000, 10_000, true));
        let samples = &recording.samples;
        assert_eq!((samples.at_ms.first(), samples.at_ms.last()), (Some(&-20_000), Some(&10_000)));
        let at_trigger = samples.at_ms.iter().position(|at| *at == 0).unwrap();
        assert_eq!(samples.in_flight[at_trigger], 500);
        assert_eq!(recording.seconds.len(), 31);
        assert_eq!(&*recording.events[0].what, "recorded: a pile-up of waits for locks begins");
        assert_eq!(recording.check(), Ok(()));
    }

    #[test]
    fn a_cause_at_the_start_keeps_what_there_is() {
        let kept = run(&mut reel(), 200, piled_up(5));
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].1.head.from_ms, -500);
    }

    #[test]
    fn while_one_goes_on_another_cause_is_noted_and_can_be_looked_at() {
        let (mut reel, now) = (reel(), Instant::now());
        assert_eq!(reel.going(now), None);
        let (first, is_new) = reel.begin((now, UNIX_MS), Cause::Operator, "looks odd");
        assert!(is_new);
        let (again, is_new) = reel.begin((now + AFTER / 2, UNIX_MS + 5000), Cause::Operator, "");
        assert!(!is_new);
        assert_eq!((first.id, again.to_ms, again.is_over), (again.id, 5000, false));
        let so_far = reel.so_far(now + AFTER / 2).unwrap();
        assert_eq!(so_far.head.note, "looks odd");
        assert_eq!(so_far.events.len(), 2);
        let over = reel.end(now + AFTER / 2).unwrap();
        assert!(over.head.is_over && reel.going(now).is_none());
        // Within the same second: another id.
        let (next, _) = reel.begin((now + AFTER / 2, UNIX_MS), Cause::Operator, "");
        assert!(next.id > over.head.id, "{} {}", next.id, over.head.id);
    }

    proptest! {
        /// Whatever is seen, and however the clock runs: the tape keeps to its bytes, recordings follow one
        /// another, and each can be read back.
        #[test]
        fn a_reel_keeps_to_its_bounds(
            turns in prop::collection::vec((0_u64..2000, any::<bool>(), 0_u32..60, 0_usize..400), 1..300),
        ) {
            let bytes = 100_000;
            let mut reel = Reel::new(BEFORE, AFTER, bytes);
            let (mut now, mut unix_ms, mut last) = (Instant::now(), UNIX_MS, String::new());
            for (ms, is_piled_up, limit, noise) in turns {
                now += Duration::from_millis(ms);
                unix_ms += ms;
                for event in 0..noise / 10 {
                    reel.tape.note(now, EventKind::Switch, &"x".repeat(event * 10));
                    reel.tape.text(now, &format!("{event}{noise}{}", "y".repeat(noise)));
                }
                let signs = Signs { is_piled_up, limit: Some(limit), ..Signs::default() };
                let over = reel.turn((now, unix_ms), &signs, Sample::default(), None).over;
                prop_assert!(reel.tape.bytes() <= bytes);
                if let Some(recording) = over {
                    prop_assert!(recording.head.id > last);
                    last.clone_from(&recording.head.id);
                    let json = serde_json::to_string(&recording).unwrap();
                    let read: Recording = serde_json::from_str(&json).unwrap();
                    prop_assert_eq!(read.check(), Ok(()));
                    prop_assert_eq!(read, recording);
                }
            }
        }
    }
}

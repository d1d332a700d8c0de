use super::*;
use crate::{
    config::Recorder as Config,
    control::{Doing, LockTransaction},
};

/// The most that a configuration has: see `config::check`.
const CLASSES_MAX: usize = 32;

/// A tape to which all that may come has come, for twice its length.
fn full(length: Duration, bytes: usize) -> (Tape, Instant) {
    let (mut tape, mut now) = (Tape::new(length, bytes), Instant::now());
    for tenth in 0..length.as_secs() * 20 {
        now += SAMPLE_EVERY;
        let classes = (0..CLASSES_MAX).map(|class| ClassSample {
            class: tape.texts.id(now, &format!("class-{class}-{}", "x".repeat(20))),
            in_flight: 1234,
            queued: 12_345,
            admitted: 12_345,
            shed: 12_345,
        });
        let classes = classes.collect();
        tape.sample(
            now,
            Sample { in_flight: 12_345, pressure: 1.234, classes, ..Sample::default() },
        );
        for event in 0..3 {
            tape.note(now, EventKind::Switch, &"e".repeat(EVENT_BYTES_MAX + event));
        }
        if tenth % 5 == 0 {
            let statement = tape.text(now, &format!("select {tenth} {}", "y".repeat(1000)));
            let one = LockTransaction {
                backend: 4_000_000_000,
                waits_for: 4_000_000_000,
                behind: 1999,
                age_ms: 4_000_000_000,
                for_ms: 4_000_000_000,
                rows_modified: 4_000_000_000,
                activity: 12_345,
                statement,
                user: 12_345,
                on: 12_345,
                client: 12_345,
                class: 12_345,
            };
            let transactions = [one; TRANSACTIONS_MAX].into();
            assert!(tape.wants_look(now, 2000, false));
            let has_waits = tenth % 10 == 0;
            let look = LockLook { blocked: 2000, transactions, has_waits, ..LockLook::default() };
            tape.look(now, look);
        }
        if tenth % 10 == 0 {
            let counted = |count| vec![Counted { what: 1, count: 9 }; count].into();
            tape.second(
                now,
                Second {
                    doing: [Doing::default(); DOING_MAX].into(),
                    statements: counted(7),
                    sheds: counted(15),
                    cancels: counted(6),
                    ..Second::default()
                },
            );
        }
    }
    (tape, now)
}

#[test]
fn by_default_all_that_may_come_fits_and_so_does_what_is_written_of_it() {
    let config = Config::default();
    let bytes = config.tape_bytes();
    let (tape, now) = full(config.before + config.after, bytes);
    assert!(tape.bytes() <= bytes, "{} of {bytes}", tape.bytes());
    // What is dropped is too old, not too much; of events, what is beyond their rate.
    let recording = tape.cut(now - config.before - config.after, now, now - config.after);
    let length = (config.before + config.after).as_secs() as usize;
    assert_eq!(recording.left_out[..3], [0, 0, 0]);
    assert!(recording.events.len() >= (length - 1) * EVENTS_PER_SECOND);
    assert!(recording.samples.at_ms.len() >= length * 10);
    assert!(recording.looks.len() >= length * 2);
    assert_eq!(recording.samples.classes.len(), CLASSES_MAX);
    let json = serde_json::to_vec(&recording).unwrap().len();
    assert!(
        json <= config.kept_bytes(),
        "{json} bytes are written, {} may be",
        config.kept_bytes()
    );
}

#[test]
fn with_less_memory_the_oldest_goes_and_is_counted() {
    let length = Duration::from_secs(60);
    for bytes in [64 << 10, 512 << 10] {
        let (tape, now) = full(length, bytes);
        assert!(tape.bytes() <= bytes, "{} of {bytes}", tape.bytes());
        let recording = tape.cut(now - length, now, now);
        assert!(
            recording.left_out.iter().all(|left_out| *left_out > 0),
            "{:?}",
            recording.left_out
        );
        assert_eq!(recording.samples.at_ms.last(), Some(&0), "the newest is there");
        assert!(recording.samples.at_ms.is_sorted());
    }
}

#[test]
fn every_text_that_a_cut_names_is_in_it() {
    let (tape, now) = full(Duration::from_secs(30), 8 << 20);
    let recording = tape.cut(now - Duration::from_secs(30), now, now);
    for one in recording.looks.iter().flat_map(|look| &look.transactions) {
        assert!(recording.text(one.statement).starts_with("select"), "{one:?}");
    }
}

#[test]
fn looks_are_kept_twice_a_second_and_when_a_pile_up_doubles() {
    let (mut tape, start) = (Tape::new(Duration::from_secs(60), 1 << 20), Instant::now());
    let looks = [(0, 0), (200, 0), (400, 1), (450, 2), (500, 3), (700, 5), (900, 6), (1200, 0)];
    let kept = looks.into_iter().filter(|(ms, blocked)| {
        let now = start + Duration::from_millis(*ms);
        let is_wanted = tape.wants_look(now, *blocked, false);
        if is_wanted {
            tape.look(now, LockLook { blocked: *blocked, ..LockLook::default() });
        }
        is_wanted
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(0, 0), (450, 2), (700, 5), (1200, 0)]);
}

#[test]
fn who_waits_for_whom_is_kept_just_after_a_look_that_does_not_tell() {
    let (mut tape, start) = (Tape::new(Duration::from_secs(60), 1 << 20), Instant::now());
    let looks = [(0, false), (60, true), (300, true), (500, false), (560, false), (600, true)];
    let kept = looks.into_iter().filter(|(ms, has_waits)| {
        let now = start + Duration::from_millis(*ms);
        let is_wanted = tape.wants_look(now, 10, *has_waits);
        if is_wanted {
            let look = LockLook { blocked: 10, has_waits: *has_waits, ..LockLook::default() };
            tape.look(now, look);
        }
        is_wanted
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(0, false), (60, true), (560, false), (600, true)]);
}

#[test]
fn a_class_that_comes_or_goes_has_zeros_where_it_was_not() {
    let (mut tape, start) = (Tape::new(Duration::from_secs(60), 1 << 20), Instant::now());
    for (ms, names) in [(0, &["default"][..]), (100, &["default", "batch"]), (200, &["batch"])] {
        let now = start + Duration::from_millis(ms);
        let classes = names.iter().map(|name| ClassSample {
            class: tape.texts.id(now, name),
            in_flight: 2,
            ..ClassSample::default()
        });
        let classes = classes.collect();
        tape.sample(now, Sample { classes, ..Sample::default() });
    }
    let zero = start + Duration::from_millis(100);
    let samples = tape.cut(start, start + Duration::from_secs(1), zero).samples;
    assert_eq!(samples.at_ms, [-100, 0, 100]);
    let classes = samples.classes.iter().map(|class| (&*class.class, &*class.in_flight));
    assert_eq!(classes.collect::<Vec<_>>(), [("default", &[2, 2, 0][..]), ("batch", &[0, 2, 2])]);
}

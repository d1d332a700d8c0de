use super::report::Second;
use super::*;
use crate::load::reminders::Written;
use crate::watch::Sample;

/// A hundred reminders over a window of ten seconds, one second of calm.
fn scene() -> Scene {
    Scene {
        reminders: 100,
        calm: Duration::from_secs(1),
        window: Duration::from_secs(10),
        ..Scene::of(Engine::MariaDb)
    }
}

/// A way in which so many reminders went in each second from the hour on.
fn way(reminders: &[f64], all: u64, distinct: u64) -> Outcome {
    let second = |(at, reminders): (i64, f64)| Second {
        at,
        reminders_per_second: reminders,
        load_per_second: reminders * 2.0 + 7.0,
        primary_reads: Some(3),
        replica_reads: Some(4),
        ..Second::default()
    };
    let before = Second { at: -1, primary_reads: Some(9), ..Second::default() };
    let curve = (0..).zip(reminders.iter().copied()).map(second);
    let played = Played {
        timeline: Arc::default(),
        samples: Vec::<Sample>::new(),
        curve: [before].into_iter().chain(curve).collect(),
        took: Duration::from_millis(1_500),
        tally: Arc::default(),
    };
    Outcome::of(&scene(), &played, Written { all, reminders: distinct })
}

fn report() -> Report {
    let direct =
        Outcome { good_per_second: 20.0, p99_ms: Some(700.0), ..way(&[60.0, 40.0], 100, 100) };
    let spread =
        Outcome { good_per_second: 200.0, p99_ms: Some(9.0), ..way(&[10.0; 10], 100, 100) };
    let audit = Audit { closes: true, items: 100, sent: 100, ..Audit::default() };
    Report {
        engine: Engine::MariaDb,
        reminders: 100,
        direct,
        tidegate: spread,
        audit,
        lateness: Lateness::default(),
    }
}

#[test]
fn an_outcome_counts_from_the_hour_on() {
    let outcome = way(&[60.0, 40.0], 103, 98);
    assert_eq!((outcome.sent, outcome.missing, outcome.doubled), (98, 2, 5));
    assert_eq!((outcome.primary_reads, outcome.replica_reads), (Some(6), Some(8)));
    assert_eq!(outcome.reminders_max_per_second, 60.0);
    assert_eq!(outcome.peak_to_mean, 6.0);
    assert_eq!(outcome.load_max_per_second, 127.0);
    assert_eq!((outcome.took_ms, outcome.p99_ms), (1_500, None));
}

#[test]
fn all_is_well_only_when_each_was_sent_once_and_users_were_better_off() {
    assert_eq!(report().failures(), [""; 0]);
    let change = |change: fn(&mut Report)| {
        let mut report = report();
        change(&mut report);
        report.failures().len()
    };
    assert_eq!(change(|it| it.tidegate.missing = 1), 1);
    assert_eq!(change(|it| it.tidegate.doubled = 1), 1);
    assert_eq!(change(|it| it.audit.closes = false), 1);
    assert_eq!(change(|it| it.audit.sent = 99), 1);
    assert_eq!(change(|it| it.tidegate.p99_ms = Some(800.0)), 1);
    assert_eq!(change(|it| it.tidegate.p99_ms = None), 1);
    assert_eq!(change(|it| it.tidegate.good_per_second = 18.0), 1);
    assert_eq!(change(|it| it.tidegate.good_per_second = 19.5), 0);
    // Beside the wall so few came in time that nothing can be told of them.
    assert_eq!(change(|it| it.direct.p99_ms = None), 0);
    // What is lost beside the wall is the wall's.
    assert_eq!(change(|it| it.direct.missing = 1), 0);
}

#[test]
fn a_line_that_is_not_flat_is_told() {
    let mut report = report();
    assert!(report.is_flat());
    assert!(!table(&report).contains("NO:"));
    report.tidegate.peak_to_mean = 1.3;
    assert!(!report.is_flat());
    assert!(table(&report).contains("NO:  no second had more"), "{}", table(&report));
}

#[test]
fn a_picture_has_both_curves_by_their_seconds() {
    let table = table(&report());
    let line = |at: &str| table.lines().find(|line| line.starts_with(at)).unwrap().to_owned();
    let bars = |line: &str| {
        let (direct, spread) = line.split_once('|').unwrap();
        [direct, spread].map(|side| side.matches('█').count())
    };
    assert_eq!(bars(&line("   0  ")), [30, 7]);
    assert_eq!(bars(&line("   9  ")), [0, 7]);
    assert_eq!(bars(&line("  -1  ")), [0, 0]);
}

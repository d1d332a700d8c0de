use super::*;
use crate::record::told_again;

fn outcome(way: Way, late_per_second: f64, back_after_ms: Option<u64>) -> Outcome {
    Outcome {
        way,
        before_per_second: 400.0,
        late_per_second,
        after_per_second: 400.0,
        sick_ms: 6000,
        well_ms: 18_000,
        back_after_ms,
        late_share: 0.25,
        p99_ms: Some(260.0),
        late_p99_ms: None,
        hung_up: 0,
        failed: 0,
        given_up: 0,
        out_after_ms: Some(2500),
        returned_after_ms: Some(900),
        good_by_second: vec![400; 26],
    }
}

fn report(outcomes: Vec<Outcome>) -> Report {
    Report {
        engine: Engine::MariaDb,
        clients: 64,
        per_second: 400.0,
        delay_ms: 250,
        in_time_ms: 125,
        outcomes,
    }
}

#[test]
fn the_guard_keeps_its_word_when_reads_are_soon_as_before_and_none_is_lost() {
    let kept = |one: Outcome| report(vec![one]).guard_keeps_its_word();
    let good = || outcome(Way::Guarded, 380.0, Some(3000));
    assert!(kept(good()));
    assert!(!kept(outcome(Way::Guarded, 350.0, Some(3000))), "it did not last");
    assert!(!kept(outcome(Way::Guarded, 380.0, Some(5001))));
    assert!(!kept(outcome(Way::Guarded, 380.0, None)));
    assert!(!kept(Outcome { given_up: 1, ..good() }));
    assert!(!kept(Outcome { returned_after_ms: None, ..good() }), "it was left alone for good");
    assert!(!kept(Outcome { way: Way::Pool, ..good() }), "the guard was not tried");
}

#[test]
fn a_table_has_a_column_for_each_way() {
    let told = told_again(report(Way::ALL.map(|way| outcome(way, 380.0, None)).into()));
    let line = |name| told.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("as before").ends_with("     never       never       never"), "{told}");
    assert!(line("it is well again").contains("^ it is"), "{told}");
}

/// Seconds long; what it counts is real, and how much that is depends on the machine.
async fn fills_every_part_of_the_report(engine: Engine) {
    if !engine.available() || crate::guard::program().is_err() {
        eprintln!("*** SKIPPED, {engine} or the guard is missing ***");
        return;
    }
    let scene = Scene {
        clients: 8,
        per_second: 80.0,
        pool: 4,
        calm: Duration::from_secs(1),
        sick: Duration::from_secs(2),
        well: Duration::from_secs(1),
        ..Scene::default()
    };
    let report = run(engine, &scene, &Screen::quiet()).await.unwrap();
    let ways: Vec<Way> = report.outcomes.iter().map(|one| one.way).collect();
    assert_eq!(ways, Way::ALL);
    for one in &report.outcomes {
        assert!(one.well_ms >= one.sick_ms + 2000, "{one:?}");
        assert!(one.good_by_second.iter().sum::<u64>() > 0, "{one:?}");
    }
    // Half of its clients know no other replica.
    assert!(report.outcomes[0].late_share > 0.0, "{report:?}");
}

#[tokio::test]
async fn a_small_drill_fills_every_part_of_the_report_on_mariadb() {
    fills_every_part_of_the_report(Engine::MariaDb).await;
}

#[tokio::test]
async fn a_small_drill_fills_every_part_of_the_report_on_postgres() {
    fills_every_part_of_the_report(Engine::Postgres).await;
}

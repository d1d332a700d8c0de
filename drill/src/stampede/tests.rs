use super::*;
use crate::record::told_again;

fn outcome(way: Way, during_per_second: f64, done: u64) -> Outcome {
    Outcome {
        way,
        before_per_second: 200.0,
        during_per_second,
        during_p99_ms: Some(40.0),
        after_per_second: 200.0,
        struck_ms: 4000,
        batch_ms: 6000,
        back_after_ms: Some(0),
        done,
        doubled: 0,
        hung_up: 7,
        refused: 1200,
        connects: 400,
        connections_max: 20,
        lock_waiters_max: 5,
        good_by_second: vec![200; 24],
    }
}

fn report(outcomes: Vec<Outcome>) -> Report {
    Report { engine: Engine::MariaDb, workers: 400, jobs: 1500, outcomes }
}

#[test]
fn the_guard_keeps_its_word_when_users_go_on_and_the_batch_does_not_pay_for_it() {
    let kept = |during, done| {
        let direct = outcome(Way::Direct, 80.0, 1200);
        report(vec![direct, outcome(Way::Guarded, during, done)]).guard_keeps_its_word()
    };
    assert!(kept(120.0, 1200));
    assert!(!kept(119.0, 1500), "users noticed");
    assert!(!kept(190.0, 1199), "the batch was held up");
    let all = vec![outcome(Way::Direct, 80.0, 1502), outcome(Way::Guarded, 190.0, 1500)];
    assert!(report(all).guard_keeps_its_word(), "there are no more");
    let untried = vec![outcome(Way::Direct, 80.0, 1200), outcome(Way::Pool, 190.0, 1500)];
    assert!(!report(untried).guard_keeps_its_word());
}

#[test]
fn a_table_has_a_column_for_each_way() {
    let told = told_again(report(Way::ALL.map(|way| outcome(way, 190.0, 1500)).into()));
    let line = |name| told.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("jobs done").ends_with("      1500        1500        1500"), "{told}");
    assert!(line("  guarded  ").ends_with("████"), "{told}");
}

/// Seconds long; what it counts is real, and how much that is depends on the machine.
async fn fills_every_part_of_the_report(engine: Engine) {
    if !engine.available() || crate::guard::program().is_err() {
        eprintln!("*** SKIPPED, {engine} or the guard is missing ***");
        return;
    }
    let scene = Scene {
        users: 8,
        per_second: 40.0,
        workers: 16,
        jobs: 20,
        pool: 4,
        calm: Duration::from_secs(2),
        hold: Duration::from_millis(100),
        hour: Duration::from_secs(2),
        after: Duration::from_secs(1),
    };
    let report = run(engine, &scene, &Screen::quiet()).await.unwrap();
    let ways: Vec<Way> = report.outcomes.iter().map(|one| one.way).collect();
    assert_eq!(ways, Way::ALL);
    for one in &report.outcomes {
        assert!(one.good_by_second.iter().sum::<u64>() > 0, "{one:?}");
        assert!(one.connects > 0, "{one:?}");
    }
}

#[tokio::test]
async fn a_small_drill_fills_every_part_of_the_report_on_mariadb() {
    fills_every_part_of_the_report(Engine::MariaDb).await;
}

#[tokio::test]
async fn a_small_drill_fills_every_part_of_the_report_on_postgres() {
    fills_every_part_of_the_report(Engine::Postgres).await;
}

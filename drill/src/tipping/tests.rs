use super::*;

fn point(way: Way, clients: usize, good: f64) -> Point {
    Point {
        way,
        clients,
        load: 0.0,
        paced_per_second: None,
        good_per_second: good,
        p50_ms: None,
        p99_ms: None,
        refused_per_second: 0.0,
        deadlocks_per_second: 0.0,
        timed_out_per_second: 0.0,
        connects_per_second: 0.0,
        transactions_max: 0,
        lock_waiters_max: 0,
        limits: Vec::new(),
        good_by_second: Vec::new(),
    }
}

fn report() -> Report {
    let mut report = Report::new(Engine::MariaDb);
    for (way, figures) in
        [(Way::Direct, [100.0, 20.0]), (Way::Fixed, [100.0, 80.0]), (Way::Adaptive, [90.0, 80.0])]
    {
        report.points.push(point(way, 8, figures[0]));
        report.points.push(point(way, 64, figures[1]));
    }
    report
}

#[test]
fn shares_are_of_the_fixed_limit_with_the_same_crowd() {
    let mut report = report();
    assert_eq!(report.shares(), [(8, 0.9), (64, 1.0)]);
    assert_eq!(report.share(), Some(0.95));
    assert_eq!(report.kept(Way::Direct), Some(0.2));
    assert!(report.guard_is_better());
    report.points.retain(|point| point.way != Way::Adaptive);
    assert_eq!(report.share(), None);
    assert!(!report.guard_is_better());
}

#[test]
fn turns_count_by_their_mean_and_by_the_worst_look() {
    let mut turns = vec![point(Way::Fixed, 8, 10.0), point(Way::Fixed, 8, 20.0)];
    turns[0].lock_waiters_max = 7;
    turns[1].p99_ms = Some(3.0);
    let mean = Point::mean(turns).unwrap();
    assert_eq!((mean.good_per_second, mean.lock_waiters_max, mean.p99_ms), (15.0, 7, Some(3.0)));
    assert!(Point::mean(Vec::new()).is_none());
}

#[test]
fn a_table_has_a_line_for_each_crowd_and_a_verdict_for_each_way() {
    let table = crate::record::told_again(report());
    let lines = table.lines().filter(|line| line.starts_with("direct ")).count();
    assert_eq!(lines, 2, "{table}");
    assert!(
        table.contains("95 % of the best fixed limit (8 clients 90 %, 64 clients 100 %)"),
        "{table}"
    );
}

/// Seconds long; what it counts is real, and how much that is depends on the machine.
#[tokio::test]
async fn a_small_drill_fills_every_part_of_the_report() {
    for engine in [Engine::MariaDb, Engine::Postgres] {
        if !engine.available() || crate::guard::program().is_err() {
            eprintln!("*** SKIPPED, {engine} or the guard is missing ***");
            continue;
        }
        let scene = Scene {
            direct: vec![1, 8],
            guarded: vec![8],
            limits: vec![1, 2],
            trial: 8,
            storm: 16,
            find: Duration::from_secs(2),
            storm_time: Duration::from_secs(1),
            patience: Duration::from_secs(2),
            ..Scene::quick()
        };
        let report = run(engine, &scene, &Screen::quiet()).await.unwrap();
        assert_eq!(report.of(Way::Direct).count(), 2);
        // One that keeps a pace, and one that does not.
        assert_eq!(report.of(Way::Fixed).count(), 2);
        assert_eq!(report.of(Way::Adaptive).count(), 2);
        assert!(report.alone_per_second > 0.0 && scene.limits.contains(&report.best_limit));
        assert!(report.of(Way::Fixed).all(|point| point.limits.is_empty()));
        for point in report.of(Way::Adaptive) {
            assert!(!point.limits.is_empty(), "{point:?}");
            assert!(point.transactions_max <= CONNECTIONS, "{point:?}");
        }
        let ways: Vec<Way> = report.recoveries.iter().map(|recovery| recovery.way).collect();
        assert_eq!(ways, [Way::Direct, Way::Fixed, Way::Adaptive]);
    }
}

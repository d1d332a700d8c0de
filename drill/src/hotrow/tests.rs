use super::*;

fn side(others: f64, hot: Option<f64>) -> Side {
    let figures = |good_per_second| Rates { good_per_second, ..Rates::default() };
    Side { others: figures(others), hot: hot.map(figures), ..Side::default() }
}

fn report() -> Report {
    let mut report = Report::new(Engine::MariaDb, &Scene::default());
    for (way, beside, hot) in
        [(Way::Direct, 90.0, 50.0), (Way::Pool, 20.0, 60.0), (Way::Guarded, 99.0, 55.0)]
    {
        report.note(way, side(100.0, None));
        report.note(way, side(beside, Some(hot)));
    }
    report
}

#[test]
fn the_others_are_held_against_what_they_did_alone() {
    let mut report = report();
    assert_eq!(report.others_kept(Way::Pool), Some(0.2));
    assert_eq!(report.hot_good(Way::Guarded), Some(55.0));
    assert!(report.guard_is_better());
    report.note(Way::Pool, side(100.0, Some(60.0)));
    assert_eq!(report.others_kept(Way::Pool), Some(0.6), "the mean of its turns");
    report.turns.retain(|(way, _)| *way != Way::Guarded);
    assert!(!report.guard_is_better());
}

#[test]
fn a_table_has_a_verdict_for_each_way() {
    let table = crate::record::told_again(report());
    assert!(
        table.contains("guarded:  the others kept 99 % of their goodput; 55/s on the one row"),
        "{table}"
    );
    assert_eq!(table.lines().filter(|line| line.contains("others alone")).count(), 3, "{table}");
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
            per_second: 100.0,
            clients: (16, 16),
            connections: 8,
            warm: Duration::from_secs(2),
            counted: Duration::from_secs(1),
            turns: 1,
            ..Scene::default()
        };
        let report = run(engine, &scene, &Screen::quiet()).await.unwrap();
        assert_eq!(report.turns.len(), 6);
        for way in Way::ALL {
            assert!(report.others_kept(way).is_some(), "{report:?}");
            assert!(report.hot_good(way).is_some_and(|good| good > 0.0), "{report:?}");
        }
        let behind = report.turns.iter().filter(|(way, _)| *way != Way::Direct);
        assert!(behind.clone().all(|(_, side)| side.transactions_max <= 8), "{report:?}");
    }
}

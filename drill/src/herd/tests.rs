use super::*;
use crate::record::told_again;

fn outcome(way: Way, connections_max: u32, back_after_ms: Option<u64>) -> Outcome {
    Outcome {
        way,
        trigger: Trigger::Restart,
        before_per_second: 200.0,
        after_per_second: 190.0,
        lost_ms: 4000,
        down_ms: 800,
        back_after_ms,
        logins: 5000,
        logins_per_second_max: 900,
        connections_max,
        client_logins: 5000,
        refused: 0,
        hung_up: 12,
        lost: 3000,
        good_by_second: vec![200; 12],
    }
}

fn report(outcomes: Vec<Outcome>) -> Report {
    Report { engine: Engine::MariaDb, clients: 400, pool: 16, outcomes }
}

#[test]
fn the_guard_keeps_its_word_when_service_is_soon_back_over_few_connections() {
    let kept = |connections, back| {
        let guarded = outcome(Way::Guarded, connections, back);
        report(vec![outcome(Way::Direct, 400, None), guarded]).guard_keeps_its_word()
    };
    assert!(kept(22, Some(2000)));
    assert!(!kept(23, Some(300)));
    assert!(!kept(16, Some(2001)));
    assert!(!kept(16, None));
}

#[test]
fn a_table_has_a_column_for_each_way_and_stands_for_one_trigger() {
    let table = told_again(report(Way::ALL.map(|way| outcome(way, 7, None)).into()));
    let line = |name| table.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("connections on").ends_with("         7           7           7"), "{table}");
    assert!(line("was back").ends_with("     never       never       never"), "{table}");
    assert!(table.starts_with("restart") && !table.contains("cut"), "{table}");
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
            clients: 16,
            per_second: 50.0,
            pool: 4,
            calm: Duration::from_secs(2),
            after: Duration::from_secs(2),
            ..Scene::default()
        };
        let report = run(engine, &scene, &Screen::quiet()).await.unwrap();
        assert_eq!(report.outcomes.len(), 6);
        for one in &report.outcomes {
            assert!(one.before_per_second > 0.0, "{one:?}");
            // Each came back, and a server that is down is knocked at in vain.
            assert!(one.client_logins >= 16, "{one:?}");
            assert_eq!(one.down_ms > 0, one.trigger == Trigger::Restart, "{one:?}");
            if one.way != Way::Direct {
                assert!(one.connections_max <= scene.pool + BESIDE_MAX, "{one:?}");
            }
        }
    }
}

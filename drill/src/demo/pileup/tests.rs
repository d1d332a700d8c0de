use super::*;
use crate::server::probe::Gauges;

fn at(way: Way, good: u64, waiters: u32) -> Outcome {
    let scene = Scene { calm: Duration::ZERO, storm: Duration::from_secs(1), ..Scene::default() };
    let timeline = Timeline::new();
    timeline.record(|counts| {
        counts.good = good;
        counts.given_up = 3;
        counts.latencies = (0..good).map(Duration::from_millis).collect();
    });
    let gauges = |lock_waiters| Gauges { lock_waiters, ..Gauges::default() };
    let sample = |waiters| Sample { at: Duration::ZERO, gauges: gauges(waiters) };
    outcome(&scene, way, &timeline, &[sample(waiters), sample(waiters / 2)])
}

fn report(direct: (u64, u32), guard: (u64, u32)) -> Report {
    Report {
        engine: Engine::MariaDb,
        direct: at(Way::Direct, direct.0, direct.1),
        guard: at(Way::Guard, guard.0, guard.1),
    }
}

#[test]
fn the_guard_is_better_with_more_commits_and_fewer_waiters_only() {
    assert!(report((10, 100), (200, 4)).guard_is_better());
    assert!(!report((10, 100), (10, 4)).guard_is_better());
    assert!(!report((10, 100), (200, 100)).guard_is_better());
}

#[test]
fn an_outcome_counts_the_storm_and_the_worst_look() {
    let outcome = at(Way::Direct, 101, 40);
    assert_eq!(outcome.storm_good_per_second, 101.0);
    assert_eq!(outcome.storm_given_up_per_second, 3.0);
    assert_eq!(outcome.storm_p50_ms, Some(50.0));
    assert_eq!(outcome.lock_waiters_max, 40);
}

#[test]
fn a_table_gives_no_percentile_of_a_handful_of_commits() {
    let table = table(&report((4, 100), (200, 4)));
    let p99 = table.lines().find(|line| line.contains("p99")).unwrap();
    assert!(p99.ends_with("     too few         197"), "{p99}");
}

#[test]
fn a_table_has_the_words_of_its_server() {
    let mut report = report((4, 100), (200, 4));
    assert!(table(&report).contains("most threads running"));
    report.engine = Engine::Postgres;
    assert!(table(&report).contains("most backends running"));
}

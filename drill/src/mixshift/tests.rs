use super::*;

fn phase(mix: Mix, settled: f64, settle_ms: Option<u64>) -> Phase {
    Phase {
        mix,
        good_per_second: settled,
        settled_per_second: settled,
        settle_ms,
        p50_ms: Some(5.0),
        p99_ms: None,
        deadlocks_per_second: 0.0,
        timed_out_per_second: 0.0,
        limit: None,
    }
}

fn run_of(way: Way, settled: [f64; 3], settle_ms: Option<u64>) -> Run {
    let phases = Mix::ORDER.into_iter().zip(settled);
    let phases = phases.map(|(mix, settled)| phase(mix, settled, settle_ms)).collect();
    Run { way, phases, limits: Vec::new(), good_by_second: Vec::new() }
}

fn report(adaptive: [f64; 3], settle_ms: Option<u64>) -> Report {
    let mut report = Report::new(Engine::MariaDb, &Scene::default());
    for (mix, limit, good_per_second) in [
        (Mix::Reads, 4, 700.0),
        (Mix::Reads, 32, 2000.0),
        (Mix::Updates, 4, 1000.0),
        (Mix::Updates, 32, 200.0),
    ] {
        report.tries.push(Try { mix, limit, good_per_second });
    }
    report.runs = vec![
        run_of(Way::Direct, [2000.0, 50.0, 2000.0], Some(0)),
        run_of(Way::Fixed(32), [2000.0, 200.0, 2000.0], Some(0)),
        run_of(Way::Fixed(4), [700.0, 1000.0, 700.0], Some(0)),
        run_of(Way::Adaptive, adaptive, settle_ms),
    ];
    report
}

#[test]
fn the_best_limit_of_each_mix_goes_all_the_way() {
    let mut report = report([0.0; 3], None);
    let ways = [Way::Direct, Way::Fixed(32), Way::Fixed(4), Way::Adaptive];
    assert_eq!(report.ways(), ways);
    report.tries.retain(|tried| tried.limit == 4);
    assert_eq!(report.ways(), [Way::Direct, Way::Fixed(4), Way::Adaptive]);
}

#[test]
fn the_limit_follows_when_it_is_near_the_best_of_each_phase_and_soon() {
    assert!(report([1900.0, 900.0, 1800.0], Some(3000)).limit_follows());
    assert!(!report([1900.0, 700.0, 1800.0], Some(3000)).limit_follows());
    assert!(!report([1900.0, 900.0, 1800.0], Some(5001)).limit_follows());
    assert!(!report([1900.0, 900.0, 1800.0], None).limit_follows());
    let mut without = report([1900.0, 900.0, 1800.0], Some(3000));
    without.runs.pop();
    assert!(!without.limit_follows());
}

#[test]
fn a_table_holds_each_phase_against_the_best_fixed_limit_of_it() {
    let table = crate::record::told_again(report([1900.0, 900.0, 1800.0], Some(3000)));
    let adaptive: Vec<&str> = table.lines().filter(|line| line.starts_with("adaptive")).collect();
    let cells: Vec<&str> = adaptive[1].split_whitespace().collect();
    assert_eq!(cells[1..8], ["updates", "900", "900", "90", "%", "3.0", "s"], "{table}");
    assert!(table.contains("fixed limits tried with updates, good/s: 4: 1000, 32: 200"), "{table}");
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
            clients: 8,
            limits: vec![2],
            trial: Duration::from_secs(1),
            phase: Duration::from_secs(2),
        };
        let report = run(engine, &scene, &Screen::quiet()).await.unwrap();
        let ways: Vec<Way> = report.runs.iter().map(|run| run.way).collect();
        assert_eq!(ways, [Way::Direct, Way::Fixed(2), Way::Adaptive]);
        // PostgreSQL looks for a deadlock after a second: a trial of the updates may be all in one.
        let mut reads = report.tries.iter().filter(|tried| tried.mix == Mix::Reads);
        assert!(reads.all(|tried| tried.good_per_second > 0.0), "{report:?}");
        for run in &report.runs {
            let mixes: Vec<Mix> = run.phases.iter().map(|phase| phase.mix).collect();
            assert_eq!(mixes, Mix::ORDER);
            assert!(run.phases[0].good_per_second > 0.0, "{run:?}");
            assert_eq!(run.limits.is_empty(), run.way != Way::Adaptive, "{run:?}");
        }
    }
}

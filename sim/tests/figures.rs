//! The figures that are promised, on fewer seeds and loads than the command prints them for.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sim::figures::{self, Point, SHAPES};
use sim::scenario::Access;

/// One scenario file, or what is wrong with it.
fn failures(path: &std::path::Path) -> Vec<String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).unwrap();
    let scenario = sim::Scenario::parse(&name, &text).unwrap();
    let failures = scenario.each_seed().flat_map(|scenario| {
        let failures = sim::run(&scenario).failures(&scenario);
        failures.into_iter().map(move |failure| format!("seed {}: {failure}", scenario.seed))
    });
    failures.map(|failure| format!("{name}: {failure}")).collect()
}

#[test]
fn every_scenario_comes_out_as_its_file_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let wrong: Vec<String> = files.flat_map(|path| failures(&path)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_limit_finds_the_best_fixed_one_from_below_and_from_above() {
    for (name, _) in SHAPES {
        let shape = figures::shape(name);
        for (start, times) in [(4, 3.0), (300, 1.5)] {
            let got = figures::tipping(&shape, times, Access::Adaptive, start, 7);
            // One seed of twenty seconds: what the command prints is the mean of more. Three shapes
            // fall short of what is wanted: `long` has a sharp top that noise leaves on both sides,
            // `mixed` a second one, flat and lower, on which it may stay, and on `late` a second
            // transaction doubles the work, for a moment (see docs/simulation.md).
            let least = match name {
                "long" => 0.88,
                "late" => 0.65,
                "mixed" => 0.60,
                _ => 0.94,
            };
            assert!(got.settled >= least, "{name} {times}x from {start}: {got:?}");
        }
    }
}

#[test]
fn nothing_on_the_map_stays_down() {
    for shape in ["deadlocks", "notify"] {
        for base in [0.5, 0.9] {
            for (trigger, length) in [(3.0, 5.0), (20.0, 2.0)] {
                let point = Point { base, trigger, length, hold: 0.0 };
                let report = figures::trigger(&figures::shape(shape), point, Access::Adaptive, 1);
                assert!(figures::recovery(point, &report).is_some(), "{shape} {point:?}");
            }
        }
    }
}

/// What the limit tries a little more and a little less for, nobody notices.
#[test]
fn the_steps_of_the_limit_are_not_felt() {
    let shape = figures::shape("cpu");
    let p99 = |access| figures::tipping(&shape, 0.8, access, 24, 3).p99;
    let (fixed, adaptive) = (p99(Access::Fixed(24)), p99(Access::Adaptive));
    assert!(adaptive <= 1.1 * fixed, "{adaptive} against {fixed}");
}

#[test]
fn a_run_can_be_repeated() {
    let mut shape = figures::shape("deadlocks");
    shape.length = 3.0;
    let runs = [sim::run(&shape), sim::run(&shape)];
    assert_eq!(runs[0].sum(0.0, 3.0, None), runs[1].sum(0.0, 3.0, None));
    assert_eq!(runs[0].events, runs[1].events);
}

/// Where the search begins.
fn seed() -> u64 {
    std::env::var("TG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        max_shrink_iters: 4,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed()),
        ..ProptestConfig::default()
    })]

    /// Searches for a state that stays bad after what caused it has gone. The same points each time,
    /// others with `TG_SEED`. Beyond these bounds points that fail are known (docs/simulation.md).
    #[test]
    fn nothing_stays_down_five_seconds_after_its_trigger(
        shape in prop::sample::select(vec!["deadlocks", "notify"]),
        base in 0.2..0.75_f64,
        trigger in 1.5..8.0_f64,
        length in 0.2..4.0_f64,
        seed in 0..1000_u64,
    ) {
        // Without a silent holder, which only melting would end.
        let point = Point { base, trigger, length, hold: 0.0 };
        let report = figures::trigger(&figures::shape(shape), point, Access::Adaptive, seed);
        let served = figures::afterwards(point, &report);
        prop_assert!(served >= 0.9, "{} {:?} seed {}: {}", shape, point, seed, served);
    }
}

//! Prints the figures: `figures tipping [shape,…] [times,…] [seeds]`, `figures map [shape]`,
//! `figures best [shape]`, `figures hour`, `figures scenario file…`, `figures spread`.

use std::time::Instant;

use sim::figures::{self, Point, SHAPES};
use sim::scenario::{Access, Scenario};
use sim::spread::{self, Method, TIDES};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |place: usize, default: &str| args.get(place).cloned().unwrap_or(default.to_owned());
    let all: Vec<&str> = SHAPES.iter().map(|(name, _)| *name).collect();
    match arg(0, "tipping").as_str() {
        "tipping" => tipping(&arg(1, &all.join(",")), &arg(2, "1.5,3,10,100"), &arg(3, "2")),
        "map" => map(&arg(1, "notify"), &arg(2, "0.3,0.5,0.7,0.9")),
        "scenario" => args[1..].iter().for_each(|path| scenario(path)),
        "spread" => spread(),
        "best" => best(&arg(1, "cpu")),
        _ => hour(),
    }
}

fn tipping(shapes: &str, times: &str, seeds: &str) {
    println!("good transactions over those of the best fixed limit: settled (5-7 s, 10-12 s)");
    for name in shapes.split(',') {
        let shape = figures::shape(name);
        for times in times.split(',').filter_map(|times| times.parse().ok()) {
            for start in [4, 300] {
                for seed in 1..=seeds.parse().unwrap_or(1) {
                    let got = figures::tipping(&shape, times, Access::Adaptive, start, seed);
                    println!(
                        "{name:>10} {times:>5}x from {start:>3} seed {seed}: {:.3} ({:.2} {:.2}) \
                         p99 {:.0} ms",
                        got.settled,
                        got.after_5,
                        got.after_10,
                        got.p99 * 1000.0
                    );
                }
            }
        }
    }
}

fn map(shape: &str, bases: &str) {
    println!(
        "seconds after a trigger until 90 % are served; - never: direct | fixed 200 | adaptive"
    );
    let shape = figures::shape(shape);
    for base in bases.split(',').filter_map(|base| base.parse().ok()) {
        for (trigger, length) in [(3.0, 0.5), (3.0, 5.0), (10.0, 5.0), (50.0, 5.0)] {
            for hold in [0.0, 6.0] {
                let point = Point { base, trigger, length, hold };
                let after = [Access::Direct, Access::Fixed(200), Access::Adaptive].map(|access| {
                    let report = figures::trigger(&shape, point, access, 1);
                    let seconds = figures::recovery(point, &report);
                    seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"))
                });
                println!("{point:?}: {}", after.join(" | "));
            }
        }
    }
}

fn best(shape: &str) {
    let best = sim::oracle::best(&figures::shape(shape), 3.0);
    println!("{shape}: {:.0}/s at {}; {:?}", best.goodput, best.limit, best.tried);
}

/// What comes out of a scenario, with each of its dice, beside what its file expects.
fn scenario(path: &str) {
    let read = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let parsed =
        read.and_then(|text| Scenario::parse(path, &text).map_err(|error| error.to_string()));
    let scenario = match parsed {
        Ok(scenario) => scenario,
        Err(error) => return eprintln!("{error}"),
    };
    println!("{path}: {}", scenario.about);
    let reports: Vec<_> = scenario.each_seed().map(|scenario| sim::run(&scenario)).collect();
    for expect in &scenario.expect {
        let of = expect.of.as_deref();
        let values = reports
            .iter()
            .map(|report| format!("{:.4}", report.figure(expect.what, expect.from, expect.to, of)));
        println!("  {} {expect:?}", values.collect::<Vec<_>>().join(" "));
    }
}

/// An hour of three times what a small database can do.
fn hour() {
    let mut shape = figures::shape("notify");
    for template in &mut shape.mix {
        template.cpu_ms *= 10.0;
    }
    shape.load.peak = 100.0;
    shape.length = 3600.0;
    let began = Instant::now();
    let report = sim::run(&shape);
    let took = began.elapsed();
    println!("an hour: {} events in {took:?}, {:?}", report.events, report.sum(0.0, 1e9, None));
}

/// What a million items do to a primary beside an application, by how they are spread.
fn spread() {
    println!(
        "                              |          |      peak to mean     | in flight |        |"
    );
    println!(
        "the application's load        | method   | dispatch |      total | over best | finish | late"
    );
    for tide in TIDES {
        let methods = [
            Method::Wall,
            Method::Uniform,
            Method::Flat,
            Method::Planned,
            Method::Proposed,
            Method::Steered,
        ];
        for method in methods {
            let came = spread::play(&spread::scene(tide, method));
            let lost = if came.is_lost { " never recovers" } else { "" };
            println!(
                "{:<29} | {:<8} | {:>8.4} | {:>10.4} | {:>9.2} | {:>5} s | {}{lost}",
                tide.0,
                format!("{method:?}"),
                came.dispatch,
                came.total,
                came.in_flight,
                came.finish,
                came.late
            );
        }
    }
}

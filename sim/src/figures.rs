//! The figures that are published: how near the limit comes to the best there is, and whether
//! anything stays down after what brought it down has gone.

use crate::Report;
use crate::scenario::{Access, Fault, Figure, Guard, Load, Scenario};

/// The workloads, each with the peak that the best fixed limit brings (`oracle::best`).
pub const SHAPES: [(&str, &str); 8] = [
    ("cpu", include_str!("../shapes/cpu.toml")),
    ("rows", include_str!("../shapes/rows.toml")),
    ("disk", include_str!("../shapes/disk.toml")),
    ("deadlocks", include_str!("../shapes/deadlocks.toml")),
    ("late", include_str!("../shapes/late.toml")),
    ("mixed", include_str!("../shapes/mixed.toml")),
    ("notify", include_str!("../shapes/notify.toml")),
    ("long", include_str!("../shapes/long.toml")),
];

/// The scenario of a shape.
///
/// # Panics
/// When there is no such shape, or its file is wrong, which a test excludes.
#[must_use]
pub fn shape(name: &str) -> Scenario {
    let found = SHAPES.iter().find(|(known, _)| *known == name);
    let (name, text) = found.expect("one of SHAPES");
    Scenario::parse(name, text).expect("shapes are tested")
}

/// How much of the peak is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// During the two seconds after the first five.
    pub after_5: f64,
    /// During the two seconds after the first ten.
    pub after_10: f64,
    /// From the tenth second on.
    pub settled: f64,
    /// The 99th percentile of the times of the good ones then, in seconds, waiting included.
    pub p99: f64,
}

/// Offers a shape so many times its peak, with a limit that begins at `start`.
#[must_use]
pub fn tipping(shape: &Scenario, times: f64, access: Access, start: u32, seed: u64) -> Reached {
    let length = 30.0;
    let scenario = Scenario {
        seed,
        length,
        load: Load { steps: vec![[0.0, times]], ..shape.load.clone() },
        guard: Guard { access, start, ..shape.guard.clone() },
        ..shape.clone()
    };
    let report = crate::run(&scenario);
    let share = |from, to| report.rate(from, to, None) / shape.load.peak;
    Reached {
        after_5: share(5.0, 7.0),
        after_10: share(10.0, 12.0),
        settled: share(10.0, length),
        p99: report.quantile(0.99, 10.0, length, None),
    }
}

/// One point of the map: a base load, and a trigger on top of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Times the peak, before and after.
    pub base: f64,
    /// Times the peak during the trigger.
    pub trigger: f64,
    /// How long the trigger lasts, in seconds.
    pub length: f64,
    /// A transaction that holds hot rows for so long from the beginning of the trigger; 0: none.
    pub hold: f64,
}

/// The second at which a trigger begins, and how long is watched afterwards.
const BEGINS: f64 = 8.0;
const WATCHED: f64 = 12.0;

/// Lets a point happen.
#[must_use]
pub fn trigger(shape: &Scenario, point: Point, access: Access, seed: u64) -> Report {
    let mut scenario = shape.clone();
    scenario.seed = seed;
    scenario.guard.access = access;
    let ends = BEGINS + point.length.max(point.hold);
    scenario.length = ends + WATCHED;
    scenario.load.steps =
        vec![[0.0, point.base], [BEGINS, point.trigger], [BEGINS + point.length, point.base]];
    if point.hold > 0.0 {
        let first_row = shape.mix[0].first_row;
        let rows = shape.mix[0].hot_rows.clamp(1, 10);
        let hold = point.hold;
        let holder = Fault::Holder { at: BEGINS, hold, first_row, rows, is_idle: true };
        scenario.fault.push(holder);
    }
    crate::run(&scenario)
}

/// Seconds from the end of the trigger until 90 % of what is wanted is good, and stays so (of a few
/// hundred a second, whole seconds vary by some percent); `None`: not while it is watched.
#[must_use]
pub fn recovery(point: Point, report: &Report) -> Option<f64> {
    report.recovered(BEGINS + point.length.max(point.hold), 0.90)
}

/// Good transactions over wanted ones from five seconds after the end of the trigger on.
#[must_use]
pub fn afterwards(point: Point, report: &Report) -> f64 {
    let ends = BEGINS + point.length.max(point.hold);
    report.figure(Figure::Served, ends + 5.0, ends + WATCHED, None)
}

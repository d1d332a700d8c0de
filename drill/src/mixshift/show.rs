//! What the drill prints: a line for each limit and each way while it runs, then a table.

use std::fmt::Write as _;

use super::{Mix, Report, Run, Try, Way};

pub(super) fn tried(tried: &Try) -> String {
    format!("limit {:>3} {:>6.0} commits in time/s", tried.limit, tried.good_per_second)
}

pub(super) fn run(run: &Run) -> String {
    let phases: Vec<String> = run
        .phases
        .iter()
        .map(|phase| {
            let limit = phase.limit.map_or(String::new(), |limit| format!(" (limit {limit:.1})"));
            format!("{:>5.0}{limit}", phase.settled_per_second)
        })
        .collect();
    format!("{:<9} commits in time/s once settled: {}", run.way.name(), phases.join(", "))
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Direct => "direct".to_owned(),
            Self::Fixed(limit) => format!("fixed {limit}"),
            Self::Adaptive => "adaptive".to_owned(),
        }
    }
}

/// The report as a table of plain text.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::from(
        "way       mix       good/s  settled  of best  settled after   p50 ms   p99 ms deadlocks/s \
         hung up/s limit\n",
    );
    let number = |value: Option<f64>| value.map_or("-".to_owned(), figure);
    for run in &report.runs {
        for (phase, share) in run.phases.iter().zip(report.shares(run)) {
            let settle = phase
                .settle_ms
                .map_or("never".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
            let limit = match run.way {
                Way::Fixed(limit) => Some(f64::from(limit)),
                Way::Direct | Way::Adaptive => phase.limit,
            };
            let _infallible = writeln!(
                text,
                "{:<9} {:<8} {:>7.0} {:>8.0} {:>6.0} % {settle:>14} {:>8} {:>8} {:>11.0} {:>9.0} {:>5}",
                run.way.name(),
                phase.mix.name(),
                phase.good_per_second,
                phase.settled_per_second,
                share * 100.0,
                number(phase.p50_ms),
                number(phase.p99_ms),
                phase.deadlocks_per_second,
                phase.timed_out_per_second,
                number(limit),
            );
        }
    }
    text + "\n" + &tries(report)
}

/// A line for each mix: what fixed limits were tried.
fn tries(report: &Report) -> String {
    let mut text = String::new();
    for mix in [Mix::Reads, Mix::Updates] {
        let of_it = report.tries.iter().filter(|tried| tried.mix == mix);
        let each: Vec<String> =
            of_it.map(|tried| format!("{}: {:.0}", tried.limit, tried.good_per_second)).collect();
        let _infallible =
            writeln!(text, "fixed limits tried with {}, good/s: {}", mix.name(), each.join(", "));
    }
    text
}

/// As many digits as tell something.
fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

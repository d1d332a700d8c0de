//! What the drill prints: a line for each crowd while it runs, then a table.

use std::fmt::Write as _;

use super::{Point, Recovery, Report, Try, Way};

pub(super) fn point(point: &Point) -> String {
    format!(
        "{:<9} {:>4} clients {:>6.0} commits in time/s, {:>5.0} deadlocks, {:>5.0} hung up, \
         {:>4} wait for locks{}",
        point.way.name(),
        point.clients,
        point.good_per_second,
        point.deadlocks_per_second,
        point.timed_out_per_second,
        point.lock_waiters_max,
        point.limit().map_or(String::new(), |limit| format!(", limit {limit:.1}")),
    )
}

pub(super) fn tried(tried: &Try) -> String {
    format!("limit {:>3} {:>6.0} commits in time/s", tried.limit, tried.good_per_second)
}

pub(super) fn found(point: &Point) -> String {
    let seconds: Vec<String> = point.good_by_second.iter().map(u64::to_string).collect();
    let limits = point.limits.iter().step_by(10).map(|moment| moment.limit.to_string());
    format!(
        "commits in each second: {}\nthe limit:              {}",
        seconds.join(" "),
        limits.collect::<Vec<_>>().join(" ")
    )
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fixed => "fixed",
            Self::Adaptive => "adaptive",
        }
    }
}

/// The report as a table of plain text.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = String::from(
        "way       clients   load  good/s   p50 ms   p99 ms refused/s deadlocks/s hung up/s lock waiters limit\n",
    );
    let number = |value: Option<f64>| value.map_or("-".to_owned(), figure);
    for point in &report.points {
        let limit = match point.way {
            Way::Fixed => Some(f64::from(report.best_limit)),
            Way::Direct | Way::Adaptive => point.limit(),
        };
        let load = format!("{}x", figure(point.load));
        let _infallible = writeln!(
            text,
            "{:<9} {:>7} {load:>6} {:>7.0} {:>8} {:>8} {:>9.0} {:>11.0} {:>9.0} {:>12} {:>5}",
            point.way.name(),
            point.clients,
            point.good_per_second,
            number(point.p50_ms),
            number(point.p99_ms),
            point.refused_per_second,
            point.deadlocks_per_second,
            point.timed_out_per_second,
            point.lock_waiters_max,
            number(limit),
        );
    }
    text + "\n" + &verdict(report)
}

/// A line for each way, and what fixed limits were tried.
fn verdict(report: &Report) -> String {
    let mut lines = Vec::new();
    let tries: Vec<String> = report
        .tries
        .iter()
        .map(|tried| format!("{}: {:.0}", tried.limit, tried.good_per_second))
        .collect();
    lines.push(format!("fixed limits tried, good/s: {}", tries.join(", ")));
    for (way, name) in
        [(Way::Direct, "direct:  "), (Way::Fixed, "fixed:   "), (Way::Adaptive, "adaptive:")]
    {
        let Some(kept) = report.kept(way) else { continue };
        let mut line =
            format!("{name} {:.0} % of its own best with the largest crowd", kept * 100.0);
        if let (Way::Adaptive, Some(share)) = (way, report.share()) {
            let each: Vec<String> = report
                .shares()
                .iter()
                .map(|(clients, share)| format!("{clients} clients {:.0} %", share * 100.0))
                .collect();
            let each = each.join(", ");
            line += &format!("; {:.0} % of the best fixed limit ({each})", share * 100.0);
        }
        lines.push(line);
    }
    lines.extend(report.recoveries.iter().map(sentence));
    lines.join("\n") + "\n"
}

pub(super) fn sentence(recovery: &Recovery) -> String {
    let back = recovery.back_after_ms.map_or("not back in time".to_owned(), |back| {
        format!("back {:.1} s after it", back as f64 / 1000.0)
    });
    format!(
        "{:<9} a storm on top of 0.8 load ({:.0}/s): {:.0} good/s before, {:.0} in it, {back}",
        recovery.way.name(),
        recovery.offered_per_second,
        recovery.before_per_second,
        recovery.storm_per_second,
    )
}

/// As many digits as tell something.
fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

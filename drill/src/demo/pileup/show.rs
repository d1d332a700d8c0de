//! What the first act prints: a line per second while it runs, then a table.

use super::{Outcome, Report, Scene, Way};
use crate::load::Second;
use crate::screen::{Paint, Screen, bar};
use crate::server::engine::Engine;
use crate::server::probe::Gauges;
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, Tone};
use crate::watch::Sample;

/// How wide the bar of a second may be, in columns.
const BAR: u64 = 32;
/// Commits per second that fill the bar.
const FULL: u64 = 400;

/// Tells what happens, line by line.
#[derive(Debug)]
pub(super) struct Show<'a> {
    screen: &'a Screen,
    engine: Engine,
    calm_seconds: usize,
}

impl<'a> Show<'a> {
    pub(super) fn new(screen: &'a Screen, engine: Engine, scene: &Scene) -> Self {
        let calm_seconds = usize::try_from(scene.calm.as_secs()).unwrap_or(0);
        Self { screen, engine, calm_seconds }
    }

    pub(super) fn step(&self, what: &str) {
        self.screen.step(what);
    }

    pub(super) fn scene(&self, way: Way, scene: &Scene) {
        let title = match way {
            Way::Direct => "the database directly",
            Way::Guard => "the same through the guard",
        };
        self.screen.title(title);
        self.screen.line(&format!(
            "{} clients update one row; after {:?} come {} more, and one keeps the row for {:?}. \
             Who waits {:?} hangs up and tries again.",
            scene.regulars, scene.calm, scene.crowd, scene.hold, scene.deadline
        ));
        self.screen.line(&self.screen.paint(
            Paint::Dim,
            &format!(
                " sec  commits in time                            hung up  refused | {:>8}  lock waiters",
                self.engine.worker()
            ),
        ));
    }

    pub(super) fn second(&self, second: usize, counts: &Second, gauges: Gauges) {
        let storm = second >= self.calm_seconds;
        let colour = if counts.good * 4 < FULL && storm { Paint::Red } else { Paint::Green };
        self.screen.line(&format!(
            "{second:>4}  {:>5}/s {} {:>8} {:>8} | {:>8} {:>13}",
            counts.good,
            self.screen.paint(colour, &bar(counts.good, FULL, BAR)),
            counts.timed_out,
            counts.refused,
            gauges.threads_running,
            gauges.lock_waiters,
        ));
    }
}

/// The report as a table of plain text.
#[must_use]
pub fn table(report: &Report) -> String {
    figures(report).text()
}

fn figures(report: &Report) -> Table {
    let worker = report.engine.worker();
    let running = format!("on the server: most {worker} running");
    let connected = format!("  most {worker} connected");
    let rows: [Row<'_, Outcome>; 11] = [
        ("before the storm: commits in time per second", |it| cell(Some(it.calm_good_per_second))),
        ("in the storm: commits in time per second", |it| cell(Some(it.storm_good_per_second))),
        ("  p50 of what was committed, with retries (ms)", |it| cell(it.storm_p50_ms)),
        ("  p99 of what was committed, with retries (ms)", |it| cell(it.storm_p99_ms)),
        ("  transactions given up per second", |it| cell(Some(it.storm_given_up_per_second))),
        ("  clients that hung up per second", |it| cell(Some(it.storm_timed_out_per_second))),
        ("  refusals per second", |it| cell(Some(it.storm_refused_per_second))),
        ("  connections clients opened per second", |it| cell(Some(it.storm_connects_per_second))),
        (&running, |it| cell(Some(it.threads_running_max.into()))),
        (&connected, |it| cell(Some(it.threads_connected_max.into()))),
        ("  most transactions waiting for a lock", |it| cell(Some(it.lock_waiters_max.into()))),
    ];
    Table::of("", &[("direct", &report.direct), ("guard", &report.guard)], &rows)
}

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let ways = [("direct", Tone::Direct, &self.direct), ("guard", Tone::Guarded, &self.guard)];
        let goods =
            ways.map(|(name, tone, one)| Series::by_second(name, tone, &one.good_by_second));
        let point =
            |sample: &Sample| (sample.at.as_secs_f64(), f64::from(sample.gauges.lock_waiters));
        let waiters = ways.map(|(name, tone, one)| Series {
            name: name.to_owned(),
            tone,
            points: one.samples.iter().map(point).collect(),
        });
        let plot = |title: &str, y, series: [Series; 2]| Plot {
            title: title.to_owned(),
            x: "second",
            y,
            series: series.into(),
            ..Plot::default()
        };
        Sheet {
            name: "A pile-up",
            about: "One row that everybody updates, a client that keeps it for two seconds, and hundreds that wait for one, \
                    drop their sockets, reconnect and try again.",
            scene: format!("On a private {}.", self.engine),
            promise: "more is committed in time through the guard, and fewer wait for locks on the server",
            is_kept: self.guard_is_better(),
            tables: vec![figures(self)],
            notes: Vec::new(),
            plots: vec![
                plot("commits in time", "a second", goods),
                plot("transactions that wait for a lock on the server", "transactions", waiters),
            ],
        }
    }
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "too few".to_owned(),
        Some(value) if value > 0.0 && value < 10.0 && value.fract() != 0.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

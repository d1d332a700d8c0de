//! What the second act prints: a line per second while it runs, then both curves beside each other, and a table.

use super::{Outcome, Report, Scene, Second};
use crate::screen::{Paint, Screen, bar};
use crate::server::engine::Engine;
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, Tone};

/// How wide the bar of a second may be, in columns.
const BAR: u64 = 24;
/// What fills it: so much is a wall on two cores. Who has more sees it end at the edge.
const FULL: u64 = 24_000;
/// How wide in the picture of both.
const SMALL_BAR: u64 = 30;

/// Tells what happens, line by line.
#[derive(Debug)]
pub(super) struct Show<'a> {
    screen: &'a Screen,
    engine: Engine,
    scene: Scene,
}

impl<'a> Show<'a> {
    pub(super) fn new(screen: &'a Screen, engine: Engine, scene: &Scene) -> Self {
        Self { screen, engine, scene: scene.clone() }
    }

    pub(super) fn step(&self, what: &str) {
        self.screen.step(what);
    }

    pub(super) fn wall(&self) {
        let Scene { reminders, workers, clients, pages_per_second, deadline, .. } = &self.scene;
        self.screen.title("the top of the hour: a wall");
        self.screen.line(&format!(
            "{clients} users look at {pages_per_second:.0} pages a second and wait {deadline:?}. At \
             13:00:00, which is second 0, {workers} workers take {reminders} reminders at once."
        ));
        self.head();
    }

    pub(super) fn spread(&self) {
        let Scene { reminders, window, .. } = &self.scene;
        self.screen.title("the same hour, spread and guarded");
        self.screen.line(&format!(
            "A scheduler spreads the {reminders} reminders over {window:?}, through the guard; what they read comes \
             from a replica."
        ));
        self.head();
    }

    fn head(&self) {
        let head = format!(
            " sec  on the primary {:17} reminders  pages in time     p99 | {:>8}  locks  pressure",
            "",
            self.engine.worker()
        );
        self.screen.line(&self.screen.paint(Paint::Dim, &head));
    }

    pub(super) fn second(&self, second: &Second) {
        let bar = bar(load(second), FULL, BAR);
        let is_good = second.good as f64 >= self.scene.pages_per_second * 0.8;
        let colour = if is_good { Paint::Green } else { Paint::Red };
        self.screen.line(&format!(
            "{:>4}  {:>6.0} {} {:>9.0}/s {:>11}/s {:>7} | {:>8} {:>6}  {:>8}",
            second.at,
            second.load_per_second,
            self.screen.paint(colour, &bar),
            second.reminders_per_second,
            second.good,
            ms(second.p99_ms),
            second.threads_running,
            second.lock_waiters,
            second.pressure.map_or("-".to_owned(), |pressure| format!("{pressure:.2}")),
        ));
    }
}

/// The report as plain text: both curves, a table, and what it comes down to.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = picture(report);
    text.push('\n');
    let ways = [("direct", &report.direct), ("tidegate", &report.tidegate)];
    text += &Table::of("", &ways, &rows(report.engine)).text();
    for sentence in sentences(report) {
        text += &sentence;
        text.push('\n');
    }
    text
}

/// What the ledger's books say, and what it comes down to.
fn sentences(report: &Report) -> Vec<String> {
    let audit = &report.audit;
    let books = format!(
        "the ledger's books: {} items = {} sent + {} dead + {} held + {} cancelled + {} open, {} ambiguous; \
         they {}",
        audit.items,
        audit.sent,
        audit.dead,
        audit.held,
        audit.cancelled,
        audit.open,
        audit.ambiguous,
        if audit.closes { "close" } else { "DO NOT CLOSE" },
    );
    let (gone, done) = (&report.lateness.pacing_error_ms, &report.lateness.after_moment_ms);
    let late = format!(
        "after their planned moments: gone p50 {:.1} ms, p99 {:.1} ms; done p50 {} ms, p99 {} ms, the last {} ms",
        gone.p50, gone.p99, done.p50, done.p99, done.max
    );
    let verdicts = report.verdicts().into_iter();
    let verdicts =
        verdicts.map(|(holds, what)| format!("{} {what}", if holds { "yes:" } else { "NO: " }));
    [books, late].into_iter().chain(verdicts).collect()
}

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let ways = [("direct", &self.direct), ("tidegate", &self.tidegate)];
        let load =
            if self.engine.is_postgres() { "transactions a second" } else { "statements a second" };
        Sheet {
            name: "The top of the hour",
            about: "Users look at pages all the time, and at 13:00:00 reminders are due: taken at once by as many workers \
                    as there are; then spread by the scheduler, through the guard, with what they read from a replica.",
            scene: format!(
                "{} reminders, on a private {} with a replica.",
                self.reminders, self.engine
            ),
            promise: "each reminder is sent once, and users are better off than beside the wall",
            is_kept: self.failures().is_empty(),
            tables: vec![Table::of("", &ways, &rows(self.engine))],
            notes: sentences(self),
            plots: vec![
                self.plot("what the primary was asked to do", load, |second| {
                    Some(second.load_per_second)
                }),
                self.plot("reminders that were sent", "a second", |second| {
                    Some(second.reminders_per_second)
                }),
                self.plot("what 99 of 100 pages of users took", "milliseconds", |second| {
                    second.p99_ms
                }),
            ],
        }
    }
}

impl Report {
    fn plot(&self, title: &str, y: &'static str, value: fn(&Second) -> Option<f64>) -> Plot {
        let ways =
            [("direct", Tone::Direct, &self.direct), ("tidegate", Tone::Guarded, &self.tidegate)];
        let series = ways.map(|(name, tone, outcome)| {
            let points =
                outcome.curve.iter().filter_map(|second| Some((second.at as f64, value(second)?)));
            Series { name: name.to_owned(), tone, points: points.collect() }
        });
        Plot {
            title: title.to_owned(),
            x: "second; 0 is 13:00:00",
            y,
            marks: vec![(0.0, "13:00:00")],
            series: series.into(),
            ..Plot::default()
        }
    }
}

/// Both curves, second by second.
fn picture(report: &Report) -> String {
    let unit = if report.engine.is_postgres() { "transactions" } else { "statements" };
    let all = [&report.direct, &report.tidegate];
    let seconds = || all.iter().flat_map(|outcome| &outcome.curve);
    let full = seconds().map(load).max().unwrap_or(1);
    let mut text = format!(
        "{unit} a second on the primary, and what 99 of 100 pages of users took (ms); second 0 is 13:00:00\n\
         \n sec  {:<37}{:>6}  |  {:<37}{:>6}\n",
        "direct", "p99", "tidegate", "p99"
    );
    let first = seconds().map(|second| second.at).min().unwrap_or(0);
    let last = seconds().map(|second| second.at).max().unwrap_or(-1);
    for at in first..=last {
        let cell = |outcome: &Outcome| {
            let found = outcome.curve.iter().find(|second| second.at == at);
            found.map_or(" ".repeat(43), |second| {
                let bar = bar(load(second), full, SMALL_BAR);
                format!("{:>6} {bar}{:>6}", load(second), ms(second.p99_ms))
            })
        };
        let line = format!("{at:>4}  {}  |  {}", cell(&report.direct), cell(&report.tidegate));
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn rows(engine: Engine) -> [Row<'static, Outcome>; 16] {
    let [running, connected] = match engine.is_postgres() {
        true => ["on the primary: most backends running", "  most backends connected"],
        false => ["on the primary: most threads running", "  most threads connected"],
    };
    [
        ("before the hour: pages in time per second", |it| number(it.calm_good_per_second)),
        ("  p99 of pages, with retries (ms)", |it| ms(it.calm_p99_ms)),
        ("while reminders go: pages in time per second", |it| number(it.good_per_second)),
        ("  p99 of pages, with retries (ms)", |it| ms(it.p99_ms)),
        ("  users that hung up per second", |it| number(it.hung_up_per_second)),
        ("reminders: sent within (s)", |it| format!("{:.1}", it.took_ms as f64 / 1000.0)),
        ("  in the fullest second", |it| number(it.reminders_max_per_second)),
        ("  that second over the mean of the window", |it| format!("{:.2}", it.peak_to_mean)),
        (running, |it| it.threads_running_max.to_string()),
        (connected, |it| it.threads_connected_max.to_string()),
        ("  most transactions waiting for a lock", |it| it.lock_waiters_max.to_string()),
        ("  reads that it answered", |it| count(it.primary_reads)),
        ("on the replica: reads that it answered", |it| count(it.replica_reads)),
        ("in the table: reminders sent", |it| it.sent.to_string()),
        ("  missing", |it| it.missing.to_string()),
        ("  doubled", |it| it.doubled.to_string()),
    ]
}

fn load(second: &Second) -> u64 {
    whole(second.load_per_second)
}

fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

fn number(value: f64) -> String {
    if value > 0.0 && value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn ms(value: Option<f64>) -> String {
    value.map_or("too few".to_owned(), number)
}

fn count(value: Option<u64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

//! What the drill tells: a line for each way while it runs, then a table.

use super::{Outcome, Report, Scene};
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, figure, seconds};

pub(super) fn begin(screen: &Screen, engine: Engine, scene: &Scene) {
    screen.title("a replica answers slowly");
    screen.line(&format!(
        "{} clients begin {:.0} reads a second at two replicas of a private {engine}; after {:?} one of the two answers \
         {:?} late, for {:?}.",
        scene.clients, scene.per_second, scene.calm, scene.delay, scene.sick
    ));
}

pub(super) fn outcome(one: &Outcome) -> String {
    format!(
        "{:<8} {:>4.0} reads in time/s before, {:>4.0} in the end of the sickness, {:>4.0} after it; {:.0} % were late, {} hung \
         up",
        one.way.name(),
        one.before_per_second,
        one.late_per_second,
        one.after_per_second,
        one.late_share * 100.0,
        one.hung_up,
    )
}

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let outcomes: Vec<_> = self.outcomes.iter().map(|one| (one.way.name(), one)).collect();
        Sheet {
            name: "sicklag",
            about: "One of two replicas answers slowly; nothing else is wrong with it.",
            scene: format!(
                "{} clients, {:.0} reads a second, at two replicas of a private {}; one answers {} ms late. In time is what \
                 was answered within {} ms.",
                self.clients, self.per_second, self.engine, self.delay_ms, self.in_time_ms
            ),
            promise: "within five seconds nine tenths of the reads are in time again, and stay so, none is lost, and the \
                      replica is read from again when it is well",
            is_kept: self.guard_keeps_its_word(),
            tables: vec![Table::of("", &outcomes, &ROWS)],
            notes: Vec::new(),
            plots: vec![plot(&outcomes)],
        }
    }
}

fn plot(outcomes: &[(&str, &Outcome)]) -> Plot {
    let second = |ms: u64| ms as f64 / 1000.0;
    let marks = outcomes.first().map(|(_, one)| {
        vec![
            (second(one.sick_ms), "one replica is sick"),
            (second(one.well_ms), "it is well again"),
        ]
    });
    let series = outcomes
        .iter()
        .map(|(way, one)| Series::by_second(way, one.way.tone(), &one.good_by_second));
    Plot {
        title: "reads that were answered in time".into(),
        x: "second",
        y: "reads in time, a second",
        marks: marks.unwrap_or_default(),
        series: series.collect(),
        ..Plot::default()
    }
}

const ROWS: [Row<'_, Outcome>; 12] = [
    ("reads in time/s before", |it| format!("{:.0}", it.before_per_second)),
    ("  in the last three seconds of the sickness", |it| format!("{:.0}", it.late_per_second)),
    ("  in the last three seconds of all", |it| format!("{:.0}", it.after_per_second)),
    ("reads were as before after (s)", |it| seconds(it.back_after_ms)),
    ("late, of those answered during the sickness (%)", |it| {
        format!("{:.0}", it.late_share * 100.0)
    }),
    ("p99 during the sickness (ms)", |it| figure(it.p99_ms)),
    ("  in the last three seconds of it", |it| figure(it.late_p99_ms)),
    ("clients that hung up", |it| it.hung_up.to_string()),
    ("refused, or broken off", |it| it.failed.to_string()),
    ("reads that were never answered", |it| it.given_up.to_string()),
    ("left alone by the guard after (s)", |it| guard(it.out_after_ms)),
    ("read from again after its cure (s)", |it| guard(it.returned_after_ms)),
];

/// What only the guard does.
fn guard(ms: Option<u64>) -> String {
    ms.map_or("-".to_owned(), |ms| seconds(Some(ms)))
}

//! What the drill tells: a line for each way while it runs, then a table.

use super::{Outcome, Report, Scene};
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, figure, seconds};

pub(super) fn begin(screen: &Screen, engine: Engine, scene: &Scene) {
    screen.title("the top of the hour");
    screen.line(&format!(
        "{} users begin {:.0} transactions a second on a private {engine}; after {:?} a batch of {} jobs is due, for {} \
         workers, and somebody keeps the row that all share for {:?}.",
        scene.users, scene.per_second, scene.calm, scene.jobs, scene.workers, scene.hold
    ));
}

pub(super) fn outcome(one: &Outcome) -> String {
    format!(
        "{:<8} users: {:>4.0} good/s before, {:>4.0} while the batch ran, {:>4.0} at the end; {} jobs done in {} s; {} hung \
         up, {} connections",
        one.way.name(),
        one.before_per_second,
        one.during_per_second,
        one.after_per_second,
        one.done,
        seconds(Some(one.batch_ms)),
        one.hung_up,
        one.connections_max,
    )
}

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let outcomes: Vec<_> = self.outcomes.iter().map(|one| (one.way.name(), one)).collect();
        Sheet {
            name: "stampede",
            about: "At the top of the hour a batch is due, and hundreds of workers want the row that users want as well.",
            scene: format!(
                "{} jobs for {} workers, on a private {}.",
                self.jobs, self.workers, self.engine
            ),
            promise: "users keep three fifths or more of their goodput while the batch runs, and as many of its jobs are done \
                      as directly, or all",
            is_kept: self.guard_keeps_its_word(),
            tables: vec![Table::of("", &outcomes, &ROWS)],
            notes: Vec::new(),
            plots: vec![plot(&outcomes)],
        }
    }
}

fn plot(outcomes: &[(&str, &Outcome)]) -> Plot {
    let mark = outcomes.first().map(|(_, one)| (one.struck_ms, "the hour strikes"));
    let series = outcomes
        .iter()
        .map(|(way, one)| Series::by_second(way, one.way.tone(), &one.good_by_second));
    Plot::goodput("users: commits in time", mark, series.collect())
}

const ROWS: [Row<'_, Outcome>; 13] = [
    ("users: good/s before", |it| format!("{:.0}", it.before_per_second)),
    ("  while the batch ran", |it| format!("{:.0}", it.during_per_second)),
    ("  p99 of these (ms)", |it| figure(it.during_p99_ms)),
    ("  in the last three seconds", |it| format!("{:.0}", it.after_per_second)),
    ("service was back after the batch (s)", |it| seconds(it.back_after_ms)),
    ("jobs done", |it| it.done.to_string()),
    ("  in (s)", |it| seconds(Some(it.batch_ms))),
    ("  done and not told so", |it| it.doubled.to_string()),
    ("users and workers that hung up", |it| it.hung_up.to_string()),
    ("refused", |it| it.refused.to_string()),
    ("connections opened by them", |it| it.connects.to_string()),
    ("connections on the server, at most", |it| it.connections_max.to_string()),
    ("transactions waiting for a lock, at most", |it| it.lock_waiters_max.to_string()),
];

//! What the drill tells: a line for each way while it runs, then a table for each trigger.

use super::{Outcome, Report, Scene, Trigger};
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, seconds};

pub(super) fn begin(screen: &Screen, trigger: Trigger, engine: Engine, scene: &Scene) {
    screen.title(match trigger {
        Trigger::Restart => "the server crashes and is started again",
        Trigger::Cut => "all connections of clients are cut",
    });
    screen.line(&format!(
        "{} clients begin {:.0} transactions a second on a private {engine}; all lose their connections \
         at once, connect again at once, and again until they are let in.",
        scene.clients, scene.per_second
    ));
}

pub(super) fn outcome(one: &Outcome) -> String {
    format!(
        "{:<8} {:>4.0} good/s before, {:>4.0} at the end; service was back {}; {} logins at the server in \
         one second, {} connections",
        one.way.name(),
        one.before_per_second,
        one.after_per_second,
        match one.back_after_ms {
            Some(ms) => format!("{} s later", seconds(Some(ms))),
            None => "never".into(),
        },
        one.logins_per_second_max,
        one.connections_max,
    )
}

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let played = || {
            [Trigger::Restart, Trigger::Cut].into_iter().filter_map(|trigger| {
                let of_it = self.outcomes.iter().filter(|one| one.trigger == trigger);
                let outcomes: Vec<_> = of_it.map(|one| (one.way.name(), one)).collect();
                (!outcomes.is_empty()).then_some((trigger.name(), outcomes))
            })
        };
        Sheet {
            name: "herd",
            about: "All clients lose their connections at once and come back at once: the server is restarted, or \
                    something in between goes.",
            scene: format!("{} clients, on a private {}.", self.clients, self.engine),
            promise: "service is back within two seconds of the server's answering, over no more connections than \
                      its pool has and those that are reserved",
            is_kept: self.guard_keeps_its_word(),
            tables: played().map(|(name, outcomes)| Table::of(name, &outcomes, &ROWS)).collect(),
            notes: Vec::new(),
            plots: played().map(|(name, outcomes)| plot(name, &outcomes)).collect(),
        }
    }
}

fn plot(name: &str, outcomes: &[(&str, &Outcome)]) -> Plot {
    let mark = outcomes.first().map(|(_, one)| (one.lost_ms, "connections are lost"));
    let series = outcomes
        .iter()
        .map(|(way, one)| Series::by_second(way, one.way.tone(), &one.good_by_second));
    Plot::goodput(&format!("{name}: commits in time"), mark, series.collect())
}

const ROWS: [Row<'_, Outcome>; 11] = [
    ("good/s before", |it| format!("{:.0}", it.before_per_second)),
    ("good/s in the last three seconds", |it| format!("{:.0}", it.after_per_second)),
    ("the server answered after (s)", |it| seconds(Some(it.down_ms))),
    ("service was back after that (s)", |it| seconds(it.back_after_ms)),
    ("logins tried at the server", |it| it.logins.to_string()),
    ("  of these, in one second at most", |it| it.logins_per_second_max.to_string()),
    ("connections on the server, at most", |it| it.connections_max.to_string()),
    ("logins tried by clients", |it| it.client_logins.to_string()),
    ("refused", |it| it.refused.to_string()),
    ("clients that hung up", |it| it.hung_up.to_string()),
    ("connections that broke off", |it| it.lost.to_string()),
];

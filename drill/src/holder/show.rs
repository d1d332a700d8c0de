//! What the drill tells: a line for each way while it runs, then a table for each holder.

use super::{Holder, Outcome, Report, Scene, Way};
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, Tone, seconds};

pub(super) fn begin(screen: &Screen, holder: Holder, engine: Engine, scene: &Scene) {
    let what = match holder {
        Holder::Idle => "whose client says nothing more",
        Holder::Slow => "whose client works on slowly",
    };
    screen.title(&format!("a holder {what}"));
    screen.line(&format!(
        "{} clients begin {:.0} transactions a second on a private {engine}; a quarter of them want \
         the row that is kept for {:?}, or until it is rolled back.",
        scene.clients, scene.per_second, scene.hold
    ));
}

pub(super) fn outcome(screen: &Screen, one: &Outcome) {
    screen.line(&format!(
        "{:<8} {:>4.0} good/s before, {:>4.0} during, {:>4.0} after; the row was kept {} and service \
         was back {}; {} rolled back",
        one.way.name(),
        one.before_per_second,
        one.during_per_second,
        one.after_per_second,
        seconds(Some(one.kept_ms)),
        match one.back_after_ms {
            Some(ms) => format!("{} later", seconds(Some(ms))),
            None => "never".into(),
        },
        one.kills,
    ));
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fixed => "fixed",
            Self::Melting => "melting",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Direct => Tone::Direct,
            Self::Fixed => Tone::Usual,
            Self::Melting => Tone::Guarded,
        }
    }
}

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let holders = [(Holder::Idle, "idle holder"), (Holder::Slow, "slow holder")];
        let of = |holder| {
            let outcomes = self.outcomes.iter().filter(move |one| one.holder == holder);
            outcomes.map(|one| (one.way.name(), one)).collect::<Vec<_>>()
        };
        let each = || holders.map(|(holder, name)| (name, of(holder))).into_iter();
        let played = || each().filter(|(_, outcomes)| !outcomes.is_empty());
        Sheet {
            name: "holder",
            about: "One transaction keeps a row that a quarter of all others want, and does not end: its client says \
                    nothing more (idle), or works on slowly (slow).",
            scene: format!("On a private {}.", self.engine),
            promise: "service is back within two seconds of the row's being free, with one or two transactions rolled back",
            is_kept: self.guard_keeps_its_word(),
            tables: played().map(|(name, outcomes)| Table::of(name, &outcomes, &ROWS)).collect(),
            notes: Vec::new(),
            plots: played().map(|(name, outcomes)| plot(name, &outcomes)).collect(),
        }
    }
}

const ROWS: [Row<'_, Outcome>; 11] = [
    ("good/s before", |it| format!("{:.0}", it.before_per_second)),
    ("good/s while it was to be kept", |it| format!("{:.0}", it.during_per_second)),
    ("good/s in the last three seconds", |it| format!("{:.0}", it.after_per_second)),
    ("the row was kept (s)", |it| seconds(Some(it.kept_ms))),
    ("service was back after (s)", |it| seconds(it.back_after_ms)),
    ("rolled back by the guard", |it| it.kills.to_string()),
    ("clients that hung up", |it| it.hung_up.to_string()),
    ("refused", |it| it.refused.to_string()),
    ("connections opened by clients since", |it| it.connects.to_string()),
    ("transactions on the server, at most", |it| it.transactions_max.to_string()),
    ("  of these, waiting for a lock", |it| it.lock_waiters_max.to_string()),
];

fn plot(name: &str, outcomes: &[(&str, &Outcome)]) -> Plot {
    let mark = outcomes.first().map(|(_, one)| (one.taken_ms, "the row is taken"));
    let series = outcomes
        .iter()
        .map(|(way, one)| Series::by_second(way, one.way.tone(), &one.good_by_second));
    Plot::goodput(&format!("{name}: commits in time"), mark, series.collect())
}

//! What the drill prints: a line for each way while it runs, then a table for each holder.

use super::{Holder, Outcome, Report, Scene, Way};
use crate::screen::{Row, Screen, columns};
use crate::server::engine::Engine;

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
}

/// The report as tables of plain text.
#[must_use]
pub fn table(report: &Report) -> String {
    let holders = [(Holder::Idle, "idle holder"), (Holder::Slow, "slow holder")];
    let tables = holders.into_iter().filter_map(|(holder, name)| {
        let outcomes: Vec<&Outcome> =
            report.outcomes.iter().filter(|one| one.holder == holder).collect();
        (!outcomes.is_empty()).then(|| of(name, &outcomes))
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn of(name: &str, outcomes: &[&Outcome]) -> String {
    let rows: [Row<'_, Outcome>; 11] = [
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
    let outcomes: Vec<_> = outcomes.iter().map(|one| (one.way.name(), *one)).collect();
    columns((name, 38), &outcomes, &rows)
}

fn seconds(ms: Option<u64>) -> String {
    ms.map_or("never".to_owned(), |ms| format!("{:.1}", ms as f64 / 1000.0))
}

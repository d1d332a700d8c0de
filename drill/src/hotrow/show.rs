//! Each crowd as it comes, then a table.

use super::{Report, Side, Way};
use crate::load::Rates;
use crate::sheet::{self, Plot, Series, Sheet, Table, figure};

pub(super) fn side(way: Way, side: &Side) -> String {
    let hot = side.hot.map_or("the others alone".to_owned(), |hot| {
        format!("{:.0} commits in time/s on the one row", hot.good_per_second)
    });
    format!(
        "{:<8} {:>5.0} commits in time/s on others, {hot}, {:>3} wait for locks",
        way.name(),
        side.others.good_per_second,
        side.lock_waiters_max,
    )
}

const HEAD: [&str; 8] =
    ["way", "rows", "good/s", "p50 ms", "p99 ms", "refused/s", "hung up/s", "lock waiters"];

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let lines = self.turns.iter().flat_map(|(way, side)| match &side.hot {
            None => vec![line(*way, "others alone", &side.others, side)],
            Some(hot) => {
                vec![line(*way, "others", &side.others, side), line(*way, "the one", hot, side)]
            }
        });
        let notes = Way::ALL.into_iter().filter_map(|way| {
            let (kept, hot) = (self.others_kept(way)?, self.hot_good(way)?);
            let name = format!("{}:", way.name());
            Some(format!(
                "{name:<9} the others kept {:.0} % of their goodput; {hot:.0}/s on the one row",
                kept * 100.0
            ))
        });
        Sheet {
            name: "hotrow",
            about: "One row that everybody wants, and what that costs those who want others.",
            scene: format!(
                "Offered: {:.0}/s on the one row, {:.0}/s on others; on a private {}.",
                self.hot_offered_per_second, self.others_offered_per_second, self.engine
            ),
            promise: "those who want other rows keep more of their goodput behind the guard than behind the pool",
            is_kept: self.guard_is_better(),
            tables: vec![Table::listing(2, &HEAD, lines.collect())],
            notes: notes.collect(),
            plots: vec![self.plot()],
        }
    }
}

impl Report {
    fn plot(&self) -> Plot {
        let series = Way::ALL.into_iter().map(|way| {
            let turns = self.turns.iter().filter(|(of, side)| *of == way && side.hot.is_some());
            let goods: Vec<u64> =
                turns.map(|(_, side)| side.others.good_per_second.round() as u64).collect();
            Series::by_second(way.name(), way.tone(), &goods)
        });
        Plot {
            title: "those who want other rows, beside those who want the one".into(),
            x: "turn",
            y: "commits in time, a second",
            series: series.collect(),
            ..Plot::default()
        }
    }
}

fn line(way: Way, rows: &str, figures: &Rates, side: &Side) -> Vec<String> {
    vec![
        way.name().to_owned(),
        rows.to_owned(),
        format!("{:.0}", figures.good_per_second),
        figure(figures.p50_ms),
        figure(figures.p99_ms),
        format!("{:.0}", figures.refused_per_second),
        format!("{:.0}", figures.timed_out_per_second),
        side.lock_waiters_max.to_string(),
    ]
}

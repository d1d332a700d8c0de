//! Each crowd as it comes, then a table.

use std::fmt::Write as _;

use super::{Report, Side, Way};
use crate::load::Rates;

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

/// The report as a table of plain text.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = format!(
        "offered: {:.0}/s on the one row, {:.0}/s on others\n\n\
         way      rows         good/s   p50 ms   p99 ms refused/s hung up/s lock waiters\n",
        report.hot_offered_per_second, report.others_offered_per_second,
    );
    for (way, side) in &report.turns {
        match &side.hot {
            None => line(&mut text, *way, "others alone", &side.others, side),
            Some(hot) => {
                line(&mut text, *way, "others", &side.others, side);
                line(&mut text, *way, "the one", hot, side);
            }
        }
    }
    text.push('\n');
    for way in Way::ALL {
        if let (Some(kept), Some(hot)) = (report.others_kept(way), report.hot_good(way)) {
            let name = format!("{}:", way.name());
            let _infallible = writeln!(
                text,
                "{name:<9} the others kept {:.0} % of their goodput; {hot:.0}/s on the one row",
                kept * 100.0
            );
        }
    }
    text
}

fn line(text: &mut String, way: Way, rows: &str, figures: &Rates, side: &Side) {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
    let _infallible = writeln!(
        text,
        "{:<8} {rows:<12} {:>6.0} {:>8} {:>8} {:>9.0} {:>9.0} {:>12}",
        way.name(),
        figures.good_per_second,
        ms(figures.p50_ms),
        ms(figures.p99_ms),
        figures.refused_per_second,
        figures.timed_out_per_second,
        side.lock_waiters_max,
    );
}

//! A plot as SVG, to stand in an HTML page: it takes its colours from there.

use std::fmt::Write as _;

use super::html::escape;
use super::report::Plot;
use super::story::{amount, offset};

/// All lengths in pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 130.0;
/// Left of the plot, for labels.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 18.0;
/// So many columns, each the greatest of what is in it.
const COLUMNS: usize = 420;

/// The plot, with a description for those who do not see it.
pub(super) fn draw(plot: &Plot) -> String {
    let most = plot.curves.iter().map(|curve| curve.most().1).fold(0.0, f64::max).max(1e-9);
    let title = escape(&plot.title);
    let told: Vec<_> = plot
        .curves
        .iter()
        .map(|curve| {
            let (at, value) = curve.most();
            format!("{}: at most {} at {}", curve.name, amount(value, curve.unit), offset(at))
        })
        .collect();
    let told = escape(&told.join("; "));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}. {told}\">\n\
         <text x=\"{LEFT}\" y=\"14\" class=\"name\">{title}</text>\n"
    );
    for (from, to) in &plot.pile_ups {
        let (from, to) = (x(*from, plot.span), x(*to, plot.span));
        let (width, height) = ((to - from).max(1.0), HEIGHT - TOP - BOTTOM);
        let _infallible = writeln!(
            svg,
            "<rect class=\"pile-up\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }
    for (number, curve) in plot.curves.iter().enumerate() {
        let points: Vec<_> = columns(&curve.points, plot.span)
            .into_iter()
            .map(|(at, value)| format!("{:.1},{:.1}", x(at, plot.span), y(value, most)))
            .collect();
        let _infallible =
            writeln!(svg, "<polyline class=\"curve-{number}\" points=\"{}\"/>", points.join(" "));
    }
    let (zero, base, end) = (x(0, plot.span), HEIGHT - BOTTOM, WIDTH - RIGHT);
    let foot = HEIGHT - 4.0;
    let _infallible = writeln!(
        svg,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{base}H{end}\"/>\n\
         <path class=\"trigger\" d=\"M{zero:.1} {TOP}V{base}\"/>\n\
         <text x=\"{}\" y=\"{}\" class=\"right\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"{foot}\">{}</text>\n\
         <text x=\"{zero:.1}\" y=\"{foot}\" class=\"middle\">trigger</text>\n\
         <text x=\"{end}\" y=\"{foot}\" class=\"right\">{}</text>\n</svg>",
        LEFT - 6.0,
        TOP + 8.0,
        amount(most, ""),
        offset(plot.span.0),
        offset(plot.span.1),
    );
    svg
}

/// The greatest of each column, where there is any; a point that falls into none stays away.
fn columns(points: &[(i64, f64)], span: (i64, i64)) -> Vec<(i64, f64)> {
    let width = (span.1 - span.0).max(1);
    let mut columns: Vec<Option<(i64, f64)>> = vec![None; COLUMNS];
    let inside =
        points.iter().filter(|(at, value)| (span.0..=span.1).contains(at) && value.is_finite());
    for (at, value) in inside {
        let share = (at - span.0) as f64 / width as f64;
        let column = &mut columns[((share * COLUMNS as f64) as usize).min(COLUMNS - 1)];
        if column.is_none_or(|(_, kept)| kept < *value) {
            *column = Some((*at, *value));
        }
    }
    columns.into_iter().flatten().collect()
}

fn x(at: i64, span: (i64, i64)) -> f64 {
    let share = (at - span.0) as f64 / (span.1 - span.0).max(1) as f64;
    LEFT + (WIDTH - LEFT - RIGHT) * share.clamp(0.0, 1.0)
}

fn y(value: f64, most: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (value / most).clamp(0.0, 1.0))
}

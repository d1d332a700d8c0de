//! A plot as plain text: a row of blocks for each line, all to the same scale.

use std::fmt::Write as _;

use super::plot::{Plot, Series, number};

/// Columns of a row, at most.
const COLUMNS_MAX: usize = 60;
/// Nought, and then by eighths of the most.
const LEVELS: [char; 9] = ['_', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The plot. A column is the mean of what falls into it; where nothing does, what was before goes on.
pub(super) fn text(plot: &Plot) -> String {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let span = points().fold(None, |span: Option<(f64, f64)>, (x, _)| {
        Some(span.map_or((*x, *x), |(low, high)| (low.min(*x), high.max(*x))))
    });
    let Some((low, high)) = span else { return String::new() };
    let most = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let longest = plot.series.iter().map(|series| series.points.len()).max().unwrap_or(1);
    let columns = Columns {
        count: longest.clamp(1, COLUMNS_MAX),
        low: plot.place(low),
        high: plot.place(high),
    };
    let mut text = format!(
        "{}: {}, █ is {}; {} {} to {}\n",
        plot.title,
        plot.y,
        number(most),
        plot.x,
        number(low),
        number(high)
    );
    let names = plot.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    for series in &plot.series {
        let row = row(plot, series, &columns, most);
        let _infallible = writeln!(text, "  {:names$}  {}", series.name, row.trim_end());
    }
    for (at, what) in &plot.marks {
        let before = names + 4 + columns.of(plot.place(*at));
        let _infallible = writeln!(text, "{:before$}^ {what}", "");
    }
    text
}

/// Where values are in a row.
struct Columns {
    count: usize,
    low: f64,
    high: f64,
}

impl Columns {
    fn of(&self, place: f64) -> usize {
        let width = (self.high - self.low).max(f64::MIN_POSITIVE);
        let share = ((place - self.low) / width).clamp(0.0, 1.0);
        // So that the first and the last have a whole column.
        (share * (self.count - 1) as f64).round() as usize
    }
}

fn row(plot: &Plot, series: &Series, columns: &Columns, most: f64) -> String {
    let mut sums = vec![(0.0, 0_u32); columns.count];
    for (x, y) in &series.points {
        let sum = &mut sums[columns.of(plot.place(*x))];
        *sum = (sum.0 + y, sum.1 + 1);
    }
    let end = sums.iter().rposition(|(_, count)| *count > 0).map_or(0, |last| last + 1);
    let mut before = None;
    let blocks = sums[..end].iter().map(|&(sum, count)| {
        if count > 0 {
            before = Some(sum / f64::from(count));
        }
        before.map_or(' ', |value| block(value, most))
    });
    blocks.collect()
}

fn block(value: f64, most: f64) -> char {
    let share = (value / most.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    LEVELS[((share * 8.0).ceil() as usize).min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Tone;

    fn plot(points: [&[(f64, f64)]; 2], is_logarithmic: bool) -> Plot {
        let series = [("direct", points[0]), ("pool", points[1])].map(|(name, points)| Series {
            name: name.into(),
            tone: Tone::Direct,
            points: points.to_vec(),
        });
        Plot {
            title: "a storm".into(),
            x: "second",
            y: "commits a second",
            is_logarithmic,
            marks: vec![(2.0, "it breaks")],
            series: series.into(),
        }
    }

    #[test]
    fn rows_stand_below_each_other_to_one_scale() {
        let direct = [(0.0, 80.0), (1.0, 80.0), (2.0, 0.0), (3.0, 1.0)];
        let pool = [(0.0, 40.0), (3.0, 5.0)];
        assert_eq!(
            text(&plot([&direct, &pool], false)),
            "a storm: commits a second, █ is 80; second 0 to 3\n  \
               direct  ██_▁\n  \
               pool    ▄▄▄▁\n            \
                         ^ it breaks\n"
        );
    }

    #[test]
    fn many_points_share_a_column_and_odd_ones_do_no_harm() {
        let many: Vec<(f64, f64)> = (0..600).map(|at| (f64::from(at), 7.0)).collect();
        let told = text(&plot([&many, &[]], false));
        assert!(told.contains(&format!("direct  {}\n", "█".repeat(COLUMNS_MAX))), "{told}");
        let odd: [&[(f64, f64)]; 3] =
            [&[(3.0, 0.0)], &[(-1.0, 1e12), (1e9, 1.0)], &[(0.0, f64::NAN)]];
        for points in odd {
            for is_logarithmic in [false, true] {
                assert!(text(&plot([points, &[]], is_logarithmic)).contains("it breaks"));
            }
        }
        assert_eq!(text(&plot([&[], &[]], false)), "", "nothing was measured");
    }
}

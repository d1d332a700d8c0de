//! A curve in one line of a terminal.

use super::facts::Curve;

/// Columns of a line.
pub(super) const WIDTH: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The greatest value of each of [`WIDTH`] equal parts of the time from `from` to `to`; the least, where it is the
/// fall that counts. A part of which nothing is known is empty.
pub(super) fn line(curve: &Curve, from: i64, to: i64) -> String {
    let mut parts: [Option<f64>; WIDTH] = [None; WIDTH];
    for (at, value) in
        curve.points.iter().filter(|(at, value)| (from..=to).contains(at) && value.is_finite())
    {
        let part = &mut parts[column(*at, from, to)];
        let pick = if curve.falls { f64::min } else { f64::max };
        *part = Some(part.map_or(*value, |kept| pick(kept, *value)));
    }
    let most = curve.most().1;
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) if most <= 0.0 || *value <= 0.0 => BARS[0],
        Some(value) => BARS[((value / most * 7.0).ceil() as usize).min(7)],
    };
    parts.iter().map(bar).collect()
}

/// In which column a moment is.
pub(super) fn column(at: i64, from: i64, to: i64) -> usize {
    let share = (at - from) as f64 / (to - from).max(1) as f64;
    ((share * WIDTH as f64) as usize).min(WIDTH - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_is_the_greatest_value_and_gaps_are_seen() {
        let points = [(-6000, 0.0), (-3000, 1.0), (0, 8.0), (6000, 4.0)];
        let curve = Curve { name: "c", unit: "", points: points.into(), least: 0.0, falls: false };
        let line: Vec<char> = line(&curve, -6000, 6000).chars().collect();
        assert_eq!(line.len(), WIDTH);
        assert_eq!([line[0], line[15], line[30], line[59]], ['▁', '▂', '█', '▅']);
        assert_eq!(line.iter().filter(|c| **c == ' ').count(), WIDTH - 4);
        let none = Curve { points: Vec::new(), ..curve };
        assert_eq!(super::line(&none, 0, 0), " ".repeat(WIDTH));
    }
}

//! A plot as SVG: lines over one axis, each way in a colour of its own. What it shows, the tables tell as well.

use maud::{Markup, html};

/// All lengths in pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
/// Around the lines: left for the axis, below for its numbers.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 44.0;
/// Steps of an axis, about.
const STEPS: f64 = 5.0;

/// Lines over one axis.
#[derive(Debug, Clone, Default)]
pub struct Plot {
    /// What is seen.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x: &'static str,
    /// What goes up, with its unit; from nought.
    pub y: &'static str,
    /// To the right it goes by factors, not by steps.
    pub is_logarithmic: bool,
    /// What happened at a place on the lower axis.
    pub marks: Vec<(f64, &'static str)>,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub tone: Tone,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// What a line stands for: those that are alike look alike in all drills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Without anything between clients and server.
    Direct,
    /// Behind what one would have used.
    Usual,
    /// The same, otherwise.
    Other,
    /// Behind the guard, with what the drill is about.
    Guarded,
}

impl Tone {
    /// The class of its strokes in the page's style.
    const fn class(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Usual => "usual",
            Self::Other => "other",
            Self::Guarded => "guarded",
        }
    }
}

impl Plot {
    /// How far to the right a value is, in some unit.
    pub(super) fn place(&self, value: f64) -> f64 {
        place(value, self.is_logarithmic)
    }

    /// What was committed in time in each second, and what happened after so many milliseconds.
    pub(crate) fn goodput(
        title: &str,
        mark: Option<(u64, &'static str)>,
        series: Vec<Series>,
    ) -> Self {
        Self {
            title: title.to_owned(),
            x: "second",
            y: "commits in time, a second",
            marks: mark.map(|(at_ms, what)| (at_ms as f64 / 1000.0, what)).into_iter().collect(),
            series,
            ..Self::default()
        }
    }
}

impl Series {
    /// What was counted in each second, from the first on.
    pub(crate) fn by_second(name: &str, tone: Tone, counts: &[u64]) -> Self {
        let points = (0_u32..).zip(counts).map(|(at, count)| (f64::from(at), *count as f64));
        Self { name: name.to_owned(), tone, points: points.collect() }
    }
}

/// Where values are on the picture.
struct Frame {
    x: (f64, f64),
    y_max: f64,
    is_logarithmic: bool,
}

impl Frame {
    fn of(plot: &Plot) -> Self {
        let points = || plot.series.iter().flat_map(|series| &series.points);
        let most = points().map(|(_, y)| *y).fold(0.0, f64::max);
        let step = step(most / STEPS);
        let (low, high) =
            points().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
        let x = if low < high { (low, high) } else { (0.0, 1.0) };
        Self {
            x,
            y_max: ((most / step).ceil() * step).max(step),
            is_logarithmic: plot.is_logarithmic,
        }
    }

    fn x(&self, value: f64) -> f64 {
        let place = |value| place(value, self.is_logarithmic);
        let (low, high) = (place(self.x.0), place(self.x.1));
        LEFT + (WIDTH - LEFT - RIGHT) * ((place(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / self.y_max).clamp(0.0, 1.0)
    }

    /// Numbers on the lower axis.
    fn x_steps(&self) -> Vec<f64> {
        let (low, high) = self.x;
        if self.is_logarithmic {
            let powers =
                (-3..=6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
            return powers.filter(|value| (low..=high).contains(value)).collect();
        }
        let step = step((high - low) / (2.0 * STEPS));
        let first = (low / step).ceil() as i64;
        (first..).map(|number| number as f64 * step).take_while(|value| *value <= high).collect()
    }

    fn y_steps(&self) -> Vec<f64> {
        let step = step(self.y_max / STEPS);
        (0..)
            .map(|number| f64::from(number) * step)
            .take_while(|value| *value <= self.y_max * 1.001)
            .collect()
    }
}

/// How far to the right a value is.
fn place(value: f64, is_logarithmic: bool) -> f64 {
    if is_logarithmic { value.max(1e-9).ln() } else { value }
}

/// The next of 1, 2, 5, 10, 20 and so on.
fn step(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-6).log10().floor());
    let digit = value.max(1e-6) / power;
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| digit <= *round * 1.000_001);
    power * round.unwrap_or(10.0)
}

/// Without digits that tell nothing.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn line(frame: &Frame, series: &Series) -> String {
    let points =
        series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", frame.x(*x), frame.y(*y)));
    points.collect::<Vec<_>>().join(" ")
}

/// The plot, with a title and the names of its lines.
pub(crate) fn draw(plot: &Plot) -> Markup {
    let frame = Frame::of(plot);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let middle = f64::midpoint(LEFT, right);
    html! {
        figure {
            figcaption {
                (plot.title)
                @for series in &plot.series {
                    span.key.(series.tone.class()) { (series.name) }
                }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(plot.title) {
                @for value in frame.y_steps() {
                    @let y = format!("{:.1}", frame.y(value));
                    line.grid x1=(LEFT) x2=(right) y1=(y) y2=(y) {}
                    text x=(LEFT - 8.0) y=(y) text-anchor="end" dominant-baseline="middle" { (number(value)) }
                }
                @for value in frame.x_steps() {
                    @let x = format!("{:.1}", frame.x(value));
                    line.grid x1=(x) x2=(x) y1=(bottom) y2=(bottom + 4.0) {}
                    text x=(x) y=(bottom + 16.0) text-anchor="middle" { (number(value)) }
                }
                @for (at, what) in &plot.marks {
                    @let x = format!("{:.1}", frame.x(*at));
                    line.mark x1=(x) x2=(x) y1=(TOP) y2=(bottom) {}
                    text x=(frame.x(*at) + 4.0) y=(TOP + 8.0) { (what) }
                }
                @for series in &plot.series {
                    polyline.(series.tone.class()) points=(line(&frame, series)) {}
                }
                text x=(middle) y=(HEIGHT - 8.0) text-anchor="middle" { (plot.x) }
                text x=(LEFT - 8.0) y=(TOP - 8.0) text-anchor="start" { (plot.y) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(is_logarithmic: bool, points: &[(f64, f64)]) -> Plot {
        let series = Series { name: "<one>".into(), tone: Tone::Direct, points: points.to_vec() };
        Plot { is_logarithmic, series: vec![series], ..Plot::default() }
    }

    #[test]
    fn steps_are_round_numbers() {
        for (value, round) in [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (37.0, 50.0), (600.0, 1000.0)] {
            assert!((step(value) - round).abs() < 1e-9, "{value}: {}", step(value));
        }
        let frame = Frame::of(&plot(false, &[(0.0, 0.0), (22.0, 193.0)]));
        assert_eq!(frame.y_steps(), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(frame.x_steps(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        let frame = Frame::of(&plot(true, &[(0.5, 1.0), (100.0, 3.0)]));
        assert_eq!(frame.x_steps(), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn all_points_are_on_the_picture_whatever_they_are() {
        let odd: [&[(f64, f64)]; 4] =
            [&[], &[(3.0, 0.0)], &[(0.0, 5.0), (0.0, 5.0)], &[(-1.0, 1e12), (1e9, 1.0)]];
        for points in odd {
            for is_logarithmic in [false, true] {
                let plot = plot(is_logarithmic, points);
                let drawn = draw(&plot).into_string();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
                assert!(drawn.contains("&lt;one&gt;"), "names are text");
            }
        }
    }
}

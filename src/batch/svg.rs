//! The picture of a plan as SVG: the wall, the line, the forecast under it.

use std::fmt::Write as _;
use std::time::Duration;

use policy::spread::gate::Terms;
use policy::spread::plan::Plan;

use super::chart::{Axis, Column, bounds, columns, short, wall};

/// All lengths in pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 470.0;
/// Left of the plots, for labels.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// How fine the curve is.
const COLUMNS: usize = 400;

/// One of the two plots.
struct Panel {
    top: f64,
    height: f64,
    /// The load at its upper edge.
    most: f64,
}

impl Panel {
    fn y(&self, load: f64) -> f64 {
        self.top + self.height * (1.0 - (load / self.most).min(1.0))
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// Draws a plan.
pub(super) fn draw(plan: &Plan, terms: &Terms, axis: Axis, title: &str) -> String {
    let columns = columns(plan, COLUMNS);
    let top = columns.iter().map(|column| column.forecast + column.planned).fold(1e-9, f64::max);
    let cost = plan.curves().first().map_or(1.0, |curve| curve.batch().cost);
    let wall = wall(plan, cost);
    let above = Panel { top: 60.0, height: 120.0, most: wall };
    let below =
        Panel { top: 230.0, height: 190.0, most: top.max(terms.capacity.unwrap_or(0.0)) * 1.05 };
    let title = escape(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{title}</text>\n"
    );
    let forecast = |column: &Column| column.forecast;
    let total = |column: &Column| column.forecast + column.planned;
    text(&mut svg, LEFT, above.top - 10.0, "the wall it would have been");
    area(&mut svg, &above, &columns, forecast, "#9aa7b1");
    let second = (WIDTH - LEFT - RIGHT) / (bounds(plan).1 - bounds(plan).0).max(1.0);
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#c0392b\"/>",
        above.top,
        second.max(2.0),
        above.height,
    );
    frame(&mut svg, &above, wall, plan, axis);
    text(&mut svg, LEFT, below.top - 10.0, "the line it will be, over the application's load");
    area(&mut svg, &below, &columns, total, "#2471a3");
    area(&mut svg, &below, &columns, forecast, "#9aa7b1");
    if let Some(capacity) = terms.capacity {
        let (y, end) = (below.y(capacity), WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#c0392b\" stroke-dasharray=\"6 4\"/>"
        );
        text(&mut svg, end - 120.0, y - 4.0, &format!("capacity {}", short(capacity)));
    }
    frame(&mut svg, &below, below.most, plan, axis);
    svg + "</svg>\n"
}

/// What lies under a line.
fn area(svg: &mut String, panel: &Panel, columns: &[Column], of: fn(&Column) -> f64, fill: &str) {
    let step = (WIDTH - LEFT - RIGHT) / columns.len() as f64;
    let _ = write!(svg, "<path fill=\"{fill}\" d=\"M{LEFT} {:.1}", panel.bottom());
    for column in columns {
        let _ = write!(svg, "V{:.1}h{step:.3}", panel.y(of(column)));
    }
    let _ = writeln!(svg, "V{:.1}Z\"/>", panel.bottom());
}

/// The axes and what stands at them.
fn frame(svg: &mut String, panel: &Panel, most: f64, plan: &Plan, axis: Axis) {
    let (begin, end) = bounds(plan);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {:.1}V{:.1}H{}\" fill=\"none\" stroke=\"#333\"/>",
        panel.top,
        panel.bottom(),
        WIDTH - RIGHT
    );
    text(svg, 8.0, panel.top + 10.0, &short(most));
    for share in [0.0, 0.5, 1.0] {
        let label = axis.label(Duration::from_secs_f64(begin + (end - begin) * share));
        let x = LEFT + (WIDTH - LEFT - RIGHT - 50.0) * share;
        text(svg, x, panel.bottom() + 16.0, &label);
    }
}

fn text(svg: &mut String, x: f64, y: f64, what: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(what));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use policy::spread::forecast::Forecast;
    use policy::spread::plan::{Batch, Window};

    use super::*;

    #[test]
    fn it_is_an_image_with_both_plots_and_no_markup_of_others() {
        let window = Window { opens: Duration::ZERO, deadline: Duration::from_secs(60) };
        let batch = Batch { items: 3000, cost: 1.0, window, class: 2, rate_max: None };
        let terms = Terms { forecast: Forecast::flat(100.0), capacity: Some(200.0) };
        let plan = Plan::pour(&terms.forecast, &[batch]).unwrap();
        let svg = draw(&plan, &terms, Axis { at: None }, "<script> & co");
        assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("<title>&lt;script&gt; &amp; co</title>") && !svg.contains("<script"));
        assert!(svg.contains("capacity 200") && svg.contains(">3.1k<") && svg.contains("+1:00"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}

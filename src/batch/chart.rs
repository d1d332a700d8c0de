//! The picture of a plan in a terminal.

use std::time::Duration;

use policy::spread::plan::Plan;

/// Columns of the plot.
const WIDTH: usize = 72;
/// Lines of the plan, and of the wall above it.
const HEIGHT: usize = 8;
const WALL_HEIGHT: usize = 4;

/// How moments are told: by the time of day where that is known, else by the distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Seconds from midnight to the batch's time.
    pub(super) at: Option<u32>,
}

impl Axis {
    pub(super) fn label(self, offset: Duration) -> String {
        let seconds = offset.as_secs();
        match self.at {
            Some(at) => {
                let day = (u64::from(at) + seconds) % 86_400;
                format!("{:02}:{:02}:{:02}", day / 3600, day / 60 % 60, day % 60)
            }
            None => format!("+{}:{:02}", seconds / 60, seconds % 60),
        }
    }
}

/// What a column of the picture stands for: loads a second, on average.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Column {
    pub(super) forecast: f64,
    pub(super) planned: f64,
}

/// The window of a plan, cut into equal columns.
pub(super) fn columns(plan: &Plan, width: usize) -> Vec<Column> {
    let (begin, end) = bounds(plan);
    let cut = |column: usize| begin + (end - begin) * column as f64 / width as f64;
    (0..width).map(|column| mean(plan, cut(column), cut(column + 1))).collect()
}

/// The load of application and batch in each second, by how many items it really has.
pub(super) fn totals(plan: &Plan, counts: &[f64], cost: f64) -> Vec<f64> {
    let (begin, end) = bounds(plan);
    let second = |(second, count): (usize, &f64)| {
        let from = begin + second as f64;
        mean(plan, from, (from + 1.0).min(end)).forecast + count * cost
    };
    counts.iter().enumerate().map(second).collect()
}

/// The load that all items at once would be, in the first second.
pub(super) fn wall(plan: &Plan, cost: f64) -> f64 {
    let items: u64 = plan.curves().iter().map(|curve| curve.batch().items).sum();
    let first = plan.stretches().first().map_or(0.0, |stretch| stretch.forecast);
    first + items as f64 * cost
}

/// Where a plan begins and ends, in seconds.
pub(super) fn bounds(plan: &Plan) -> (f64, f64) {
    let begin = plan.stretches().first().map_or(0.0, |stretch| stretch.from.as_secs_f64());
    let end = plan.stretches().last().map_or(1.0, |stretch| stretch.to.as_secs_f64());
    (begin, end)
}

fn mean(plan: &Plan, from: f64, to: f64) -> Column {
    let stretches = plan.stretches();
    let first = stretches.partition_point(|stretch| stretch.to.as_secs_f64() <= from);
    let mut mean = Column::default();
    for stretch in &stretches[first..] {
        let within = stretch.to.as_secs_f64().min(to) - stretch.from.as_secs_f64().max(from);
        if within <= 0.0 {
            break;
        }
        let share = within / (to - from);
        mean.forecast += stretch.forecast * share;
        mean.planned += stretch.planned * share;
    }
    mean
}

/// Both pictures, with their axes.
pub(super) fn draw(plan: &Plan, cost: f64, axis: Axis) -> String {
    let columns = columns(plan, WIDTH);
    let mut at_once: Vec<Column> =
        columns.iter().map(|column| Column { planned: 0.0, ..*column }).collect();
    let wall = wall(plan, cost);
    at_once[0].planned = wall - at_once[0].forecast;
    let top = columns.iter().map(|column| column.forecast + column.planned).fold(0.0, f64::max);
    format!(
        "the wall it would have been\n{}\n\
         the line it will be (█), over what the application does meanwhile (░)\n{}",
        plot(&at_once, WALL_HEIGHT, wall, plan, axis),
        plot(&columns, HEIGHT, top, plan, axis),
    )
}

fn plot(columns: &[Column], height: usize, top: f64, plan: &Plan, axis: Axis) -> String {
    let mut text = String::new();
    for line in (0..height).rev() {
        // A cell is what its middle is.
        let middle = (line as f64 + 0.5) * top / height as f64;
        let cell = |column: &Column| match middle {
            middle if middle < column.forecast => '░',
            middle if middle < column.forecast + column.planned => '█',
            _ => ' ',
        };
        let label = if line == height - 1 { short(top) } else { String::new() };
        let cells: String = columns.iter().map(cell).collect();
        text += &format!("{label:>7} │{}\n", cells.trim_end());
    }
    let (begin, end) = bounds(plan);
    let label = |share: f64| axis.label(Duration::from_secs_f64(begin + (end - begin) * share));
    let third = WIDTH / 2;
    text += &format!("{:>7} └{}\n", 0, "─".repeat(columns.len()));
    text + &format!(
        "{:9}{:<third$}{:<}{:>rest$}\n",
        "",
        label(0.0),
        label(0.5),
        label(1.0),
        rest = WIDTH - third - label(0.5).len()
    )
}

/// A load in few characters: `950`, `2.5k`, `1.0M`.
pub(super) fn short(load: f64) -> String {
    match load {
        load if load >= 999_950.0 => format!("{:.1}M", load / 1e6),
        load if load >= 1000.0 => format!("{:.1}k", load / 1e3),
        load => format!("{load:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use policy::spread::forecast::Forecast;
    use policy::spread::plan::{Batch, Window};

    use super::*;

    fn plan() -> Plan {
        let window = Window { opens: Duration::ZERO, deadline: Duration::from_secs(60) };
        let batch = Batch { items: 3000, cost: 1.0, window, class: 2, rate_max: None };
        let loads = vec![50.0, 100.0, 25.0];
        let forecast = Forecast::new(Duration::from_secs(20), loads).unwrap();
        Plan::pour(&forecast, &[batch]).unwrap()
    }

    #[test]
    fn the_valley_is_filled() {
        let picture = draw(&plan(), 1.0, Axis { at: Some(13 * 3600) });
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines[1], "   3.0k │█");
        assert_eq!(lines[4], "        │█");
        assert_eq!(lines[5], format!("      0 └{}", "─".repeat(72)));
        assert_eq!(lines[6], format!("{:9}13:00:00{:28}13:00:30{:20}13:01:00", "", "", ""));
        // 108 everywhere: the application's 100 take all but the uppermost line.
        assert_eq!(lines[9], format!("    108 │{}", "█".repeat(72)));
        let below = format!("{}{}{}", "█".repeat(24), "░".repeat(24), "█".repeat(24));
        assert_eq!(lines[10], format!("        │{below}"));
        assert_eq!(lines[16], format!("        │{}", "░".repeat(72)));
    }

    #[test]
    fn loads_and_moments_are_short() {
        let told = [0.0, 950.4, 2500.0, 999_949.0, 999_999.0].map(short);
        assert_eq!(told, ["0", "950", "2.5k", "999.9k", "1.0M"]);
        let label = |at, seconds| Axis { at }.label(Duration::from_secs(seconds));
        assert_eq!(label(None, 75), "+1:15");
        assert_eq!(label(Some(86_399), 2), "00:00:01");
    }

    #[test]
    fn a_second_has_the_items_that_fall_into_it() {
        let totals = totals(&plan(), &[7.0; 60], 2.0);
        assert_eq!((totals[0], totals[20], totals[59]), (64.0, 114.0, 39.0));
    }
}

//! `tidegate batch plan`: what a batch would do to the database, and what it will do when spread.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::config::value::parse_duration;
use policy::spread::forecast::Forecast;
use policy::spread::gate::{self, Refused, Terms};
use policy::spread::place::{Salt, order};
use policy::spread::plan::{self as planned, Window};
use policy::spread::shape::{count, peak_to_mean};
use scheduler::schedule::forecast;
use scheduler::source::file::{self, Columns};
use serde::Serialize;
use serde_json::json;

use super::chart::{self, Axis};
use super::{Class, svg};
use crate::exit::Failure;
use crate::show::{plain, print, time};

/// Show what a batch would do to the database at once, and what it will do spread over a window.
///
/// Nothing is sent, and no database is asked. Exit code 1 when the batch cannot be done in time;
/// the nearest window that would do is then told.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Who the items are for: .csv with a header, .ndjson, or one recipient a line.
    #[arg(value_name = "RECIPIENTS", required_unless_present = "count")]
    recipients: Option<PathBuf>,
    /// How many items, where no file names recipients.
    #[arg(long, value_name = "ITEMS", conflicts_with = "recipients")]
    count: Option<u64>,
    /// The column or field that names the recipient. Default: the first column, or "recipient".
    #[arg(long, value_name = "NAME", requires = "recipients")]
    key: Option<String>,
    /// The family of batches that this one is of: in all of them a recipient has the same place.
    #[arg(long, value_name = "NAME", default_value = "default")]
    family: String,
    /// The time of day at which the items are due, for example 13:00. Only shown.
    #[arg(long, value_name = "HH:MM[:SS]", value_parser = time_of_day)]
    at: Option<u32>,
    /// The window over which they are spread, from their time on.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration)]
    spread: Duration,
    /// When the last may go, from their time on. A batch that does not fit into --spread is spread
    /// up to here. Default: the end of --spread.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// How urgent they are. Decides who goes first where several batches want the same time.
    #[arg(long, value_enum, default_value_t = Class::Normal)]
    class: Class,
    /// The load that the application causes meanwhile: a CSV file of SECOND,LOAD, the second
    /// counted from the batch's time, the load as work a second. Default: none.
    #[arg(long, value_name = "FILE")]
    forecast: Option<PathBuf>,
    /// The most load a second that the database can carry, in the unit of the forecast.
    #[arg(long, value_name = "LOAD", value_parser = positive)]
    capacity: Option<f64>,
    /// What one item costs the database, in the unit of the forecast.
    #[arg(long, value_name = "LOAD", default_value = "1", value_parser = positive)]
    cost: f64,
    /// The most items a second, for the sake of who receives them.
    #[arg(long, value_name = "ITEMS", value_parser = positive)]
    rate: Option<f64>,
    /// Write the picture to a file, too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write each recipient's moment to a file: CSV of recipient and milliseconds from the batch's
    /// time.
    #[arg(long, value_name = "FILE", requires = "recipients")]
    slots: Option<PathBuf>,
    /// Print the plan as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Told {
    items: u64,
    /// Recipients that have more than one item; none where nobody is named.
    repeated: Option<u64>,
    window_seconds: f64,
    /// The window was made longer than --spread, because the items did not fit.
    is_widened: bool,
    deadline_seconds: f64,
    /// Items over their mean, by seconds: all at once, and as planned.
    wall_peak_to_mean: f64,
    peak_to_mean: Option<f64>,
    /// Load of application and batch together over its mean, by seconds.
    total_peak_to_mean: Option<f64>,
    /// The most items in a second, and the most load.
    peak_items: f64,
    peak_load: f64,
    offset_seconds: Percentiles,
    /// After the deadline. A plan has no such item.
    late_seconds: Percentiles,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Plan {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let recipients = match &self.recipients {
            Some(path) => Some(self.read(path)?),
            None => None,
        };
        let items = recipients.as_ref().map_or(self.count, |all| Some(all.len() as u64));
        let items = items.filter(|items| *items > 0);
        let items = items.ok_or_else(|| Failure::Usage("--count: a batch has an item".into()))?;
        let terms = self.terms()?;
        let plan = match self.admit(&terms, items)? {
            Ok(plan) => plan,
            Err(refused) => return self.refuse(refused),
        };
        let ranked = recipients.map(|recipients| {
            let order = order(Salt::new(&self.family), &recipients);
            (recipients, order)
        });
        let repeated = ranked.as_ref().map(|(recipients, order)| repeated(recipients, order));
        let told = self.tell(&plan, repeated);
        if let (Some(path), Some((recipients, order))) = (&self.slots, &ranked) {
            write(path, &slots(&plan, recipients, order))?;
        }
        let axis = Axis { at: self.at };
        if let Some(path) = &self.svg {
            write(path, &svg::draw(&plan, &terms, axis, &self.title(items)))?;
        }
        match self.json {
            true => print(&format!("{:#}\n", json!(told)))?,
            false => print(&self.show(&told, &plan, axis))?,
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Vec<String>, Failure> {
        let columns = Columns { key: self.key.clone(), payload: None };
        let mut recipients = Vec::new();
        let read = file::each(path, &columns, |recipient, _| {
            recipients.push(recipient.to_owned());
            Ok(())
        });
        read.map_err(|error| anyhow!(error))?;
        match recipients.is_empty() {
            true => Err(anyhow!("{} names no recipient", path.display()).into()),
            false => Ok(recipients),
        }
    }

    fn terms(&self) -> anyhow::Result<Terms> {
        let forecast = match &self.forecast {
            Some(path) => forecast::read(path).map_err(|why| anyhow!(why))?,
            None => Forecast::flat(0.0),
        };
        let end = self.deadline.unwrap_or(self.spread);
        if self.forecast.is_some() && forecast.end() < end {
            eprintln!(
                "warning: the forecast ends at {}; its last load is taken for all that follows",
                span(forecast.end())
            );
        }
        Ok(Terms { forecast, capacity: self.capacity })
    }

    /// In the window if it fits there, else up to the deadline.
    fn admit(&self, terms: &Terms, items: u64) -> Result<Result<planned::Plan, Refused>, Failure> {
        if self.spread.is_zero() {
            return Err(Failure::Usage("--spread: a window has a length, as 15m".into()));
        }
        let latest = self.deadline.unwrap_or(self.spread);
        if latest < self.spread {
            let why = "--deadline: it is before the end of --spread";
            return Err(Failure::Usage(why.into()));
        }
        let batch = planned::Batch {
            items,
            cost: self.cost,
            window: Window { opens: Duration::ZERO, deadline: self.spread },
            class: self.class as u8,
            rate_max: self.rate,
        };
        Ok(match gate::admit(terms, &[batch]) {
            Err(Refused::Infeasible { nearest: Some(window), .. }) if window.deadline <= latest => {
                gate::admit(terms, &[planned::Batch { window, ..batch }])
            }
            Err(Refused::Infeasible { .. }) if latest > self.spread => {
                let window = Window { deadline: latest, ..batch.window };
                gate::admit(terms, &[planned::Batch { window, ..batch }])
            }
            decided => decided,
        })
    }

    /// Tells why not, and when.
    fn refuse(&self, refused: Refused) -> Result<(), Failure> {
        let Refused::Infeasible { items, fits, nearest, .. } = refused else {
            return Err(Failure::Usage(refused.to_string()));
        };
        let end = self.deadline.unwrap_or(self.spread);
        if self.json {
            let nearest = nearest.map(|window| window.deadline.as_secs_f64());
            let told = json!({ "items": items, "fits": fits, "deadline_seconds": end.as_secs_f64(),
                "nearest_window_seconds": nearest });
            print(&format!("{told:#}\n"))?;
        }
        let instead = match nearest {
            Some(window) => {
                format!("the nearest window that would do: --spread {}", span(window.deadline))
            }
            None => "no window within a day would do".to_owned(),
        };
        let (fits, items) = (grouped(fits), grouped(items));
        Err(Failure::Failed(anyhow!(
            "{fits} of {items} items can be done within {}; {instead}",
            span(end)
        )))
    }

    fn tell(&self, plan: &planned::Plan, repeated: Option<u64>) -> Told {
        let curve = &plan.curves()[0];
        let batch = curve.batch();
        let (from, to) = (batch.window.opens, batch.window.deadline);
        let second = Duration::from_secs(1);
        let counts = count(curve.slots(), from, to, second);
        let totals = chart::totals(plan, &counts, self.cost);
        let at = |share: f64| {
            let rank = (share * batch.items as f64).ceil() as u64;
            curve.slot(rank.saturating_sub(1)).as_secs_f64()
        };
        let latest = self.deadline.unwrap_or(self.spread).max(to).as_secs_f64();
        let percentiles = |of: &dyn Fn(f64) -> f64| Percentiles {
            p50: of(at(0.5)),
            p99: of(at(0.99)),
            max: of(at(1.0)),
        };
        Told {
            items: batch.items,
            repeated,
            window_seconds: to.as_secs_f64(),
            is_widened: to > self.spread,
            deadline_seconds: latest,
            wall_peak_to_mean: counts.len() as f64,
            peak_to_mean: peak_to_mean(&counts),
            total_peak_to_mean: peak_to_mean(&totals),
            peak_items: counts.iter().copied().fold(0.0, f64::max),
            peak_load: totals.iter().copied().fold(0.0, f64::max),
            offset_seconds: percentiles(&|offset| offset),
            late_seconds: percentiles(&|offset| (offset - latest).max(0.0)),
        }
    }

    fn title(&self, items: u64) -> String {
        let at = self.at.map(|at| format!(" at {}", Axis { at: Some(at) }.label(Duration::ZERO)));
        let family = plain(&self.family, 40);
        format!("{} items{}, family {family}", grouped(items), at.unwrap_or_default())
    }

    fn show(&self, told: &Told, plan: &planned::Plan, axis: Axis) -> String {
        let ms = |seconds: f64| time((seconds * 1000.0) as u64);
        let ratio = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.4}"));
        let percentiles = |of: &Percentiles| {
            format!("p50 {}, p99 {}, max {}", ms(of.p50), ms(of.p99), ms(of.max))
        };
        let widened =
            if told.is_widened { ", more than --spread: they do not fit into that" } else { "" };
        let repeated = match told.repeated {
            None | Some(0) => String::new(),
            Some(some) => format!("{} recipients have more than one item\n", grouped(some)),
        };
        format!(
            "{}\n{repeated}\n{}\n\
             window         {}{widened}\n\
             after its time {}\n\
             late           {}\n\
             items          {} a second at most; peak to mean {} (all at once: {:.0})\n\
             load           {:.0} a second at most, with the application's; peak to mean {}\n",
            self.title(told.items),
            chart::draw(plan, self.cost, axis),
            ms(told.window_seconds),
            percentiles(&told.offset_seconds),
            percentiles(&told.late_seconds),
            grouped(told.peak_items as u64),
            ratio(told.peak_to_mean),
            told.wall_peak_to_mean,
            told.peak_load,
            ratio(told.total_peak_to_mean),
        )
    }
}

/// How many recipients have more than one item.
fn repeated(recipients: &[String], order: &[usize]) -> u64 {
    let same = |pair: &[usize]| recipients[pair[0]] == recipients[pair[1]];
    let begins = |window: &[usize]| !same(&window[..2]) && same(&window[1..]);
    let first = order.get(..2).is_some_and(same);
    u64::from(first) + order.windows(3).filter(|window| begins(window)).count() as u64
}

/// The moments of all recipients, in order, as CSV.
fn slots(plan: &planned::Plan, recipients: &[String], order: &[usize]) -> String {
    let mut csv = String::from("recipient,offset_ms\n");
    for (index, slot) in order.iter().zip(plan.curves()[0].slots()) {
        let recipient = &recipients[*index];
        match recipient.contains([',', '"']) {
            true => csv.push_str(&format!("\"{}\"", recipient.replace('"', "\"\""))),
            false => csv.push_str(recipient),
        }
        csv.push_str(&format!(",{}\n", slot.as_millis()));
    }
    csv
}

fn write(path: &PathBuf, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A duration as `--spread` reads it.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds % 3600, seconds % 60) {
        (0, _) if seconds > 0 => format!("{}h", seconds / 3600),
        (_, 0) if seconds > 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// `1000000` as `1,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("a number above 0".into()),
    }
}

/// Seconds since midnight.
fn time_of_day(text: &str) -> Result<u32, String> {
    let form = || "a time of day like 13:00 or 13:00:30".to_owned();
    let parts: Vec<u32> = text
        .split(':')
        .map(|part| match part.len() {
            1..=2 => part.parse().map_err(|_| form()),
            _ => Err(form()),
        })
        .collect::<Result<_, _>>()?;
    match *parts.as_slice() {
        [hour @ 0..24, minute @ 0..60] => Ok(hour * 3600 + minute * 60),
        [hour @ 0..24, minute @ 0..60, second @ 0..60] => Ok(hour * 3600 + minute * 60 + second),
        _ => Err(form()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_several_items_is_counted_once() {
        let all = ["a", "b", "a", "c", "a", "c"].map(str::to_owned);
        let ranked = order(Salt::new("x"), &all);
        assert_eq!(repeated(&all, &ranked), 2);
        assert_eq!(repeated(&all[..1], &[0]), 0);
        assert_eq!(repeated(&all[..2], &[0, 1]), 0);
    }

    #[test]
    fn numbers_and_times_read_as_people_write_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let spans = [0, 90, 120, 3600, 5400].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0s", "90s", "2m", "1h", "90m"]);
        assert_eq!(time_of_day("13:00:30"), Ok(46_830));
        for wrong in ["24:00", "13", "13:60", "1:2:3:4", "", "ab:cd", "13:-1"] {
            assert!(time_of_day(wrong).is_err(), "{wrong}");
        }
    }
}

//! What happened, one line for each thing, as it happened.

use guard::control::{Counted, Recording, Second};

use super::facts::{Curve, curves, listed};
use super::pile_up;
use crate::show::time;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    /// Milliseconds from the trigger.
    pub(super) at_ms: i64,
    pub(super) what: String,
}

/// Seconds of refusals or cancels with no more than this between them are one thing.
const PAUSE_MS: i64 = 3000;

/// All of it, in the order of time.
pub(super) fn tell(recording: &Recording) -> Vec<Moment> {
    let mut moments: Vec<Moment> = curves(recording).iter().filter_map(left).collect();
    let event =
        |event: &guard::control::Event| Moment { at_ms: event.at_ms, what: event.what.to_string() };
    moments.extend(recording.events.iter().map(event));
    for incident in &recording.incidents {
        let begun = millis(incident.began_unix_ms) - millis(recording.head.triggered_unix_ms);
        let line = |(at_ms, what): (u64, String)| Moment { at_ms: begun + millis(at_ms), what };
        moments.extend(pile_up::moments(incident).into_iter().map(line));
    }
    moments.extend(runs(recording, "refused", |second| &second.sheds));
    moments.extend(runs(recording, "cancelled", |second| &second.cancels));
    moments.sort_by_key(|moment| moment.at_ms);
    moments
}

/// `−12.3s`, `+400ms`.
pub(super) fn offset(at_ms: i64) -> String {
    format!("{}{}", if at_ms < 0 { '−' } else { '+' }, time(at_ms.unsigned_abs()))
}

/// A value with its unit, in few characters.
pub(super) fn amount(value: f64, unit: &str) -> String {
    let number = if value < 10.0 && value.fract() > 0.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

fn left(curve: &Curve) -> Option<Moment> {
    let ((at_ms, value), usual) = (curve.left()?, curve.usual()?);
    let how = if curve.falls { "falls" } else { "rises" };
    let (value, usual) = (amount(value, curve.unit), amount(usual, ""));
    Some(Moment { at_ms, what: format!("{} {how} to {value} (usually {usual})", curve.name) })
}

/// Refusals or cancels that follow one another.
struct Run {
    from: i64,
    to: i64,
    sums: Vec<(String, u64)>,
}

fn runs(recording: &Recording, what: &str, of: fn(&Second) -> &[Counted]) -> Vec<Moment> {
    let mut runs: Vec<Run> = Vec::new();
    for second in recording.seconds.iter().filter(|second| !of(second).is_empty()) {
        if runs.last().is_none_or(|run| second.at_ms - run.to > PAUSE_MS) {
            // What is counted in a second was before its end.
            runs.push(Run { from: second.at_ms - 1000, to: second.at_ms, sums: Vec::new() });
        }
        let Some(run) = runs.last_mut() else { continue };
        run.to = second.at_ms;
        for counted in of(second) {
            let name = recording.text(counted.what);
            match run.sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += u64::from(counted.count),
                None => run.sums.push((name.to_owned(), u64::from(counted.count))),
            }
        }
    }
    let tell = |mut run: Run| {
        run.sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
        let all: u64 = run.sums.iter().map(|(_, sum)| sum).sum();
        let within = time((run.to - run.from).unsigned_abs());
        let what = format!("{all} {what} within {within}: {}", listed(&run.sums));
        Moment { at_ms: run.from, what }
    };
    runs.into_iter().map(tell).collect()
}

pub(super) fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

//! The figures that one looks at first.

use super::{Tone, many, rate, time};
use crate::control::Snapshot;

/// A figure, with a word on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// The figure.
    pub value: String,
    /// What belongs to it.
    pub note: String,
    /// Whether it stands out.
    pub tone: Tone,
}

/// Where pressure is worth a look, in parts of what is just borne.
const PRESSED: f64 = 0.75;

/// The figures of a snapshot, those first that say most.
pub fn figures(seen: &Snapshot) -> Vec<Figure> {
    vec![
        statements(seen),
        in_flight(seen),
        queued(seen),
        blocked(seen),
        refused(seen),
        pressure(seen),
        clients(seen),
        connections(seen),
    ]
}

fn statements(seen: &Snapshot) -> Figure {
    let rates = &seen.now.rates;
    let note = match (rates.service_p50_ms, rates.service_p99_ms) {
        (Some(half), Some(most)) => {
            format!("half within {}, 99 % within {}", took(half), took(most))
        }
        _ => "none ended in the last second".into(),
    };
    Figure { name: "statements a second", value: rate(rates.statements), note, tone: Tone::Plain }
}

fn in_flight(seen: &Snapshot) -> Figure {
    let now = &seen.now;
    let in_flight = seen.status.in_flight;
    let value = match now.limit {
        Some(limit) => format!("{in_flight} of {limit}"),
        None => in_flight.to_string(),
    };
    let note = match (now.knee, &seen.status.limit) {
        (Some(knee), _) => format!("the database is best at {knee:.0}"),
        (None, Some(limit)) if limit.mode == "observe" => {
            format!("limit.mode enforce would keep {}", limit.limit)
        }
        (None, Some(_)) => "the limit finds its place".into(),
        (None, None) => "a fixed limit".into(),
    };
    let is_full = now.limit.is_some_and(|limit| in_flight >= limit);
    let tone = if is_full { Tone::Warn } else { Tone::Plain };
    Figure { name: "transactions in flight", value, note, tone }
}

fn queued(seen: &Snapshot) -> Figure {
    let queued = seen.status.queued;
    let oldest = seen.classes.iter().filter(|class| class.status.queued > 0);
    let oldest = oldest.map(|class| class.status.oldest_wait_ms).max();
    let note = match (oldest, seen.now.rates.wait_p99_ms) {
        (Some(oldest), _) => format!("the first for {}", time(oldest)),
        (None, Some(most)) => format!("99 % got theirs within {}", took(most)),
        (None, None) => "nobody waits".into(),
    };
    let tone = if queued > 0 { Tone::Warn } else { Tone::Plain };
    Figure { name: "wait for a turn", value: queued.to_string(), note, tone }
}

fn blocked(seen: &Snapshot) -> Figure {
    let locks = &seen.locks;
    let note = match locks.blocked {
        0 => "nobody, as last seen".into(),
        _ => format!("of {}, the longest for {}", locks.open, time(locks.oldest_wait_ms)),
    };
    let tone = match locks.blocked {
        0 => Tone::Plain,
        few if few * 2 < locks.open || few < 4 => Tone::Warn,
        _ => Tone::Alarm,
    };
    Figure { name: "wait for a lock", value: locks.blocked.to_string(), note, tone }
}

fn refused(seen: &Snapshot) -> Figure {
    let rates = &seen.now.rates;
    let note = format!("{} a second cancelled", rate(rates.cancelled));
    let tone = if rates.refused > 0.0 { Tone::Warn } else { Tone::Plain };
    Figure { name: "refused a second", value: rate(rates.refused), note, tone }
}

fn pressure(seen: &Snapshot) -> Figure {
    let parts = &seen.pressure.parts;
    let parts = [
        ("in flight", parts.limit),
        ("the queue", parts.queue),
        ("locks", parts.locks),
        ("replicas behind", parts.lag.unwrap_or_default()),
        ("errors", parts.errors),
        ("the database lost", parts.lost),
    ];
    let most = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let note = match most {
        Some((name, part)) if part >= 0.05 => format!("most by {name}; 1 is just borne"),
        _ => "0 is idle, 1 is just borne".into(),
    };
    let pressure = seen.pressure.pressure;
    let tone = match pressure {
        much if much >= 1.0 => Tone::Alarm,
        some if some >= PRESSED => Tone::Warn,
        _ => Tone::Plain,
    };
    Figure { name: "pressure", value: format!("{pressure:.2}"), note, tone }
}

fn clients(seen: &Snapshot) -> Figure {
    let clients = &seen.status.clients;
    let pinned = match seen.pins.count {
        0 => String::new(),
        count => format!(", {count} pinned"),
    };
    let value = clients.connected.to_string();
    let note = format!("{} busy{pinned}", clients.busy);
    Figure { name: "clients", value, note, tone: Tone::Plain }
}

fn connections(seen: &Snapshot) -> Figure {
    let upstream = &seen.status.upstream;
    let open = upstream.idle + upstream.leased;
    let note = format!("{} in use, {} for control", upstream.leased, upstream.control);
    let tone = if upstream.control == 0 { Tone::Alarm } else { Tone::Plain };
    let value = format!("{open} of {}", upstream.limit);
    Figure { name: "connections", value, note, tone }
}

/// Milliseconds and their parts.
pub(super) fn took(ms: f64) -> String {
    match ms {
        short if short < 9.95 => format!("{short:.1}ms"),
        long => time(long.round() as u64),
    }
}

/// What somebody waits for, in a table: nothing where nobody does.
pub(super) fn since(count: u32, ms: u64) -> Option<String> {
    (count > 0).then(|| time(ms))
}

/// What a switch lets pass, in words: `off`, or `20 % pass`.
pub(super) fn kept(ratio: f64) -> String {
    match ratio {
        none if none <= 0.0 => "off".into(),
        some => format!("{} % pass", (some * 1000.0).round() / 10.0),
    }
}

/// A table's note on how many are not shown.
pub(super) fn more(shown: usize, all: usize, what: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        left => format!("And {} more.", many(left as u64, what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{LocksStatus, PressureParts, PressureStatus, Rates, Sample};

    fn shown(seen: &Snapshot, name: &str) -> (String, String, Tone) {
        let found = figures(seen).into_iter().find(|figure| figure.name == name).unwrap();
        (found.value, found.note, found.tone)
    }

    #[test]
    fn an_idle_guard_has_figures_too() {
        let seen = Snapshot::default();
        assert_eq!(
            shown(&seen, "statements a second"),
            ("0".into(), "none ended in the last second".into(), Tone::Plain)
        );
        assert_eq!(shown(&seen, "wait for a lock").1, "nobody, as last seen");
        assert_eq!(shown(&seen, "pressure").1, "0 is idle, 1 is just borne");
        assert_eq!(shown(&seen, "connections").2, Tone::Alarm, "none works for control");
    }

    #[test]
    fn what_is_used_up_stands_out() {
        let now = Sample {
            limit: Some(38),
            knee: Some(41.4),
            rates: Rates {
                statements: 1204.0,
                service_p50_ms: Some(0.84),
                service_p99_ms: Some(12.4),
                ..Rates::default()
            },
            ..Sample::default()
        };
        let mut seen = Snapshot { now, ..Snapshot::default() };
        seen.status.in_flight = 38;
        seen.locks =
            LocksStatus { blocked: 12, open: 14, oldest_wait_ms: 2300, ..LocksStatus::default() };
        seen.pressure = PressureStatus {
            pressure: 1.71,
            parts: PressureParts { locks: 1.71, ..PressureParts::default() },
            ..PressureStatus::default()
        };
        assert_eq!(
            shown(&seen, "statements a second"),
            ("1,204".into(), "half within 0.8ms, 99 % within 12ms".into(), Tone::Plain)
        );
        assert_eq!(
            shown(&seen, "transactions in flight"),
            ("38 of 38".into(), "the database is best at 41".into(), Tone::Warn)
        );
        assert_eq!(
            shown(&seen, "wait for a lock"),
            ("12".into(), "of 14, the longest for 2.3s".into(), Tone::Alarm)
        );
        assert_eq!(
            shown(&seen, "pressure"),
            ("1.71".into(), "most by locks; 1 is just borne".into(), Tone::Alarm)
        );
    }
}

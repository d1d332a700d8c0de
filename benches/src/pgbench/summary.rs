//! Medians over the rounds, and what each contestant costs beside PgBouncer.

use super::{Sample, Workload};
use crate::report::{Table, number};
use crate::statistics::median;

/// The contestants that the others are compared with.
const DIRECT: &str = "direct";
const FORWARDER: &str = "forwarder";
const PEER: &str = "PgBouncer";

/// The table of some workloads. Ratios are taken within a round before their median is.
pub(super) fn table(samples: &[Sample], workloads: &[Workload], targets: &[&str]) -> Table {
    let heading = [
        "workload",
        "who",
        "tps",
        "mean ms",
        "p50 ms",
        "p50 added ×",
        "CPU µs",
        "least",
        "of forwarder",
        "of PgBouncer",
    ];
    let mut table = Table::new(2, &heading);
    for workload in workloads {
        let name = workload.to_string();
        let of = |target: &str| {
            let mine = samples.iter().filter(|s| s.workload == name && s.target == target);
            mine.collect::<Vec<_>>()
        };
        let middle =
            |target: &str, value: fn(&Sample) -> f64| median(of(target).into_iter().map(value));
        for target in targets {
            let cpu_to = |other: &str| {
                let rounds = of(target).into_iter().zip(of(other));
                median(rounds.map(|(own, other)| own.cpu_us / other.cpu_us))
            };
            let rounds = of(target).into_iter().zip(of(PEER)).zip(of(DIRECT));
            let p50_added = median(rounds.map(|((own, peer), direct)| {
                (own.p50_ms - direct.p50_ms) / (peer.p50_ms - direct.p50_ms)
            }));
            let is_direct = *target == DIRECT;
            table.push(vec![
                name.clone(),
                (*target).to_owned(),
                number(middle(target, |s| s.tps), 0),
                number(middle(target, |s| s.latency_ms), 3),
                number(middle(target, |s| s.p50_ms), 3),
                number(if is_direct { f64::NAN } else { p50_added }, 2),
                number(middle(target, |s| s.cpu_us), 1),
                number(of(target).into_iter().map(|s| s.cpu_us).fold(f64::NAN, f64::min), 1),
                number(if is_direct { f64::NAN } else { cpu_to(FORWARDER) }, 2),
                number(if is_direct { f64::NAN } else { cpu_to(PEER) }, 2),
            ]);
        }
    }
    table
}

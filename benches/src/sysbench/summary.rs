//! Medians over the rounds, and what each contestant costs beside the forwarder.

use serde::Serialize;

use super::Sample;
use super::workload::Workload;
use crate::report::{Table, number};
use crate::stage::Target;
use crate::statistics::median;

/// The contestants that the others are compared with.
const DIRECT: &str = "direct";
const YARDSTICK: &str = "forwarder";

/// All medians of a run.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Summary {
    rows: Vec<Row>,
}

/// The medians of one contestant under one workload.
#[derive(Clone, Serialize)]
struct Row {
    workload: String,
    target: &'static str,
    statements_per_second: f64,
    /// CPU of the proxy per statement in µs; zero for direct access.
    cpu_us: f64,
    /// That of the round in which it was least.
    least_cpu_us: f64,
    mean_ms: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    /// The median over the rounds of this contestant's CPU over the forwarder's in that round.
    cpu_to_forwarder: f64,
    /// What it adds to the p50 of direct access, over what the forwarder adds; as above.
    added_p50_to_forwarder: f64,
}

impl Summary {
    pub(super) fn of(samples: &[Sample], workloads: &[Workload], targets: &[Target]) -> Self {
        let rows = workloads
            .iter()
            .flat_map(|workload| {
                let workload = workload.to_string();
                targets.iter().map(move |target| Row::of(samples, &workload, target.name))
            })
            .collect();
        Self { rows }
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(
            2,
            &[
                "workload",
                "target",
                "statements/s",
                "CPU µs",
                "least",
                "CPU ×",
                "p50 ms",
                "p50 added ×",
                "p95 ms",
                "p99 ms",
            ],
        );
        for row in &self.rows {
            table.push(vec![
                row.workload.clone(),
                row.target.to_owned(),
                number(row.statements_per_second, 0),
                number(if row.target == DIRECT { f64::NAN } else { row.cpu_us }, 1),
                number(if row.target == DIRECT { f64::NAN } else { row.least_cpu_us }, 1),
                number(row.cpu_to_forwarder, 2),
                number(row.p50_ms, 3),
                number(row.added_p50_to_forwarder, 2),
                number(row.p95_ms, 3),
                number(row.p99_ms, 3),
            ]);
        }
        table
    }
}

impl Row {
    fn of(samples: &[Sample], workload: &str, target: &'static str) -> Self {
        let of = |name: &'static str| {
            samples.iter().filter(move |s| s.workload == workload && s.target == name)
        };
        let middle = |value: fn(&Sample) -> f64| median(of(target).map(value));
        let rounds = || of(target).zip(of(YARDSTICK)).zip(of(DIRECT));
        let (cpu_to_forwarder, added_p50_to_forwarder) = if target == DIRECT {
            (f64::NAN, f64::NAN)
        } else {
            (
                median(rounds().map(|((own, yardstick), _)| own.cpu_us / yardstick.cpu_us)),
                median(rounds().map(|((own, yardstick), direct)| {
                    (own.run.p50_ms - direct.run.p50_ms)
                        / (yardstick.run.p50_ms - direct.run.p50_ms)
                })),
            )
        };
        Self {
            workload: workload.to_owned(),
            target,
            statements_per_second: middle(|s| s.run.statements_per_second),
            cpu_us: middle(|s| s.cpu_us),
            least_cpu_us: of(target).map(|s| s.cpu_us).fold(f64::NAN, f64::min),
            mean_ms: middle(|s| s.run.mean_ms),
            p50_ms: middle(|s| s.run.p50_ms),
            p95_ms: middle(|s| s.run.p95_ms),
            p99_ms: middle(|s| s.run.p99_ms),
            cpu_to_forwarder,
            added_p50_to_forwarder,
        }
    }
}

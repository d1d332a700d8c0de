//! Replicas, by name.

use std::fmt::Write as _;

use metrics::Counter;
use parking_lot::Mutex;

use super::table::METRICS;
use super::{Each, Make, ReadOutcome};
use crate::control::ReplicaStatus;

/// Reads that may go to replicas, and the replicas.
#[derive(Debug)]
pub struct ReplicaMetrics {
    /// What became of reads.
    pub reads: Each<ReadOutcome, Counter>,
    all: Mutex<Vec<ReplicaStatus>>,
}

impl ReplicaMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self { reads: make.counters("guard_routed_reads_total"), all: Mutex::default() }
    }

    /// Shows the replicas. Call it before rendering.
    pub fn show(&self, all: Vec<ReplicaStatus>) {
        *self.all.lock() = all;
    }

    /// Writes the series of single replicas. A lag that is not known is +Inf.
    pub(super) fn put(&self, page: &mut String) {
        let all = self.all.lock();
        type Figure = fn(&ReplicaStatus) -> f64;
        let series: [(&str, Figure); 6] = [
            ("guard_replica_fit", |one| f64::from(u8::from(one.state == ReplicaStatus::FIT))),
            ("guard_replica_weight", |one| f64::from(one.weight) * one.share),
            ("guard_replica_lag_seconds", |one| {
                one.lag_ms.map_or(f64::INFINITY, |lag| lag as f64 / 1000.0)
            }),
            ("guard_replica_lag_bytes", |one| {
                one.lag_bytes.map_or(f64::INFINITY, |bytes| bytes as f64)
            }),
            ("guard_replica_in_flight", |one| f64::from(one.in_flight)),
            ("guard_replica_reads_total", |one| one.reads as f64),
        ];
        for (name, figure) in series {
            if let Some(metric) = METRICS.iter().find(|metric| metric.name == name) {
                metric.put_head(page);
            }
            for one in &*all {
                let value = figure(one);
                let value = if value.is_finite() { value.to_string() } else { "+Inf".into() };
                let _infallible = writeln!(page, "{name}{{replica=\"{}\"}} {value}", one.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_has_its_series() {
        let metrics = super::super::Metrics::new(&["default"]);
        let fit = ReplicaStatus {
            name: "east".into(),
            state: ReplicaStatus::FIT.into(),
            share: 0.5,
            weight: 3,
            lag_ms: Some(250),
            lag_bytes: Some(4096),
            in_flight: 2,
            reads: 7,
            ..ReplicaStatus::default()
        };
        let silent = ReplicaStatus {
            name: "west".into(),
            state: "silent".into(),
            ..ReplicaStatus::default()
        };
        metrics.replicas.show(vec![fit, silent]);
        let page = metrics.render();
        for line in [
            "guard_replica_fit{replica=\"east\"} 1",
            "guard_replica_fit{replica=\"west\"} 0",
            "guard_replica_weight{replica=\"east\"} 1.5",
            "guard_replica_lag_seconds{replica=\"east\"} 0.25",
            "guard_replica_lag_seconds{replica=\"west\"} +Inf",
            "guard_replica_lag_bytes{replica=\"east\"} 4096",
            "guard_replica_lag_bytes{replica=\"west\"} +Inf",
            "guard_replica_in_flight{replica=\"east\"} 2",
            "guard_replica_reads_total{replica=\"east\"} 7",
            "# TYPE guard_replica_reads_total counter",
        ] {
            assert!(page.lines().any(|one| one == line), "{line}: {page}");
        }
    }
}

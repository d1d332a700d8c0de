//! Replicas that reads go to.

use super::ticket;
use crate::alert::{Alert, Scene};

const FIT: &str = r#"guard_replica_fit{job="shop",instance="a",replica="r1"}"#;
const ROUTED: &str = r#"guard_routed_reads_total{job="shop",instance="a",outcome="replica"}"#;
const PRIMARY: &str = r#"guard_routed_reads_total{job="shop",instance="a",outcome="primary"}"#;

pub(super) fn alerts() -> Vec<Alert> {
    vec![replica_unfit(), reads_on_primary()]
}

fn of(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    Alert { board: "replicas", ..ticket(name, hold, expr) }
}

fn replica_unfit() -> Alert {
    Alert {
        summary: "replica {{ $labels.replica }} of {{ $labels.job }} is not read from",
        meaning: "A replica has been silent, stopped, behind or sick for two minutes in the eyes of a guard: it may well answer.",
        steps: &[
            "`tidegate status` says which of these it is.",
            "stopped: `SHOW REPLICA STATUS` on it has the error. behind: what writes so much? sick: it is slower than its siblings.",
        ],
        proof: vec![
            Scene::fires("for three minutes", "4m", &[(FIT, "1x2 0x20")]),
            Scene::quiet("for half a minute", "4m", &[(FIT, "1x2 0x2 1x20")]),
        ],
        ..of("TidegateReplicaUnfit", "2m", "min by (job, replica) (guard_replica_fit) == 0")
    }
}

fn reads_on_primary() -> Alert {
    Alert {
        summary: "{{ $value | humanizePercentage }} of the reads of {{ $labels.job }} find no replica",
        meaning: "More than half of the reads that may go to a replica have gone to the primary, or were refused, for ten minutes.",
        steps: &[
            "Are replicas fit? If so, who reads has just written: `routing.max_lag`, and how far behind they are.",
        ],
        proof: vec![
            Scene::fires("three of four", "20m", &[(ROUTED, "0+15x100"), (PRIMARY, "0+45x100")]),
            Scene::quiet("one of four", "20m", &[(ROUTED, "0+45x100"), (PRIMARY, "0+15x100")]),
        ],
        ..of(
            "TidegateReadsOnPrimary",
            "10m",
            "sum by (job) (rate(guard_routed_reads_total{outcome=~\"primary|refused\"}[5m]))\n\
                 / sum by (job) (rate(guard_routed_reads_total{outcome=~\"replica|primary|refused\"}[5m])) > 0.5",
        )
    }
}

//! Replicas and routing: who is read from, how far behind it is, and where reads go.

use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};

const REPLICA: &str = r#",replica=~"$replica""#;

pub(super) fn board() -> Board {
    Board {
        slug: "replicas",
        title: "Replicas & routing",
        description: "Which replicas are read from, how far behind they are, and where reads go.",
        choices: &[Choice::Job, Choice::Instance, Choice::Replica],
        rows: vec![
            Row { title: "Replicas", panels: replicas() },
            Row { title: "Routing", panels: routing() },
            Row { title: "The primary", panels: primary() },
        ],
    }
}

fn replicas() -> Vec<Panel> {
    let of = |gauge: &str| format!("max by (replica) ({gauge}{{@{REPLICA}}})");
    vec![
        Panel::new("Fit", Unit::Count, "Whether it is read from: not while it is silent, stopped, behind or sick; in the guard that thinks worst of it.")
            .line("{{replica}}", format!("min by (replica) (guard_replica_fit{{@{REPLICA}}})"))
            .shown(Look::Stripes)
            .word(1, "fit", "green")
            .word(0, "not read from", "red"),
        Panel::new("Weight", Unit::Number, "Its part of the reads against the others': its weight, less where it leaves or returns.")
            .line("{{replica}}", of("guard_replica_weight"))
            .shown(Look::Stripes),
        Panel::new("Lag", Unit::Seconds, "For how long it has been behind the primary, at least. Where that is not known nothing is drawn.")
            .line("{{replica}}", format!("{} < +Inf", of("guard_replica_lag_seconds")))
            .steps(1.0, 10.0),
        Panel::new("Log that it misses", Unit::Bytes, "By its last look, with PostgreSQL. Where that is not known nothing is drawn.")
            .line("{{replica}}", format!("{} < +Inf", of("guard_replica_lag_bytes"))),
        Panel::new("In flight", Unit::Count, "Reads admitted there and not finished.")
            .line("{{replica}}", format!("sum by (replica) (guard_replica_in_flight{{@{REPLICA}}})"))
            .shown(Look::Stack),
        Panel::new("Reads", Unit::PerSecond, "Reads that each replica has answered.")
            .line("{{replica}}", format!("sum by (replica) (rate(guard_replica_reads_total{{@{REPLICA}}}[@]))"))
            .shown(Look::Stack),
    ]
}

fn routing() -> Vec<Panel> {
    vec![
        Panel::new("Where reads go", Unit::PerSecond, "Of classes with reads = \"replica\". failed_over is counted beside where the read went first.")
            .line("{{outcome}}", "sum by (outcome) (rate(guard_routed_reads_total{@}[@]))")
            .shown(Look::Stack),
        Panel::new("On replicas", Unit::Share, "Of the reads that may go to one.")
            .line(
                "share",
                "sum(rate(guard_routed_reads_total{@,outcome=\"replica\"}[@]))\n  \
                 / sum(rate(guard_routed_reads_total{@,outcome=~\"replica|primary|refused\"}[@]))",
            )
            .steps(0.9, 0.5),
    ]
}

fn primary() -> Vec<Panel> {
    vec![
        Panel::new(
            "Restarts and changes of role",
            Unit::PerSecond,
            "That the observer noticed; after each it begins slowly.",
        )
        .line("changes", "max(rate(guard_database_role_changes_total{@}[@]))"),
        Panel::new(
            "Lag as pressure",
            Unit::Number,
            "1 where a second is missing: batches slow down by it.",
        )
        .line("lag", "max(guard_pressure_part{@,part=\"lag\"})"),
        Panel::new(
            "Attempts to connect",
            Unit::PerSecond,
            "To the server and its replicas, by outcome.",
        )
        .line("{{outcome}}", "sum by (outcome) (rate(guard_upstream_connects_total{@}[@]))"),
    ]
}

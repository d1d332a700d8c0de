//! The board on the wall: does the database tip over, and what is done about it?

use crate::Objectives;
use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};
use crate::query::quantile;

pub(super) fn board(objectives: &Objectives) -> Board {
    Board {
        slug: "tip-over",
        title: "Tip-over",
        description: "Whether the database tips over, why, and what the guard does about it.",
        choices: &[Choice::Job, Choice::Instance],
        rows: vec![
            Row { title: "Now", panels: now(objectives) },
            Row { title: "Throughput against what is in flight", panels: throughput() },
            Row { title: "Locks", panels: locks() },
            Row { title: "What the guard does", panels: acts() },
            Row { title: "What comes at once", panels: herds() },
        ],
    }
}

fn now(objectives: &Objectives) -> Vec<Panel> {
    let figure =
        |title, unit, description| Panel::new(title, unit, description).shown(Look::Figure);
    vec![
        figure("Pile-up", Unit::Count, "Whether most of what is open waits for locks and does not move.")
            .line("pile-up", "max(guard_melt_piled_up{@})")
            .word(0, "none", "green")
            .word(1, "PILE-UP", "red"),
        figure("Pressure", Unit::Number, "How pressed the database is: 1 is as much as is just borne.")
            .line("pressure", "max(guard_pressure{@})")
            .steps(0.75, 1.0),
        figure("Blocked", Unit::Share, "Transactions that wait for a lock, of all that are open.")
            .line("blocked", "max(guard_database_blocked_share{@})")
            .steps(0.25, 0.5),
        figure("Longest wait for a lock", Unit::Seconds, "How long the first of them has waited.")
            .line("wait", "max(guard_database_oldest_lock_wait_seconds{@})")
            .steps(1.0, 2.0),
        figure("Failed", Unit::Share, "Statements that were refused, cut off or lost, of all.")
            .line(
                "failed",
                r#"sum(rate(guard_statements_total{@,outcome=~"shed|time_limit|melted|upstream_lost"}[@]))
  / sum(rate(guard_statements_total{@}[@]))"#,
            )
            .steps(0.01, 0.05),
        figure(
            "Error budget burns",
            Unit::Number,
            "How many times as fast as the objective allows, in the class that is worst off, over five minutes. \
             At 14.4 a month's budget is gone in two days.",
        )
        .line(
            "times",
            format!(
                r#"max(job_class:guard_statements_failed:ratio_rate5m{{job=~"$job"}}) / {}"#,
                objectives.failed_max()
            ),
        )
        .steps(1.0, 14.4),
    ]
}

fn throughput() -> Vec<Panel> {
    vec![
        Panel::new(
            "Statements",
            Unit::PerSecond,
            "By how they ended. A database that tips over does less the more it is asked.",
        )
        .line("{{outcome}}", "sum by (outcome) (rate(guard_statements_total{@}[@]))")
        .shown(Look::Stack),
        Panel::new(
            "In flight, and limits",
            Unit::Count,
            "Transactions that run, the limit that finds its place by itself, and the knee that it has found: \
             beyond it more in flight is less done. A limit that is off is not drawn.",
        )
        .line("in flight", "sum(guard_in_flight{@})")
        .line("limit", "sum(guard_limit{@}) < +Inf")
        .line("knee", "sum(guard_limit_knee{@})")
        .line("connections", "sum(guard_upstream_connections_limit{@})"),
        Panel::new(
            "Time in the database",
            Unit::Seconds,
            "From sending a statement to the end of its reply: half of them, 95 and 99 of a hundred take less.",
        )
        .line("p50", quantile("0.5", "guard_service_seconds", "", ""))
        .line("p95", quantile("0.95", "guard_service_seconds", "", ""))
        .line("p99", quantile("0.99", "guard_service_seconds", "", "")),
        Panel::new(
            "Waiting in the guard",
            Unit::Count,
            "Transactions that wait for their turn, for a row that everybody wants, or for a table that \
             somebody wants for himself. Waiting here costs the database nothing.",
        )
        .line("for their turn", "sum(guard_queued{@})")
        .line("for a row", "sum(guard_hot_parked{@})")
        .line("for a table", "sum(guard_ddl_parked{@})")
        .shown(Look::Stack),
        Panel::new("Longest wait for a turn", Unit::Seconds, "How long the first in line has waited, by class.")
            .line("{{class}}", "max by (class) (guard_queue_oldest_seconds{@})"),
        Panel::new(
            "Pressure by its parts",
            Unit::Number,
            "Each part is 1 where it is just borne; the greatest is the pressure. The scheduler slows down by it.",
        )
        .line("{{part}}", "max by (part) (guard_pressure_part{@})")
        .steps(0.75, 1.0),
    ]
}

fn locks() -> Vec<Panel> {
    vec![
        Panel::new(
            "Open transactions",
            Unit::Count,
            "By what they do in the database, whoever's they are, while somebody waits for a lock. Much waiting \
             and little running is a database that tips over.",
        )
        .line("{{activity}}", "max by (activity) (guard_database_transactions{@})")
        .shown(Look::Stack),
        Panel::new(
            "Who holds the others up",
            Unit::Count,
            "Transactions that others wait for and that wait for nobody; those of them whose client is silent; \
             and how many wait behind the worst. tidegate locks shows them as a tree.",
        )
        .line("roots", "max(guard_database_root_blockers{@})")
        .line("silent roots", "max(guard_database_idle_root_blockers{@})")
        .line("behind the worst", "max(guard_database_most_waiters{@})"),
        Panel::new(
            "Sessions that wait for locks",
            Unit::Count,
            "On average, from the time that the server has counted (InnoDB), against the connections that it \
             works for. Where the first comes near the second, nothing moves.",
        )
        .line("waiting", "max(rate(guard_database_lock_wait_milliseconds_total{@}[@])) / 1000")
        .line("working", "max(guard_database_running{@})"),
    ]
}

fn acts() -> Vec<Panel> {
    vec![
        Panel::new("Refused", Unit::PerSecond, "By reason; each refusal tells its client when to come again.")
            .line("{{reason}}", "sum by (reason) (rate(guard_sheds_total{@}[@]))")
            .shown(Look::Stack),
        Panel::new("Cancelled", Unit::PerSecond, "Statements that were ended, by cause.")
            .line("{{cause}}", "sum by (cause) (rate(guard_cancels_total{@}[@]))")
            .shown(Look::Stack),
        Panel::new(
            "Melted",
            Unit::PerSecond,
            "Transactions that were rolled back because others waited for them, or would have been in mode observe.",
        )
        .line("{{cause}}", "sum by (cause) (rate(guard_melt_acts_total{@}[@]))")
        .line("would: {{cause}}", "sum by (cause) (rate(guard_melt_would_acts_total{@}[@]))"),
    ]
}

fn herds() -> Vec<Panel> {
    vec![
        Panel::new(
            "Connections",
            Unit::PerSecond,
            "Clients that come, and connections that the guard opens to the database. The first may jump, the \
             second is paced.",
        )
        .line("clients", "sum(rate(guard_client_connections_total{@}[@]))")
        .line("to the database", "sum(rate(guard_upstream_connects_total{@}[@]))"),
        Panel::new("Batches", Unit::PerSecond, "What the scheduler sends, by sink. At the top of the hour it must not jump.")
            .line("{{sink}}", "sum by (sink) (rate(scheduler_sent_total{%}[@]))")
            .shown(Look::Stack),
        Panel::new(
            "What slows batches down",
            Unit::Number,
            "The pressure that the scheduler has heard, -1 without a signal, and what it multiplies planned rates with.",
        )
        .line("pressure", "max(scheduler_pressure{%})")
        .line("multiplier", "min(scheduler_multiplier{%})"),
    ]
}

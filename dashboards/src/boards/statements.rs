//! Statements by class: how many, how long, how they end, and the objectives.

use crate::Objectives;
use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};
use crate::query::quantile;

const CLASS: &str = r#",class=~"$class""#;

pub(super) fn board(objectives: &Objectives) -> Board {
    Board {
        slug: "statements",
        title: "Statements",
        description: "What is asked of the database, by class: how much, how long it takes, how it ends, and the objectives.",
        choices: &[Choice::Job, Choice::Instance, Choice::Class],
        rows: vec![
            Row { title: "By class", panels: by_class() },
            Row { title: "Objectives", panels: against(objectives) },
            Row { title: "How long", panels: how_long() },
            Row { title: "How they end", panels: ends() },
        ],
    }
}

fn by_class() -> Vec<Panel> {
    let table = |title, unit, description| Panel::new(title, unit, description).shown(Look::Table);
    vec![
        table("Load", Unit::Number, "Seconds that statements of a class took in the database, a second: how many ran on average.")
            .line("load", format!("sum by (class) (rate(guard_service_seconds_sum{{@{CLASS}}}[@]))")),
        table("Statements", Unit::PerSecond, "Statements of a class, whatever became of them.")
            .line("statements", format!("sum by (class) (rate(guard_statements_total{{@{CLASS}}}[@]))")),
        Panel::new("Statements", Unit::PerSecond, "By class, whatever became of them.")
            .line("{{class}}", format!("sum by (class) (rate(guard_statements_total{{@{CLASS}}}[@]))"))
            .shown(Look::Stack),
        Panel::new("Load", Unit::Number, "How many of a class ran on average.")
            .line("{{class}}", format!("sum by (class) (rate(guard_service_seconds_sum{{@{CLASS}}}[@]))"))
            .shown(Look::Stack),
        Panel::new("Mean time", Unit::Seconds, "In the database, by class.")
            .line(
                "{{class}}",
                format!(
                    "sum by (class) (rate(guard_service_seconds_sum{{@{CLASS}}}[@]))\n  \
                     / sum by (class) (rate(guard_service_seconds_count{{@{CLASS}}}[@]))"
                ),
            ),
    ]
}

fn against(objectives: &Objectives) -> Vec<Panel> {
    let burns = |title, description, ratio: &str, most: f64| {
        let of =
            |window: &str| format!(r#"{ratio}:ratio_rate{window}{{job=~"$job"{CLASS}}} / {most}"#);
        Panel::new(title, Unit::Number, description)
            .line("{{class}} 5m", of("5m"))
            .line("{{class}} 1h", of("1h"))
            .line("{{class}} 6h", of("6h"))
            .steps(1.0, 14.4)
    };
    vec![
        burns(
            "Error budget burns",
            "How many times as fast as the objective allows statements fail, by class, over three windows. Both \
             5m and 1h above 14.4 page.",
            "job_class:guard_statements_failed",
            objectives.failed_max(),
        ),
        burns(
            "Latency budget burns",
            "The same of statements that are slow, or whose transaction waited that long for its turn.",
            "job_class:guard_statements_slow",
            objectives.slow_max(),
        ),
        Panel::new("Failed", Unit::Share, "Statements that were refused, cut off or lost, of all, over five minutes.")
            .line("{{class}}", format!(r#"job_class:guard_statements_failed:ratio_rate5m{{job=~"$job"{CLASS}}}"#)),
        Panel::new("Budget left", Unit::Share, "Of what may fail in three days, by class: below 0 the objective was missed.")
            .line(
                "{{class}}",
                format!(
                    r#"1 - job_class:guard_statements_failed:ratio_rate3d{{job=~"$job"{CLASS}}} / {}"#,
                    objectives.failed_max()
                ),
            )
            .steps(0.5, 0.0),
        Panel::new("Slow", Unit::Share, "Statements above the objective's time, of all, over five minutes.")
            .line("{{class}}", format!(r#"job_class:guard_statements_slow:ratio_rate5m{{job=~"$job"{CLASS}}}"#)),
        Panel::new("Traffic", Unit::PerSecond, "Over an hour, as the burn alerts see it: classes with less than 0.1 a second page nobody.")
            .line("{{class}}", format!(r#"job_class:guard_statements:rate1h{{job=~"$job"{CLASS}}}"#)),
    ]
}

fn how_long() -> Vec<Panel> {
    vec![
        Panel::new(
            "Half",
            Unit::Seconds,
            "Half of the statements take less in the database, by class.",
        )
        .line("{{class}}", quantile("0.5", "guard_service_seconds", "class", CLASS)),
        Panel::new(
            "99 of a hundred",
            Unit::Seconds,
            "99 of a hundred statements take less in the database, by class.",
        )
        .line("{{class}}", quantile("0.99", "guard_service_seconds", "class", CLASS)),
        Panel::new("Time in the database", Unit::PerSecond, "As a heat map of all chosen classes.")
            .line(
                "{{le}}",
                format!("sum by (le) (rate(guard_service_seconds_bucket{{@{CLASS}}}[@]))"),
            )
            .shown(Look::Heat),
    ]
}

fn ends() -> Vec<Panel> {
    vec![
        Panel::new("By outcome", Unit::PerSecond, "How statements ended. error: the server's own answer.")
            .line("{{outcome}}", format!("sum by (outcome) (rate(guard_statements_total{{@{CLASS}}}[@]))"))
            .shown(Look::Stack),
        Panel::new("Errors of the server", Unit::Share, "Statements that the server answered with an error, by class.")
            .line(
                "{{class}}",
                format!(
                    "sum by (class) (rate(guard_statements_total{{@{CLASS},outcome=\"error\"}}[@]))\n  \
                     / sum by (class) (rate(guard_statements_total{{@{CLASS}}}[@]))"
                ),
            ),
        Panel::new("Cancelled", Unit::PerSecond, "Statements that the guard ended, by cause.")
            .line("{{cause}}", format!("sum by (cause) (rate(guard_cancels_total{{@{CLASS}}}[@]))")),
        Panel::new("Time to cancel", Unit::Seconds, "From deciding to the verified end: 99 of a hundred took less. Empty while nothing is cancelled.")
            .line("p99", quantile("0.99", "guard_cancel_seconds", "", CLASS)),
    ]
}

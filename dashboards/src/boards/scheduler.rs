//! The scheduler: whether what is due goes out in time, and spread.

use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};

const SINK: &str = r#",sink=~"$sink""#;

pub(super) fn board() -> Board {
    Board {
        slug: "scheduler",
        title: "Scheduler & spreading",
        description: "Whether what is due goes out in time, how evenly it is spread, and what fails.",
        choices: &[Choice::SchedulerJob, Choice::Sink],
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Spreading", panels: spreading() },
            Row { title: "What becomes of items", panels: items() },
            Row { title: "Schedules", panels: schedules() },
            Row { title: "Chunks and the ledger", panels: ledger() },
        ],
    }
}

fn quantile(q: &str, histogram: &str) -> String {
    format!("histogram_quantile({q}, sum by (le) (rate({histogram}_bucket{{%{SINK}}}[@])))")
}

fn now() -> Vec<Panel> {
    let figure =
        |title, unit, description| Panel::new(title, unit, description).shown(Look::Figure);
    vec![
        figure("Ledger", Unit::Count, "Whether it answers all schedulers.")
            .line("ready", "min(scheduler_ready{%})")
            .word(1, "answers", "green")
            .word(0, "DOES NOT ANSWER", "red"),
        figure(
            "Overdue",
            Unit::Seconds,
            "How long the latest schedule should have fired and has not.",
        )
        .line("overdue", "max(scheduler_overdue_seconds{%})")
        .steps(60.0, 300.0),
        figure("Behind", Unit::Seconds, "How far the slowest batch's plan is behind the time.")
            .line("behind", "max(scheduler_behind_seconds{%})")
            .steps(60.0, 300.0),
        figure("Due and unsent", Unit::Count, "Items past their moment that have not gone yet.")
            .line("items", "sum(scheduler_due_unsent_items{%})"),
        figure("Batches", Unit::Count, "Batches that are being sent.")
            .line("batches", "sum(scheduler_running_batches{%})"),
        figure("Chunks", Unit::Count, "Chunks that are being worked on.")
            .line("chunks", "sum(scheduler_held_chunks{%})"),
    ]
}

fn spreading() -> Vec<Panel> {
    vec![
        Panel::new("Sent", Unit::PerSecond, "By sink. A batch that is spread is a plateau, not a spike at the top of the hour.")
            .line("{{sink}}", format!("sum by (sink) (rate(scheduler_sent_total{{%{SINK}}}[@]))"))
            .shown(Look::Stack),
        Panel::new(
            "Peak against mean",
            Unit::Number,
            "The most that was sent in ten seconds of the last quarter of an hour, over the mean of those in \
             which something was: 1 is flat. Without spreading it is 60 and more.",
        )
        .line(
            "ratio",
            format!(
                "max_over_time((sum(rate(scheduler_sent_total{{%{SINK}}}[@])) > 0)[15m:10s])\n  \
                 / avg_over_time((sum(rate(scheduler_sent_total{{%{SINK}}}[@])) > 0)[15m:10s])"
            ),
        )
        .steps(1.5, 3.0),
        Panel::new("What slows it down", Unit::Number, "The guard's pressure, -1 without a signal, and what planned rates are multiplied with.")
            .line("pressure {{instance}}", "scheduler_pressure{%}")
            .line("multiplier {{instance}}", "scheduler_multiplier{%}"),
        Panel::new("Where in their windows items are", Unit::PerSecond, "From a batch's time to an item's moment.")
            .line("{{le}}", format!("sum by (le) (rate(scheduler_offset_seconds_bucket{{%{SINK}}}[@]))"))
            .shown(Look::Heat),
        Panel::new("How exactly the plan is kept", Unit::Seconds, "From an item's moment to its being sent, where nothing holds the batch up.")
            .line("p50", quantile("0.5", "scheduler_pacing_error_seconds"))
            .line("p99", quantile("0.99", "scheduler_pacing_error_seconds")),
        Panel::new("Too late", Unit::Share, "Items that were sent after their batch's deadline, of all that were sent.")
            .line(
                "late",
                format!(
                    "1 - sum(rate(scheduler_lateness_seconds_bucket{{%{SINK},le=\"0.005\"}}[@]))\n  \
                     / sum(rate(scheduler_lateness_seconds_count{{%{SINK}}}[@]))"
                ),
            )
            .steps(0.001, 0.01),
    ]
}

fn items() -> Vec<Panel> {
    let of = |counter: &str| format!("sum by (sink) (rate({counter}{{%{SINK}}}[@]))");
    vec![
        Panel::new(
            "Tried again, and postponed",
            Unit::PerSecond,
            "Attempts that failed and are made again; items not sent for a reason of the sink's.",
        )
        .line("again: {{sink}}", of("scheduler_retries_total"))
        .line("postponed: {{sink}}", of("scheduler_postponed_total")),
        Panel::new(
            "Given up",
            Unit::PerSecond,
            "Items that nobody tries any more. tidegate batch report shows them.",
        )
        .line("{{sink}}", of("scheduler_dead_total")),
        Panel::new(
            "Ambiguous",
            Unit::PerSecond,
            "Items sent with an outcome that nobody knows: they may come twice.",
        )
        .line("{{sink}}", of("scheduler_ambiguous_total")),
        Panel::new(
            "Checked before sending",
            Unit::PerSecond,
            "Items that no longer held, and checks that could not be asked.",
        )
        .line("dropped: {{sink}}", of("scheduler_dropped_total"))
        .line("not asked: {{sink}}", of("scheduler_check_failures_total")),
    ]
}

fn schedules() -> Vec<Panel> {
    vec![
        Panel::new("Batches submitted", Unit::PerSecond, "By schedule; and times that one could not be submitted and is tried again.")
            .line("{{schedule}}", "sum by (schedule) (rate(scheduler_fired_total{%}[@]))")
            .line("failed: {{schedule}}", "sum by (schedule) (rate(scheduler_fire_failures_total{%}[@]))"),
        Panel::new("Passed over", Unit::PerSecond, "Runs that were not submitted, by schedule and reason.")
            .line("{{schedule}} {{reason}}", "sum by (schedule, reason) (rate(scheduler_passed_over_total{%}[@]))"),
        Panel::new("Recipients read", Unit::PerSecond, "Rows, by whom they were read from.")
            .line("{{from}}", "sum by (from) (rate(scheduler_read_rows_total{%}[@]))")
            .shown(Look::Stack),
        Panel::new("Submitted late", Unit::Seconds, "From when a batch was due to its being submitted: 99 of a hundred took less.")
            .line(
                "{{schedule}}",
                "histogram_quantile(0.99, sum by (schedule, le) (rate(scheduler_fire_late_seconds_bucket{%}[@])))",
            ),
        Panel::new("Overdue", Unit::Seconds, "How long a schedule should have fired and has not.")
            .line("{{schedule}}", "min by (schedule) (scheduler_overdue_seconds{%})")
            .steps(60.0, 300.0),
    ]
}

fn ledger() -> Vec<Panel> {
    vec![
        Panel::new("Chunks", Unit::PerSecond, "Claimed, taken over from one that was gone, and lost to another.")
            .line("claimed", format!("sum(rate(scheduler_claims_total{{%{SINK}}}[@]))"))
            .line("taken over", "sum(rate(scheduler_takeovers_total{%}[@]))")
            .line("lost", format!("sum(rate(scheduler_fenced_total{{%{SINK}}}[@]))")),
        Panel::new("The ledger", Unit::PerSecond, "Statements, durable changes, writes of progress, and times that it did not do its part.")
            .line("statements", "sum(rate(scheduler_ledger_statements_total{%}[@]))")
            .line("changes", "sum(rate(scheduler_ledger_commits_total{%}[@]))")
            .line("progress", format!("sum(rate(scheduler_flushes_total{{%{SINK}}}[@]))"))
            .line("failures", "sum(rate(scheduler_ledger_failures_total{%}[@]))"),
        Panel::new("Schedulers", Unit::Count, "Which builds run, and how many of each.")
            .line("{{version}}", "count by (version) (scheduler_build_info{%})"),
    ]
}

//! Admission and limits: who may run, who waits, who is refused, and why.

use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};
use crate::query::quantile;

const CLASS: &str = r#",class=~"$class""#;

pub(super) fn board() -> Board {
    Board {
        slug: "admission",
        title: "Admission & limits",
        description: "Who may run, who waits, who is refused and why, and where the limits are.",
        choices: &[Choice::Job, Choice::Instance, Choice::Class],
        rows: vec![
            Row { title: "The limit that finds its place by itself", panels: limit() },
            Row { title: "Classes", panels: classes() },
            Row { title: "Refusals", panels: refusals() },
            Row { title: "What mode observe would have done", panels: would() },
            Row { title: "Connections and what keeps them", panels: connections() },
        ],
    }
}

fn limit() -> Vec<Panel> {
    vec![
        Panel::new(
            "Limit",
            Unit::Count,
            "In flight against the limit, what its small steps go around, and the knee of the fitted curve (0 \
             while it does not fit). A limit that is off is not drawn.",
        )
        .line("in flight", "sum(guard_in_flight{@})")
        .line("limit {{instance}}", "guard_limit{@} < +Inf")
        .line("base {{instance}}", "guard_limit_base{@}")
        .line("knee {{instance}}", "guard_limit_knee{@}"),
        Panel::new(
            "Elasticity",
            Unit::Number,
            "Percent more work for a percent more in flight, when last measured: near 1 there is room, near 0 it \
             is at the knee, below it has tipped over.",
        )
        .line("{{instance}}", "guard_limit_elasticity{@}"),
        Panel::new("Work done", Unit::Number, "Seconds of an idle database, a second.")
            .line("{{instance}}", "guard_limit_work{@}"),
        Panel::new("Cuts", Unit::PerSecond, "Times that the limit was cut because of locks or failures.")
            .line("{{instance}}", "rate(guard_limit_cuts_total{@}[@])"),
        Panel::new("Pressure", Unit::Number, "1 is as much as is just borne. The greatest of its parts.")
            .line("{{instance}}", "guard_pressure{@}")
            .steps(0.75, 1.0),
        Panel::new("Parts of the pressure", Unit::Number, "Each is 1 where it is just borne, at most 10.")
            .line("{{part}}", "max by (part) (guard_pressure_part{@})"),
    ]
}

fn classes() -> Vec<Panel> {
    vec![
        Panel::new("In flight", Unit::Count, "Transactions admitted and not finished, by class.")
            .line("{{class}}", format!("sum by (class) (guard_in_flight{{@{CLASS}}})"))
            .shown(Look::Stack),
        Panel::new("Of what a class may", Unit::Share, "In flight over the class's own limit; classes without one are not drawn.")
            .line(
                "{{class}}",
                format!(
                    "sum by (class) (guard_in_flight{{@{CLASS}}})\n  / (sum by (class) (guard_in_flight_limit{{@{CLASS}}}) < +Inf)"
                ),
            )
            .steps(0.8, 1.0),
        Panel::new("Waiting", Unit::Count, "Transactions that wait for their turn, by class.")
            .line("{{class}}", format!("sum by (class) (guard_queued{{@{CLASS}}})"))
            .shown(Look::Stack),
        Panel::new("Of its queue's length", Unit::Share, "Waiting over how many may wait, in the guard that is fullest.")
            .line(
                "{{class}}",
                format!("max by (class) (guard_queued{{@{CLASS}}} / (guard_queued_limit{{@{CLASS}}} > 0))"),
            )
            .steps(0.5, 0.8),
        Panel::new("Of its queue's time", Unit::Share, "The longest wait over the longest that is allowed.")
            .line(
                "{{class}}",
                format!(
                    "max by (class) (guard_queue_oldest_seconds{{@{CLASS}}}\n  / (guard_queue_oldest_limit_seconds{{@{CLASS}}} > 0))"
                ),
            )
            .steps(0.5, 0.8),
        Panel::new("Wait for a turn", Unit::Seconds, "Of those that were admitted, by class: 99 of a hundred waited less.")
            .line("{{class}}", quantile("0.99", "guard_queue_wait_seconds", "class", CLASS)),
    ]
}

fn refusals() -> Vec<Panel> {
    vec![
        Panel::new("Refused by reason", Unit::PerSecond, "The reason is in the text that the client reads, with the limit and the key that changes it.")
            .line("{{reason}}", format!("sum by (reason) (rate(guard_sheds_total{{@{CLASS}}}[@]))"))
            .shown(Look::Stack),
        Panel::new("Refused by class", Unit::PerSecond, "Whose transactions were refused.")
            .line("{{class}}", format!("sum by (class) (rate(guard_sheds_total{{@{CLASS}}}[@]))"))
            .shown(Look::Stack),
        Panel::new("Refusals held back", Unit::PerSecond, "From clients that came again at once: each waits up to 100 ms for its refusal.")
            .line("held back", "sum(rate(guard_refusals_held_total{@}[@]))"),
    ]
}

fn would() -> Vec<Panel> {
    vec![
        Panel::new(
            "Would have",
            Unit::PerSecond,
            "Transactions that would have waited or been refused, and statements that a switch would have turned \
             off, if the mode were enforce.",
        )
        .line("waited", format!("sum(rate(guard_would_wait_total{{@{CLASS}}}[@]))"))
        .line("been refused", format!("sum(rate(guard_would_shed_total{{@{CLASS}}}[@]))"))
        .line("been switched off", format!("sum(rate(guard_would_switch_total{{@{CLASS}}}[@]))")),
        Panel::new("Would have been cancelled", Unit::PerSecond, "Statements and transactions past a time limit, by cause.")
            .line("{{cause}}", format!("sum by (cause) (rate(guard_would_cancel_total{{@{CLASS}}}[@]))")),
    ]
}

fn connections() -> Vec<Panel> {
    vec![
        Panel::new(
            "To the database",
            Unit::Count,
            "By what they are doing, and how many there may be.",
        )
        .line("{{state}}", "sum by (state) (guard_upstream_connections{@})")
        .line("limit", "sum(guard_upstream_connections_limit{@})"),
        Panel::new(
            "By class",
            Unit::Count,
            "Connections that a class holds, pinned ones included.",
        )
        .line("{{class}}", format!("sum by (class) (guard_class_connections{{@{CLASS}}})"))
        .shown(Look::Stack),
        Panel::new(
            "Pinned",
            Unit::Count,
            "Connections kept by pinned sessions between transactions: nobody else can use them.",
        )
        .line("{{class}}", format!("sum by (class) (guard_pinned_connections{{@{CLASS}}})"))
        .shown(Look::Stack),
        Panel::new(
            "What pins",
            Unit::PerSecond,
            "Causes that began to pin a session. tidegate pins shows whose.",
        )
        .line("{{reason}}", format!("sum by (reason) (rate(guard_pins_total{{@{CLASS}}}[@]))")),
        Panel::new(
            "Switches and pauses",
            Unit::Count,
            "Switches that are set, and guards that are paused.",
        )
        .line("switches", "sum(guard_switches{@})")
        .line("paused", "sum(guard_paused{@})"),
    ]
}

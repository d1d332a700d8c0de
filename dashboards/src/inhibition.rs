//! Who hears of what, and which alert keeps which others quiet: one incident is one page.

use crate::yaml::quoted;

/// Where the first fires, the others of the same database say nothing that is new.
///
/// Source, targets, and the labels that must be the same.
pub(crate) const QUIET: [(&str, &str, &[&str]); 6] = [
    // Without the database all else is a consequence.
    (
        "TidegateDatabaseLost",
        "Tidegate(TippingOver|Errors.+|Latency.+|Shedding|Queue.+|IdleBlocker|UpstreamConnectsFail|Blind|ReplicaUnfit\
         |ReadsOnPrimary|ConnectStorm|LedgerLost|ScheduleOverdue|BatchBehind|SinkFails|ItemsLate)",
        &["job"],
    ),
    // A pile-up has every sign at once.
    (
        "TidegateTippingOver",
        "Tidegate(Errors.+|Latency.+|Shedding|Queue.+|IdleBlocker|LongTransaction|Rollback|LimitCut|Deadlocks|ConnectStorm\
         |BatchBehind|SinkFails|ItemsLate|ScheduleOverdue)",
        &["job"],
    ),
    // Who paused it knows.
    (
        "TidegatePaused",
        "Tidegate(DatabaseLost|Errors.+|Latency.+|Shedding|Queue.+|UpstreamConnectsFail|BatchBehind|RoleChanged)",
        &["job"],
    ),
    ("TidegateGuardsGone", "Tidegate(GuardDown|Errors.+|Latency.+|NoSignal)", &["job"]),
    ("TidegateSchedulersGone", "Tidegate(SchedulerDown|ScheduleOverdue|BatchBehind)", &["job"]),
    // What burns fast burns slowly as well.
    ("Tidegate(Errors|Latency)FastBurn", "Tidegate(Errors|Latency)SlowBurn", &["job", "class"]),
];

/// A whole configuration of Alertmanager; `inhibit_rules` is what belongs into one's own.
pub(crate) fn text() -> String {
    let mut text = String::from(
        "# Made by tidegate. An example: put your receivers in. inhibit_rules belong into any\n\
         # configuration that gets these alerts: with them one incident is one page.\n\
         route:\n\
         \x20 receiver: tickets\n\
         \x20 group_by: [job]\n\
         \x20 group_wait: 5s\n\
         \x20 group_interval: 1m\n\
         \x20 repeat_interval: 4h\n\
         \x20 routes:\n\
         \x20   - matchers: ['severity = \"page\"']\n\
         \x20     receiver: pager\n\
         \x20     group_wait: 1s\n\
         \x20   - matchers: ['severity = \"info\"']\n\
         \x20     receiver: nobody\n\
         receivers:\n\
         \x20 - name: pager\n\
         \x20 - name: tickets\n\
         \x20 - name: nobody\n\
         inhibit_rules:\n",
    );
    for (source, targets, equal) in QUIET {
        let matcher = |names: &str| quoted(&format!("alertname =~ \"{names}\""));
        text.push_str(&format!(
            "  - source_matchers: [{}]\n    target_matchers: [{}]\n    equal: [{}]\n",
            matcher(source),
            matcher(targets),
            equal.join(", ")
        ));
    }
    text
}

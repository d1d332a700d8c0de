//! The table of all metrics of the scheduler, and its part of the manual.

use std::fmt::Write as _;

use super::BOUNDS;

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its unit, in the plural.
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [Values],
    /// What it means; also the text of `# HELP`.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// A label and where its values come from.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// `sink`: the configured sinks, at most 100.
    Sinks,
    /// `schedule`: the configured schedules, at most 500.
    Schedules,
    /// `version`: this build's.
    Version,
    /// A closed set.
    Set(&'static str, &'static [&'static str]),
}

/// Why a run was not submitted.
pub(super) const PASSED: Values =
    Values::Set("reason", &["missed", "overlap", "paused", "replica"]);
/// Whom recipients were read from.
pub(super) const FROM: Values = Values::Set("from", &["source", "replica", "primary"]);

macro_rules! metrics {
    ($($name:literal $kind:expr, $unit:literal [$($label:expr),*] $help:literal;)*) => {
        /// Every metric, in the order of the manual.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name, kind: $kind, unit: $unit, labels: &[$($label),*], help: $help,
        },)*];
    };
}

use Kind::{Counter, Gauge, Histogram};
use Values::{Schedules, Sinks, Version};

metrics! {
    "scheduler_build_info" Gauge, "builds" [Version]
        "Always 1; the label says which build runs.";
    "scheduler_ready" Gauge, "schedulers" []
        "1 while the ledger answers, else 0.";

    "scheduler_sent_total" Counter, "items" [Sinks]
        "Items that were sent.";
    "scheduler_retries_total" Counter, "attempts" [Sinks]
        "Attempts that failed and are made again.";
    "scheduler_postponed_total" Counter, "items" [Sinks]
        "Items not sent for a reason that is the sink's.";
    "scheduler_dead_total" Counter, "items" [Sinks]
        "Items given up.";
    "scheduler_dropped_total" Counter, "items" [Sinks]
        "Items not sent because they no longer held when they were checked.";
    "scheduler_check_failures_total" Counter, "times" [Sinks]
        "Times that a check could not be asked, and items that were due had to wait.";
    "scheduler_ambiguous_total" Counter, "items" [Sinks]
        "Items sent with an outcome that nobody knows, also by a scheduler that is gone.";
    "scheduler_claims_total" Counter, "chunks" [Sinks]
        "Chunks claimed.";
    "scheduler_flushes_total" Counter, "writes" [Sinks]
        "Writes of progress.";
    "scheduler_fenced_total" Counter, "chunks" [Sinks]
        "Chunks that were another's when written to.";
    "scheduler_offset_seconds" Histogram, "seconds" [Sinks]
        "From a batch's time to an item's moment.";
    "scheduler_pacing_error_seconds" Histogram, "seconds" [Sinks]
        "From an item's moment to its being sent, while its batch is not held up by pressure or a backlog.";
    "scheduler_lateness_seconds" Histogram, "seconds" [Sinks]
        "From a batch's deadline to sending; 0 for what is in time.";

    "scheduler_takeovers_total" Counter, "chunks" []
        "Chunks taken over from one that was gone.";
    "scheduler_held_chunks" Gauge, "chunks" []
        "Chunks being worked on.";
    "scheduler_running_batches" Gauge, "batches" []
        "Batches of which a chunk is held.";
    "scheduler_due_unsent_items" Gauge, "items" []
        "First attempts of held chunks past their moment.";
    "scheduler_behind_seconds" Gauge, "seconds" []
        "How far the slowest batch's plan is behind the time.";
    "scheduler_multiplier" Gauge, "ratio" []
        "The least that a planned rate is multiplied with.";
    "scheduler_pressure" Gauge, "ratio" []
        "The guard's pressure as last told; -1 without a signal.";

    "scheduler_ledger_statements_total" Counter, "statements" []
        "Statements on the ledger.";
    "scheduler_ledger_commits_total" Counter, "changes" []
        "Durable changes of the ledger.";
    "scheduler_ledger_failures_total" Counter, "times" []
        "Times that the ledger did not do its part.";

    "scheduler_fired_total" Counter, "batches" [Schedules]
        "Batches submitted by this process.";
    "scheduler_passed_over_total" Counter, "runs" [Schedules, PASSED]
        "Runs not submitted, by reason.";
    "scheduler_read_rows_total" Counter, "rows" [Schedules, FROM]
        "Rows of recipients that were read, by whom from.";
    "scheduler_fire_failures_total" Counter, "times" [Schedules]
        "Times that a batch could not be submitted and is tried again.";
    "scheduler_overdue_seconds" Gauge, "seconds" [Schedules]
        "For how long a schedule should have fired and has not; 0 within its grace.";
    "scheduler_fire_late_seconds" Histogram, "seconds" [Schedules]
        "From when a batch was due to its being submitted.";
}

/// The upper bounds of histograms, in seconds, but for that of the pacing error.
pub fn bounds() -> impl Iterator<Item = f64> {
    BOUNDS.into_iter()
}

/// The scheduler's part of `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "## Scheduler\n\n\
         `GET /metrics` on `scheduler.admin`. This part is made of the table in \
         `scheduler/src/metrics/table.rs`. The label `sink` has the names of the configured sinks, at most 100; \
         `schedule` those of the schedules, at most 500.\n\n\
         | name | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let Metric { name, unit, help, .. } = metric;
        let labels: Vec<String> = metric.labels.iter().map(Values::show).collect();
        let (kind, labels) = (metric.kind.name(), labels.join("; "));
        let _infallible = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    page
}

impl Kind {
    /// Its name in the exposition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram => "histogram",
        }
    }
}

impl Values {
    /// The name of the label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sinks => "sink",
            Self::Schedules => "schedule",
            Self::Version => "version",
            Self::Set(name, _) => name,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Set(name, values) => format!("`{name}`: {}", values.join(", ")),
            own => format!("`{}`", own.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Metrics;
    use super::*;

    #[test]
    fn names_and_units_follow_prometheus() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "a name is there twice");
        for Metric { name, kind, unit, help, .. } in METRICS {
            assert!(name.starts_with("scheduler_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), *unit == "seconds", "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}");
        }
    }

    #[test]
    fn every_series_is_in_the_table_and_every_line_of_the_table_has_series() {
        let (sink, schedule) = ("mail".to_owned(), "hourly".to_owned());
        let metrics = Metrics::new([&sink].into_iter(), [&schedule].into_iter());
        let counted = metrics.sink("mail").unwrap();
        counted.goes(Default::default(), Some(Default::default()), Default::default());
        metrics.schedule("hourly").unwrap().late.record(1.0);
        let page = metrics.render();
        for metric in METRICS {
            let Metric { name, help, .. } = metric;
            assert!(page.contains(&format!("# HELP {name} {help}")), "{name}: {page}");
            assert!(page.contains(&format!("# TYPE {name} {}", metric.kind.name())), "{name}");
            let series = if metric.kind == Histogram { "_count" } else { "" };
            let series = format!("{name}{series}");
            let is_of = |line: &&str| {
                line.strip_prefix(&series).is_some_and(|rest| rest.starts_with(['{', ' ']))
            };
            let line = page.lines().find(is_of).unwrap_or_else(|| panic!("no {series}: {page}"));
            for label in metric.labels {
                assert!(line.contains(&format!("{}=\"", label.name())), "{line}");
            }
        }
        let known = |name: &str| METRICS.iter().any(|metric| metric.name == name);
        for line in page.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(known(name), "{name} is not in the table");
        }
    }
}

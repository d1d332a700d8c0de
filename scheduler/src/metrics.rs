//! Every metric of the scheduler.
//!
//! [`table`] lists them: name, type, unit, labels and meaning; a part of `docs/metrics.md` is made of it. Labels are the
//! names of configured sinks, at most 100, and schedules, at most 500; never a batch or a recipient. Handles are made
//! once. There is no global recorder, so two schedulers in one process do not meet.

pub mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::dispatch::settle::Settled;
use crate::ledger::Cost;
use crate::schedule::decide::Passed;
use crate::source::reader::Whom;

use self::table::{Kind, Metric};

/// Upper bounds of histograms, in seconds.
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0];

/// And of the one that tells how exactly a plan is kept.
const PACING_BOUNDS: [f64; 13] =
    [0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The metrics of one scheduler.
pub struct Metrics {
    handle: PrometheusHandle,
    sinks: BTreeMap<String, SinkMetrics>,
    schedules: BTreeMap<String, ScheduleMetrics>,
    takeovers: Counter,
    statements: Counter,
    commits: Counter,
    /// Times that the ledger did not do its part.
    pub failures: Counter,
    /// Chunks being worked on.
    pub held: Gauge,
    /// Batches of which a chunk is held.
    pub batches: Gauge,
    /// First attempts past their moment.
    pub due: Gauge,
    /// How far the slowest plan is behind.
    pub behind: Gauge,
    /// The least multiplier.
    pub multiplier: Gauge,
    /// As last told.
    pub pressure: Gauge,
    /// Whether the ledger answers.
    pub ready: Gauge,
}

/// What is counted for one sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    sent: Counter,
    retries: Counter,
    postponed: Counter,
    dead: Counter,
    /// Not sent because they no longer held.
    pub dropped: Counter,
    /// Times that nobody could be asked whether they do.
    pub check_failures: Counter,
    /// Sent with an unknown outcome.
    pub ambiguous: Counter,
    /// Chunks claimed.
    pub claims: Counter,
    /// Writes of progress.
    pub flushes: Counter,
    /// Chunks that were another's.
    pub fenced: Counter,
    offset: Histogram,
    pacing: Histogram,
    lateness: Histogram,
}

/// What is counted for one schedule.
#[derive(Debug, Clone)]
pub struct ScheduleMetrics {
    /// Batches submitted.
    pub fired: Counter,
    missed: Counter,
    overlapped: Counter,
    paused: Counter,
    refused: Counter,
    read_source: Counter,
    read_replica: Counter,
    read_primary: Counter,
    /// Times that a batch could not be submitted.
    pub failures: Counter,
    /// For how long it should have fired and has not.
    pub overdue: Gauge,
    /// How late batches were submitted.
    pub late: Histogram,
}

impl Metrics {
    /// All at zero, for these sinks and schedules.
    #[must_use]
    pub fn new<'n>(
        sinks: impl Iterator<Item = &'n String>,
        schedules: impl Iterator<Item = &'n String>,
    ) -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BOUNDS)
            .and_then(|builder| {
                let pacing = Matcher::Full("scheduler_pacing_error_seconds".into());
                builder.set_buckets_for_metric(pacing, &PACING_BOUNDS)
            })
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        for Metric { name, kind, help, .. } in table::METRICS {
            let name = KeyName::from_const_str(name);
            match kind {
                Kind::Counter => recorder.describe_counter(name, None, (*help).into()),
                Kind::Gauge => recorder.describe_gauge(name, None, (*help).into()),
                Kind::Histogram => recorder.describe_histogram(name, None, (*help).into()),
            }
        }
        let about = Metadata::new("scheduler", Level::INFO, None);
        let counter = |name| recorder.register_counter(&Key::from_static_name(name), &about);
        let gauge = |name| recorder.register_gauge(&Key::from_static_name(name), &about);
        let version = Label::new("version", env!("CARGO_PKG_VERSION"));
        let build = Key::from_parts("scheduler_build_info", vec![version]);
        recorder.register_gauge(&build, &about).set(1.0);
        let of_sink = |sink: &String| {
            let key = |name| {
                Key::from_parts(
                    KeyName::from_const_str(name),
                    vec![Label::new("sink", sink.clone())],
                )
            };
            let counter = |name| recorder.register_counter(&key(name), &about);
            let histogram = |name| recorder.register_histogram(&key(name), &about);
            let metrics = SinkMetrics {
                sent: counter("scheduler_sent_total"),
                retries: counter("scheduler_retries_total"),
                postponed: counter("scheduler_postponed_total"),
                dead: counter("scheduler_dead_total"),
                dropped: counter("scheduler_dropped_total"),
                check_failures: counter("scheduler_check_failures_total"),
                ambiguous: counter("scheduler_ambiguous_total"),
                claims: counter("scheduler_claims_total"),
                flushes: counter("scheduler_flushes_total"),
                fenced: counter("scheduler_fenced_total"),
                offset: histogram("scheduler_offset_seconds"),
                pacing: histogram("scheduler_pacing_error_seconds"),
                lateness: histogram("scheduler_lateness_seconds"),
            };
            (sink.clone(), metrics)
        };
        let of_schedule = |schedule: &String| {
            let key = |name, more: Option<(&'static str, &'static str)>| {
                let more = more.map(|(label, value)| Label::new(label, value));
                let schedule = Label::new("schedule", schedule.clone());
                let labels = std::iter::once(schedule).chain(more).collect::<Vec<_>>();
                Key::from_parts(KeyName::from_const_str(name), labels)
            };
            let counter = |name, more| recorder.register_counter(&key(name, more), &about);
            let passed = |reason| counter("scheduler_passed_over_total", Some(("reason", reason)));
            let read = |whom| counter("scheduler_read_rows_total", Some(("from", whom)));
            let metrics = ScheduleMetrics {
                fired: counter("scheduler_fired_total", None),
                missed: passed("missed"),
                overlapped: passed("overlap"),
                paused: passed("paused"),
                refused: passed("replica"),
                read_source: read("source"),
                read_replica: read("replica"),
                read_primary: read("primary"),
                failures: counter("scheduler_fire_failures_total", None),
                overdue: recorder.register_gauge(&key("scheduler_overdue_seconds", None), &about),
                late: recorder
                    .register_histogram(&key("scheduler_fire_late_seconds", None), &about),
            };
            (schedule.clone(), metrics)
        };
        Self {
            sinks: sinks.map(of_sink).collect(),
            schedules: schedules.map(of_schedule).collect(),
            takeovers: counter("scheduler_takeovers_total"),
            statements: counter("scheduler_ledger_statements_total"),
            commits: counter("scheduler_ledger_commits_total"),
            failures: counter("scheduler_ledger_failures_total"),
            held: gauge("scheduler_held_chunks"),
            batches: gauge("scheduler_running_batches"),
            due: gauge("scheduler_due_unsent_items"),
            behind: gauge("scheduler_behind_seconds"),
            multiplier: gauge("scheduler_multiplier"),
            pressure: gauge("scheduler_pressure"),
            ready: gauge("scheduler_ready"),
            handle: recorder.handle(),
        }
    }

    /// Those of a sink, if it is configured.
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<&SinkMetrics> {
        self.sinks.get(name)
    }

    /// Those of a schedule, if it is configured.
    #[must_use]
    pub fn schedule(&self, name: &str) -> Option<&ScheduleMetrics> {
        self.schedules.get(name)
    }

    /// What the ledger has cost so far.
    pub fn cost(&self, cost: Cost) {
        self.takeovers.absolute(cost.takeovers);
        self.statements.absolute(cost.statements);
        self.commits.absolute(cost.commits);
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("sinks", &self.sinks.len()).finish_non_exhaustive()
    }
}

impl ScheduleMetrics {
    /// Counts runs that were not submitted.
    pub fn passed(&self, passed: Passed) {
        self.missed.increment(passed.missed);
        self.overlapped.increment(passed.overlapped);
        self.paused.increment(passed.paused);
        self.refused.increment(passed.refused);
    }

    /// Counts rows that were read.
    pub fn read(&self, whom: Whom, rows: u64) {
        match whom {
            Whom::Source => self.read_source.increment(rows),
            Whom::Replica(_) => self.read_replica.increment(rows),
            Whom::Primary => self.read_primary.increment(rows),
        }
    }
}

impl SinkMetrics {
    /// Counts what became of an offer.
    pub fn settled(&self, settled: &Settled) {
        self.sent.increment(settled.sent);
        self.retries.increment(settled.retries);
        self.postponed.increment(settled.postponed);
        self.dead.increment(settled.dead);
        self.ambiguous.increment(settled.ambiguous);
    }

    /// An item goes now: planned so long after its batch's time; so long after its moment, where its plan is
    /// kept; so long after the deadline.
    pub fn goes(&self, offset: Duration, error: Option<Duration>, late: Duration) {
        self.offset.record(offset);
        if let Some(error) = error {
            self.pacing.record(error);
        }
        self.lateness.record(late);
    }
}

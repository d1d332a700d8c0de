//! Every metric of the guard.
//!
//! [`table`] lists them: name, type, unit, labels and meaning. `docs/metrics.md` is made of it. The
//! values of a label are a closed set ([`label`]), or the names of the configured classes, at most
//! 32; never a statement, a user or a host. Handles are made once, here; counting an event is an
//! atomic addition, recording a duration an append to a buffer that
//! [`Metrics::run_upkeep`] empties.
//!
//! There is no global recorder, so two guards in one process do not meet.

mod database;
pub mod label;
pub mod table;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label as KeyLabel, Level, Metadata, Recorder, Unit,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use policy::admission::Snapshot;
use policy::class::ClassId;
use policy::refusal::Reason;

use crate::session::pins::Pin;

pub use self::database::DatabaseMetrics;
pub use self::label::{
    Activity, CancelCause, ClientOutcome, ClientState, ConnectOutcome, ConnectionState, Disconnect,
    Label, LookOutcome, Reload, StatementOutcome, TransactionOutcome,
};
use self::table::{Metric, Type};

/// The metrics of one guard.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    classes: ArcSwap<Vec<ClassMetrics>>,
    /// Of the clients' side.
    pub clients: ClientMetrics,
    /// Of the database's side.
    pub upstream: UpstreamMetrics,
    /// Of the database itself.
    pub database: DatabaseMetrics,
    /// Of the guard itself.
    pub guard: GuardMetrics,
}

/// One handle for each value of a label.
#[derive(Clone)]
pub struct Each<L: Label, H> {
    handles: Box<[H]>,
    label: std::marker::PhantomData<L>,
}

/// What is counted for one class.
#[derive(Debug)]
pub struct ClassMetrics {
    /// Statements that ended.
    pub statements: Each<StatementOutcome, Counter>,
    /// Transactions that ended, a statement with autocommit being one.
    pub transactions: Each<TransactionOutcome, Counter>,
    /// Seconds from arrival to admission.
    pub queue_wait: Histogram,
    /// Seconds from sending a statement to the end of its reply.
    pub service_time: Histogram,
    /// Seconds from the first statement to the end of COMMIT or ROLLBACK.
    pub transaction_time: Histogram,
    /// Refusals.
    pub sheds: Each<Reason, Counter>,
    /// Statements that a switch would have turned off, if the mode were enforce.
    pub would_switch: Counter,
    /// Cancels that would have been, if the mode were enforce.
    pub would_cancel: Each<CancelCause, Counter>,
    /// Cancels.
    pub cancels: Each<CancelCause, Counter>,
    /// Seconds from deciding to cancel to the end of the statement, verified.
    pub cancel_time: Histogram,
    /// Causes that began to pin a session.
    pub pins: Each<Pin, Counter>,
    levels: ClassLevels,
}

/// What [`Metrics::observe`] sets for a class.
#[derive(Debug)]
struct ClassLevels {
    in_flight: Gauge,
    in_flight_limit: Gauge,
    connections: Gauge,
    pinned: Gauge,
    queued: Gauge,
    queue_oldest: Gauge,
    would_wait: Counter,
    would_shed: Counter,
}

/// The clients' side.
#[derive(Debug)]
pub struct ClientMetrics {
    /// Clients by what they are doing. Whoever changes a client's state moves it.
    pub connections: Each<ClientState, Gauge>,
    /// Clients that came.
    pub arrivals: Each<ClientOutcome, Counter>,
    /// Clients that went.
    pub disconnects: Each<Disconnect, Counter>,
    /// Seconds from connecting to the end of the login.
    pub login_time: Histogram,
}

/// The database's side.
#[derive(Debug)]
pub struct UpstreamMetrics {
    /// Connections by what they are doing.
    pub connections: Each<ConnectionState, Gauge>,
    /// `upstream.connections`.
    pub limit: Gauge,
    /// Attempts to connect.
    pub connects: Each<ConnectOutcome, Counter>,
    /// Seconds to connect and log in.
    pub connect_time: Histogram,
    /// Connections closed because it was not certain that they are clean.
    pub discards: Counter,
}

/// The guard itself.
#[derive(Debug)]
pub struct GuardMetrics {
    /// Reloads of the configuration.
    pub reloads: Each<Reload, Counter>,
    /// Sessions ended by a panic; should stay 0.
    pub panics: Counter,
    /// 1 while draining.
    pub draining: Gauge,
    /// Switches that are set.
    pub switches: Gauge,
}

// === impl Metrics ===

impl Metrics {
    /// All metrics at zero, for these classes in the order of their [`ClassId`]s.
    pub fn new(classes: &[&str]) -> Self {
        let recorder =
            table::METRICS.iter().fold(PrometheusBuilder::new(), with_buckets).build_recorder();
        for metric in table::METRICS {
            metric.describe(&recorder);
        }
        let make = Make { recorder: &recorder, class: None };
        make.gauge("guard_build_info", &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        let clients = ClientMetrics {
            connections: make.gauges("guard_client_connections"),
            arrivals: make.counters("guard_client_connections_total"),
            disconnects: make.counters("guard_client_disconnects_total"),
            login_time: make.histogram("guard_client_login_seconds"),
        };
        let upstream = UpstreamMetrics {
            connections: make.gauges("guard_upstream_connections"),
            limit: make.gauge("guard_upstream_connections_limit", &[]),
            connects: make.counters("guard_upstream_connects_total"),
            connect_time: make.histogram("guard_upstream_connect_seconds"),
            discards: make.counter("guard_upstream_discards_total", &[]),
        };
        let guard = GuardMetrics {
            reloads: make.counters("guard_reloads_total"),
            panics: make.counter("guard_panics_total", &[]),
            draining: make.gauge("guard_draining", &[]),
            switches: make.gauge("guard_switches", &[]),
        };
        let database = DatabaseMetrics::new(&make);
        let handle = recorder.handle();
        let none = ArcSwap::from_pointee(Vec::new());
        let metrics = Self { recorder, handle, classes: none, clients, upstream, database, guard };
        metrics.set_classes(classes);
        metrics
    }

    /// Other classes from now on, after a reload. What was counted for a name goes on.
    pub fn set_classes(&self, classes: &[&str]) {
        let make = |name| Make { recorder: &self.recorder, class: Some(name) };
        let made = classes.iter().map(|name| ClassMetrics::new(&make(name)));
        self.classes.store(Arc::new(made.collect()));
    }

    /// The metrics of a class; those of class `default` when the id is of an older configuration.
    /// To be used at once, not kept.
    pub fn class(&self, id: ClassId) -> OfClass {
        OfClass { classes: self.classes.load(), id }
    }

    /// Sets the gauges of the classes. Call it before rendering, and with [`Self::run_upkeep`].
    pub fn observe(&self, snapshot: &Snapshot) {
        for (class, now) in self.classes.load().iter().zip(&snapshot.classes) {
            let levels = &class.levels;
            levels.in_flight.set(now.in_flight);
            levels.in_flight_limit.set(now.limits.in_flight.map_or(f64::INFINITY, f64::from));
            levels.connections.set(now.connections);
            levels.pinned.set(now.pinned);
            levels.queued.set(now.queued);
            levels.queue_oldest.set(now.oldest_wait);
            levels.would_wait.absolute(now.counts.would_wait);
            levels.would_shed.absolute(now.counts.would_shed);
        }
    }

    /// Empties the buffers of the histograms. Call it every second: until then a recorded duration
    /// takes 16 bytes.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("classes", &self.classes.load().len())
            .finish_non_exhaustive()
    }
}

// === impl OfClass ===

/// The metrics of one class, borrowed: counting a reference would cost as much as counting the
/// event.
#[derive(Debug)]
pub struct OfClass {
    classes: Guard<Arc<Vec<ClassMetrics>>>,
    id: ClassId,
}

impl Deref for OfClass {
    type Target = ClassMetrics;

    /// # Panics
    /// When there is no class at all, which the configuration cannot express.
    fn deref(&self) -> &ClassMetrics {
        self.classes.get(usize::from(self.id.0)).unwrap_or(&self.classes[0])
    }
}

// === impl ClassMetrics ===

impl ClassMetrics {
    /// Counts a statement that ended, `took` after it was sent.
    pub fn note_statement(&self, ended: StatementOutcome, took: Duration) {
        self.statements.of(ended).increment(1);
        self.service_time.record(took);
    }

    /// Counts a statement that was refused before anything of it was sent.
    pub fn note_shed(&self, reason: Reason) {
        self.statements.of(StatementOutcome::Shed).increment(1);
        self.sheds.of(reason).increment(1);
    }

    /// Counts a transaction that ended, `took` after its first statement; `None` for a statement
    /// with autocommit, which is its own transaction.
    pub fn note_transaction(&self, ended: TransactionOutcome, took: Option<Duration>) {
        self.transactions.of(ended).increment(1);
        if let Some(took) = took {
            self.transaction_time.record(took);
        }
    }

    fn new(make: &Make<'_>) -> Self {
        Self {
            statements: make.counters("guard_statements_total"),
            transactions: make.counters("guard_transactions_total"),
            queue_wait: make.histogram("guard_queue_wait_seconds"),
            service_time: make.histogram("guard_service_seconds"),
            transaction_time: make.histogram("guard_transaction_seconds"),
            sheds: make.counters("guard_sheds_total"),
            would_switch: make.counter("guard_would_switch_total", &[]),
            would_cancel: make.counters("guard_would_cancel_total"),
            cancels: make.counters("guard_cancels_total"),
            cancel_time: make.histogram("guard_cancel_seconds"),
            pins: make.counters("guard_pins_total"),
            levels: ClassLevels {
                in_flight: make.gauge("guard_in_flight", &[]),
                in_flight_limit: make.gauge("guard_in_flight_limit", &[]),
                connections: make.gauge("guard_class_connections", &[]),
                pinned: make.gauge("guard_pinned_connections", &[]),
                queued: make.gauge("guard_queued", &[]),
                queue_oldest: make.gauge("guard_queue_oldest_seconds", &[]),
                would_wait: make.counter("guard_would_wait_total", &[]),
                would_shed: make.counter("guard_would_shed_total", &[]),
            },
        }
    }
}

// === impl Each ===

impl<L: Label, H> Each<L, H> {
    /// The handle of one value.
    pub fn of(&self, value: L) -> &H {
        &self.handles[value.index()]
    }
}

impl<L: Label, H> fmt::Debug for Each<L, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Each({})", L::NAME)
    }
}

// === making handles ===

/// Makes handles of metrics in the table, all of them labelled with `class` if that is set.
struct Make<'a> {
    recorder: &'a PrometheusRecorder,
    class: Option<&'a str>,
}

static METADATA: Metadata<'static> = Metadata::new("guard", Level::INFO, None);

impl Make<'_> {
    fn key(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
        let class = self.class.map(|class| KeyLabel::new("class", class.to_owned()));
        let labels = labels.iter().map(|(name, value)| KeyLabel::new(*name, *value));
        Key::from_parts(name, class.into_iter().chain(labels).collect::<Vec<_>>())
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Counter {
        self.recorder.register_counter(&self.key(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Gauge {
        self.recorder.register_gauge(&self.key(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str) -> Histogram {
        self.recorder.register_histogram(&self.key(name, &[]), &METADATA)
    }

    fn counters<L: Label>(&self, name: &'static str) -> Each<L, Counter> {
        self.each(|label| self.counter(name, &[label]))
    }

    fn gauges<L: Label>(&self, name: &'static str) -> Each<L, Gauge> {
        self.each(|label| self.gauge(name, &[label]))
    }

    fn each<L: Label, H>(&self, make: impl Fn((&'static str, &'static str)) -> H) -> Each<L, H> {
        let handles = L::ALL.iter().map(|value| make((L::NAME, value.as_str()))).collect();
        Each { handles, label: std::marker::PhantomData }
    }
}

fn with_buckets(builder: PrometheusBuilder, metric: &Metric) -> PrometheusBuilder {
    match metric.r#type {
        Type::Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)
            .expect("the table's buckets are never empty"),
        Type::Counter | Type::Gauge => builder,
    }
}

impl Metric {
    fn describe(&self, recorder: &PrometheusRecorder) {
        let name = KeyName::from_const_str(self.name);
        let unit = match self.unit {
            "seconds" => Unit::Seconds,
            _ => Unit::Count,
        };
        match self.r#type {
            Type::Counter => recorder.describe_counter(name, Some(unit), self.help.into()),
            Type::Gauge => recorder.describe_gauge(name, Some(unit), self.help.into()),
            Type::Histogram(_) => recorder.describe_histogram(name, Some(unit), self.help.into()),
        }
    }
}

#[cfg(test)]
mod tests;

//! Every metric of the guard.
//!
//! [`table`] lists them: name, type, unit, labels and meaning. `docs/metrics.md` is made of it. The
//! values of a label are a closed set ([`label`]), the names of the configured classes, at most 32, or
//! a few rows, by table and hash; never a statement, a user or a host. Handles are made once, here. What is counted for every
//! statement goes to shards ([`Tally`], [`Histogram`]) that are summed up when somebody looks;
//! counters and gauges are published by `metrics-exporter-prometheus`, histograms behind them.
//!
//! There is no global recorder, so two guards in one process do not meet.

mod database;
mod ddl;
mod histogram;
mod hot;
pub mod label;
mod limit;
mod melt;
mod pressure;
mod process;
mod recorder;
mod replica;
mod shard;
pub mod table;
mod tally;
mod totals;

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Key, KeyName, Label as KeyLabel, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;
use policy::admission::Snapshot;
use policy::class::ClassId;
use policy::refusal::Reason;

use crate::session::pins::Pin;
use crate::swapped::{Swapped, Swaps};

pub use self::database::DatabaseMetrics;
pub use self::ddl::DdlMetrics;
pub use self::histogram::{BUCKETS, Histogram, quantile};
pub use self::hot::HotMetrics;
pub use self::label::{
    Activity, CancelCause, ClientOutcome, ClientState, ConnectOutcome, ConnectionState, Disconnect,
    Label, LookOutcome, MeltOutcome, PressurePart, ReadOutcome, Reload, StatementOutcome,
    TransactionOutcome,
};
pub use self::limit::LimitMetrics;
pub use self::melt::MeltMetrics;
pub use self::pressure::PressureMetrics;
pub use self::recorder::RecorderMetrics;
pub use self::replica::ReplicaMetrics;
pub(crate) use self::shard::{Sharded, add};
use self::table::{Metric, Type};
pub use self::tally::Tally;
pub use self::totals::Totals;

/// The metrics of one guard.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    swaps: Swaps,
    classes: Swapped<Vec<Arc<ClassMetrics>>>,
    /// Those of earlier configurations too: their series go on. Each name once.
    known: Mutex<Vec<Arc<ClassMetrics>>>,
    /// Of the clients' side.
    pub clients: ClientMetrics,
    /// Of the database's side.
    pub upstream: UpstreamMetrics,
    /// Of the limit that finds its place by itself.
    pub limit: LimitMetrics,
    /// Of how pressed the database is.
    pub pressure: PressureMetrics,
    /// Of the flight recorder.
    pub flight: RecorderMetrics,
    /// Of replicas.
    pub replicas: ReplicaMetrics,
    /// Of undoing pile-ups.
    pub melt: MeltMetrics,
    /// Of rows that everybody wants.
    pub hot: HotMetrics,
    /// Of tables that somebody wants for himself.
    pub ddl: DdlMetrics,
    /// Of the database itself.
    pub database: DatabaseMetrics,
    /// Of LISTEN over shared connections.
    pub listen: ListenMetrics,
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
    name: Box<str>,
    /// Statements that ended.
    pub statements: Tally<StatementOutcome>,
    /// Transactions that ended, a statement with autocommit being one.
    pub transactions: Tally<TransactionOutcome>,
    /// Seconds from arrival to admission.
    pub queue_wait: Histogram,
    /// Seconds from sending a statement to the end of its reply.
    pub service_time: Histogram,
    /// Seconds from the first statement to the end of COMMIT or ROLLBACK.
    pub transaction_time: Histogram,
    /// Refusals.
    pub sheds: Tally<Reason, 16>,
    /// Statements that a switch would have turned off, if the mode were enforce.
    pub would_switch: Counter,
    /// Cancels that would have been, if the mode were enforce.
    pub would_cancel: Each<CancelCause, Counter>,
    /// Cancels.
    pub cancels: Tally<CancelCause>,
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
    queued_limit: Gauge,
    queue_oldest: Gauge,
    queue_oldest_limit: Gauge,
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
    /// Refusals held back from those that came again at once.
    pub refusals_held: Counter,
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
    /// Clients that replicate, each by a connection of its own.
    pub replications: Gauge,
}

/// LISTEN over shared connections.
#[derive(Debug)]
pub struct ListenMetrics {
    /// The shared connections.
    pub connections: Gauge,
    /// Clients that listen by them.
    pub clients: Gauge,
    /// Channels that they listen on.
    pub channels: Gauge,
    /// Notifications that clients were handed.
    pub notifications: Counter,
}

/// The guard itself.
#[derive(Debug)]
pub struct GuardMetrics {
    /// Reloads of the configuration.
    pub reloads: Each<Reload, Counter>,
    /// Sessions ended by a panic; should stay 0.
    pub panics: Counter,
    /// 1 while paused.
    pub paused: Gauge,
    /// 1 while draining.
    pub draining: Gauge,
    /// Switches that are set.
    pub switches: Gauge,
}

// === impl Metrics ===

impl Metrics {
    /// All metrics at zero, for these classes in the order of their [`ClassId`]s.
    pub fn new(classes: &[&str]) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for metric in table::METRICS {
            metric.describe(&recorder);
        }
        let make = Make { recorder: &recorder, class: None };
        make.gauge("guard_build_info", &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        let clients = ClientMetrics {
            connections: make.gauges("guard_client_connections"),
            arrivals: make.counters("guard_client_connections_total"),
            disconnects: make.counters("guard_client_disconnects_total"),
            refusals_held: make.counter("guard_refusals_held_total", &[]),
            login_time: Histogram::default(),
        };
        let upstream = UpstreamMetrics {
            connections: make.gauges("guard_upstream_connections"),
            limit: make.gauge("guard_upstream_connections_limit", &[]),
            connects: make.counters("guard_upstream_connects_total"),
            connect_time: Histogram::default(),
            discards: make.counter("guard_upstream_discards_total", &[]),
            replications: make.gauge("guard_replication_connections", &[]),
        };
        let listen = ListenMetrics {
            connections: make.gauge("guard_listen_connections", &[]),
            clients: make.gauge("guard_listen_clients", &[]),
            channels: make.gauge("guard_listen_channels", &[]),
            notifications: make.counter("guard_notifications_total", &[]),
        };
        let guard = GuardMetrics {
            reloads: make.counters("guard_reloads_total"),
            panics: make.counter("guard_panics_total", &[]),
            paused: make.gauge("guard_paused", &[]),
            draining: make.gauge("guard_draining", &[]),
            switches: make.gauge("guard_switches", &[]),
        };
        let limit = LimitMetrics::new(&make);
        let pressure = PressureMetrics::new(&make);
        let flight = RecorderMetrics::new(&make);
        let replicas = ReplicaMetrics::new(&make);
        let melt = MeltMetrics::new(&make);
        let hot = HotMetrics::new(&make);
        let ddl = DdlMetrics::new(&make);
        let database = DatabaseMetrics::new(&make);
        let handle = recorder.handle();
        let swaps = Swaps::default();
        let (none, known) = (Swapped::new(Arc::default(), &swaps), Mutex::default());
        let metrics = Self {
            recorder,
            handle,
            swaps,
            classes: none,
            known,
            clients,
            upstream,
            limit,
            pressure,
            flight,
            replicas,
            melt,
            hot,
            ddl,
            database,
            listen,
            guard,
        };
        metrics.set_classes(classes);
        metrics
    }

    /// Other classes from now on, after a reload. What was counted for a name goes on.
    pub fn set_classes(&self, classes: &[&str]) {
        let mut known = self.known.lock();
        let made = classes.iter().map(|name| {
            if let Some(class) = known.iter().find(|class| *class.name == **name) {
                return Arc::clone(class);
            }
            let make = Make { recorder: &self.recorder, class: Some(name) };
            let class = Arc::new(ClassMetrics::new(name, &make));
            known.push(Arc::clone(&class));
            class
        });
        self.classes.store(Arc::new(made.collect()));
    }

    /// The metrics of the classes that there are now.
    pub fn classes(&self) -> Classes {
        Classes(self.classes.load_full())
    }

    /// Where it is counted that there are others, with whatever else is swapped.
    pub fn swaps(&self) -> &Swaps {
        &self.swaps
    }

    /// Sets the gauges of the classes. Call it before rendering.
    pub fn observe(&self, snapshot: &Snapshot) {
        for (class, now) in self.classes.load().iter().zip(&snapshot.classes) {
            let levels = &class.levels;
            levels.in_flight.set(now.in_flight);
            levels.in_flight_limit.set(now.limits.in_flight.map_or(f64::INFINITY, f64::from));
            levels.connections.set(now.connections);
            levels.pinned.set(now.pinned);
            levels.queued.set(now.queued);
            levels.queued_limit.set(now.limits.queue_length);
            levels.queue_oldest.set(now.oldest_wait);
            levels.queue_oldest_limit.set(now.limits.queue_time);
            levels.would_wait.absolute(now.counts.would_wait);
            levels.would_shed.absolute(now.counts.would_shed);
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let known = self.known.lock();
        for class in &*known {
            class.statements.publish();
            class.transactions.publish();
            class.sheds.publish();
            class.cancels.publish();
        }
        let mut page = self.handle.render();
        let all = table::METRICS.iter().filter(|metric| metric.r#type == Type::Histogram);
        for metric in all {
            metric.put_head(&mut page);
            match self.histogram(metric.name) {
                Some(histogram) => histogram.put(&mut page, metric.name, None),
                None => known.iter().for_each(|class| {
                    if let Some(histogram) = class.histogram(metric.name) {
                        histogram.put(&mut page, metric.name, Some(&class.name));
                    }
                }),
            }
        }
        self.hot.put(&mut page);
        self.replicas.put(&mut page);
        process::put(&mut page);
        page
    }

    /// The histogram of that name, if it is of no class.
    fn histogram(&self, name: &str) -> Option<&Histogram> {
        match name {
            "guard_client_login_seconds" => Some(&self.clients.login_time),
            "guard_upstream_connect_seconds" => Some(&self.upstream.connect_time),
            "guard_ddl_wait_seconds" => Some(&self.ddl.wait_time),
            "guard_hot_wait_seconds" => Some(&self.hot.wait_time),
            "guard_database_look_seconds" => Some(&self.database.look_time),
            _ => None,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("classes", &self.classes.load().len())
            .finish_non_exhaustive()
    }
}

// === impl Classes ===

/// The metrics of the classes of one configuration.
#[derive(Debug)]
pub struct Classes(Arc<Vec<Arc<ClassMetrics>>>);

impl Classes {
    /// The metrics of a class; those of class `default` when the id is of an older configuration.
    ///
    /// # Panics
    /// When there is no class at all, which the configuration cannot express.
    pub fn of(&self, id: ClassId) -> &ClassMetrics {
        self.0.get(usize::from(id.0)).unwrap_or(&self.0[0])
    }
}

// === impl ClassMetrics ===

impl ClassMetrics {
    /// Counts a statement that ended, `took` after it was sent.
    pub fn note_statement(&self, ended: StatementOutcome, took: Duration) {
        self.statements.add(ended);
        self.service_time.record(took);
    }

    /// Counts a statement that was refused before anything of it was sent.
    pub fn note_shed(&self, reason: Reason) {
        self.statements.add(StatementOutcome::Shed);
        self.sheds.add(reason);
    }

    /// Counts a transaction that ended, `took` after its first statement; `None` for a statement
    /// with autocommit, which is its own transaction.
    pub fn note_transaction(&self, ended: TransactionOutcome, took: Option<Duration>) {
        self.transactions.add(ended);
        if let Some(took) = took {
            self.transaction_time.record(took);
        }
    }

    /// The histogram of that name.
    fn histogram(&self, name: &str) -> Option<&Histogram> {
        match name {
            "guard_queue_wait_seconds" => Some(&self.queue_wait),
            "guard_service_seconds" => Some(&self.service_time),
            "guard_transaction_seconds" => Some(&self.transaction_time),
            "guard_cancel_seconds" => Some(&self.cancel_time),
            _ => None,
        }
    }

    fn new(name: &str, make: &Make<'_>) -> Self {
        Self {
            name: name.into(),
            statements: Tally::new(make.counters("guard_statements_total")),
            transactions: Tally::new(make.counters("guard_transactions_total")),
            queue_wait: Histogram::default(),
            service_time: Histogram::default(),
            transaction_time: Histogram::default(),
            sheds: Tally::new(make.counters("guard_sheds_total")),
            would_switch: make.counter("guard_would_switch_total", &[]),
            would_cancel: make.counters("guard_would_cancel_total"),
            cancels: Tally::new(make.counters("guard_cancels_total")),
            cancel_time: Histogram::default(),
            pins: make.counters("guard_pins_total"),
            levels: ClassLevels {
                in_flight: make.gauge("guard_in_flight", &[]),
                in_flight_limit: make.gauge("guard_in_flight_limit", &[]),
                connections: make.gauge("guard_class_connections", &[]),
                pinned: make.gauge("guard_pinned_connections", &[]),
                queued: make.gauge("guard_queued", &[]),
                queued_limit: make.gauge("guard_queued_limit", &[]),
                queue_oldest: make.gauge("guard_queue_oldest_seconds", &[]),
                queue_oldest_limit: make.gauge("guard_queue_oldest_limit_seconds", &[]),
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

impl Metric {
    fn describe(&self, recorder: &PrometheusRecorder) {
        let name = KeyName::from_const_str(self.name);
        let unit = match self.unit {
            "seconds" => Unit::Seconds,
            _ => Unit::Count,
        };
        match self.r#type {
            // Not the exporter's.
            _ if self.is_of_rows() => {}
            Type::Counter => recorder.describe_counter(name, Some(unit), self.help.into()),
            Type::Gauge => recorder.describe_gauge(name, Some(unit), self.help.into()),
            Type::Histogram => {}
        }
    }

    /// Whether its series come and go with rows.
    fn is_of_rows(&self) -> bool {
        matches!(self.labels, [table::Values::Rows])
    }

    /// Writes what stands above the series of what is not the exporter's.
    fn put_head(&self, page: &mut String) {
        let Self { name, help, r#type, .. } = self;
        let kind = r#type.name();
        let _infallible = write!(page, "\n# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
}

#[cfg(test)]
mod tests;

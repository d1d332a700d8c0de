//! The table of all metrics, and the page of the manual made of it.

use std::fmt::Write as _;

use policy::{melt::Cause, refusal::Reason, trigger};

use super::histogram::seconds;
use super::label::{
    Activity, CancelCause, ClientOutcome, ClientState, ConnectOutcome, ConnectionState, Disconnect,
    Label, LookOutcome, MeltOutcome, PressurePart, ReadOutcome, Reload, StatementOutcome,
    TransactionOutcome,
};
use crate::session::pins::Pin;

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub r#type: Type,
    /// Its unit, in the plural.
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [Values],
    /// What it means; also the text of `# HELP`.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
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
    /// `class`: the configured classes, at most 32.
    Classes,
    /// `version`: this build's.
    Version,
    /// `row`: table and hash of a row, at most 8 at a time.
    Rows,
    /// `replica`: the configured replicas, at most 16.
    Replicas,
    /// A closed set.
    Set(&'static str, fn() -> Vec<&'static str>),
}

const fn set<L: Label>() -> Values {
    Values::Set(L::NAME, values::<L>)
}

fn values<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|value| value.as_str()).collect()
}

macro_rules! metrics {
    ($($name:literal $type:expr, $unit:literal [$($label:expr),*] $help:literal;)*) => {
        /// Every metric, in the order of the manual.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name, r#type: $type, unit: $unit, labels: &[$($label),*], help: $help,
        },)*];
    };
}

use Type::{Counter, Gauge, Histogram};
use Values::Classes;

metrics! {
    "guard_build_info" Gauge, "builds" [Values::Version]
        "Always 1; the label says which build runs.";
    "guard_draining" Gauge, "guards" []
        "1 while the guard shuts down, else 0.";
    "guard_paused" Gauge, "guards" []
        "1 while the guard is paused and holds new transactions, else 0.";
    "guard_reloads_total" Counter, "reloads" [set::<Reload>()]
        "Reloads of the configuration by outcome; a failed one leaves the old configuration in force.";
    "guard_panics_total" Counter, "sessions" []
        "Sessions and logins ended by a panic; anything above 0 is a bug.";
    "guard_switches" Gauge, "switches" []
        "Switches that are set.";

    "guard_client_connections" Gauge, "clients" [set::<ClientState>()]
        "Clients connected now, by what they are doing.";
    "guard_client_connections_total" Counter, "clients" [set::<ClientOutcome>()]
        "Clients that connected, by how their login ended.";
    "guard_client_disconnects_total" Counter, "clients" [set::<Disconnect>()]
        "Logged-in clients that are gone, by cause.";
    "guard_client_login_seconds" Histogram, "seconds" []
        "Time from a client's connecting to the end of its login.";

    "guard_statements_total" Counter, "statements" [Classes, set::<StatementOutcome>()]
        "Statements by how they ended.";
    "guard_transactions_total" Counter, "transactions" [Classes, set::<TransactionOutcome>()]
        "Transactions by how they ended; a statement with autocommit is one.";
    "guard_queue_wait_seconds" Histogram, "seconds" [Classes]
        "Time that admitted transactions waited for their turn.";
    "guard_service_seconds" Histogram, "seconds" [Classes]
        "Time from sending a statement to the server to the end of its reply.";
    "guard_transaction_seconds" Histogram, "seconds" [Classes]
        "Time from a transaction's first statement to its confirmed end.";

    "guard_in_flight" Gauge, "transactions" [Classes]
        "Transactions admitted and not finished.";
    "guard_in_flight_limit" Gauge, "transactions" [Classes]
        "Limit of guard_in_flight; +Inf where the class has none of its own.";
    "guard_class_connections" Gauge, "connections" [Classes]
        "Upstream connections that the class holds, pinned ones included.";
    "guard_pinned_connections" Gauge, "connections" [Classes]
        "Upstream connections kept by pinned sessions between transactions.";
    "guard_queued" Gauge, "transactions" [Classes]
        "Transactions that wait for their turn.";
    "guard_queued_limit" Gauge, "transactions" [Classes]
        "Limit of guard_queued: one more is refused.";
    "guard_queue_oldest_seconds" Gauge, "seconds" [Classes]
        "How long the first in line has waited.";
    "guard_queue_oldest_limit_seconds" Gauge, "seconds" [Classes]
        "Limit of guard_queue_oldest_seconds: who has waited longer is refused.";
    "guard_sheds_total" Counter, "transactions" [Classes, set::<Reason>()]
        "Refusals by reason.";
    "guard_refusals_held_total" Counter, "refusals" []
        "Refusals that were held back for up to 100 ms, from clients that came again at once.";
    "guard_would_wait_total" Counter, "transactions" [Classes]
        "Transactions that mode observe let run and mode enforce would have made wait.";
    "guard_would_shed_total" Counter, "transactions" [Classes]
        "Transactions that mode observe let run and mode enforce would have refused.";
    "guard_would_switch_total" Counter, "statements" [Classes]
        "Statements that mode observe let run although a switch would have turned them off in mode enforce.";
    "guard_would_cancel_total" Counter, "statements" [Classes, set::<CancelCause>()]
        "Statements and transactions that mode observe let run past a time limit.";
    "guard_cancels_total" Counter, "statements" [Classes, set::<CancelCause>()]
        "Statements cancelled by cause.";
    "guard_cancel_seconds" Histogram, "seconds" [Classes]
        "Time from deciding to cancel to the statement's verified end.";
    "guard_pins_total" Counter, "causes" [Classes, set::<Pin>()]
        "Causes that began to pin a session to its upstream connection.";

    "guard_pressure" Gauge, "ratio" []
        "How pressed the database is: 0 idle, 1 as much as is just borne; the greatest of guard_pressure_part.";
    "guard_pressure_part" Gauge, "ratio" [set::<PressurePart>()]
        "What guard_pressure is made of, each 1 where it is just borne, at most 10; lag is 0 where it is not known.";
    "guard_limit" Gauge, "transactions" []
        "The limit that finds its place by itself, its small steps included; +Inf while it is off.";
    "guard_limit_base" Gauge, "transactions" []
        "What those steps go around.";
    "guard_limit_knee" Gauge, "transactions" []
        "Where the fitted curve of the database has its top; 0 while it does not fit.";
    "guard_limit_elasticity" Gauge, "ratio" []
        "Percent more work for a percent more in flight, when last measured.";
    "guard_limit_work" Gauge, "ratio" []
        "Work done in the last tick: seconds of an idle database, a second.";
    "guard_limit_cuts_total" Counter, "cuts" []
        "Cuts of the limit because of locks or failures.";

    "guard_melt_acts_total" Counter, "transactions" [set::<Cause>()]
        "Transactions that were rolled back, or were to be, because others waited for them.";
    "guard_melt_would_acts_total" Counter, "transactions" [set::<Cause>()]
        "Transactions that melt.mode observe left alone and enforce would have rolled back.";
    "guard_melt_outcomes_total" Counter, "transactions" [set::<MeltOutcome>()]
        "What became of guard_melt_acts_total.";
    "guard_melt_incidents_total" Counter, "incidents" []
        "Pile-ups of waits for locks that began; counted where melt.mode is observe or enforce.";
    "guard_melt_piled_up" Gauge, "incidents" []
        "1 while there is a pile-up, else 0.";
    "guard_melt_write_share" Gauge, "ratio" []
        "Share of the limit that new transactions which write may use: 0 while a pile-up freezes them out, then from 0.5 to 1.";
    "guard_melt_held_total" Counter, "transactions" []
        "Transactions that a pile-up made wait at the gate; those it had refused are guard_sheds_total with reason melt.";

    "guard_recordings_total" Counter, "recordings" [set::<trigger::Cause>()]
        "Recordings of the flight recorder by what made it keep them.";
    "guard_recorder_bytes" Gauge, "bytes" []
        "What the flight recorder has in memory; at most recorder.memory.";

    "guard_hot_watched" Gauge, "rows" []
        "Rows that statements were seen to wait for in the database, those with a gate included.";
    "guard_hot_gated" Gauge, "rows" []
        "Rows that few transactions are let to at a time.";
    "guard_hot_parked" Gauge, "transactions" []
        "Transactions that wait in the guard for such a row.";
    "guard_hot_entered_total" Counter, "transactions" []
        "Transactions that were let to such a row, at once or after a wait.";
    "guard_hot_parked_total" Counter, "transactions" []
        "Transactions that had to wait for such a row in the guard.";
    "guard_hot_refused_total" Counter, "transactions" []
        "Transactions that found no room to wait for such a row, or waited as long as they may.";
    "guard_hot_would_park_total" Counter, "transactions" []
        "Transactions that mode observe let go to such a row and mode enforce would have made wait.";
    "guard_hot_wait_seconds" Histogram, "seconds" []
        "Time that transactions waited for such a row in the guard, let in or not.";
    "guard_hot_row_inside" Gauge, "transactions" [Values::Rows]
        "Transactions that work on one of the rows that most wait for.";
    "guard_hot_row_parked" Gauge, "transactions" [Values::Rows]
        "Transactions that wait in the guard for one of them.";

    "guard_ddl_tables" Gauge, "tables" []
        "Tables that a statement waits to have for itself, or has after such a wait, and new transactions are kept from.";
    "guard_ddl_parked" Gauge, "transactions" []
        "Transactions that wait in the guard for such a table.";
    "guard_ddl_parked_total" Counter, "transactions" []
        "Transactions that had to wait for such a table in the guard.";
    "guard_ddl_refused_total" Counter, "transactions" []
        "Transactions that found no room to wait for such a table, or waited as long as they may.";
    "guard_ddl_would_park_total" Counter, "transactions" []
        "Transactions that mode observe let go to such a table and mode enforce would have made wait.";
    "guard_ddl_wait_seconds" Histogram, "seconds" []
        "Time that transactions waited for such a table in the guard, let go or not.";

    "guard_routed_reads_total" Counter, "reads" [set::<ReadOutcome>()]
        "Reads of classes with reads = \"replica\" that may go to one, by where they went; failed_over is counted beside where the read went first, and where it goes then.";
    "guard_replica_fit" Gauge, "replicas" [Values::Replicas]
        "1 where the replica is read from, 0 where it is silent, stopped, behind or sick.";
    "guard_replica_weight" Gauge, "weight" [Values::Replicas]
        "Its part of the reads now, against the others': its weight, less where it leaves or returns.";
    "guard_replica_lag_seconds" Gauge, "seconds" [Values::Replicas]
        "For how long it has been behind the primary, at least; +Inf where that is not known.";
    "guard_replica_lag_bytes" Gauge, "bytes" [Values::Replicas]
        "How much of the primary's log it misses, by its last look; +Inf where that is not known, and with MySQL and MariaDB.";
    "guard_replica_in_flight" Gauge, "transactions" [Values::Replicas]
        "Reads admitted there and not finished.";
    "guard_replica_reads_total" Counter, "reads" [Values::Replicas]
        "Reads that it has answered.";

    "guard_upstream_connections" Gauge, "connections" [set::<ConnectionState>()]
        "Upstream connections by what they are doing, control connections not included.";
    "guard_upstream_connections_limit" Gauge, "connections" []
        "Limit of all guard_upstream_connections together.";
    "guard_upstream_connects_total" Counter, "attempts" [set::<ConnectOutcome>()]
        "Attempts to connect to the server, and to its replicas, by outcome.";
    "guard_upstream_connect_seconds" Histogram, "seconds" []
        "Time to connect and log in to the server or a replica.";
    "guard_replication_connections" Gauge, "connections" []
        "Clients of PostgreSQL that replicate, each by a connection of its own that is not among guard_upstream_connections.";
    "guard_listen_connections" Gauge, "connections" []
        "Connections by which clients of PostgreSQL listen together, not among guard_upstream_connections.";
    "guard_listen_clients" Gauge, "clients" []
        "Clients that listen by a shared connection.";
    "guard_listen_channels" Gauge, "channels" []
        "Channels that shared connections listen on, in all databases.";
    "guard_notifications_total" Counter, "notifications" []
        "Notifications handed to clients from shared connections.";
    "guard_upstream_discards_total" Counter, "connections" []
        "Connections closed because it was not certain that they were clean.";

    "guard_database_connected" Gauge, "connections" []
        "Connections that the server has, of whatever clients.";
    "guard_database_running" Gauge, "connections" []
        "Connections that the server works for, those that wait for a lock included.";
    "guard_database_lock_waiting" Gauge, "connections" []
        "Connections that wait for a lock, as the server counts them; MySQL's and MariaDB's count may drift.";
    "guard_database_idle_in_transaction" Gauge, "connections" []
        "Connections whose client leaves a transaction open; PostgreSQL.";
    "guard_database_history_length" Gauge, "transactions" []
        "Length of InnoDB's history list.";
    "guard_database_lock_waits_total" Counter, "waits" []
        "Waits for row locks since the server started; MySQL and MariaDB.";
    "guard_database_lock_wait_milliseconds_total" Counter, "milliseconds" []
        "Time waited for row locks since the server started; MySQL and MariaDB.";
    "guard_database_deadlocks_total" Counter, "deadlocks" []
        "Deadlocks since the server started; not told by MySQL.";
    "guard_database_transactions" Gauge, "transactions" [set::<Activity>()]
        "Transactions open at the last look, by what they did.";
    "guard_database_blocked_share" Gauge, "ratio" []
        "Transactions that wait for a lock over all that are open.";
    "guard_database_conflict_ratio" Gauge, "ratio" []
        "Row locks of all transactions over those of the ones that do not wait.";
    "guard_database_oldest_lock_wait_seconds" Gauge, "seconds" []
        "The longest that anybody had waited for a lock at the last look.";
    "guard_database_root_blockers" Gauge, "transactions" []
        "Transactions that others wait for and that wait for nobody.";
    "guard_database_idle_root_blockers" Gauge, "transactions" []
        "Those of guard_database_root_blockers whose client is silent: only their application can go on.";
    "guard_database_most_waiters" Gauge, "transactions" []
        "The most that wait behind a single one of guard_database_root_blockers, directly or behind others.";
    "guard_database_oldest_transaction_seconds" Gauge, "seconds" []
        "Age of the oldest open transaction at the last look at them; they are looked at while somebody waits for a lock, else it is 0.";
    "guard_database_role_changes_total" Counter, "changes" []
        "Restarts of the server, and changes from read-only to writable and back, that the observer noticed; each begins slowly.";
    "guard_database_looks_total" Counter, "questions" [set::<LookOutcome>()]
        "Questions to the server by outcome.";
    "guard_database_look_seconds" Histogram, "seconds" []
        "Time that the server took to answer one.";

    "guard_runtime_workers" Gauge, "threads" []
        "Threads that serve clients.";
    "guard_runtime_busy_seconds_total" Counter, "seconds" []
        "Time that those threads had something to do, all together; at one second a second for each of them the guard is the bottleneck.";
    "guard_runtime_tasks" Gauge, "tasks" []
        "Tasks that are alive: about one for each client, and a few.";
    "guard_runtime_queue" Gauge, "tasks" []
        "Tasks that wait for a thread in the queue that all threads share.";
    "process_cpu_seconds_total" Counter, "seconds" []
        "CPU time that the process has used.";
    "process_resident_memory_bytes" Gauge, "bytes" []
        "Memory that the process has in use.";
    "process_open_fds" Gauge, "descriptors" []
        "Open file descriptors: one for each client and each upstream connection, and a few.";
    "process_max_fds" Gauge, "descriptors" []
        "Limit of process_open_fds (LimitNOFILE= of systemd).";
    "process_threads" Gauge, "threads" []
        "Threads of the process.";
    "process_start_time_seconds" Gauge, "seconds" []
        "When the process started, in seconds since 1970.";
}

/// The upper bounds of all histograms, in seconds.
pub fn bounds() -> impl Iterator<Item = f64> {
    seconds()
}

/// The head of `docs/metrics.md`, and the guard's part of it.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         In Prometheus' text format. [Dashboards and alerts](dashboards.md) are made of them.\n\n\
         ## Guard\n\n\
         `GET /metrics` on the admin address, and on `admin.metrics_address`. This part is made of the \
         table in `guard/src/metrics/table.rs`.\n\n\
         The label `class` has the names of the configured classes, at most 32; `row` the table and a hash \
         of the key, of at most 8 rows at a time; `replica` the names of the configured replicas, at most 16. Every other label has \
         the values listed here and no others. Histograms have buckets up to ",
    );
    let bounds: Vec<String> = bounds().map(|bound| bound.to_string()).collect();
    let _ = writeln!(page, "{} seconds.\n", bounds.join(", "));
    page.push_str("| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let kind = metric.r#type.name();
        let labels: Vec<String> = metric.labels.iter().map(Values::show).collect();
        let Metric { name, unit, help, .. } = metric;
        let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join("; "));
    }
    page
}

impl Type {
    /// Its name in the exposition.
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
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Classes => "class",
            Self::Version => "version",
            Self::Rows => "row",
            Self::Replicas => "replica",
            Self::Set(name, _) => name,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Set(name, values) => format!("`{name}`: {}", values().join(", ")),
            own => format!("`{}`", own.name()),
        }
    }
}

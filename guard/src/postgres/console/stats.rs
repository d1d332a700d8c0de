//! What was counted since the guard started: by database, in PgBouncer's columns, and by class. Times are
//! in microseconds.

use std::time::Instant;

use super::table::{
    Column, Row,
    Type::{Int, Text},
    Value,
};
use crate::postgres::{
    Shared,
    traffic::{Count, Counts, Figures},
};

/// Totals and averages of each database, as PgBouncer's.
pub(super) const STATS: &[Column] = &[
    ("database", Text),
    ("total_server_assignment_count", Int),
    ("total_xact_count", Int),
    ("total_query_count", Int),
    ("total_received", Int),
    ("total_sent", Int),
    ("total_xact_time", Int),
    ("total_query_time", Int),
    ("total_wait_time", Int),
    ("total_client_parse_count", Int),
    ("total_server_parse_count", Int),
    ("total_bind_count", Int),
    ("total_client_login_count", Int),
    ("avg_server_assignment_count", Int),
    ("avg_xact_count", Int),
    ("avg_query_count", Int),
    ("avg_recv", Int),
    ("avg_sent", Int),
    ("avg_xact_time", Int),
    ("avg_query_time", Int),
    ("avg_wait_time", Int),
    ("avg_client_parse_count", Int),
    ("avg_server_parse_count", Int),
    ("avg_bind_count", Int),
    ("avg_client_login_count", Int),
];

/// The totals, by the names that PgBouncer has for them where they stand alone.
pub(super) const TOTALS: &[Column] = &[
    ("database", Text),
    ("server_assignment_count", Int),
    ("xact_count", Int),
    ("query_count", Int),
    ("bytes_received", Int),
    ("bytes_sent", Int),
    ("xact_time", Int),
    ("query_time", Int),
    ("wait_time", Int),
    ("client_parse_count", Int),
    ("server_parse_count", Int),
    ("bind_count", Int),
    ("client_login_count", Int),
];

/// The averages, likewise. The last four are as PgBouncer writes them.
pub(super) const AVERAGES: &[Column] = &[
    ("database", Text),
    ("server_assignment_count", Int),
    ("xact_count", Int),
    ("query_count", Int),
    ("bytes_received", Int),
    ("bytes_sent", Int),
    ("xact_time", Int),
    ("query_time", Int),
    ("wait_time", Int),
    ("avg_client_parse_count", Int),
    ("avg_server_parse_count", Int),
    ("avg_bind_count", Int),
    ("avg_client_login_count", Int),
];

/// A row for each database that somebody has logged in to. Columns stand in the order of [`Count::ALL`].
pub(super) fn rows(shared: &Shared) -> Vec<Row> {
    each(shared, |row, figures| {
        row.extend(values(&figures.totals));
        row.extend(values(&figures.averages));
    })
}

pub(super) fn totals(shared: &Shared) -> Vec<Row> {
    each(shared, |row, figures| row.extend(values(&figures.totals)))
}

pub(super) fn averages(shared: &Shared) -> Vec<Row> {
    each(shared, |row, figures| row.extend(values(&figures.averages)))
}

fn each(shared: &Shared, fill: impl Fn(&mut Row, &Figures)) -> Vec<Row> {
    let figures = shared.engine.traffic().figures(Instant::now());
    let row = |figures: &Figures| {
        let mut row = vec![Value::from(&*figures.database)];
        fill(&mut row, figures);
        row
    };
    figures.iter().map(row).collect()
}

fn values(counts: &Counts) -> [Value; Count::ALL.len()] {
    Count::ALL.map(|count| counts.of(count).into())
}

/// What was counted for a class: transactions, statements, and the time of transactions, of statements
/// and of waits. Those counters can only be read where they are rendered for Prometheus.
pub(super) fn of_class(metrics: &str, class: &str) -> [Value; 5] {
    let sum = |name: &str| {
        let own = series(metrics, name).filter(|(of, _)| *of == class);
        own.map(|(_, value)| value).sum::<f64>()
    };
    let count = |name: &str| Value::Int(sum(name) as i64);
    let micros = |name: &str| Value::Int((sum(name) * 1e6) as i64);
    [
        count("guard_transactions_total"),
        count("guard_statements_total"),
        micros("guard_transaction_seconds_sum"),
        micros("guard_service_seconds_sum"),
        micros("guard_queue_wait_seconds_sum"),
    ]
}

/// The series of a metric: class and value.
fn series<'m>(metrics: &'m str, name: &'m str) -> impl Iterator<Item = (&'m str, f64)> + 'm {
    metrics.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        // Names of classes have no quotes in them.
        let (_, rest) = labels.split_once("class=\"")?;
        let (class, _) = rest.split_once('"')?;
        Some((class, value.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_column_for_each_count() {
        let counts = Count::ALL.len();
        assert_eq!(
            [STATS, TOTALS, AVERAGES].map(<[_]>::len),
            [2 * counts + 1, counts + 1, counts + 1]
        );
        for (index, (name, _)) in TOTALS.iter().enumerate().skip(1) {
            let bare = name.trim_start_matches("bytes_");
            assert_eq!(STATS[index].0, format!("total_{bare}"), "{name}");
        }
    }

    #[test]
    fn counters_are_summed_by_class() {
        let text = "# TYPE guard_in_flight gauge\nguard_in_flight{class=\"default\"} 1\n\
                    guard_in_flight{class=\"jobs\"} 0\nguard_in_flight_limit{class=\"jobs\"} 4\n\
                    guard_statements_total{class=\"default\",outcome=\"ok\"} 7\n\
                    guard_statements_total{class=\"default\",outcome=\"failed\"} 2\n\
                    guard_service_seconds_sum{class=\"default\"} 0.25\n\
                    guard_service_seconds_bucket{class=\"default\",le=\"1\"} 9\n";
        assert_eq!(of_class(text, "default"), [0, 9, 0, 250_000, 0].map(Value::Int));
        assert_eq!(of_class(text, "jobs"), [0; 5].map(Value::Int));
    }
}

//! What was counted since the guard started. It is counted by class, not by database, so there is a
//! row for each class; times are in microseconds, as PgBouncer's. The counters can only be read
//! where they are rendered for Prometheus.

use super::table::{
    Column, Row,
    Type::{Int, Text},
    Value,
};

pub(super) const STATS: &[Column] = &[
    ("database", Text),
    ("total_xact_count", Int),
    ("total_query_count", Int),
    ("total_server_assignment_count", Int),
    ("total_received", Int),
    ("total_sent", Int),
    ("total_xact_time", Int),
    ("total_query_time", Int),
    ("total_wait_time", Int),
    ("class", Text),
];

/// The rows, of what Prometheus is told.
pub(super) fn rows(metrics: &str) -> Vec<Row> {
    let mut classes: Vec<&str> =
        series(metrics, "guard_in_flight").map(|(class, _)| class).collect();
    classes.dedup();
    let row = |class: &str| {
        let sum = |name: &str| {
            let own = series(metrics, name).filter(|(of, _)| *of == class);
            own.map(|(_, value)| value).sum::<f64>()
        };
        let count = |name: &str| Value::Int(sum(name) as i64);
        let micros = |name: &str| Value::Int((sum(name) * 1e6) as i64);
        vec![
            Value::Null,
            count("guard_transactions_total"),
            count("guard_statements_total"),
            Value::Null,
            Value::Null,
            Value::Null,
            micros("guard_transaction_seconds_sum"),
            micros("guard_service_seconds_sum"),
            micros("guard_queue_wait_seconds_sum"),
            class.into(),
        ]
    };
    classes.into_iter().map(row).collect()
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
    fn counters_are_summed_by_class() {
        let text = "# TYPE guard_in_flight gauge\nguard_in_flight{class=\"default\"} 1\n\
                    guard_in_flight{class=\"jobs\"} 0\nguard_in_flight_limit{class=\"jobs\"} 4\n\
                    guard_statements_total{class=\"default\",outcome=\"ok\"} 7\n\
                    guard_statements_total{class=\"default\",outcome=\"failed\"} 2\n\
                    guard_service_seconds_sum{class=\"default\"} 0.25\n\
                    guard_service_seconds_bucket{class=\"default\",le=\"1\"} 9\n";
        let rows = rows(text);
        assert_eq!(rows.len(), 2);
        let cell = |row: usize, name: &str| {
            let column = STATS.iter().position(|(column, _)| *column == name).unwrap();
            rows[row][column].clone()
        };
        assert_eq!(cell(0, "class"), Value::from("default"));
        assert_eq!(cell(0, "total_query_count"), Value::Int(9));
        assert_eq!(cell(0, "total_query_time"), Value::Int(250_000));
        assert_eq!(cell(0, "total_sent"), Value::Null);
        assert_eq!(cell(1, "total_query_count"), Value::Int(0));
    }
}

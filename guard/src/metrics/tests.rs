use std::collections::BTreeSet;
use std::time::Duration;

use policy::admission::{Counts, Usage};
use policy::class::{Limits, Mode};

use super::table::{METRICS, Values};
use super::*;

fn metrics() -> Metrics {
    Metrics::new(&["default", "batch"])
}

/// The line of one series, without its value.
fn value_of(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn a_histogram_has_buckets_and_no_quantiles() {
    let metrics = metrics();
    metrics.classes().of(ClassId(1)).service_time.record(Duration::from_millis(3));
    let page = metrics.render();
    let bucket = |le: &str| {
        value_of(&page, &format!("guard_service_seconds_bucket{{class=\"batch\",le=\"{le}\"}}"))
    };
    assert_eq!(bucket("0.0025"), Some(0.0), "{page}");
    assert_eq!(bucket("0.005"), Some(1.0));
    assert_eq!(bucket("+Inf"), Some(1.0));
    assert!(!page.contains("quantile="));
}

#[test]
fn every_series_is_in_the_table_and_has_a_help_text() {
    let metrics = metrics();
    metrics.classes().of(ClassId(0)).sheds.add(Reason::QueueTime);
    metrics.upstream.connect_time.record(Duration::from_secs(1));
    let page = metrics.render();
    for line in page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|base| known(base).is_some()))
            .unwrap_or(name);
        let metric = known(base).unwrap_or_else(|| panic!("{name} is not in the table"));
        assert!(page.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{base}");
        check_labels(metric, line);
    }
}

fn known(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Every label of a series is in the table, with a value of its set.
fn check_labels(metric: &Metric, line: &str) {
    let Some((_, rest)) = line.split_once('{') else { return };
    let (labels, _) = rest.split_once('}').unwrap();
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').unwrap();
        let value = value.trim_matches('"');
        if name == "le" {
            continue;
        }
        let set = metric.labels.iter().find(|set| set.name() == name).expect(line);
        match set {
            Values::Classes => assert!(["default", "batch"].contains(&value), "{line}"),
            Values::Replicas => assert_eq!(value, "east", "{line}"),
            Values::Rows => assert!(value.contains('#'), "{line}"),
            Values::Version => assert_eq!(value, env!("CARGO_PKG_VERSION")),
            Values::Set(_, values) => assert!(values().contains(&value), "{line}"),
        }
    }
}

#[test]
fn names_and_units_follow_prometheus() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "a name is there twice");
    for metric in METRICS {
        // What Prometheus' own clients say of a process has the names that it has there.
        let is_ours = metric.name.starts_with("guard_") || metric.name.starts_with("process_");
        assert!(is_ours, "{}", metric.name);
        assert_eq!(
            metric.name.ends_with("_total"),
            metric.r#type == Type::Counter,
            "{}",
            metric.name
        );
        let base = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        assert_eq!(base.ends_with("_seconds"), metric.unit == "seconds", "{}", metric.name);
        assert_eq!(base.ends_with("_bytes"), metric.unit == "bytes", "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.name);
    }
}

#[test]
fn an_index_is_the_place_in_the_set() {
    fn check<L: Label>() {
        for (place, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), place, "{}", value.as_str());
        }
    }
    check::<Reason>();
    check::<Pin>();
    check::<Disconnect>();
}

#[test]
fn what_was_counted_survives_a_reload_with_other_classes() {
    let metrics = metrics();
    metrics.classes().of(ClassId(1)).statements.add(StatementOutcome::Ok);
    metrics.classes().of(ClassId(1)).statements.add(StatementOutcome::Ok);
    metrics.set_classes(&["default", "api", "batch"]);
    metrics.classes().of(ClassId(2)).statements.add(StatementOutcome::Ok);
    let series = "guard_statements_total{class=\"batch\",outcome=\"ok\"}";
    assert_eq!(value_of(&metrics.render(), series), Some(3.0));
    let classes = metrics.classes();
    let late = classes.of(ClassId(9));
    late.statements.add(StatementOutcome::Ok);
    let series = "guard_statements_total{class=\"default\",outcome=\"ok\"}";
    assert_eq!(value_of(&metrics.render(), series), Some(1.0));
}

#[test]
fn a_snapshot_sets_the_gauges_of_each_class() {
    let metrics = metrics();
    let usage = |name: &str, in_flight| Usage {
        name: name.into(),
        mode: Mode::Enforce,
        limits: Limits {
            in_flight,
            queue_length: 32,
            queue_time: Duration::from_millis(1500),
            ..Limits::default()
        },
        in_flight: 3,
        connections: 4,
        pinned: 1,
        queued: 7,
        oldest_wait: Duration::from_millis(250),
        counts: Counts { would_wait: 5, would_shed: 6, ..Counts::default() },
    };
    let classes = vec![usage("default", None), usage("batch", Some(8))];
    metrics.observe(&Snapshot { classes, databases: Vec::new(), overall: usage("", None) });
    let page = metrics.render();
    for (series, value) in [
        ("guard_in_flight{class=\"batch\"}", 3.0),
        ("guard_in_flight_limit{class=\"batch\"}", 8.0),
        ("guard_in_flight_limit{class=\"default\"}", f64::INFINITY),
        ("guard_queue_oldest_seconds{class=\"batch\"}", 0.25),
        ("guard_queued_limit{class=\"batch\"}", 32.0),
        ("guard_queue_oldest_limit_seconds{class=\"batch\"}", 1.5),
        ("guard_would_shed_total{class=\"batch\"}", 6.0),
    ] {
        assert_eq!(value_of(&page, series), Some(value), "{series}");
    }
}

#[tokio::test]
async fn the_process_and_its_runtime_are_told_of() {
    let page = metrics().render();
    for series in [
        "guard_runtime_workers",
        "guard_runtime_tasks",
        "guard_runtime_queue",
        "guard_runtime_busy_seconds_total",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        assert!(value_of(&page, series).is_some_and(|value| value >= 0.0), "{series}: {page}");
    }
    assert!(value_of(&page, "process_resident_memory_bytes") > Some(1e6));
}

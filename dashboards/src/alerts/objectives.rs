//! Objectives that are missed: over a long and a short window at once.

use crate::Objectives;
use crate::alert::{Alert, Group, Scene, Severity};

const ALL: &str = r#"guard_statements_total{job="shop",instance="a",class="web",outcome="ok"}"#;
const SHED: &str = r#"guard_statements_total{job="shop",instance="a",class="web",outcome="shed"}"#;
const TOOK: &str = r#"guard_service_seconds_count{job="shop",instance="a",class="web"}"#;
const WAITED: &str = r#"guard_queue_wait_seconds_count{job="shop",instance="a",class="web"}"#;

/// What the objectives promise decides at which share it burns, so the scenes are far from it: nothing, and half.
pub(super) fn alerts(promised: &Objectives) -> Vec<Alert> {
    let failed = ("job_class:guard_statements_failed", promised.failed_max());
    let slow = ("job_class:guard_statements_slow", promised.slow_max());
    vec![
        Alert {
            name: "TidegateErrorsFastBurn",
            severity: Severity::Page,
            hold: "1m",
            expr: fast(failed),
            summary: "{{ $value | humanizePercentage }} of the statements of class {{ $labels.class }} of {{ $labels.job }} fail",
            meaning: "Statements of a class are refused, cut off or lost so fast that a month's error budget would be gone in days: \
                      14.4 times as fast as allowed over an hour and five minutes, or 6 times over six hours and half an hour.",
            steps: ERRORS,
            proof: errors_fast(),
            ..alert()
        },
        Alert {
            name: "TidegateErrorsSlowBurn",
            severity: Severity::Ticket,
            hold: "15m",
            expr: slowly(failed),
            summary: "class {{ $labels.class }} of {{ $labels.job }} misses its objective: {{ $value | humanizePercentage }} of the statements fail",
            meaning: "Statements of a class are refused, cut off or lost faster than the objective allows, over days.",
            steps: ERRORS,
            proof: errors_slow(),
            ..alert()
        },
        Alert {
            name: "TidegateLatencyFastBurn",
            severity: Severity::Page,
            hold: "1m",
            expr: fast(slow),
            summary: "{{ $value | humanizePercentage }} of the statements of class {{ $labels.class }} of {{ $labels.job }} are slow",
            meaning: "Statements of a class take too long in the database, or wait too long for their turn, so many that a \
                      month's budget would be gone in days.",
            steps: LATENCY,
            proof: latency("1h", "1h"),
            ..alert()
        },
        Alert {
            name: "TidegateLatencySlowBurn",
            severity: Severity::Ticket,
            hold: "15m",
            expr: slowly(slow),
            summary: "class {{ $labels.class }} of {{ $labels.job }} misses its objective: {{ $value | humanizePercentage }} of the statements are slow",
            meaning: "Statements of a class are slower than the objective allows, over days.",
            steps: LATENCY,
            proof: latency("1h", "1h"),
            ..alert()
        },
    ]
}

const ERRORS: &[&str] = &[
    "The board shows the outcome that grows: `shed` is refused, `time_limit` cut off, `upstream_lost` a broken connection.",
    "If `shed`: the reason is on the board of admission, and in the text of each refusal with the key that changes it.",
    "If `time_limit`: `tidegate locks` shows whether they wait for somebody; else they are slow, or the limit is too short.",
    "If one class takes what others need: `tidegate switch off class … --keep 0.2`, or less `share` or `cap` for it.",
];

const LATENCY: &[&str] = &[
    "The board shows whether the time goes by in the database or in the queue of the class.",
    "If in the queue: the database is at its limit. See what has grown: load by class on the board of statements.",
    "If in the database: `tidegate locks` for waits; else look at its CPU and its disks, and at what was deployed.",
];

fn alert() -> Alert {
    Alert {
        name: "",
        group: Group::Objectives,
        severity: Severity::Ticket,
        hold: "",
        keep: "",
        expr: String::new(),
        summary: "",
        meaning: "",
        steps: &[],
        board: "statements",
        proof: Vec::new(),
    }
}

/// 2 % of a month's budget in an hour, or 5 % in six hours. A handful of statements an hour says nothing.
fn fast((ratio, most): (&str, f64)) -> String {
    format!(
        "(\n  {} and {}\n  or\n  {} and {}\n)\nand job_class:guard_statements:rate1h > 0.1",
        above(ratio, "5m", 14.4, most),
        above(ratio, "1h", 14.4, most),
        above(ratio, "30m", 6.0, most),
        above(ratio, "6h", 6.0, most),
    )
}

/// 10 % of it in a day, or in three.
fn slowly((ratio, most): (&str, f64)) -> String {
    format!(
        "(\n  {} and {}\n  or\n  {} and {}\n)\nand job_class:guard_statements:rate1h > 0.1",
        above(ratio, "2h", 3.0, most),
        above(ratio, "1d", 3.0, most),
        above(ratio, "6h", 1.0, most),
        above(ratio, "3d", 1.0, most),
    )
}

fn above(ratio: &str, window: &str, times: f64, most: f64) -> String {
    format!("{ratio}:ratio_rate{window} > {times} * {most}")
}

fn errors_fast() -> Vec<Scene> {
    vec![
        Scene::fires("half is refused", "10m", &[(ALL, "0+300x300"), (SHED, "0+300x300")]),
        Scene::quiet("nothing is refused", "10m", &[(ALL, "0+300x300"), (SHED, "0x300")]),
        Scene::quiet(
            "it was for ten minutes, and is over since six",
            "30m",
            &[(ALL, "0+300x300"), (SHED, "0x20 0+3x20 60x300")],
        ),
        Scene::quiet(
            "half of six an hour is refused",
            "1h",
            &[(ALL, "0+0.05x300"), (SHED, "0+0.05x300")],
        ),
    ]
}

fn errors_slow() -> Vec<Scene> {
    vec![
        Scene::fires(
            "half is refused for an hour",
            "1h",
            &[(ALL, "0+300x300"), (SHED, "0+300x300")],
        ),
        Scene::quiet(
            "half is refused for five minutes",
            "5m",
            &[(ALL, "0+300x300"), (SHED, "0+300x300")],
        ),
        Scene::quiet("nothing is refused", "1h", &[(ALL, "0+300x300"), (SHED, "0x300")]),
    ]
}

/// Every bound that could be asked for has its series: the scenes hold for any objective.
fn latency(slow_at: &'static str, quick_at: &'static str) -> Vec<Scene> {
    let with = |about, at, values: &str, waited: &str, fires| {
        let counts = [(ALL, "0+300x300"), (TOOK, "0+300x300"), (WAITED, "0+300x300")];
        let mut series: Vec<(String, String)> =
            counts.map(|(series, values)| (series.into(), values.into())).into();
        for (histogram, values) in
            [("guard_service_seconds", values), ("guard_queue_wait_seconds", waited)]
        {
            series.extend(guard::metrics::table::bounds().map(|bound| {
                let labels = format!(r#"job="shop",instance="a",class="web",le="{bound}""#);
                (format!("{histogram}_bucket{{{labels}}}"), values.to_owned())
            }));
        }
        Scene { about, series, at, fires }
    };
    vec![
        with("half is slow in the database", slow_at, "0+150x300", "0+300x300", 1),
        with("half waits long for its turn", slow_at, "0+300x300", "0+150x300", 1),
        with("everything is quick", quick_at, "0+300x300", "0+300x300", 0),
    ]
}

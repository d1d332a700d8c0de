//! What Prometheus computes beforehand: the shares that objectives are about, over every window that is asked for.

use crate::objectives::Objectives;
use crate::yaml::put;

/// How often they are computed.
const EVERY: &str = "30s";

/// The windows of the alerts, and of the board.
pub const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// A series that is computed beforehand.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name: the labels it has, what it is, what was done.
    pub name: String,
    /// PromQL.
    pub expr: String,
    /// The labels that are left.
    pub labels: &'static [&'static str],
}

/// All of them.
#[must_use]
pub fn rules(objectives: &Objectives) -> Vec<Rule> {
    const BY_CLASS: &[&str] = &["job", "class"];
    let failed = WINDOWS.iter().map(|window| Rule {
        name: format!("job_class:guard_statements_failed:ratio_rate{window}"),
        expr: failed(window),
        labels: BY_CLASS,
    });
    let slow = WINDOWS.iter().map(|window| Rule {
        name: format!("job_class:guard_statements_slow:ratio_rate{window}"),
        expr: slow(window, objectives.within),
        labels: BY_CLASS,
    });
    let traffic = Rule {
        name: "job_class:guard_statements:rate1h".into(),
        expr: "sum by (job, class) (rate(guard_statements_total[1h]))".into(),
        labels: BY_CLASS,
    };
    let arrivals = Rule {
        name: "job:guard_client_connections:rate1m".into(),
        expr: "sum by (job) (rate(guard_client_connections_total[1m]))".into(),
        labels: &["job"],
    };
    failed.chain(slow).chain([traffic, arrivals]).collect()
}

/// Refused, cut off or lost, of all whose client was still there. What the server answers with an error is
/// the application's own affair.
fn failed(window: &str) -> String {
    format!(
        "sum by (job, class) (rate(guard_statements_total{{outcome=~\"shed|time_limit|melted|upstream_lost\"}}[{window}]))\n\
         / (sum by (job, class) (rate(guard_statements_total{{outcome!=\"client_gone\"}}[{window}])) > 0)"
    )
}

/// Slow in the database, and slow to get there, of all. Who is both counts twice: rather too much than too little.
fn slow(window: &str, within: f64) -> String {
    // Prometheus 3 writes whole numbers with a point.
    let le = match within.fract() {
        0.0 => format!("le=~\"{within}(?:[.]0)?\""),
        _ => format!("le=\"{within}\""),
    };
    let above = |histogram: &str| {
        format!(
            "sum by (job, class) (rate({histogram}_count[{window}]))\n  \
             - sum by (job, class) (rate({histogram}_bucket{{{le}}}[{window}]))"
        )
    };
    format!(
        "(\n  {}\n  + {}\n)\n/ (sum by (job, class) (rate(guard_service_seconds_count[{window}])) > 0)",
        above("guard_service_seconds"),
        above("guard_queue_wait_seconds"),
    )
}

/// Their file.
pub(crate) fn text(rules: &[Rule]) -> String {
    let mut text = format!(
        "# Made by tidegate; what is changed here is lost. See docs/dashboards.md.\n\
         groups:\n  - name: tidegate-recording\n    interval: {EVERY}\n    rules:\n"
    );
    for rule in rules {
        text.push_str(&format!("      - record: {}\n", rule.name));
        put(&mut text, 8, "expr", &rule.expr);
    }
    text
}

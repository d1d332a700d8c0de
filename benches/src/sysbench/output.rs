//! Sysbench's report, read back.

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Half a step of sysbench's histogram: 1,024 logarithmic steps from 1 µs to 100 s, each value
/// printed being the middle of its step.
const HALF_STEP: f64 = 1.009_04;

/// What one run of sysbench did. Latencies are of sysbench's *events*, in ms: one statement in a
/// point select, one transaction of 20 statements in a read-write.
#[derive(Serialize)]
pub(super) struct Run {
    pub(super) statements: u64,
    pub(super) statements_per_second: f64,
    pub(super) ignored_errors: u64,
    pub(super) mean_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
}

impl Run {
    pub(super) fn parse(report: &str) -> Result<Self> {
        let (statements, statements_per_second) = counted(report, "queries:")?;
        let (ignored_errors, _) = counted(report, "ignored errors:")?;
        let histogram = histogram(report);
        let quantile = |share| quantile(&histogram, share).context("sysbench printed no histogram");
        Ok(Self {
            statements: statements as u64,
            statements_per_second,
            ignored_errors: ignored_errors as u64,
            mean_ms: field(report, "avg:")?.parse().context("odd average")?,
            p50_ms: quantile(0.50)?,
            p95_ms: quantile(0.95)?,
            p99_ms: quantile(0.99)?,
        })
    }
}

/// The text behind `label`, which is found at the beginning of a line.
fn field<'a>(report: &'a str, label: &str) -> Result<&'a str> {
    report
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(label))
        .map(str::trim)
        .with_context(|| format!("sysbench's report has no `{label}`: {report}"))
}

/// `queries: 1234 (567.8 per sec.)` as two numbers.
fn counted(report: &str, label: &str) -> Result<(f64, f64)> {
    let text = field(report, label)?;
    let mut numbers = text.split([' ', '(']).filter_map(|word| word.parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("odd `{label} {text}`"))
}

/// Lines such as `0.087 |******* 1234`: the middle of a step in ms, and how many events it holds.
fn histogram(report: &str) -> Vec<(f64, u64)> {
    let step = |line: &str| {
        let (value, rest) = line.split_once('|')?;
        let count = rest.rsplit([' ', '*']).next()?;
        Some((value.trim().parse().ok()?, count.parse().ok()?))
    };
    report.lines().filter_map(step).collect()
}

/// The latency below which `share` of the events lie, interpolated within its step, because a
/// step is 1.8 % wide and the differences of interest are not much larger.
fn quantile(histogram: &[(f64, u64)], share: f64) -> Option<f64> {
    let total: u64 = histogram.iter().map(|(_, count)| count).sum();
    let wanted = share * total as f64;
    let mut below = 0.0;
    for &(value, count) in histogram {
        let count = count as f64;
        if count > 0.0 && below + count >= wanted {
            let inside = (wanted - below) / count;
            return Some(value / HALF_STEP * HALF_STEP.powf(2.0 * inside));
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Threads started!

Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       0.100 |********************                     100
       0.200 |**************************************** 200
       0.400 |********************                     100

SQL statistics:
    queries performed:
        read:                            400
        total:                           400
    transactions:                        400    (133.2 per sec.)
    queries:                             400    (133.20 per sec.)
    ignored errors:                      3      (1.00 per sec.)
    reconnects:                          0      (0.00 per sec.)

Latency (ms):
         min:                                    0.02
         avg:                                    0.21
         99th percentile:                        0.03
";

    #[test]
    fn a_report_is_read_whole() {
        let run = Run::parse(REPORT).unwrap();
        assert_eq!((run.statements, run.statements_per_second), (400, 133.2));
        assert_eq!((run.ignored_errors, run.mean_ms), (3, 0.21));
        assert!((run.p50_ms - 0.2).abs() < 1e-9, "half of the step in the middle: {}", run.p50_ms);
        assert!(run.p99_ms > 0.4 && run.p99_ms < 0.4 * HALF_STEP);
    }

    #[test]
    fn a_report_without_its_numbers_is_an_error() {
        assert!(Run::parse("FATAL: no connection").is_err());
    }
}

//! Durations by how long they took, as Prometheus wants them: counts up to fixed bounds.
//!
//! `metrics` keeps every sample until somebody folds them, which takes 73 ns and 16 bytes for each.
//! What is wanted are the counts, so they are kept as such, and [`Histogram::put`] writes them out
//! behind what the exporter writes of counters and gauges.

use std::{fmt::Write as _, sync::atomic::AtomicU64, time::Duration};

use super::shard::{Sharded, add};

/// The upper bounds in nanoseconds: what a statement, a wait or a transaction takes.
const BOUNDS_NS: [u64; 18] = [
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// Buckets of a histogram: one for each bound, and one beyond.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Histogram(Sharded<Counts>);

/// What one shard counts.
#[derive(Debug, Default)]
struct Counts {
    /// By the first bound that is not exceeded; the last is for what exceeds all.
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < nanos);
        let own = self.0.own();
        add(&own.buckets[bucket], 1);
        add(&own.nanos, nanos);
    }

    /// How many are in each bucket by itself. What is counted meanwhile may be missed.
    pub(super) fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.0.sum(|counts| &counts.buckets[bucket]))
    }

    /// Writes the series called `name` in Prometheus' text format, labelled with `class` where there
    /// is one.
    pub(super) fn put(&self, out: &mut String, name: &str, class: Option<&str>) {
        let class = class.map(|class| format!("class=\"{}\"", escape(class))).unwrap_or_default();
        let comma = if class.is_empty() { "" } else { "," };
        let only = if class.is_empty() { class.clone() } else { format!("{{{class}}}") };
        let mut count = 0;
        for (bucket, more) in self.counts().into_iter().enumerate() {
            count += more;
            let bound = seconds().nth(bucket).map_or("+Inf".to_owned(), |bound| bound.to_string());
            let _infallible =
                writeln!(out, "{name}_bucket{{{class}{comma}le=\"{bound}\"}} {count}");
        }
        let sum = Duration::from_nanos(self.0.sum(|counts| &counts.nanos)).as_secs_f64();
        let _infallible = writeln!(out, "{name}_sum{only} {sum}\n{name}_count{only} {count}");
    }
}

/// What the share `part` of those counted took at most, spread evenly over its bucket, as `histogram_quantile` of
/// Prometheus has it; beyond the last bound, that bound. `None` when there are none.
pub fn quantile(counts: &[u64; BUCKETS], part: f64) -> Option<Duration> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let rank = part * all as f64;
    let mut below = 0.0;
    for (bucket, bound) in BOUNDS_NS.into_iter().enumerate() {
        let here = counts[bucket] as f64;
        if here > 0.0 && below + here >= rank {
            let from = bucket.checked_sub(1).map_or(0, |before| BOUNDS_NS[before]);
            let within = (rank - below).max(0.0) / here;
            let nanos = from as f64 + (bound - from) as f64 * within;
            return Some(Duration::from_nanos(nanos as u64));
        }
        below += here;
    }
    BOUNDS_NS.last().copied().map(Duration::from_nanos)
}

/// The upper bounds in seconds.
pub(super) fn seconds() -> impl Iterator<Item = f64> {
    BOUNDS_NS.into_iter().map(|bound| Duration::from_nanos(bound).as_secs_f64())
}

/// The value of a label as it stands between its quotes.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_up_to_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 250, 251, 61_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut out = String::new();
        histogram.put(&mut out, "took", Some("a\"b"));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), BOUNDS_NS.len() + 3);
        assert_eq!(lines[0], r#"took_bucket{class="a\"b",le="0.00025"} 2"#);
        assert_eq!(lines[1], r#"took_bucket{class="a\"b",le="0.0005"} 3"#);
        assert_eq!(lines[17], r#"took_bucket{class="a\"b",le="60"} 3"#);
        assert_eq!(lines[18], r#"took_bucket{class="a\"b",le="+Inf"} 4"#);
        assert_eq!(lines[19], r#"took_sum{class="a\"b"} 61.000501"#);
        assert_eq!(lines[20], r#"took_count{class="a\"b"} 4"#);
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let mut counts = [0; BUCKETS];
        assert_eq!(quantile(&counts, 0.5), None);
        counts[2] = 10; // over 0.5 ms, up to 1 ms
        assert_eq!(quantile(&counts, 0.5), Some(Duration::from_micros(750)));
        assert_eq!(quantile(&counts, 1.0), Some(Duration::from_millis(1)));
        counts[5] = 90; // over 5 ms, up to 10 ms
        assert_eq!(quantile(&counts, 0.1), Some(Duration::from_millis(1)));
        assert_eq!(quantile(&counts, 0.55), Some(Duration::from_micros(7_500)));
        counts[BUCKETS - 1] = 100;
        assert_eq!(quantile(&counts, 0.99), Some(Duration::from_secs(60)), "more is not known");
    }

    #[test]
    fn without_a_class_a_sum_has_no_labels() {
        let mut out = String::new();
        Histogram::default().put(&mut out, "took", None);
        assert!(out.starts_with("took_bucket{le=\"0.00025\"} 0\n"));
        assert!(out.ends_with("\ntook_sum 0\ntook_count 0\n"), "{out}");
    }
}

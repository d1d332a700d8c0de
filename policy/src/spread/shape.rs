//! How even a line is, in numbers.

use std::time::Duration;

/// The highest of `counts` over their mean; 1 is flat. Nothing where there is nothing.
#[must_use]
pub fn peak_to_mean(counts: &[f64]) -> Option<f64> {
    let sum: f64 = counts.iter().sum();
    let peak = counts.iter().copied().fold(0.0, f64::max);
    (sum > 0.0).then(|| peak * counts.len() as f64 / sum)
}

/// How many of `moments` fall into each bucket of `step` from `from` to `to`; none of those
/// outside.
#[must_use]
pub fn count(
    moments: impl Iterator<Item = Duration>,
    from: Duration,
    to: Duration,
    step: Duration,
) -> Vec<f64> {
    let buckets = to.saturating_sub(from).as_nanos().div_ceil(step.as_nanos().max(1));
    let mut counts = vec![0.0; buckets as usize];
    for moment in moments {
        let Some(since) = moment.checked_sub(from) else { continue };
        let bucket = (since.as_nanos() / step.as_nanos().max(1)) as usize;
        if let Some(count) = counts.get_mut(bucket) {
            *count += 1.0;
        }
    }
    counts
}

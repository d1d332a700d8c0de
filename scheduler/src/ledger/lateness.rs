//! How late items were, as counts in a fixed set of buckets: a chunk's takes a few bytes, and those of
//! all chunks add up to the batch's.

use std::collections::BTreeMap;
use std::time::Duration;

use super::varint;

/// Buckets for each doubling: a figure read from them is at most 19 % too high.
const PER_DOUBLING: f64 = 4.0;
/// No bucket is beyond it: 2^36 ms are two years.
const BUCKET_MAX: u64 = 36 * 4;

/// How late items were against their moments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lateness {
    counts: BTreeMap<u64, u64>,
}

impl Lateness {
    /// Notes an item that was so late. Below a millisecond is on time.
    pub fn add(&mut self, late: Duration) {
        *self.counts.entry(bucket(late)).or_default() += 1;
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
    }

    /// How many items it has seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// What the share `share` of all items did not exceed, from 0 to 1, to the bound of a bucket; zero
    /// where there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= wanted {
                return bound(*bucket);
            }
        }
        Duration::ZERO
    }

    /// As it is stored: pairs of bucket and count.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (bucket, count) in &self.counts {
            varint::put(&mut out, *bucket);
            varint::put(&mut out, *count);
        }
        out
    }

    /// As it was stored. None where that is damaged.
    #[must_use]
    pub fn parse(mut stored: &[u8]) -> Option<Self> {
        let mut lateness = Self::default();
        while !stored.is_empty() {
            let bucket = varint::take(&mut stored)?;
            let count = varint::take(&mut stored)?;
            let is_new = lateness.counts.insert(bucket, count).is_none();
            (is_new && bucket <= BUCKET_MAX && count <= u64::from(u32::MAX)).then_some(())?;
        }
        Some(lateness)
    }
}

fn bucket(late: Duration) -> u64 {
    let ms = late.as_secs_f64() * 1000.0;
    if ms < 1.0 { 0 } else { ((ms.log2() * PER_DOUBLING).floor() as u64 + 1).min(BUCKET_MAX) }
}

fn bound(bucket: u64) -> Duration {
    if bucket == 0 {
        return Duration::ZERO;
    }
    Duration::from_secs_f64((bucket as f64 / PER_DOUBLING).exp2() / 1000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_fifth_too_high(mut late in proptest::collection::vec(0_u64..10_000_000, 1..200), share in 0.01_f64..=1.0) {
            let mut parts = [Lateness::default(), Lateness::default()];
            for (index, ms) in late.iter().enumerate() {
                parts[index % 2].add(Duration::from_millis(*ms));
            }
            let mut whole = parts[0].clone();
            whole.merge(&parts[1]);
            prop_assert_eq!(Lateness::parse(&whole.stored()), Some(whole.clone()));
            late.sort_unstable();
            let exact = late[(share * late.len() as f64).ceil() as usize - 1] as f64;
            let told = whole.quantile(share).as_secs_f64() * 1000.0;
            prop_assert!(told >= exact * 0.999 && told <= exact * 1.2, "{} for {}", told, exact);
        }

        #[test]
        fn no_bytes_make_it_panic(stored in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(lateness) = Lateness::parse(&stored) {
                prop_assert!(lateness.quantile(0.5) <= lateness.quantile(1.0));
            }
        }
    }
}

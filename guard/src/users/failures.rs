use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many wrong passwords an address has free.
const BURST: u32 = 20;

/// How often it gets one more.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many addresses are remembered. If more than that fail at once, further ones are not counted;
/// what they can make the guard do is then bounded by its pacing alone.
const ADDRESSES_MAX: usize = 4096;

/// Wrong passwords by address, as a leaky bucket. Only failures fill it: however many log in
/// rightly, they are never held up.
#[derive(Debug, Default)]
pub(crate) struct Failures(
    /// For each address, when its bucket will be empty.
    Mutex<HashMap<IpAddr, Instant>>,
);

impl Failures {
    /// Whether another attempt of `from` is looked at, or how long it has to wait.
    pub(crate) fn check(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let empty_at = self.0.lock().get(&from).copied().unwrap_or(now);
        let over = empty_at.saturating_duration_since(now).saturating_sub(INTERVAL * BURST);
        if over.is_zero() { Ok(()) } else { Err(over) }
    }

    /// Counts a wrong password.
    pub(crate) fn note(&self, from: IpAddr, now: Instant) {
        let mut buckets = self.0.lock();
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&from) {
            buckets.retain(|_, empty_at| *empty_at > now);
            if buckets.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let empty_at = buckets.entry(from).or_insert(now);
        *empty_at = now.max(*empty_at) + INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_burst_is_free_and_then_it_drips() {
        let failures = Failures::default();
        let now = Instant::now();
        for _ in 0..=BURST {
            assert_eq!(failures.check(FROM, now), Ok(()));
            failures.note(FROM, now);
        }
        assert_eq!(failures.check(FROM, now), Err(INTERVAL));
        assert_eq!(failures.check(FROM, now + INTERVAL), Ok(()));
        assert_eq!(failures.check([127, 0, 0, 2].into(), now), Ok(()), "others are unaffected");
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let failures = Failures::default();
        let now = Instant::now();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..ADDRESSES_MAX as u32 + 10 {
            failures.note(address(n), now);
        }
        assert_eq!(failures.0.lock().len(), ADDRESSES_MAX);
        failures.note(FROM, now + INTERVAL);
        assert_eq!(failures.0.lock().len(), 1, "those whose bucket is empty are forgotten");
    }
}

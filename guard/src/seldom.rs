//! Telling in the log what strangers can bring about as often as they like.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often it is told at most.
pub const TOLD_EVERY: Duration = Duration::from_secs(60);

/// When something was last told.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether to tell it now, and then not again for a minute.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut told = self.0.lock();
        let is_due = told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_now_and_then() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert!(seldom.is_due(now));
        assert!(!seldom.is_due(now + TOLD_EVERY / 2));
        assert!(seldom.is_due(now + TOLD_EVERY));
        assert!(!seldom.is_due(now + TOLD_EVERY));
    }
}

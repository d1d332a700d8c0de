//! One timer for each session, armed lazily.
//!
//! Registering a timer costs a lock of the runtime's wheel. A statement that takes a fraction of
//! its limit should not pay that: the timer is left armed for an earlier deadline, and only when
//! it fires too early is it set to the one that holds by then.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::time::Sleep;

/// How far in the future a timer without a deadline is parked.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A timer that is reused for every wait of a session.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Timer {
    /// An unarmed timer. Must be called inside a runtime.
    pub fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(FAR)), armed: None }
    }

    /// Returns when `deadline` has passed; never when there is none. Cancel-safe.
    pub async fn until(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        loop {
            let is_usable = self.armed.is_some_and(|armed| armed <= deadline);
            if !is_usable || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(deadline.into());
                self.armed = Some(deadline);
            }
            self.sleep.as_mut().await;
            if self.armed.take().is_some_and(|armed| armed >= deadline) {
                return;
            }
        }
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_earlier_arming_does_not_end_a_later_wait() {
        let start = tokio::time::Instant::now();
        let at = |ms| Some((start + Duration::from_millis(ms)).into_std());
        let mut timer = Timer::new();
        let first = timer.until(at(10));
        assert!(tokio::time::timeout(Duration::from_millis(5), first).await.is_err());
        timer.until(at(50)).await;
        assert_eq!(start.elapsed().as_millis(), 50);
        timer.until(at(60)).await;
        assert_eq!(start.elapsed().as_millis(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_deadline_rearms() {
        let start = tokio::time::Instant::now();
        let at = |ms| Some((start + Duration::from_millis(ms)).into_std());
        let mut timer = Timer::new();
        let far = timer.until(at(1000));
        assert!(tokio::time::timeout(Duration::from_millis(1), far).await.is_err());
        timer.until(at(20)).await;
        assert_eq!(start.elapsed().as_millis(), 20);
    }
}

//! One timer for each session, armed lazily.
//!
//! Registering a timer costs a lock of the runtime's wheel. A statement that takes a fraction of
//! its limit should not pay that: the timer is left armed for an earlier deadline, and only when
//! it fires too early is it set to the one that holds by then.

use std::{
    future::{pending, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::{task::unconstrained, time::Sleep};

/// How far in the future a timer without a deadline is parked.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A timer that is reused for every wait of a session.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// Whom the runtime wakes when `armed` passes. As long as it is the same, the runtime need not be
    /// asked again: a statement waits twice, and each time for something that comes much earlier.
    waker: Option<Waker>,
}

impl Timer {
    /// An unarmed timer. Must be called inside a runtime.
    pub fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(FAR)), armed: None, waker: None }
    }

    /// Returns when `deadline` has passed; never when there is none. Cancel-safe.
    pub async fn until(&mut self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => poll_fn(|context| self.poll_until(deadline, context)).await,
            None => pending().await,
        }
    }

    fn poll_until(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(armed) = self.armed.filter(|armed| *armed <= deadline) else {
                self.sleep.as_mut().reset(deadline.into());
                self.armed = Some(deadline);
                self.waker = None;
                continue;
            };
            let is_known = self.waker.as_ref().is_some_and(|w| w.will_wake(context.waker()));
            if is_known && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.waker = Some(context.waker().clone());
            // Unconstrained: in a task that has used up its budget, it would not note the waker.
            let asked = pin!(unconstrained(self.sleep.as_mut())).poll(context);
            ready!(asked);
            self.armed = None;
            if armed >= deadline {
                return Poll::Ready(());
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

    /// A session that does much at once uses up the budget that tokio gives a task for one turn.
    #[tokio::test(start_paused = true)]
    async fn a_task_without_budget_is_woken_all_the_same() {
        use tokio::task::coop::{has_budget_remaining, poll_proceed};
        let start = tokio::time::Instant::now();
        let woken = tokio::spawn(async move {
            let mut timer = Timer::new();
            while has_budget_remaining() {
                poll_fn(|context| poll_proceed(context).map(|step| step.made_progress())).await;
            }
            timer.until(Some((start + Duration::from_millis(10)).into_std())).await;
        });
        tokio::time::timeout(Duration::from_secs(1), woken).await.unwrap().unwrap();
    }
}

//! Single databases that are paused: their new transactions wait, those of others go on.
//!
//! As a pause of the whole guard ([`Gate::hold`](crate::gate::Gate::hold)), of one database: what may
//! hold locks passes, it ends by itself, and it holds no more than so many. Who waits here has not
//! asked the gate yet, and stands in no line there.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use policy::{
    admission::Hold,
    refusal::{Reason, Refusal, Scope, retry_after},
};
use tokio::sync::Notify;

/// The databases that are paused.
#[derive(Debug, Default)]
pub struct Pauses {
    paused: Mutex<HashMap<Box<str>, Arc<Pause>>>,
    /// How many there are: asked before each transaction.
    count: AtomicUsize,
}

/// The pause of one database.
#[derive(Debug)]
pub struct Pause {
    hold: Hold,
    held: AtomicU32,
    over: Notify,
}

impl Pauses {
    /// Pauses a database. It takes the place of a pause before.
    pub fn pause(&self, database: &str, hold: Hold) {
        let pause = Pause { hold, held: AtomicU32::new(0), over: Notify::new() };
        let mut paused = self.paused.lock();
        if let Some(before) = paused.insert(database.into(), Arc::new(pause)) {
            before.over.notify_waiters();
        }
        self.count.store(paused.len(), Ordering::Release);
    }

    /// Ends the pause of a database. Returns whether there was one.
    pub fn resume(&self, database: &str) -> bool {
        let mut paused = self.paused.lock();
        let ended = paused.remove(database);
        self.count.store(paused.len(), Ordering::Release);
        ended.inspect(|pause| pause.over.notify_waiters()).is_some()
    }

    /// The pause of a database, while there is one.
    pub fn of(&self, database: &str, now: Instant) -> Option<Arc<Pause>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let pause = self.paused.lock().get(database).cloned()?;
        if pause.hold.until <= now {
            self.resume(database);
            return None;
        }
        Some(pause)
    }
}

impl Pause {
    /// Waits until it is over; or returns at once why one more may not wait, in the name of `class`.
    /// Cancel-safe.
    ///
    /// # Errors
    /// When it holds as many as it may.
    pub async fn wait(&self, now: Instant, class: &str) -> Result<(), Refusal> {
        let held = self.held.fetch_add(1, Ordering::AcqRel);
        let _leaves = Leaves(&self.held);
        if held >= self.hold.length {
            return Err(Refusal {
                reason: Reason::Paused,
                class: class.into(),
                scope: Scope::Pause,
                limit_name: "pause",
                limit: f64::from(self.hold.length),
                measured: f64::from(held),
                retry_after: retry_after(0.5, fastrand::f64()),
                held: Duration::ZERO,
                note: None,
            });
        }
        let left = self.hold.until.saturating_duration_since(now);
        let _either = tokio::time::timeout(left, self.over.notified()).await;
        Ok(())
    }

    /// How long it lasts, if nobody ends it.
    pub fn left(&self, now: Instant) -> Duration {
        self.hold.until.saturating_duration_since(now)
    }
}

/// Counts somebody who leaves.
struct Leaves<'a>(&'a AtomicU32);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_database_waits_alone_and_no_longer_than_its_pause() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        pauses.pause("a", Hold { until: now + MINUTE, length: 1 });
        assert!(pauses.of("b", now).is_none());
        let pause = pauses.of("a", now).unwrap();
        let mut first = std::pin::pin!(pause.wait(now, "default"));
        assert!(one_look(&mut first).await.is_none(), "it waits");
        let refused = pause.wait(now, "default").await.unwrap_err();
        assert_eq!((refused.reason, refused.limit), (Reason::Paused, 1.0));
        assert!(refused.to_string().ends_with("changed_by=resume"));

        assert!(pauses.resume("a") && !pauses.resume("a"));
        first.await.unwrap();
        pauses.pause("a", Hold { until: now + MINUTE, length: 1 });
        pauses.of("a", now).unwrap().wait(now, "default").await.unwrap();
        assert!(pauses.of("a", now + MINUTE).is_none());
    }

    /// What a future has come to after one look.
    async fn one_look<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}

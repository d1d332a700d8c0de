//! Logins to the database, few and paced.
//!
//! A new connection costs the database a thread, an authentication and often a TLS handshake; a
//! herd of them is what tips a database over that had just come back. So few are under way at a
//! time, and `policy::herd` says when the next may begin.

use std::time::Instant;

use parking_lot::Mutex;
use policy::herd::Pace;
pub use policy::herd::backoff;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The pace of logins to one database.
#[derive(Debug)]
pub struct Handshakes {
    at_once: Semaphore,
    pace: Mutex<Pace>,
}

impl Handshakes {
    /// At most `at_once` under way, about `per_second` begun in a second.
    pub fn new(at_once: u32, per_second: u32) -> Self {
        let at_once = Semaphore::new(usize::try_from(at_once.max(1)).unwrap_or(1));
        Self { at_once, pace: Mutex::new(Pace::new(now(), per_second)) }
    }

    /// Waits until a login may begin. The place is free again when the returned permit is dropped.
    /// Cancel-safe: who leaves has begun none.
    pub async fn begin(&self) -> SemaphorePermit<'_> {
        let permit =
            self.at_once.acquire().await.expect("the semaphore is never closed while it lives");
        loop {
            let due = self.pace.lock().begin(now());
            match due {
                Ok(()) => return permit,
                Err(due) => tokio::time::sleep_until(due.into()).await,
            }
        }
    }

    /// Notes how a login went.
    pub fn ended(&self, is_success: bool, dice: f64) {
        self.pace.lock().ended(now(), is_success, dice);
    }

    /// The database is another one, or has been restarted.
    pub fn start_over(&self) {
        self.pace.lock().start_over(now());
    }
}

/// By the runtime's clock.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_login_delays_the_next() {
        let handshakes = Handshakes::new(1, 1000);
        let before = Instant::now();
        handshakes.ended(false, 1.0);
        drop(handshakes.begin().await);
        assert!(before.elapsed() >= Duration::from_millis(150));
        handshakes.ended(true, 1.0);
        let before = Instant::now();
        drop(handshakes.begin().await);
        assert!(before.elapsed() < Duration::from_millis(50));
    }

    /// A server has come back, and two hundred want connections.
    #[tokio::test(start_paused = true)]
    async fn a_herd_is_let_through_two_at_a_time_and_by_the_second() {
        let handshakes = std::sync::Arc::new(Handshakes::new(2, 20));
        handshakes.start_over();
        let before = Instant::now();
        let under_way = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let mut logins = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let (handshakes, under_way) = (handshakes.clone(), under_way.clone());
            logins.spawn(async move {
                use std::sync::atomic::Ordering::SeqCst;
                let _permit = handshakes.begin().await;
                let began = before.elapsed();
                assert!(under_way.fetch_add(1, SeqCst) < 2, "more than two at a time");
                tokio::time::sleep(Duration::from_millis(5)).await;
                under_way.fetch_sub(1, SeqCst);
                handshakes.ended(true, 0.5);
                began
            });
        }
        let began = logins.join_all().await;
        let mut counts = [0_u32; 8];
        began.iter().for_each(|at| counts[at.as_secs() as usize] += 1);
        assert_eq!(began.len(), 200);
        for (count, most) in counts.iter().zip([21, 31, 46, 69, 103]) {
            assert!(*count <= most, "{counts:?}");
        }
    }
}

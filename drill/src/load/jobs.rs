//! Jobs of a batch, all due at once: each writes a notification and moves the counter that all share, as
//! [`HotRow`](super::hot_row::HotRow) does, and says in a comment what it is for. There are so many of them, and each is
//! tried until it is done.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Fault, Peer, Transaction, tables};
use crate::error::Error;
use crate::server::Server;

/// What their statements say of themselves, as sqlcommenter and marginalia write it.
const TAG: &str = "/*job='notify'*/";
/// Recipients, of those that are loaded.
const RECIPIENTS: u64 = 10_000;

/// A batch.
#[derive(Debug)]
pub struct Jobs {
    /// How long a job works while it holds the row.
    think: Duration,
    done: watch::Sender<u64>,
}

impl Jobs {
    /// None of which is done yet.
    #[must_use]
    pub fn new(think: Duration) -> Self {
        Self { think, done: watch::Sender::new(0) }
    }

    /// How many workers were told that they are done.
    #[must_use]
    pub fn done(&self) -> u64 {
        *self.done.borrow()
    }

    /// Waits until so many are done.
    pub async fn until(&self, jobs: u64) {
        let mut done = self.done.subscribe();
        // The sender is here.
        let _never_closed = done.wait_for(|done| *done >= jobs).await.map(drop);
    }

    /// How many the server has done, those included whose workers were not told.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn applied(server: &Server) -> Result<u64, Error> {
        let count = tables::ask(server, "SELECT COUNT(*) FROM notification").await?;
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }
}

impl Transaction for Jobs {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        // Any spread will do; the multiplier is odd and large.
        let recipient = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % RECIPIENTS;
        peer.run("BEGIN").await?;
        peer.run(&format!("SELECT {TAG} name FROM recipient WHERE id = {recipient}")).await?;
        let insert = format!(
            "INSERT {TAG} INTO notification (recipient, body) VALUES ({recipient}, 'it is {number}')"
        );
        peer.run(&insert).await?;
        peer.run(&format!("UPDATE {TAG} counter SET sent = sent + 1 WHERE id = 1")).await?;
        sleep(self.think).await;
        peer.run("COMMIT").await?;
        self.done.send_modify(|done| *done += 1);
        Ok(())
    }
}

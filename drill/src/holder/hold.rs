//! What the clients do, and who keeps the row.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Holder;
use crate::load::{Fault, Peer, Target, Transaction};

/// One transaction in so many moves the counter that all share.
const SHARED: u64 = 4;
/// Rows that are nobody's but one transaction's.
const OWN: u64 = 10_000;
/// How long each statement of a slow holder takes.
const SLOW: Duration = Duration::from_millis(300);

/// A read, and an update: of the shared row now and then, else of one of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mixed;

impl Transaction for Mixed {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        // Any spread will do; the multiplier is odd and large.
        let own = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % OWN;
        peer.run("BEGIN").await?;
        peer.run(&format!("SELECT name FROM recipient WHERE id = {own}")).await?;
        if number.is_multiple_of(SHARED) {
            peer.run("UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
        } else {
            peer.run(&format!("UPDATE recipient SET name = 'it is {number}' WHERE id = {own}"))
                .await?;
        }
        peer.run("COMMIT").await
    }
}

/// Takes the shared row, keeps it, and lets it go.
///
/// # Errors
/// When it was refused, or its transaction ended, before it let go by itself.
pub(super) async fn hold(target: Target, holder: Holder, keep: Duration) -> Result<(), Fault> {
    let mut peer = Peer::login(target, &target.account()).await?;
    peer.run("BEGIN").await?;
    peer.run("UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
    let until = Instant::now() + keep;
    match holder {
        Holder::Idle => sleep(keep).await,
        Holder::Slow => {
            let seconds = SLOW.as_secs_f64();
            let work = match target.engine.is_postgres() {
                true => format!("SELECT pg_sleep({seconds})"),
                false => format!("SELECT SLEEP({seconds})"),
            };
            while Instant::now() < until {
                peer.run(&work).await?;
            }
        }
    }
    peer.run("COMMIT").await
}

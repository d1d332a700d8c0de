//! Users of the application whose hot row [`HotRow`](super::hot_row::HotRow) loads: most want rows of their own, and some
//! the one that all share.

use super::{Fault, Peer, Transaction};

/// One transaction in so many moves the counter that all share.
const SHARED: u64 = 4;
/// Rows that are nobody's but one transaction's.
const OWN: u64 = 10_000;

/// A read, and an update: of the shared row now and then, else of one of its own.
#[derive(Debug, Clone, Copy)]
pub struct Mixed;

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

//! A notification job: a row is written for a recipient, and a counter that all recipients share is
//! moved. The counter is one row, so that one transaction after the other holds its lock, for a
//! little while longer than it needs to: as in the incident that the project is about.

use std::time::Duration;

use tokio::time::sleep;

use super::{Fault, Peer, Target, Transaction, tables};
use crate::error::Error;
use crate::server::Server;
use crate::server::account::Account;
use crate::server::engine::Engine;

/// Recipients loaded.
const RECIPIENTS: u64 = 10_000;

/// Two reads, an insert, an update of the hot row, a thought, a commit.
#[derive(Debug, Clone, Copy)]
pub struct HotRow {
    /// How long a client thinks while it holds the row.
    pub think: Duration,
}

impl HotRow {
    /// Makes and fills the tables, as an application does.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn load(server: &Server) -> Result<(), Error> {
        let rows = (0..RECIPIENTS).map(|id| format!("({id},'recipient {id}')"));
        let rows = tables::insert("recipient", rows);
        tables::make(server, create(server.engine()).into_iter().chain(rows)).await
    }
}

/// The tables, with the one row that is hot.
fn create(engine: Engine) -> [String; 4] {
    let numbered =
        if engine.is_postgres() { "GENERATED ALWAYS AS IDENTITY" } else { "AUTO_INCREMENT" };
    [
        "CREATE TABLE recipient (id INT PRIMARY KEY, name VARCHAR(64) NOT NULL)".into(),
        "CREATE TABLE counter (id INT PRIMARY KEY, sent BIGINT NOT NULL)".into(),
        format!(
            "CREATE TABLE notification (id BIGINT {numbered} PRIMARY KEY, \
             recipient INT NOT NULL, body VARCHAR(200) NOT NULL)"
        ),
        "INSERT INTO counter VALUES (1, 0)".into(),
    ]
}

impl Transaction for HotRow {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        // Any spread will do; the multiplier is odd and large.
        let recipient = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % RECIPIENTS;
        peer.run("BEGIN").await?;
        peer.run(&format!("SELECT name FROM recipient WHERE id = {recipient}")).await?;
        peer.run("SELECT sent FROM counter WHERE id = 1").await?;
        let insert = format!(
            "INSERT INTO notification (recipient, body) VALUES ({recipient}, 'it is {number}')"
        );
        peer.run(&insert).await?;
        peer.run("UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
        sleep(self.think).await;
        peer.run("COMMIT").await
    }
}

/// A slow holder: takes the hot row once, keeps it, and lets it go.
///
/// # Errors
/// When it was refused, or its transaction ended, before it let go by itself. A guard with a limit on
/// idle transactions does that.
pub async fn hold(target: Target, account: &Account, keep: Duration) -> Result<(), Fault> {
    let mut peer = Peer::login(target, account).await?;
    peer.run("BEGIN").await?;
    peer.run("UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
    sleep(keep).await;
    peer.run("COMMIT").await
}

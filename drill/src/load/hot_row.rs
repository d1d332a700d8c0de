//! A notification job: a row is written for a recipient, and a counter that all recipients share is
//! moved. The counter is one row, so that one transaction after the other holds its lock, for a
//! little while longer than it needs to: as in the incident that the project is about.

use std::net::SocketAddr;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::sleep;

use super::{Fault, Transaction, run};
use crate::client::Client;
use crate::error::Error;
use crate::server::account::Account;

/// Recipients loaded.
const RECIPIENTS: u64 = 10_000;

/// Two reads, an insert, an update of the hot row, a thought, a commit.
#[derive(Debug, Clone, Copy)]
pub struct HotRow {
    /// How long a client thinks while it holds the row.
    pub think: Duration,
}

impl HotRow {
    /// Makes and fills the tables, over a connection of an application.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn load(conn: &mut Conn) -> Result<(), Error> {
        for sql in [
            "CREATE TABLE recipient (id INT PRIMARY KEY, name VARCHAR(64) NOT NULL)".to_owned(),
            "CREATE TABLE counter (id INT PRIMARY KEY, sent BIGINT NOT NULL)".to_owned(),
            "CREATE TABLE notification (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
             recipient INT NOT NULL, body VARCHAR(200) NOT NULL)"
                .to_owned(),
            "INSERT INTO counter VALUES (1, 0)".to_owned(),
        ] {
            conn.query_drop(sql).await?;
        }
        let numbers: Vec<String> =
            (0..RECIPIENTS).map(|id| format!("({id},'recipient {id}')")).collect();
        for rows in numbers.chunks(1000) {
            conn.query_drop(format!("INSERT INTO recipient VALUES {}", rows.join(","))).await?;
        }
        Ok(())
    }
}

impl Transaction for HotRow {
    async fn run(&self, client: &mut Client, number: u64) -> Result<(), Fault> {
        // Any spread will do; the multiplier is odd and large.
        let recipient = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % RECIPIENTS;
        run(client, "BEGIN").await?;
        run(client, &format!("SELECT name FROM recipient WHERE id = {recipient}")).await?;
        run(client, "SELECT sent FROM counter WHERE id = 1").await?;
        let insert = format!(
            "INSERT INTO notification (recipient, body) VALUES ({recipient}, 'it is {number}')"
        );
        run(client, &insert).await?;
        run(client, "UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
        sleep(self.think).await;
        run(client, "COMMIT").await
    }
}

/// A slow holder: takes the hot row once, keeps it, and lets it go.
///
/// # Errors
/// When it was refused, or its transaction ended, before it let go by itself. A guard with a limit on
/// idle transactions does that.
pub async fn hold(target: SocketAddr, account: &Account, keep: Duration) -> Result<(), Fault> {
    let mut client = Client::login(target, account).await?;
    run(&mut client, "BEGIN").await?;
    run(&mut client, "UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
    sleep(keep).await;
    run(&mut client, "COMMIT").await
}

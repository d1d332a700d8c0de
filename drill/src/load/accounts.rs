//! Accounts, of which everybody wants one: the shop's own, into which each sale pays.

use std::time::Duration;

use tokio::time::sleep;

use super::dice::Dice;
use super::{Fault, Peer, Transaction, tables};
use crate::error::Error;
use crate::server::Server;

/// Accounts beside the one that everybody wants.
pub(super) const ACCOUNTS: u64 = 10_000;

/// Changes an account, works for a while, and commits.
#[derive(Debug, Clone, Copy)]
pub struct Accounts {
    /// Whether it is the one that everybody wants, or any other.
    pub is_hot: bool,
    /// How long the application works while it holds the row.
    pub work: Duration,
}

impl Accounts {
    /// Makes and fills the table, as an application does.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn load(server: &Server) -> Result<(), Error> {
        let create = "CREATE TABLE account (id INT PRIMARY KEY, paid BIGINT NOT NULL)".to_owned();
        let rows = tables::insert("account", (0..=ACCOUNTS).map(|id| format!("({id},0)")));
        tables::make(server, [create].into_iter().chain(rows)).await
    }

    /// Whether a replica has all of it.
    pub(crate) async fn are_on(replica: &Server) -> bool {
        let count = tables::ask(replica, "SELECT COUNT(*) FROM account").await;
        // Without the table it is refused.
        count.is_ok_and(|count| count == Some((ACCOUNTS + 1).to_string()))
    }
}

impl Transaction for Accounts {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        let id = if self.is_hot { 0 } else { 1 + Dice::new(number).below(ACCOUNTS) };
        peer.run("BEGIN").await?;
        peer.run(&format!("UPDATE account SET paid = paid + 1 WHERE id = {id}")).await?;
        sleep(self.work).await;
        peer.run("COMMIT").await
    }
}

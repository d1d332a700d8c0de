//! Pages that are read: two rows by their keys in one transaction, with the application at work between
//! them. The database has next to nothing to do, and many fit into it at once.

use std::time::Duration;

use tokio::time::sleep;

use super::dice::Dice;
use super::{Fault, Peer, Transaction, accounts};

/// Reads two accounts of those that [`Accounts`](accounts::Accounts) makes.
#[derive(Debug, Clone, Copy)]
pub struct Pages {
    /// How long the application works between the two.
    pub work: Duration,
}

impl Transaction for Pages {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        let mut dice = Dice::new(number);
        let mut read = || {
            let id = 1 + dice.below(accounts::ACCOUNTS);
            format!("SELECT paid FROM account WHERE id = {id}")
        };
        peer.run("BEGIN").await?;
        peer.run(&read()).await?;
        sleep(self.work).await;
        peer.run(&read()).await?;
        peer.run("COMMIT").await
    }
}

//! Single reads by key, outside of a transaction: what most pages of most applications are made of, and what a
//! replica may answer.

use super::dice::Dice;
use super::{Fault, Peer, Transaction, accounts};

/// Reads one account of those that [`Accounts`](accounts::Accounts) makes.
#[derive(Debug, Clone, Copy)]
pub struct Lookups;

impl Transaction for Lookups {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        let id = 1 + Dice::new(number).below(accounts::ACCOUNTS);
        peer.run(&format!("SELECT paid FROM account WHERE id = {id}")).await
    }
}

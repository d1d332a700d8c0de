//! A few rows of a small table, updated in random order, in one transaction: the mix that deadlocks.
//!
//! Two that run at once and want the same two rows in opposite order wait for each other; the
//! server ends one. The more run at once, the more of their work is undone, and the longer all
//! wait: a database that is offered more of this than it can do comes to do next to nothing.

use super::dice::Dice;
use super::{Fault, Peer, Transaction, tables};
use crate::error::Error;
use crate::server::Server;

/// Rows of the table.
const ROWS: u64 = 40;
/// Of these, updated in one transaction.
const PICKED: usize = 4;

/// Updates four different rows of forty, one by one.
#[derive(Debug, Clone, Copy)]
pub struct Rows;

impl Rows {
    /// Makes and fills the table, as an application does.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn load(server: &Server) -> Result<(), Error> {
        let create = "CREATE TABLE stock (id INT PRIMARY KEY, sold BIGINT NOT NULL)".to_owned();
        let rows = tables::insert("stock", (0..ROWS).map(|id| format!("({id},0)")));
        tables::make(server, [create].into_iter().chain(rows)).await
    }
}

impl Transaction for Rows {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        peer.run("BEGIN").await?;
        for id in picked(number) {
            peer.run(&format!("UPDATE stock SET sold = sold + 1 WHERE id = {id}")).await?;
        }
        peer.run("COMMIT").await
    }
}

/// The rows of a transaction, in its order; the same each time it is tried.
fn picked(number: u64) -> [u64; PICKED] {
    let mut dice = Dice::new(number);
    let mut picked = [ROWS; PICKED];
    for at in 0..PICKED {
        let free = std::iter::repeat_with(|| dice.below(ROWS)).find(|id| !picked.contains(id));
        picked[at] = free.unwrap_or(0);
    }
    picked
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_rows_of_a_transaction_differ_and_stay() {
        let mut seen = BTreeSet::new();
        for number in 0..1000 {
            let rows = picked(number);
            assert_eq!(rows, picked(number));
            assert_eq!(BTreeSet::from(rows).len(), PICKED);
            seen.extend(rows);
        }
        assert_eq!(seen, (0..ROWS).collect());
    }
}

//! Progress beside the effect, for a sink whose database is not the ledger's: a row for each chunk.
//!
//! ```text
//!  open:   fence := mine, unless it is higher already; tells what is done
//!  record: done := so much, where the fence is mine; no such row: a zombie, roll back
//! ```
//!
//! A holder that was frozen and wakes finds another's fence, and its effects are rolled back with it. One
//! whose transaction is still open makes `open` wait for its end: it holds the row.

use std::sync::Arc;

use super::{Connection, Dialect, PutError, Value};
use crate::sink::Chunk;

/// What makes the table, if it is not there. Times of rows are there for whoever tidies up.
#[must_use]
pub const fn create(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "CREATE TABLE IF NOT EXISTS tidegate_progress (batch varchar(200) NOT NULL, \
             chunk bigint NOT NULL, fence bigint NOT NULL, done bytea NOT NULL DEFAULT '', \
             opened timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (batch, chunk)) \
             WITH (fillfactor = 50)"
        }
        Dialect::MySql => {
            "CREATE TABLE IF NOT EXISTS tidegate_progress (\
             batch varchar(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
             chunk bigint NOT NULL, fence bigint NOT NULL, done varbinary(255) NOT NULL DEFAULT '', \
             opened timestamp NOT NULL DEFAULT current_timestamp, PRIMARY KEY (batch, chunk)) \
             ENGINE = InnoDB"
        }
    }
}

/// Takes a chunk, and returns the positions that are done. To be run before anything is put under a
/// new fence, outside of a transaction.
///
/// # Errors
/// [`PutError::Fenced`] when somebody with a higher fence has it.
pub async fn open<C: Connection>(
    connection: &mut C,
    chunk: Chunk<'_>,
) -> Result<Vec<u32>, PutError> {
    let sql = match C::DIALECT {
        Dialect::Postgres => {
            "INSERT INTO tidegate_progress AS old (batch, chunk, fence) VALUES ($1, $2, $3) \
             ON CONFLICT (batch, chunk) DO UPDATE SET fence = greatest(old.fence, excluded.fence)"
        }
        Dialect::MySql => {
            "INSERT INTO tidegate_progress (batch, chunk, fence) VALUES (?, ?, ?) \
             ON DUPLICATE KEY UPDATE fence = greatest(fence, VALUES(fence))"
        }
    };
    let fence = fence(chunk);
    let key = key(chunk);
    let values = [key[0].clone(), key[1].clone(), Value::Int(fence)];
    connection.run(sql.into(), &values).await?;
    let sql = match C::DIALECT {
        Dialect::Postgres => {
            "SELECT fence, done FROM tidegate_progress WHERE batch = $1 AND chunk = $2"
        }
        Dialect::MySql => "SELECT fence, done FROM tidegate_progress WHERE batch = ? AND chunk = ?",
    };
    match connection.read(sql.into(), &key).await? {
        Some((found, done)) if found == fence => Ok(positions(&done)),
        _ => Err(PutError::Fenced),
    }
}

/// Notes in the transaction that the connection is in that these positions are done, and no others.
///
/// # Errors
/// [`PutError::Fenced`] when somebody else has taken the chunk: roll back.
pub async fn record<C: Connection>(
    connection: &mut C,
    chunk: Chunk<'_>,
    done: impl IntoIterator<Item = u32>,
) -> Result<(), PutError> {
    let sql: Arc<str> = match C::DIALECT {
        Dialect::Postgres => {
            "UPDATE tidegate_progress SET done = $1 WHERE batch = $2 AND chunk = $3 AND fence = $4"
        }
        Dialect::MySql => {
            "UPDATE tidegate_progress SET done = ? WHERE batch = ? AND chunk = ? AND fence = ?"
        }
    }
    .into();
    let [batch, number] = key(chunk);
    let values = [Value::Bytes(bits(done)), batch, number, Value::Int(fence(chunk))];
    // sqlx asks MySQL for rows that were found, not for those that changed.
    match connection.run(sql, &values).await? {
        0 => Err(PutError::Fenced),
        _ => Ok(()),
    }
}

fn key(chunk: Chunk<'_>) -> [Value; 2] {
    [Value::Text(chunk.batch.to_owned()), Value::Int(chunk.number.into())]
}

fn fence(chunk: Chunk<'_>) -> i64 {
    i64::try_from(chunk.fence).unwrap_or(i64::MAX)
}

/// A bit for each position, the first in the lowest bit of the first byte, as the ledger keeps them.
fn bits(positions: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let mut bits = Vec::new();
    for position in positions {
        let byte = position as usize / 8;
        bits.resize(bits.len().max(byte + 1), 0);
        bits[byte] |= 1 << (position % 8);
    }
    bits
}

fn positions(bits: &[u8]) -> Vec<u32> {
    let is_set = |position: &u32| bits[*position as usize / 8] & 1 << (position % 8) != 0;
    (0..bits.len() as u32 * 8).filter(is_set).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_are_kept_as_bits(done: BTreeSet<u16>) {
            let done: Vec<u32> = done.into_iter().map(u32::from).collect();
            prop_assert_eq!(positions(&bits(done.iter().copied())), done);
        }
    }
}

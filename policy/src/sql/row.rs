//! Which row a statement is about, as far as its text and its parameters tell.
//!
//! A row is named by its table and by all that its columns must be equal to: of `WHERE id = 7 AND n > 3`
//! that is `id = 7` (`row/conditions.rs`). An INSERT that changes the row where there is one already
//! is about the row with these values in the columns that it must differ in (`row/upsert.rs`). Values are compared by what they mean, so that a number in the text, the same in
//! quotes, and a parameter that carries it name the same row.
//!
//! Deliberately absent: the catalogue. Whether there is an index nobody asks, because a key is only
//! used where sessions were seen to wait for it; and a second equality that differs each time
//! (`AND version = 12`) names another row each time.
//!
//! It is a pass of its own over the text, made only while some row is fought for.

mod conditions;
mod reader;
mod upsert;
mod value;

pub use value::Value;

use self::reader::Reader;
use super::digest::Hashes;
use super::{Dialect, Effects, Kind, Shape};
use crate::hot::Key;

const TABLE: u64 = 0x0100_0000_0000_0000;
const SCHEMA: u64 = 0x0200_0000_0000_0000;
const COLUMN: u64 = 0x0300_0000_0000_0000;

impl Shape {
    /// The row that a statement of this shape locks, where it is one statement on one table that
    /// changes rows or locks them, and waits for locks.
    ///
    /// `home` is the schema that a MySQL session is in, or the database of PostgreSQL. `parameter` tells the value
    /// of a parameter by its number from 0; `None` for NULL and what is not known. Nothing is
    /// allocated but for strings with doubled quotes.
    pub fn row<'v>(
        &self,
        sql: &[u8],
        dialect: Dialect,
        home: &[u8],
        parameter: impl Fn(usize) -> Option<Value<'v>>,
    ) -> Option<Key> {
        let [table] = &*self.tables else { return None };
        if self.effects.intersects(Effects::MULTI | Effects::TRUNCATED) {
            return None;
        }
        let reader = || Reader::new(sql, dialect, parameter);
        let equalities = match self.kind {
            Kind::Update | Kind::Delete | Kind::LockingSelect => conditions::equalities(reader()),
            Kind::Insert => upsert::equalities(reader()),
            _ => None,
        }?;
        let mut hashes = Hashes::START;
        let schema = table.schema.as_deref().map(str::as_bytes);
        match dialect {
            Dialect::MySql(_) => hashes.mix_bytes(SCHEMA, schema.unwrap_or(home), false),
            // A database cannot be left, and the search path is not looked at.
            Dialect::Postgres { .. } => {
                hashes.mix_bytes(SCHEMA, home, false);
                hashes.mix_bytes(SCHEMA, schema.unwrap_or_default(), false);
            }
        }
        hashes.mix_bytes(TABLE, table.name.as_bytes(), false);
        hashes.mix(equalities);
        Some(Key(hashes.digest))
    }
}

#[cfg(test)]
mod tests;

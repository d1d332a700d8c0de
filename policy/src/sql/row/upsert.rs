//! Which row an INSERT is about that changes the one that is there already.
//!
//! PostgreSQL names the columns that no two rows may agree in: `ON CONFLICT (id) DO UPDATE`. MySQL's `ON
//! DUPLICATE KEY UPDATE` does not, and the catalogue is not asked: they are taken for those that it does
//! not assign, as in `INSERT INTO seen (page, day, n) VALUES (7, '2022-06-27', 1) ON DUPLICATE KEY UPDATE n
//! = n + 1`. One of them whose value is computed hides the row.

use super::reader::{Reader, Seen};
use super::value::Value;
use crate::sql::digest::Hashes;
use crate::sql::keyword::Keyword::*;
use crate::sql::lexer::{Token, TokenKind};

/// Columns that are looked at; a statement with more names no row.
const COLUMNS_MAX: usize = 32;

/// What all values of the row's key make together; `None` if there is no such key, or the statement
/// leaves a row that is there as it is.
pub(super) fn equalities<'v>(
    reader: Reader<'_, impl Fn(usize) -> Option<Value<'v>>>,
) -> Option<u64> {
    let mut upsert = Upsert { reader, columns: [Column::EMPTY; COLUMNS_MAX], len: 0 };
    upsert.insertion()?;
    let found = match upsert.reader.is_postgres() {
        true => upsert.conflict(),
        false => upsert.duplicate(),
    };
    found.filter(|_| !upsert.reader.is_hidden())
}

struct Upsert<'a, F> {
    reader: Reader<'a, F>,
    columns: [Column; COLUMNS_MAX],
    len: usize,
}

/// A column that a value is inserted into.
#[derive(Debug, Clone, Copy)]
struct Column {
    name: Hashes,
    /// That of its name and value; `None` where the value is not known.
    equality: Option<u64>,
    /// Whether the row that is there gets another value.
    is_assigned: bool,
}

impl Column {
    const EMPTY: Self = Self { name: Hashes::START, equality: None, is_assigned: false };
}

impl<'v, F: Fn(usize) -> Option<Value<'v>>> Upsert<'_, F> {
    /// The one row that is inserted, up to the last of its values.
    fn insertion(&mut self) -> Option<()> {
        // A WITH before it has its queries in parentheses.
        self.skip_to(|kind| kind == TokenKind::Keyword(Insert))?;
        loop {
            match self.reader.next()?.kind {
                TokenKind::Sign(b'(') => break,
                TokenKind::Keyword(Set) => return self.assignments_of_insert(),
                TokenKind::Keyword(Partition) if self.reader.take_sign(b'(') => {
                    self.reader.skip_parentheses();
                }
                TokenKind::Keyword(Values | Value | Select | Default | With | Table) => {
                    return None;
                }
                _ => {}
            }
        }
        self.names()?;
        let is_mysql = !self.reader.is_postgres();
        loop {
            match self.reader.next()?.kind {
                TokenKind::Keyword(Values) => break,
                TokenKind::Keyword(Value) if is_mysql => break,
                // OVERRIDING SYSTEM VALUE
                TokenKind::Keyword(Value) | TokenKind::Word => {}
                _ => return None,
            }
        }
        self.values()?;
        // Of several rows none is the one.
        (!self.reader.peek_is_sign(b',')).then_some(())
    }

    /// Behind the `(` of the columns.
    fn names(&mut self) -> Option<()> {
        loop {
            let name = self.reader.take_name()?;
            self.add(name)?;
            match self.reader.next()?.kind {
                TokenKind::Sign(b',') => {}
                TokenKind::Sign(b')') => return Some(()),
                _ => return None,
            }
        }
    }

    /// A value for each column, in parentheses.
    fn values(&mut self) -> Option<()> {
        if !self.reader.take_sign(b'(') {
            return None;
        }
        for at in 0..self.len {
            self.value(at);
            let end = if at + 1 == self.len { b')' } else { b',' };
            if !self.reader.take_sign(end) {
                return None;
            }
        }
        Some(())
    }

    /// `INSERT INTO t SET a = 1, b = 2`
    fn assignments_of_insert(&mut self) -> Option<()> {
        loop {
            let name = self.reader.take_column()?;
            let at = self.add(name)?;
            if !self.reader.take_sign(b'=') {
                return None;
            }
            self.value(at);
            if !self.reader.take_sign(b',') {
                return Some(());
            }
        }
    }

    /// `ON CONFLICT (id) DO UPDATE`: the values of the columns that are named.
    fn conflict(&mut self) -> Option<u64> {
        self.skip_to(|kind| kind == TokenKind::Keyword(On))?;
        let is_told =
            self.reader.next()?.kind == TokenKind::Keyword(Conflict) && self.reader.take_sign(b'(');
        if !is_told {
            return None;
        }
        let mut sum = 0_u64;
        loop {
            let name = self.reader.take_name()?;
            sum = sum.wrapping_add(self.find(name)?.equality?);
            match self.reader.next()?.kind {
                TokenKind::Sign(b',') => {}
                TokenKind::Sign(b')') => break,
                // An expression, or how it is compared.
                _ => return None,
            }
        }
        self.skip_to(|kind| kind == TokenKind::Keyword(Do))?;
        (self.reader.next()?.kind == TokenKind::Keyword(Update)).then_some(sum)
    }

    /// `ON DUPLICATE KEY UPDATE n = n + 1`: the values of the columns that are not assigned.
    fn duplicate(&mut self) -> Option<u64> {
        self.skip_to(|kind| kind == TokenKind::Keyword(Duplicate))?;
        self.skip_to(|kind| kind == TokenKind::Keyword(Update))?;
        loop {
            let name = self.reader.take_column()?;
            if let Some(column) = self.find(name) {
                column.is_assigned = true;
            }
            self.skip_expression();
            if !self.reader.take_sign(b',') {
                break;
            }
        }
        let key = || self.columns[..self.len].iter().filter(|column| !column.is_assigned);
        key().next()?;
        key().try_fold(0_u64, |sum, column| Some(sum.wrapping_add(column.equality?)))
    }

    fn add(&mut self, name: Token) -> Option<usize> {
        let at = self.len;
        self.columns.get_mut(at)?.name = self.reader.column(name);
        self.len += 1;
        Some(at)
    }

    fn find(&mut self, name: Token) -> Option<&mut Column> {
        let name = self.reader.column(name).digest;
        self.columns[..self.len].iter_mut().find(|column| column.name.digest == name)
    }

    /// What is inserted into a column.
    fn value(&mut self, at: usize) {
        let mut hashes = self.columns[at].name;
        let seen = self.reader.value(&mut hashes);
        let is_whole = self.skip_expression();
        self.columns[at].equality = (seen == Seen::Value && is_whole).then_some(hashes.digest);
    }

    /// Reads what is left of an expression. Returns whether that was nothing.
    fn skip_expression(&mut self) -> bool {
        let mut is_nothing = true;
        while let Some(token) = self.reader.peek() {
            match token.kind {
                TokenKind::Sign(b',' | b')' | b';') | TokenKind::Keyword(On | Returning) => break,
                _ => {}
            }
            is_nothing = false;
            self.reader.next();
            if token.kind == TokenKind::Sign(b'(') {
                self.reader.skip_parentheses();
            }
        }
        is_nothing
    }

    /// Reads past what is `wanted` outside of parentheses.
    fn skip_to(&mut self, wanted: impl Fn(TokenKind) -> bool) -> Option<()> {
        loop {
            match self.reader.next()?.kind {
                kind if wanted(kind) => return Some(()),
                TokenKind::Sign(b'(') => self.reader.skip_parentheses(),
                _ => {}
            }
        }
    }
}

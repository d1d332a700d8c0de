//! What a statement is: one pass over its bytes.
//!
//! [`Statements::judge`] lexes the text once, folds it into a [`Digest`], and notes where literals
//! and tags are. What the digest tells (kind, tables, effects) is worked out when the digest is
//! first seen and shared from then on. The bytes may be anything: nothing here panics, recurses or
//! takes more than linear time, and a text longer than [`TEXT_BYTES_MAX`] says so in its effects.
//!
//! Both dialects, that of MySQL and MariaDB and that of PostgreSQL, take the same way; they part at
//! the bytes and words that they read otherwise. Deliberately absent: a grammar. A server decides
//! what a statement means; this decides what a guard must assume.

mod keyword;
mod lexer;

mod digest;

mod asked;
mod classify;
mod cursor;
mod customs;
mod effects;
mod function;
mod kind;
mod parameters;
mod table;

mod statements;

mod row;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use asked::sequences_asked;
pub use customs::customs_set;
pub use digest::{Digest, InvalidDigest};
pub use effects::Effects;
pub use kind::{Begin, Kind, UnknownKind};
pub use parameters::parameters;
pub use row::Value;
pub use statements::{Statements, TEXT_BYTES_MAX};

use crate::tag::{self, Tag};

/// Whose SQL a text is, and how its server reads quotes and backslashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// MySQL and MariaDB.
    MySql(LexMode),
    /// PostgreSQL.
    Postgres {
        /// A backslash in a string without a mark (`E'…'`) stands for itself: the parameter of this
        /// name, which servers report.
        standard_conforming_strings: bool,
    },
}

impl Dialect {
    const fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// A name as the server knows it: PostgreSQL folds what is not quoted. Doubled quotes and escapes
    /// inside quotes stay; bytes that are not UTF-8 are replaced.
    fn name(self, written: &[u8]) -> Box<str> {
        let mut name = String::from_utf8_lossy(digest::unquote(written)).into_owned();
        if self.is_postgres() && !written.ends_with(b"\"") {
            name.make_ascii_lowercase();
        }
        name.into()
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Self::MySql(LexMode::default())
    }
}

/// How a server of MySQL reads quotes and backslashes; from the status flags of its replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LexMode {
    /// A backslash in a string stands for itself (`NO_BACKSLASH_ESCAPES`).
    pub no_backslash_escapes: bool,
    /// Double quotes enclose identifiers (`ANSI_QUOTES`).
    pub ansi_quotes: bool,
}

/// A table as the statement names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    /// Its schema, when the statement names one.
    pub schema: Option<Box<str>>,
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: Box<str>,
}

/// What a digest tells; shared by every statement of that digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// What it does; of several statements, the most dangerous.
    pub kind: Kind,
    /// Its digest.
    pub digest: Digest,
    /// Its normalised text, at most 1 KiB.
    pub text: Box<str>,
    /// The tables it names, each once, at most 64.
    pub tables: Box<[Table]>,
    /// What it does to its session.
    pub effects: Effects,
    /// Set when it only begins a transaction and may be answered without the server.
    pub begin: Option<Begin>,
    subject: Option<Subject>,
}

/// Where the name is that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// An identifier, the same in every text of the digest.
    Name(Box<str>),
    /// The first value of the text, if it is a literal.
    FirstValue,
}

impl Shape {
    /// What is known of a command that has no text, such as a ping: its kind alone. Its digest is 0,
    /// which no text has.
    #[must_use]
    pub fn of_command(kind: Kind) -> Self {
        Self {
            kind,
            digest: Digest(0),
            text: kind.as_str().into(),
            tables: Box::default(),
            effects: Effects::NONE,
            begin: None,
            subject: None,
        }
    }

    /// The one name that the statement is about: the lock of GET_LOCK and RELEASE_LOCK, the
    /// prepared statement of PREPARE, EXECUTE and DEALLOCATE, the table of HANDLER and of CREATE or
    /// DROP TEMPORARY TABLE. Without quotes, escapes as they are written. `None` when there is no
    /// such name, more than one (ALL is more than one), or it is computed.
    ///
    /// PostgreSQL: also the parameter of SET, RESET and `set_config`, whose case does not matter
    /// (lower where it is not a value); the cursor of DECLARE and CLOSE; the channel of LISTEN,
    /// UNLISTEN and NOTIFY. An advisory lock has one only when its key is one unsigned literal and
    /// it is not shared.
    #[must_use]
    pub fn subject<'a>(&'a self, sql: &'a [u8], scratch: &Scratch) -> Option<&'a [u8]> {
        match self.subject.as_ref()? {
            Subject::Name(name) => Some(name.as_bytes()),
            // A parameter or NULL in its place has the same digest.
            Subject::FirstValue if scratch.begins_otherwise => None,
            Subject::FirstValue => {
                scratch.literals.first().map(|span| digest::unquote(span.of(sql)))
            }
        }
    }

    /// Whether it surely waits for no row and keeps none from others, where it is a transaction of its
    /// own. What calls functions of the user's own may do anything.
    #[must_use]
    pub const fn takes_no_locks(&self) -> bool {
        let unclear = Effects::MULTI
            .or(Effects::CALLS)
            .or(Effects::DYNAMIC)
            .or(Effects::GET_LOCK)
            .or(Effects::HOLDS)
            .or(Effects::INTO_VARIABLE)
            .or(Effects::TRUNCATED);
        self.kind.takes_no_locks() && !self.effects.intersects(unclear)
    }

    /// Whether it only reads, from tables that it names, and any server with the same data answers it alike: a
    /// SELECT that takes no lock, and leaves and finds nothing in its session.
    #[must_use]
    pub fn is_plain_read(&self) -> bool {
        self.kind == Kind::Select
            && self.takes_no_locks()
            && self.effects.without(Effects::CALC_FOUND_ROWS).is_empty()
            && !self.tables.is_empty()
    }

    /// Whether it names a table that is about the server that it is asked of, not about data. `home` is the
    /// session's schema. MySQL and MariaDB.
    #[must_use]
    pub fn tells_of_the_server(&self, home: &str) -> bool {
        const ABOUT: [&str; 4] = ["information_schema", "performance_schema", "mysql", "sys"];
        self.tables.iter().any(|table| {
            let schema = table.schema.as_deref().unwrap_or(home);
            ABOUT.iter().any(|about| about.eq_ignore_ascii_case(schema))
        })
    }

    /// Whether it names a table of the system's: of `pg_catalog` or `information_schema`, or one whose name begins with
    /// `pg_`, which the server looks for there first. Much there is about the server that it is asked of. PostgreSQL.
    #[must_use]
    pub fn reads_the_catalog(&self) -> bool {
        self.tables.iter().any(|table| {
            let schema = table.schema.as_deref();
            matches!(schema, Some("pg_catalog" | "information_schema"))
                || schema.is_none() && table.name.starts_with("pg_")
        })
    }

    /// The SQL that a statement with [`Effects::DYNAMIC`] prepares, or executes at once.
    #[must_use]
    pub fn dynamic<'a>(&self, sql: &'a [u8], scratch: &Scratch) -> Dynamic<'a> {
        let text = &*self.text;
        let is_literal = match self.kind {
            _ if self.effects.contains(Effects::MULTI) => false,
            Kind::Prepare => text.ends_with(" FROM ?"),
            Kind::Execute if !text.starts_with("EXECUTE IMMEDIATE ") => return Dynamic::Nothing,
            Kind::Execute => {
                text == "EXECUTE IMMEDIATE ?" || text.starts_with("EXECUTE IMMEDIATE ? USING ")
            }
            _ => false,
        };
        // A parameter in its place has the same digest.
        let is_literal = is_literal && !scratch.begins_otherwise;
        match scratch.literals.first().filter(|_| is_literal).map(|span| span.of(sql)) {
            Some(text @ [b'\'' | b'"', ..]) if !text.contains(&b'\\') => {
                Dynamic::Text(digest::unquote(text))
            }
            _ => Dynamic::Hidden,
        }
    }
}

/// SQL that a statement carries as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dynamic<'a> {
    /// None: it executes what was prepared before.
    Nothing,
    /// A literal, without its quotes, quotes inside as they are written (doubled): judged so, it
    /// shows no less than it does.
    Text(&'a [u8]),
    /// It is computed, or escaped in a way that is not undone here.
    Hidden,
}

/// A range of bytes of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes, or nothing when the text is another one.
    #[must_use]
    pub fn of(self, sql: &[u8]) -> &[u8] {
        sql.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Most literals whose place is kept of one text (2 KiB); more are ignored.
pub const LITERALS_MAX: usize = 256;

/// What one text tells beyond its digest. Reused from statement to statement, so that judging
/// allocates nothing; a prepared statement keeps a clone of it for its executions.
#[derive(Debug, Default)]
pub struct Scratch {
    literals: Vec<Span>,
    tags: Vec<Tag>,
    /// A value that is no literal stands before the first literal.
    begins_otherwise: bool,
}

impl Clone for Scratch {
    fn clone(&self) -> Self {
        let Self { literals, tags, begins_otherwise } = self;
        Self { literals: literals.clone(), tags: tags.clone(), begins_otherwise: *begins_otherwise }
    }

    /// Keeps the room that there is: as a rule nothing is allocated.
    fn clone_from(&mut self, other: &Self) {
        self.literals.clone_from(&other.literals);
        self.tags.clone_from(&other.tags);
        self.begins_otherwise = other.begins_otherwise;
    }
}

impl Scratch {
    /// Of a text that tells nothing.
    pub const NONE: &Self =
        &Self { literals: Vec::new(), tags: Vec::new(), begins_otherwise: false };

    /// Where the literals are, in order: strings with their quotes, numbers with their signs. At
    /// most [`LITERALS_MAX`].
    #[must_use]
    pub fn literals(&self) -> &[Span] {
        &self.literals
    }

    /// Keys and decoded values of the tags in the comments of `sql`, the text judged last.
    pub fn tags<'a>(
        &'a self,
        sql: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + 'a {
        self.tags.iter().map(|tag| (tag.key(sql), tag.value(sql)))
    }

    /// The decoded value of the first tag with this key; what has another is not decoded.
    #[must_use]
    pub fn tag<'a>(&'a self, sql: &'a [u8], key: &[u8]) -> Option<Cow<'a, [u8]>> {
        let tag = self.tags.iter().find(|tag| tag.key(sql) == key)?;
        Some(tag.value(sql))
    }

    fn clear(&mut self) {
        self.literals.clear();
        self.tags.clear();
        self.begins_otherwise = false;
    }

    /// Whether the text has neither literals nor tags.
    fn is_blank(&self) -> bool {
        self.literals.is_empty() && self.tags.is_empty()
    }

    fn note_literal(&mut self, span: Span) {
        if self.literals.len() < LITERALS_MAX {
            self.literals.push(span);
        }
    }

    fn note_other_value(&mut self) {
        self.begins_otherwise |= self.literals.is_empty();
    }

    fn note_comment(&mut self, sql: &[u8], span: Span) {
        tag::read(sql, span, &mut self.tags);
    }
}

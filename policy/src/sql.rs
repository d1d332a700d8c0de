//! What a statement is: one pass over its bytes.
//!
//! [`Statements::judge`] lexes the text once, folds it into a [`Digest`], and notes where literals
//! and tags are. What the digest tells (kind, tables, effects) is worked out when the digest is
//! first seen and shared from then on.

mod effects;
mod kind;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use effects::Effects;
pub use kind::{Begin, Kind};

/// How the server reads quotes and backslashes; from the status flags of its replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LexMode {
    /// A backslash in a string stands for itself (`NO_BACKSLASH_ESCAPES`).
    pub no_backslash_escapes: bool,
    /// Double quotes enclose identifiers (`ANSI_QUOTES`).
    pub ansi_quotes: bool,
}

/// A statement with its literals, spelling and layout taken away, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Not 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 16 hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidDigest);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidDigest)
    }
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
    /// The tables it names, each once.
    pub tables: Box<[Table]>,
    /// What it does to its session.
    pub effects: Effects,
    /// Set when it only begins a transaction and may be answered without the server.
    pub begin: Option<Begin>,
}

impl Shape {
    /// The literal name that the statement is about: the lock of `GET_LOCK('name', 1)`, the
    /// prepared statement, handler or temporary table of the others. `None` when it has none or
    /// it is not literal.
    #[must_use]
    pub fn subject<'a>(&self, _sql: &'a [u8], _scratch: &Scratch) -> Option<&'a [u8]> {
        None
    }
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

/// What one text tells beyond its digest. Reused from statement to statement, so that judging
/// allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    literals: Vec<Span>,
}

impl Scratch {
    /// Where the literals are, in order: strings with their quotes, numbers.
    #[must_use]
    pub fn literals(&self) -> &[Span] {
        &self.literals
    }

    /// Keys and decoded values of the tags in the comments of `sql`.
    pub fn tags<'a>(
        &'a self,
        _sql: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + 'a {
        std::iter::empty()
    }
}

/// The shapes seen so far: a bounded cache shared by all sessions.
#[derive(Debug)]
pub struct Statements {}

impl Statements {
    /// A cache of at most `capacity` digests.
    #[must_use]
    pub fn new(_capacity: usize) -> Self {
        Self {}
    }

    /// Reads a statement: its shape, and its literals and tags into `scratch`.
    pub fn judge(&self, sql: &[u8], _mode: LexMode, scratch: &mut Scratch) -> Arc<Shape> {
        scratch.literals.clear();
        let word: String = sql
            .iter()
            .map(u8::to_ascii_uppercase)
            .take_while(u8::is_ascii_alphabetic)
            .map(char::from)
            .collect();
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word.to_ascii_lowercase());
        let digest = sql.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Arc::new(Shape {
            kind: kind.unwrap_or(Kind::Other),
            digest: Digest(digest),
            text: String::from_utf8_lossy(&sql[..sql.len().min(1024)]).into(),
            tables: Box::default(),
            effects: Effects::NONE,
            begin: None,
        })
    }
}

//! The shapes seen so far, shared by all sessions.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::classify::classify;
use super::digest::{Digest, Folder, Hashes};
use super::lexer::{Lexer, TokenKind};
use super::{Dialect, Effects, Scratch, Shape};

/// The longest prefix of a text that is read, in bytes. A longer text has
/// [`Effects::TRUNCATED`]: what is behind may do anything.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// A bounded cache of shapes by digest.
///
/// Judging a text whose digest is known reads it once and allocates nothing. At the bound the
/// shapes used least give way (S3-FIFO), so that a flood of new digests does not push out the old.
#[derive(Debug)]
pub struct Statements {
    shapes: Cache<u64, Known>,
}

/// A shape, and the second hash that tells it from another of the same digest.
#[derive(Debug, Clone)]
struct Known {
    check: u64,
    shape: Arc<Shape>,
}

impl Statements {
    /// A cache of about `capacity` digests, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { shapes: Cache::new(capacity.max(1)) }
    }

    /// Reads a statement: its shape, and its literals and tags into `scratch`. The same words in the
    /// other dialect are another digest.
    pub fn judge(&self, sql: &[u8], dialect: Dialect, scratch: &mut Scratch) -> Arc<Shape> {
        let (hashes, _) = digest(sql, dialect, scratch, false);
        if let Some(known) = self.shapes.get(&hashes.digest)
            && known.check == hashes.check
        {
            return known.shape;
        }
        let shape = Arc::new(shape(sql, dialect));
        // Of two texts that collide the later stays: neither is ever given the other's shape.
        self.shapes.insert(hashes.digest, Known { check: hashes.check, shape: Arc::clone(&shape) });
        shape
    }

    /// The shape of a digest, when it is remembered.
    #[must_use]
    pub fn find(&self, digest: Digest) -> Option<Arc<Shape>> {
        self.shapes.get(&digest.0).map(|known| known.shape)
    }

    /// How many shapes are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }
}

/// The one pass over the text; with `text`, the normalised text is written too.
fn digest(
    sql: &[u8],
    dialect: Dialect,
    scratch: &mut Scratch,
    text: bool,
) -> (Hashes, Option<Box<str>>) {
    match dialect {
        Dialect::MySql(_) => fold::<false>(sql, dialect, scratch, text),
        Dialect::Postgres { .. } => fold::<true>(sql, dialect, scratch, text),
    }
}

fn fold<const POSTGRES: bool>(
    sql: &[u8],
    dialect: Dialect,
    scratch: &mut Scratch,
    text: bool,
) -> (Hashes, Option<Box<str>>) {
    scratch.clear();
    let read = &sql[..sql.len().min(TEXT_BYTES_MAX)];
    let mut folder = Folder::<POSTGRES>::new(text);
    let mut lexer = Lexer::new(read, dialect);
    while let Some(token) = lexer.token::<POSTGRES>() {
        if token.kind == TokenKind::Comment {
            scratch.note_comment(read, token.span);
        } else {
            folder.push(read, token, scratch);
        }
    }
    if read.len() < sql.len() {
        folder.truncate();
    }
    folder.finish()
}

fn shape(sql: &[u8], dialect: Dialect) -> Shape {
    let (hashes, text) = digest(sql, dialect, &mut Scratch::default(), true);
    let read = &sql[..sql.len().min(TEXT_BYTES_MAX)];
    let mut classified = classify(read, dialect);
    if read.len() < sql.len() {
        classified.effects |= Effects::TRUNCATED;
        classified.begin = None;
    }
    Shape {
        kind: classified.kind,
        digest: Digest(hashes.digest),
        text: text.unwrap_or_default(),
        tables: classified.tables,
        effects: classified.effects,
        begin: classified.begin,
        subject: classified.subject,
    }
}

//! The shapes seen so far, shared by all sessions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, UnitWeighter};

use super::classify::classify;
use super::digest::{Digest, Folder, Hashes};
use super::lexer::{Lexer, TokenKind};
use super::{Dialect, Effects, Scratch, Shape};

/// The longest prefix of a text that is read, in bytes. A longer text has
/// [`Effects::TRUNCATED`]: what is behind may do anything.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// The longest text that is known again as a whole, in bytes: what is kept of texts is bounded by it.
const TEMPLATE_BYTES_MAX: usize = 1 << 10;

/// Bounded caches of shapes, by digest and by text.
///
/// Judging a text whose digest is known reads it once and allocates nothing. At the bound the
/// shapes used least give way (S3-FIFO), so that a flood of new digests does not push out the old.
#[derive(Debug)]
pub struct Statements {
    shapes: Bounded<u64, Known>,
    /// What was read of texts without literals and tags.
    templates: Bounded<Template, Read>,
}

/// Keys come from clients: the hash is seeded.
type Bounded<K, V> = Cache<K, V, UnitWeighter, RandomState>;

fn bounded<K: Eq + Hash, V: Clone>(capacity: usize) -> Bounded<K, V> {
    let capacity = capacity.max(1);
    let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
    let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
    Cache::with(capacity, weight, UnitWeighter, hasher, lifecycle)
}

/// A shape, and the second hash that tells it from another of the same digest.
#[derive(Debug, Clone)]
struct Known {
    check: u64,
    shape: Arc<Shape>,
}

/// All that such a text tells.
#[derive(Debug, Clone, Copy)]
struct Read {
    hashes: Hashes,
    begins_otherwise: bool,
}

/// A text, and in which dialect it was read.
#[derive(Debug, PartialEq, Eq)]
struct Template {
    dialect: Dialect,
    sql: Box<[u8]>,
}

/// The same, for looking it up.
struct TemplateRef<'a> {
    dialect: Dialect,
    sql: &'a [u8],
}

impl Hash for TemplateRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.dialect.hash(state);
        self.sql.hash(state);
    }
}

impl Hash for Template {
    fn hash<H: Hasher>(&self, state: &mut H) {
        TemplateRef { dialect: self.dialect, sql: &self.sql }.hash(state);
    }
}

impl Equivalent<Template> for TemplateRef<'_> {
    fn equivalent(&self, key: &Template) -> bool {
        self.dialect == key.dialect && *self.sql == *key.sql
    }
}

impl Statements {
    /// Caches of about `capacity` digests, at least one, and of as many texts.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { shapes: bounded(capacity), templates: bounded(capacity) }
    }

    /// Reads a statement: its shape, and its literals and tags into `scratch`. The same words in the
    /// other dialect are another digest.
    pub fn judge(&self, sql: &[u8], dialect: Dialect, scratch: &mut Scratch) -> Arc<Shape> {
        let (hashes, _) = digest(sql, dialect, scratch, false);
        self.shape(hashes, sql, dialect)
    }

    /// The same of a text that is likely to come again as it is, because its values come beside it: that
    /// of a Parse or a `COM_STMT_PREPARE`. If it has neither literals nor tags it is read once.
    pub fn judge_template(
        &self,
        sql: &[u8],
        dialect: Dialect,
        scratch: &mut Scratch,
    ) -> Arc<Shape> {
        if let Some(read) = self.templates.get(&TemplateRef { dialect, sql }) {
            scratch.clear();
            scratch.begins_otherwise = read.begins_otherwise;
            return self.shape(read.hashes, sql, dialect);
        }
        let (hashes, _) = digest(sql, dialect, scratch, false);
        if sql.len() <= TEMPLATE_BYTES_MAX && scratch.is_blank() {
            let read = Read { hashes, begins_otherwise: scratch.begins_otherwise };
            self.templates.insert(Template { dialect, sql: sql.into() }, read);
        }
        self.shape(hashes, sql, dialect)
    }

    /// The shape of a text that was read.
    fn shape(&self, hashes: Hashes, sql: &[u8], dialect: Dialect) -> Arc<Shape> {
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
        }
        folder.push(read, token, scratch);
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

//! What a text does: kind, tables and effects, worked out when its digest is first seen.
//!
//! This is no parser. It reads the head of each statement, and from the rest only the words that
//! decide something. Where it cannot know it errs towards the more dangerous answer.

mod mysql;
mod postgres;

use super::cursor::Cursor;
use super::keyword::Keyword::{self, *};
use super::lexer::{Lexer, Token, TokenKind};
use super::table::Tables;
use super::{Begin, Dialect, Effects, Kind, Subject, Table};

/// What was found.
#[derive(Debug)]
pub(super) struct Classified {
    pub(super) kind: Kind,
    pub(super) tables: Box<[Table]>,
    pub(super) effects: Effects,
    pub(super) begin: Option<Begin>,
    pub(super) subject: Option<Subject>,
}

/// What the head of a statement tells.
enum Head {
    /// Its kind; the rest is read for tables and effects.
    Is(Kind),
    /// It wraps the statement that follows (SET STATEMENT … FOR, EXPLAIN ANALYZE).
    Wraps,
    /// It begins with WITH: the kind comes after the queries.
    Later,
    /// Its `;` do not end it (the body of a procedure).
    Block(Kind),
}

/// Reads all statements of a text.
pub(super) fn classify(sql: &[u8], dialect: Dialect) -> Classified {
    let mut reader = Reader {
        sql,
        dialect,
        cursor: Cursor::new(Lexer::new(sql, dialect)),
        tables: Tables::new(sql, dialect),
        effects: Effects::NONE,
        begin: None,
        subject: Subjects::None,
        before: None,
        schema: None,
        values: 0,
        seen: Seen::default(),
    };
    let mut kind = Kind::Empty;
    let mut statements = 0;
    while reader.skip_separators() {
        let next = reader.statement();
        if reader.seen.creates_temporary && !reader.seen.drops_on_commit {
            reader.effects |= Effects::CREATES_TEMPORARY;
        }
        if reader.seen.calls && may_return_rows(next) {
            reader.effects |= Effects::CALLS;
        }
        kind = kind.max(next);
        statements += 1;
    }
    // MySQL and MariaDB answer a comment behind the end of a statement as another one.
    let has_empty = reader.cursor.comments_end && matches!(dialect, Dialect::MySql(_));
    if statements > 1 || has_empty {
        reader.effects |= Effects::MULTI;
    }
    let alone = statements == 1 && !has_empty && !reader.cursor.executable;
    Classified {
        kind,
        tables: reader.tables.finish(),
        effects: reader.effects,
        begin: reader.begin.filter(|_| alone),
        subject: match reader.subject {
            Subjects::One(subject) => Some(subject),
            Subjects::None | Subjects::Many => None,
        },
    }
}

/// The names a text is about.
enum Subjects {
    None,
    One(Subject),
    Many,
}

struct Reader<'a> {
    sql: &'a [u8],
    dialect: Dialect,
    cursor: Cursor<'a>,
    tables: Tables<'a>,
    effects: Effects,
    begin: Option<Begin>,
    subject: Subjects,
    /// The token before.
    before: Option<Token>,
    /// The schema of the name that follows, if its dot was just read.
    schema: Option<Token>,
    /// What a digest may fold to `?`, so far.
    values: usize,
    seen: Seen,
}

/// What was seen of one statement so far.
#[derive(Debug, Default)]
struct Seen {
    /// The query locks what it reads.
    locks: bool,
    /// A name stands before a parenthesis that is not known to be the server's.
    calls: bool,
    /// The next ON names a table (CREATE INDEX … ON, GRANT … ON).
    arms_on: bool,
    /// The query makes a table of its rows (SELECT INTO).
    makes_table: bool,
    /// It creates a temporary table.
    creates_temporary: bool,
    /// That vanishes with its transaction (ON COMMIT DROP).
    drops_on_commit: bool,
    /// USING names tables (DELETE, MERGE).
    using_names_tables: bool,
    /// A statement in parentheses writes (WITH … AS (DELETE …)).
    writes: Option<Kind>,
}

impl Reader<'_> {
    /// Whether another statement follows.
    fn skip_separators(&mut self) -> bool {
        while self.cursor.at_sign(b';') {
            self.cursor.next();
        }
        self.cursor.peek(0).is_some()
    }

    fn statement(&mut self) -> Kind {
        self.tables.begin();
        self.seen = Seen::default();
        loop {
            while self.cursor.at_sign(b'(') {
                self.take();
            }
            match self.head() {
                Head::Wraps => {}
                Head::Later => return self.with(),
                Head::Block(kind) => {
                    self.block();
                    return kind;
                }
                Head::Is(kind) => {
                    self.rest();
                    return self.kind_after_all(kind);
                }
            }
        }
    }

    /// What stands behind the first word of a statement that reads or writes rows.
    fn data(&mut self, first: Keyword) {
        self.seen.using_names_tables |= matches!(first, Delete | Merge);
        match first {
            Update => {
                self.tables.expect_references();
                if self.dialect.is_postgres() {
                    self.tables.expect_from();
                }
            }
            Insert | Replace | Merge | Table => self.tables.expect_target(false),
            Delete => self.tables.expect_from(),
            _ => {}
        }
    }

    fn head(&mut self) -> Head {
        match self.dialect {
            Dialect::MySql(_) => self.mysql_head(),
            Dialect::Postgres { .. } => self.postgres_head(),
        }
    }

    /// The kind that the head told, with what the rest of the statement showed.
    fn kind_after_all(&self, kind: Kind) -> Kind {
        match kind {
            Kind::Select if self.seen.makes_table => Kind::Ddl,
            Kind::Select if self.seen.locks => self.seen.writes.unwrap_or(Kind::LockingSelect),
            Kind::Select
            | Kind::CopyTo
            | Kind::Insert
            | Kind::Update
            | Kind::Delete
            | Kind::Merge => self.seen.writes.map_or(kind, |writes| kind.max(writes)),
            _ => kind,
        }
    }

    /// Reads up to the end of the statement.
    fn rest(&mut self) {
        while !self.cursor.at_end() {
            self.take();
        }
    }

    /// Reads to the end of the text: where a body ends only a parser could tell.
    fn block(&mut self) {
        while self.cursor.peek(0).is_some() {
            if self.cursor.at_sign(b';') && self.cursor.peek(1).is_some() {
                self.effects |= Effects::MULTI;
            }
            self.take();
        }
    }

    fn with(&mut self) -> Kind {
        let mut depth = 0_usize;
        while !self.cursor.at_end() {
            let kind = match self.cursor.peek(0) {
                Some(TokenKind::Keyword(keyword)) if depth == 0 => data_kind(keyword),
                _ => None,
            };
            if kind.is_some() {
                let Head::Is(kind) = self.head() else { return Kind::Other };
                self.rest();
                return self.kind_after_all(kind);
            }
            match self.cursor.peek(0) {
                Some(TokenKind::Sign(b'(')) => depth += 1,
                Some(TokenKind::Sign(b')')) => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.take();
        }
        Kind::Select
    }

    fn is_about(&mut self, subject: Subject) {
        self.subject = match self.subject {
            Subjects::None => Subjects::One(subject),
            Subjects::One(_) | Subjects::Many => Subjects::Many,
        };
    }

    /// The next token, read for tables and effects.
    fn take(&mut self) -> Option<Token> {
        let token = self.cursor.next()?;
        let next = self.cursor.peek(0);
        self.tables.push(token, next);
        match token.kind {
            TokenKind::Keyword(Null | True | False) => self.values += 1,
            TokenKind::Keyword(keyword) => self.word(keyword, next),
            TokenKind::UserVariable => self.user_variable(token),
            TokenKind::SystemVariable => self.system_variable(token),
            TokenKind::Literal | TokenKind::Parameter => self.values += 1,
            TokenKind::Word if !self.dialect.is_postgres() => self.mysql_name(token),
            _ => {}
        }
        if next == Some(TokenKind::Sign(b'(')) {
            match self.dialect {
                Dialect::MySql(_) => self.seen.calls |= self.is_named_by_user(token),
                Dialect::Postgres { .. } => self.postgres_call(token),
            }
        }
        self.schema = self.before.filter(|_| token.kind == TokenKind::Sign(b'.'));
        self.before = Some(token);
        Some(token)
    }

    fn word(&mut self, keyword: Keyword, next: Option<TokenKind>) {
        match (keyword, next) {
            (For, Some(TokenKind::Keyword(Update | Share)))
            | (In, Some(TokenKind::Keyword(Share))) => self.seen.locks = true,
            (On, _) if std::mem::take(&mut self.seen.arms_on) => self.tables.expect_target(false),
            (References, _) => self.tables.expect_target(false),
            _ => match self.dialect {
                Dialect::MySql(_) => self.mysql_word(keyword, next),
                Dialect::Postgres { .. } => self.postgres_word(keyword, next),
            },
        }
    }

    /// The schema and name of the table that stands next, after IF [NOT] EXISTS.
    fn table_ahead(&mut self) -> Option<(Option<Box<str>>, Box<str>)> {
        while self.cursor.at(&[If, Not, Exists]) {
            self.take();
        }
        let name = |token: Token, reader: &Self| match token.kind {
            TokenKind::Word | TokenKind::Quoted => {
                Some(reader.dialect.name(token.span.of(reader.sql)))
            }
            _ => None,
        };
        let first = self.cursor.peek_token(0)?;
        let first = name(first, self)?;
        if self.cursor.peek(1) != Some(TokenKind::Sign(b'.')) {
            return Some((None, first));
        }
        let second = self.cursor.peek_token(2)?;
        Some((Some(first), name(second, self)?))
    }

    /// Takes a name: not read for tables, and no call when a `(` follows.
    fn take_name(&mut self) -> Option<Box<str>> {
        let is_name = matches!(
            self.cursor.peek(0),
            Some(TokenKind::Word | TokenKind::Quoted | TokenKind::Keyword(_))
        );
        let token = self.cursor.next().filter(|_| is_name)?;
        Some(self.dialect.name(token.span.of(self.sql)))
    }
}

/// Whether a statement of this kind may be answered with rows. In those that change rows and
/// tables, a `(` stands behind the name of a table as well.
const fn may_return_rows(kind: Kind) -> bool {
    use Kind::{CopyFrom, Ddl, Delete, Insert, Merge, Replace, Update};
    !matches!(kind, Insert | Replace | Update | Delete | Merge | CopyFrom | Ddl)
}

/// The kind of statements that read and write rows.
const fn data_kind(first: Keyword) -> Option<Kind> {
    match first {
        Select | Values | Table => Some(Kind::Select),
        Insert => Some(Kind::Insert),
        Replace => Some(Kind::Replace),
        Update => Some(Kind::Update),
        Delete => Some(Kind::Delete),
        Merge => Some(Kind::Merge),
        _ => None,
    }
}

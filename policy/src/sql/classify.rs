//! What a text does: kind, tables and effects, worked out when its digest is first seen.
//!
//! This is no parser. It reads the head of each statement, and from the rest only the words that
//! decide something. Where it cannot know it errs towards the more dangerous answer.

mod head;

use super::cursor::Cursor;
use super::keyword::Keyword::{self, *};
use super::lexer::{Lexer, Token, TokenKind};
use super::table::Tables;
use super::{Begin, Effects, Kind, LexMode, Subject, Table};

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
pub(super) fn classify(sql: &[u8], mode: LexMode) -> Classified {
    let mut reader = Reader {
        sql,
        cursor: Cursor::new(Lexer::new(sql, mode)),
        tables: Tables::new(sql),
        effects: Effects::NONE,
        begin: None,
        subject: Subjects::None,
        before: None,
        values: 0,
        locking: false,
        arms_on: false,
    };
    let mut kind = Kind::Empty;
    let mut statements = 0;
    while reader.skip_separators() {
        let next = reader.statement();
        if matches!(next, Kind::LockTables | Kind::Handler | Kind::Xa | Kind::Prepare) {
            reader.effects |= Effects::HOLDS;
        }
        kind = kind.max(next);
        statements += 1;
    }
    if statements > 1 {
        reader.effects |= Effects::MULTI;
    }
    let alone = statements == 1 && !reader.cursor.executable;
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
    cursor: Cursor<'a>,
    tables: Tables<'a>,
    effects: Effects,
    begin: Option<Begin>,
    subject: Subjects,
    /// The token before.
    before: Option<Token>,
    /// What a digest may fold to `?`, so far.
    values: usize,
    /// The query locks what it reads.
    locking: bool,
    /// The next ON names a table (CREATE INDEX … ON, GRANT … ON).
    arms_on: bool,
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
        (self.locking, self.arms_on) = (false, false);
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
                    let locks = kind == Kind::Select && self.locking;
                    return if locks { Kind::LockingSelect } else { kind };
                }
            }
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
                let locks = kind == Kind::Select && self.locking;
                return if locks { Kind::LockingSelect } else { kind };
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
            _ => {}
        }
        self.before = Some(token);
        Some(token)
    }

    fn word(&mut self, keyword: Keyword, next: Option<TokenKind>) {
        let called = next == Some(TokenKind::Sign(b'('));
        let effect = match keyword {
            GetLock if called => self.lock_function(Effects::GET_LOCK),
            ReleaseLock if called => self.lock_function(Effects::RELEASE_LOCK),
            ReleaseAllLocks if called => Effects::RELEASE_ALL_LOCKS,
            LastInsertId | Lastval if called => Effects::LAST_INSERT_ID,
            RowCount if called => Effects::ROW_COUNT,
            FoundRows if called => Effects::FOUND_ROWS,
            ConnectionId if called => Effects::CONNECTION_ID,
            SqlCalcFoundRows => Effects::CALC_FOUND_ROWS,
            Snapshot => Effects::SERIAL_SNAPSHOT,
            _ => Effects::NONE,
        };
        self.effects |= effect;
        match (keyword, next) {
            (For, Some(TokenKind::Keyword(Update | Share)))
            | (In, Some(TokenKind::Keyword(Share))) => self.locking = true,
            (On, _) if std::mem::take(&mut self.arms_on) => self.tables.expect_target(false),
            (References, _) => self.tables.expect_target(false),
            (Using, Some(TokenKind::Word | TokenKind::Quoted)) => self.tables.using(),
            (Into, Some(TokenKind::UserVariable)) => {
                self.effects |= Effects::INTO_VARIABLE | Effects::ASSIGNS_USER_VARIABLE;
            }
            _ => {}
        }
    }

    /// The name of the lock counts when it is the first value: only then it is the first in every
    /// text of this digest.
    fn lock_function(&mut self, effect: Effects) -> Effects {
        let value = match self.cursor.peek(1) {
            Some(TokenKind::Literal | TokenKind::Parameter) => true,
            Some(TokenKind::Keyword(keyword)) => matches!(keyword, Null | True | False),
            _ => false,
        };
        let alone = matches!(self.cursor.peek(2), Some(TokenKind::Sign(b',' | b')')));
        if value && alone && self.values == 0 {
            self.is_about(Subject::FirstValue);
        } else {
            self.subject = Subjects::Many;
        }
        effect
    }

    fn user_variable(&mut self, token: Token) {
        let account = self.before.is_some_and(|before| {
            before.span.end == token.span.start
                && matches!(before.kind, TokenKind::Literal | TokenKind::Word | TokenKind::Quoted)
        });
        if account {
            return;
        }
        self.effects |= Effects::USER_VARIABLE;
        if self.cursor.at_sign(b':') && self.cursor.peek(1) == Some(TokenKind::Sign(b'=')) {
            self.effects |= Effects::ASSIGNS_USER_VARIABLE;
        }
    }

    fn system_variable(&mut self, token: Token) {
        let name = token.span.of(self.sql).to_ascii_lowercase();
        self.effects |= match last_part(&name).trim_ascii_start() {
            b"last_insert_id" | b"identity" | b"@@last_insert_id" | b"@@identity" => {
                Effects::LAST_INSERT_ID
            }
            b"warning_count" | b"error_count" | b"@@warning_count" | b"@@error_count" => {
                Effects::WARNINGS
            }
            b"pseudo_thread_id" | b"@@pseudo_thread_id" => Effects::CONNECTION_ID,
            _ => Effects::NONE,
        };
    }
}

/// `@@session.x` to `x`, `@@x` to itself.
fn last_part(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'.').next().unwrap_or(name)
}

/// The kind of statements that read and write rows.
const fn data_kind(first: Keyword) -> Option<Kind> {
    match first {
        Select | Values | Table => Some(Kind::Select),
        Insert => Some(Kind::Insert),
        Replace => Some(Kind::Replace),
        Update => Some(Kind::Update),
        Delete => Some(Kind::Delete),
        _ => None,
    }
}

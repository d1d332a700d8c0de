//! Reading the tokens of a statement, with the values of its parameters.

use super::COLUMN;
use super::value::{self, Value};
use crate::sql::Dialect;
use crate::sql::digest::{Hashes, unquote};
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::lexer::{Lexer, Token, TokenKind};

/// A statement, from its first token to its last.
pub(super) struct Reader<'a, F> {
    sql: &'a [u8],
    dialect: Dialect,
    tokens: Lexer<'a>,
    ahead: Option<Token>,
    /// Parameters before the next token.
    parameters: usize,
    parameter: F,
    /// Some of the code stands in an executable comment, which a server may or may not run: what is
    /// read may not be what is run.
    is_hidden: bool,
}

/// What stands where a value may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// One that is known, mixed into the hash.
    Value,
    /// NULL, or one that is not known.
    Unknown,
    /// Something else, of which nothing but a sign was read.
    Other,
}

impl<'a, 'v, F: Fn(usize) -> Option<Value<'v>>> Reader<'a, F> {
    /// `parameter` tells values as [`Shape::row`](crate::sql::Shape::row) has it.
    pub(super) fn new(sql: &'a [u8], dialect: Dialect, parameter: F) -> Self {
        let tokens = Lexer::new(sql, dialect);
        Self { sql, dialect, tokens, ahead: None, parameters: 0, parameter, is_hidden: false }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.dialect.is_postgres()
    }

    /// Whether some of what was read may not be run.
    pub(super) fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// The hash of a column's name, for its value to be mixed into.
    pub(super) fn column(&self, name: Token) -> Hashes {
        let mut hashes = Hashes::START;
        hashes.mix_bytes(COLUMN, unquote(name.span.of(self.sql)), true);
        hashes
    }

    /// The name of a column, with as many names before it as there are.
    pub(super) fn take_column(&mut self) -> Option<Token> {
        let mut column = self.take_name()?;
        while self.take_sign(b'.') {
            column = self.take_name()?;
        }
        Some(column)
    }

    /// A value that stands by itself, with its cast.
    pub(super) fn value(&mut self, hashes: &mut Hashes) -> Seen {
        let is_negative = self.peek_is_sign(b'-');
        if is_negative || self.peek_is_sign(b'+') {
            self.next();
        }
        let seen = match self.peek() {
            Some(token) if token.kind == TokenKind::Literal => {
                self.next();
                value::literal(token.span.of(self.sql), self.dialect, is_negative)
                    .map(|literal| literal.mix(hashes))
            }
            Some(token) if token.kind == TokenKind::Parameter && !is_negative => {
                self.next();
                self.bound(token).map(|bound| bound.mix(hashes))
            }
            _ => return Seen::Other,
        };
        self.skip_cast();
        seen.map_or(Seen::Unknown, |()| Seen::Value)
    }

    /// The value of the parameter that was just read.
    fn bound(&self, token: Token) -> Option<Value<'v>> {
        let number = match token.span.of(self.sql) {
            [b'$', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
            _ => self.parameters,
        };
        (self.parameter)(number.checked_sub(1)?)
    }

    /// `::bigint`, `::numeric(10)`.
    fn skip_cast(&mut self) {
        while self.dialect.is_postgres() && self.peek_is_sign(b':') {
            self.next();
            self.next();
            self.take_name();
            if self.peek_is_sign(b'(') {
                self.next();
                self.skip_parentheses();
            }
        }
    }

    pub(super) fn take_name(&mut self) -> Option<Token> {
        let is_name = |token: &Token| match token.kind {
            TokenKind::Word | TokenKind::Quoted => true,
            TokenKind::Keyword(keyword) => !begins_otherwise(keyword),
            _ => false,
        };
        let name = self.peek().filter(is_name)?;
        self.next();
        Some(name)
    }

    /// Behind a `(`: up to the `)` that closes it.
    pub(super) fn skip_parentheses(&mut self) {
        let mut depth = 1_usize;
        while depth > 0
            && let Some(token) = self.next()
        {
            match token.kind {
                TokenKind::Sign(b'(') => depth += 1,
                TokenKind::Sign(b')') => depth -= 1,
                _ => {}
            }
        }
    }

    /// Whether a sign comes next; it is read if so.
    pub(super) fn take_sign(&mut self, sign: u8) -> bool {
        let is_next = self.peek_is_sign(sign);
        if is_next {
            self.next();
        }
        is_next
    }

    pub(super) fn peek_is_sign(&mut self, sign: u8) -> bool {
        self.peek().is_some_and(|token| token.kind == TokenKind::Sign(sign))
    }

    pub(super) fn peek(&mut self) -> Option<Token> {
        if self.ahead.is_none() {
            self.ahead = self.read();
        }
        self.ahead
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.peek();
        self.ahead = None;
        self.parameters += usize::from(token.is_some_and(|it| it.kind == TokenKind::Parameter));
        token
    }

    fn read(&mut self) -> Option<Token> {
        loop {
            let token = self.tokens.next()?;
            match token.kind {
                TokenKind::Comment => {}
                TokenKind::ExecutableOpen | TokenKind::ExecutableClose => {
                    self.is_hidden = true;
                }
                _ => return Some(token),
            }
        }
    }
}

/// What stands behind a WHERE.
pub(super) const fn ends_where(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Order
            | Group
            | Having
            | Limit
            | Offset
            | For
            | Lock
            | Returning
            | Union
            | Except
            | Intersect
            | Window
            | Fetch
            | Into
            | Procedure
    )
}

/// Words with which a condition begins that is no comparison of a column.
const fn begins_otherwise(keyword: Keyword) -> bool {
    matches!(keyword, Not | Exists | Case | Select | Null | True | False | Binary | Between | Row)
        || matches!(keyword, And | Or | Xor)
        || ends_where(keyword)
}

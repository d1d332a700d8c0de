//! Digests: a statement without its literals, spelling and layout.
//!
//! [`Folder`] is fed the tokens of a text, one by one, and keeps a running hash; on request it also
//! writes the normalised text. It folds
//!
//! - a literal, a parameter, a signed number, and NULL, TRUE or FALSE as a value, to `?`;
//! - a list of those in parentheses to one `?`;
//! - the rows of VALUES, and the tuples of IN, that look the same to one of them;
//! - keywords to one case, quotes of identifiers to none, comments and a last `;` to nothing;
//! - in PostgreSQL also names without quotes to lower case, and the items of an array as those of IN.
//!
//! Digests are the same in every process and release: people write them into rules.

mod text;

use std::fmt;
use std::str::FromStr;

use super::keyword::Keyword;
use super::lexer::{Token, TokenKind};
use super::{Scratch, Span};
use text::Text;

/// A statement with its literals, spelling and layout taken away, as a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Rows of one VALUES that are told apart; a row unlike the last so many is hashed again.
const ROWS_SEEN_MAX: usize = 4;

/// Two running hashes: the digest, and one that notices when two digests collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) digest: u64,
    pub(super) check: u64,
}

impl Hashes {
    pub(super) const START: Self =
        Self { digest: 0x243f_6a88_85a3_08d3, check: 0x1319_8a2e_0370_7344 };

    pub(super) fn mix(&mut self, word: u64) {
        self.digest = fold(self.digest ^ word, 0x9e37_79b9_7f4a_7c15);
        self.check = fold(self.check ^ word.rotate_left(32), 0xd6e8_feb8_6659_fd93);
    }

    /// Bytes of this kind; `lower` folds their case.
    pub(super) fn mix_bytes(&mut self, kind: u64, bytes: &[u8], lower: bool) {
        let fold_case = |byte: u8| if lower { byte.to_ascii_lowercase() } else { byte };
        self.mix(kind | bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let word =
                chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(fold_case(*byte)));
            self.mix(word);
        }
    }
}

/// The two halves of the product, added without carry: every bit of `a` reaches every bit.
fn fold(a: u64, factor: u64) -> u64 {
    let product = u128::from(a) * u128::from(factor);
    (product as u64) ^ ((product >> 64) as u64)
}

/// What the token before was, for signs and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// `?`.
    Literal,
    /// A name, a variable or `)`: a sign after it is an operator.
    Operand,
    /// `,`, `(` or `=`: NULL after it is a value.
    Opening,
    Other,
}

/// Where a list of rows stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Not in a list.
    No,
    /// IN was read: a list of tuples may open.
    In,
    /// The next `(` at this depth begins a row.
    Next { depth: u32 },
    /// In a row that began at this depth, or in an item that stands for itself (`$1::int`); `outer` is
    /// the hash up to the list's last new row.
    Inside { depth: u32, item: bool, outer: Hashes, text: usize },
}

/// The digest so far. The dialect is known to the compiler, so that each has a loop of its own.
#[derive(Debug)]
pub(super) struct Folder<const POSTGRES: bool> {
    hashes: Hashes,
    /// TRUE and FALSE are kept: whom a `set_config` concerns depends on them.
    keeps_booleans: bool,
    before: Before,
    depth: u32,
    /// A `;` that counts only when something follows.
    semicolon: bool,
    /// A `,` that counts only when the list goes on with something new.
    comma: bool,
    /// A sign that counts only when no literal follows.
    sign: Option<Token>,
    rows: Rows,
    seen: [u64; ROWS_SEEN_MAX],
    seen_count: usize,
    text: Option<Text>,
}

impl<const POSTGRES: bool> Folder<POSTGRES> {
    /// With `text`, the normalised text is written too.
    pub(super) fn new(text: bool) -> Self {
        let mut hashes = Hashes::START;
        if POSTGRES {
            hashes.mix(tag::POSTGRES);
        }
        Self {
            hashes,
            keeps_booleans: false,
            before: Before::Other,
            depth: 0,
            semicolon: false,
            comma: false,
            sign: None,
            rows: Rows::No,
            seen: [0; ROWS_SEEN_MAX],
            seen_count: 0,
            text: text.then(Text::default),
        }
    }

    /// The next token. Literals are noted in `scratch`.
    pub(super) fn push(&mut self, sql: &[u8], token: Token, scratch: &mut Scratch) {
        match token.kind {
            // To MySQL a comment behind the end of a statement is a statement, to PostgreSQL it is nothing.
            TokenKind::Comment if self.semicolon && !POSTGRES => self.begin(),
            TokenKind::Comment => {}
            TokenKind::Sign(b';') => {
                self.flush(sql);
                self.close_row();
                self.semicolon = true;
                self.rows = Rows::No;
                self.depth = 0;
                self.before = Before::Other;
            }
            TokenKind::Literal => {
                let start = self.sign.map_or(token.span, |sign| sign.span).start;
                scratch.note_literal(Span { start, end: token.span.end });
                self.literal();
            }
            TokenKind::Parameter => {
                scratch.note_other_value();
                self.literal();
            }
            TokenKind::Keyword(Keyword::Null | Keyword::True | Keyword::False)
                if matches!(self.before, Before::Opening) && !(POSTGRES && self.keeps_booleans) =>
            {
                scratch.note_other_value();
                self.literal();
            }
            TokenKind::Sign(b'-' | b'+')
                if !matches!(self.before, Before::Operand | Before::Literal) =>
            {
                if let Some(earlier) = self.sign.replace(token) {
                    self.flush_comma();
                    self.emit(sql, earlier);
                }
            }
            TokenKind::Sign(b',') if self.before == Before::Literal && self.depth > 0 => {
                self.comma = true;
                self.before = Before::Opening;
            }
            _ => self.other(sql, token),
        }
    }

    /// The text is longer than was read.
    pub(super) fn truncate(&mut self) {
        if let Rows::Inside { outer, text, .. } = self.rows {
            self.leave_row(outer, text);
            self.rows = Rows::No;
        }
        self.hashes.mix(tag::TRUNCATED);
    }

    pub(super) fn finish(mut self) -> (Hashes, Option<Box<str>>) {
        // Signs are all that may wait, which say themselves what they are.
        self.flush(b"");
        self.close_row();
        (self.hashes, self.text.map(Text::into_boxed_str))
    }

    fn literal(&mut self) {
        let in_list = POSTGRES && matches!(self.rows, Rows::Next { .. });
        let continues = !in_list && (self.comma || self.before == Before::Literal);
        self.sign = None;
        match self.rows {
            Rows::Next { depth } if POSTGRES && self.depth == depth => self.enter_row(true),
            Rows::Next { .. } | Rows::In => self.rows = Rows::No,
            _ => {}
        }
        self.comma = false;
        if !continues {
            self.begin();
            self.hashes.mix(tag::LITERAL);
            self.write(b"?");
        }
        self.before = Before::Literal;
    }

    fn other(&mut self, sql: &[u8], token: Token) {
        if POSTGRES {
            self.leave_item(sql, token);
        }
        let opens_row = match (self.rows, token.kind) {
            (
                Rows::Next { depth },
                TokenKind::Sign(b'(' | b'[') | TokenKind::Keyword(Keyword::Row),
            ) => self.depth == depth,
            _ => false,
        };
        if opens_row {
            self.enter_row(false);
        } else if let Rows::Next { depth } = self.rows
            && !(token.kind == TokenKind::Sign(b',') && self.depth == depth)
        {
            self.rows = Rows::No;
        }
        if let (Rows::Next { .. }, TokenKind::Sign(b',')) = (self.rows, token.kind) {
            self.comma = true;
            self.before = Before::Opening;
            return;
        }
        self.flush(sql);
        self.emit(sql, token);
        self.follow(token);
    }

    /// Depth, rows and what came before, after a token was taken in.
    fn follow(&mut self, token: Token) {
        self.before = match token.kind {
            TokenKind::Sign(b'(' | b'[' | b',' | b'=') => Before::Opening,
            TokenKind::Sign(b')' | b']')
            | TokenKind::Word
            | TokenKind::Quoted
            | TokenKind::UserVariable
            | TokenKind::SystemVariable => Before::Operand,
            _ => Before::Other,
        };
        let inside = matches!(self.rows, Rows::Inside { .. });
        match token.kind {
            TokenKind::Keyword(Keyword::Values | Keyword::Value) if !inside => {
                self.list(self.depth);
            }
            TokenKind::Keyword(Keyword::In | Keyword::Array) if !inside => self.rows = Rows::In,
            TokenKind::Sign(b'(' | b'[') => {
                self.depth += 1;
                if self.rows == Rows::In {
                    self.list(self.depth);
                }
            }
            TokenKind::Sign(b')' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if let Rows::Inside { depth, item: false, outer, text } = self.rows
                    && self.depth == depth
                {
                    self.end_row(depth, outer, text);
                }
            }
            _ if self.rows == Rows::In => self.rows = Rows::No,
            _ => {}
        }
    }

    fn list(&mut self, depth: u32) {
        self.rows = Rows::Next { depth };
        self.seen_count = 0;
    }

    /// A row is hashed by itself. The comma before it is settled when it ends.
    fn enter_row(&mut self, item: bool) {
        if !self.comma {
            self.begin();
        }
        let text = self.text.as_ref().map_or(0, Text::len);
        self.rows = Rows::Inside { depth: self.depth, item, outer: self.hashes, text };
        if std::mem::take(&mut self.comma) {
            self.write(b",");
        }
        self.hashes = Hashes::START;
    }

    /// Ends the item that the token is behind.
    fn leave_item(&mut self, sql: &[u8], token: Token) {
        if let Rows::Inside { depth, item: true, outer, text } = self.rows
            && self.depth == depth
            && matches!(token.kind, TokenKind::Sign(b',' | b')' | b']'))
        {
            self.flush(sql);
            self.end_row(depth, outer, text);
        }
    }

    /// A row that was seen in this list leaves no trace.
    fn end_row(&mut self, depth: u32, outer: Hashes, text: usize) {
        let row = self.hashes;
        let known = self.seen.len().min(self.seen_count);
        if self.seen[..known].contains(&row.digest) {
            self.leave_row(outer, text);
        } else {
            self.seen[self.seen_count % ROWS_SEEN_MAX] = row.digest;
            self.seen_count += 1;
            self.hashes = outer;
            self.hashes.mix(tag::ROW);
            self.hashes.mix(row.digest);
            self.hashes.check = fold(self.hashes.check ^ row.check, tag::ROW);
        }
        self.rows = Rows::Next { depth };
    }

    /// The text or the statement ends in the middle of a row.
    fn close_row(&mut self) {
        if let Rows::Inside { depth, outer, text, .. } = self.rows {
            self.end_row(depth, outer, text);
        }
    }

    fn leave_row(&mut self, outer: Hashes, text: usize) {
        self.hashes = outer;
        if let Some(normalised) = &mut self.text {
            normalised.cut(text);
        }
    }

    /// A statement begins or goes on: an earlier `;` counts.
    fn begin(&mut self) {
        if std::mem::take(&mut self.semicolon) {
            self.hashes.mix(tag::SIGN | u64::from(b';'));
            self.write(b";");
        }
    }

    fn flush_comma(&mut self) {
        if std::mem::take(&mut self.comma) {
            self.hashes.mix(tag::SIGN | u64::from(b','));
            self.write(b",");
        }
    }

    fn flush(&mut self, sql: &[u8]) {
        self.flush_comma();
        if let Some(sign) = self.sign.take() {
            self.emit(sql, sign);
        }
    }

    fn emit(&mut self, sql: &[u8], token: Token) {
        self.begin();
        let bytes = token.span.of(sql);
        match token.kind {
            TokenKind::Keyword(keyword) => {
                self.hashes.mix(tag::KEYWORD ^ keyword.hash());
                self.write(keyword.as_str().as_bytes());
            }
            TokenKind::Word if POSTGRES => self.folded_name(bytes),
            TokenKind::Word | TokenKind::Quoted => {
                let is_bare = token.kind == TokenKind::Word;
                let name = if is_bare { bytes } else { unquote(bytes) };
                self.keeps_booleans |= POSTGRES && name == SET_CONFIG;
                self.hashes.mix_bytes(tag::NAME, name, false);
                self.write(name);
            }
            TokenKind::UserVariable | TokenKind::SystemVariable => {
                self.hashes.mix_bytes(tag::VARIABLE, bytes, true);
                if self.text.is_some() {
                    self.write(&bytes.to_ascii_lowercase());
                }
            }
            TokenKind::Sign(sign) => {
                self.hashes.mix(tag::SIGN | u64::from(sign));
                self.write(&[sign]);
            }
            TokenKind::ExecutableOpen => {
                self.hashes.mix(tag::EXECUTABLE);
                self.write(b"/*!");
            }
            TokenKind::ExecutableClose => {
                self.hashes.mix(tag::EXECUTABLE + 1);
                self.write(b"*/");
            }
            TokenKind::Literal | TokenKind::Parameter | TokenKind::Comment => {}
        }
    }

    fn folded_name(&mut self, name: &[u8]) {
        self.keeps_booleans |= name.eq_ignore_ascii_case(SET_CONFIG);
        self.hashes.mix_bytes(tag::NAME, name, true);
        if self.text.is_some() {
            self.write(&name.to_ascii_lowercase());
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(text) = &mut self.text {
            text.put(bytes);
        }
    }
}

/// The function of PostgreSQL that sets a parameter.
const SET_CONFIG: &[u8] = b"set_config";

/// What keeps tokens of different kinds apart in the hash.
mod tag {
    pub(super) const LITERAL: u64 = 0x0100_0000_0000_0000;
    pub(super) const KEYWORD: u64 = 0x0200_0000_0000_0000;
    pub(super) const NAME: u64 = 0x0300_0000_0000_0000;
    pub(super) const VARIABLE: u64 = 0x0400_0000_0000_0000;
    pub(super) const SIGN: u64 = 0x0500_0000_0000_0000;
    pub(super) const EXECUTABLE: u64 = 0x0600_0000_0000_0000;
    pub(super) const ROW: u64 = 0x0700_0000_0000_0001;
    pub(super) const TRUNCATED: u64 = 0x0800_0000_0000_0000;
    pub(super) const POSTGRES: u64 = 0x0900_0000_0000_0000;
}

/// The name or string without the quotes around it; doubled quotes and escapes inside stay.
pub(super) fn unquote(bytes: &[u8]) -> &[u8] {
    let bytes = match bytes {
        [b'u' | b'U', b'&', quoted @ ..] => quoted,
        [b'e' | b'E', quoted @ ..] if quoted.starts_with(b"'") => quoted,
        _ => bytes,
    };
    match bytes {
        [open @ (b'`' | b'"' | b'\''), inner @ ..] => inner.strip_suffix(&[*open]).unwrap_or(inner),
        _ => bytes,
    }
}

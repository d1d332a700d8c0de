//! The words, literals and signs of a text, over bytes.
//!
//! What is here is the dialect of MySQL and MariaDB and all that both share; words and signs of
//! PostgreSQL that are read otherwise stand in `postgres`.
//!
//! One forward pass without recursion or look-behind beyond the token before, so its time is linear
//! whatever the bytes are. It cannot fail: what is unterminated ends with the text, and a byte that
//! means nothing is a sign of its own. Comments are tokens, because tags are in them; executable
//! comments (`/*!80000 … */`, `/*M!100100 … */`) are code between two marks.

use memchr::{memchr, memchr2, memmem};

use super::keyword::{self, Keyword};
use super::{Dialect, Span};

mod postgres;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Keyword(Keyword),
    /// An identifier without quotes.
    Word,
    /// An identifier in back ticks or, with `ANSI_QUOTES`, in double quotes.
    Quoted,
    /// A string or number, with its introducer (`_utf8mb4'x'`, `x'00'`).
    Literal,
    /// The `?` of a prepared statement; `$1` in PostgreSQL.
    Parameter,
    /// `@name`, also with the name in quotes.
    UserVariable,
    /// `@@name`, `@@scope.name`.
    SystemVariable,
    /// One byte of punctuation or of an operator.
    Sign(u8),
    /// `/*!…` or `/*M!…`: what follows is code.
    ExecutableOpen,
    /// The `*/` that ends it.
    ExecutableClose,
    /// A comment with its delimiters.
    Comment,
}

/// A token and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// The tokens of one text.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    sql: &'a [u8],
    postgres: bool,
    /// A backslash escapes in a string without a mark of its own.
    escapes: bool,
    /// Double quotes enclose identifiers.
    ansi_quotes: bool,
    at: usize,
    executable: bool,
    /// The token before was a `.` or an operand a `.` may follow: then `.1` is no number.
    before: Before,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Name,
    Dot,
    Other,
}

impl<'a> Lexer<'a> {
    /// `sql` must be shorter than 4 GiB, which [`super::TEXT_BYTES_MAX`] sees to.
    pub(super) fn new(sql: &'a [u8], dialect: Dialect) -> Self {
        let (postgres, escapes, ansi_quotes) = match dialect {
            Dialect::MySql(mode) => (false, !mode.no_backslash_escapes, mode.ansi_quotes),
            Dialect::Postgres { standard_conforming_strings } => {
                (true, !standard_conforming_strings, true)
            }
        };
        let before = Before::Other;
        Self { sql, postgres, escapes, ansi_quotes, at: 0, executable: false, before }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.sql.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Moves to where `found`, counted from `from`, or to the end when it is not found.
    fn skip_to(&mut self, from: usize, found: Option<usize>) {
        self.at = found.map_or(self.sql.len(), |offset| from + offset);
    }

    fn word(&mut self) -> TokenKind {
        let word = self.skip_word();
        if self.before == Before::Dot {
            return TokenKind::Word;
        }
        if self.introduces(word) {
            return self.literal_after_introducer();
        }
        keyword::MYSQL.find(word).map_or(TokenKind::Word, TokenKind::Keyword)
    }

    fn skip_word(&mut self) -> &'a [u8] {
        let start = self.at;
        self.at += self.sql[start..].iter().take_while(|&&byte| is_word(byte)).count();
        &self.sql[start..self.at]
    }

    /// Whether the string that follows belongs to this word: `N'…'`, `x'…'`, `b'…'` at once,
    /// `_charset` with or without space.
    fn introduces(&self, word: &[u8]) -> bool {
        match word {
            [b'n' | b'N' | b'x' | b'X' | b'b' | b'B'] => self.peek(0) == b'\'',
            [b'_', _, ..] => {
                let gap = self.gap();
                self.opens_string(self.peek(gap))
                    || (self.peek(gap) == b'0' && matches!(self.peek(gap + 1), b'x' | b'b'))
                    || (matches!(self.peek(gap), b'x' | b'X' | b'b' | b'B')
                        && self.peek(gap + 1) == b'\'')
            }
            _ => false,
        }
    }

    fn gap(&self) -> usize {
        self.sql[self.at..].iter().take_while(|byte| is_space(**byte)).count()
    }

    fn literal_after_introducer(&mut self) -> TokenKind {
        self.at += self.gap();
        if !self.opens_string(self.peek(0)) {
            self.at += self.sql[self.at..].iter().take_while(|&&byte| is_word(byte)).count();
        }
        if self.opens_string(self.peek(0)) {
            self.string(self.escapes);
        }
        TokenKind::Literal
    }

    fn opens_string(&self, byte: u8) -> bool {
        byte == b'\'' || (byte == b'"' && !self.ansi_quotes)
    }

    /// A string in the quotes it begins with; a doubled quote stands for one, and with `escapes` a
    /// backslash and a byte for another.
    fn string(&mut self, escapes: bool) {
        let quote = self.sql[self.at];
        self.at += 1;
        loop {
            let rest = &self.sql[self.at..];
            let found = if escapes { memchr2(quote, b'\\', rest) } else { memchr(quote, rest) };
            self.skip_to(self.at, found);
            match self.sql.get(self.at) {
                None => return,
                Some(b'\\') if escapes => {
                    self.at = (self.at + 2).min(self.sql.len());
                }
                Some(_) if self.peek(1) == quote && self.at + 1 < self.sql.len() => self.at += 2,
                Some(_) => {
                    self.at += 1;
                    return;
                }
            }
        }
    }

    /// An identifier in quotes: no escapes but the doubled quote.
    fn quoted(&mut self) {
        let quote = self.sql[self.at];
        self.at += 1;
        loop {
            self.skip_to(self.at, memchr(quote, &self.sql[self.at..]));
            if self.at >= self.sql.len() {
                return;
            }
            self.at += 1;
            if self.peek(0) != quote || self.at >= self.sql.len() {
                return;
            }
            self.at += 1;
        }
    }

    /// A number, or an identifier that begins with a digit (`2fa`).
    fn number(&mut self) -> TokenKind {
        let start = self.at;
        self.at += self.sql[start..].iter().take_while(|&&byte| is_word(byte)).count();
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let word = &self.sql[start..self.at];
        let whole = digits(word);
        if whole == word.len() {
            if self.peek(0) == b'.' {
                self.at += 1;
                self.at += digits(&self.sql[self.at..]);
                self.exponent();
            }
            return TokenKind::Literal;
        }
        let literal = match &word[whole..] {
            [b'e' | b'E'] if matches!(self.peek(0), b'+' | b'-') => {
                self.at = start + whole;
                self.exponent();
                true
            }
            [b'e' | b'E', power @ ..] => !power.is_empty() && digits(power) == power.len(),
            [b'x', hex @ ..] => word[0] == b'0' && hex.iter().all(u8::is_ascii_hexdigit),
            [b'b', bits @ ..] => {
                word[0] == b'0' && bits.iter().all(|bit| matches!(bit, b'0'..=b'1'))
            }
            _ => false,
        };
        if literal { TokenKind::Literal } else { TokenKind::Word }
    }

    /// `e10`, `e-3` after the digits; nothing when it is not one.
    fn exponent(&mut self) {
        if !matches!(self.peek(0), b'e' | b'E') {
            return;
        }
        let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
        let power = self.sql.get(self.at + 1 + sign..).unwrap_or_default();
        let digits = power.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            self.at += 1 + sign + digits;
        }
    }

    /// Whether the `.` here is that of `.5`.
    fn begins_fraction(&self) -> bool {
        self.peek(1).is_ascii_digit() && self.before != Before::Name
    }

    fn fraction(&mut self) -> TokenKind {
        self.at += 1;
        self.at += self.sql[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.exponent();
        TokenKind::Literal
    }

    fn variable(&mut self) -> TokenKind {
        let kind = if self.peek(1) == b'@' {
            self.at += 2;
            TokenKind::SystemVariable
        } else {
            self.at += 1;
            TokenKind::UserVariable
        };
        match self.peek(0) {
            b'`' | b'\'' | b'"' => self.quoted(),
            _ => {
                let name = |byte: &&u8| is_word(**byte) || **byte == b'.';
                self.at += self.sql[self.at..].iter().take_while(name).count();
            }
        }
        kind
    }

    /// At `/*`.
    fn block_comment(&mut self) -> TokenKind {
        let mark = match (self.peek(2), self.peek(3)) {
            (b'!', _) => 3,
            (b'M', b'!') => 4,
            _ => {
                let body = self.at + 2;
                let end = memmem::find(&self.sql[body..], b"*/").map(|offset| offset + 2);
                self.skip_to(body, end);
                return TokenKind::Comment;
            }
        };
        self.at += mark;
        self.at += self.sql[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.executable = true;
        TokenKind::ExecutableOpen
    }

    fn line_comment(&mut self) -> TokenKind {
        self.skip_to(self.at, memchr(b'\n', &self.sql[self.at..]));
        TokenKind::Comment
    }

    fn sign(&mut self, byte: u8) -> TokenKind {
        self.at += 1;
        TokenKind::Sign(byte)
    }

    /// The next token, in the dialect it was made for: known to the compiler, so that each has a loop
    /// of its own.
    pub(super) fn token<const POSTGRES: bool>(&mut self) -> Option<Token> {
        debug_assert_eq!(POSTGRES, self.postgres, "the dialect it was made for");
        self.at += self.gap();
        let start = self.at;
        let kind = match *self.sql.get(start)? {
            byte if is_word(byte) => {
                if POSTGRES {
                    self.postgres_word(byte)
                } else if byte.is_ascii_digit() && self.before != Before::Dot {
                    self.number()
                } else {
                    self.word()
                }
            }
            byte if POSTGRES => self.postgres_sign(byte),
            byte if self.opens_string(byte) => {
                self.string(self.escapes);
                TokenKind::Literal
            }
            b'`' | b'"' => {
                self.quoted();
                TokenKind::Quoted
            }
            b'?' => {
                self.at += 1;
                TokenKind::Parameter
            }
            b'.' if self.begins_fraction() => self.fraction(),
            b'@' => self.variable(),
            b'/' if self.peek(1) == b'*' => self.block_comment(),
            b'*' if self.executable && self.peek(1) == b'/' => {
                self.at += 2;
                self.executable = false;
                TokenKind::ExecutableClose
            }
            b'#' => self.line_comment(),
            // The manual: "the second dash must be followed by at least one whitespace or control
            // character".
            b'-' if self.peek(1) == b'-' && (self.peek(2) <= b' ' || self.peek(2) == 0x7f) => {
                self.line_comment()
            }
            byte => self.sign(byte),
        };
        if kind != TokenKind::Comment {
            self.before = match kind {
                TokenKind::Sign(b'.') => Before::Dot,
                TokenKind::Word | TokenKind::Quoted | TokenKind::Keyword(_) => Before::Name,
                _ => Before::Other,
            };
        }
        Some(Token { kind, span: Span { start: start as u32, end: self.at as u32 } })
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.postgres { self.token::<true>() } else { self.token::<false>() }
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The bytes of identifiers without quotes: the manual allows letters, digits, `$`, `_` and
/// everything beyond ASCII.
const fn is_word(byte: u8) -> bool {
    WORD[byte as usize]
}

static WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        table[byte] =
            ascii.is_ascii_alphanumeric() || ascii == b'_' || ascii == b'$' || !ascii.is_ascii();
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;

//! Where PostgreSQL reads bytes otherwise; the manual's chapter "Lexical Structure".
//!
//! Operators are not put together: each of their bytes is a sign, `?`, `#` and `@` among them.

use memchr::{memchr, memchr2, memmem};

use super::super::keyword;
use super::{Before, Lexer, TokenKind, is_space, is_word};

impl Lexer<'_> {
    /// At a byte of a word, which `first` is.
    pub(super) fn postgres_word(&mut self, first: u8) -> TokenKind {
        match first {
            b'$' => self.dollar(),
            b'0'..=b'9' => self.postgres_number(),
            _ => self.name_or_string(),
        }
    }

    /// At any other byte.
    pub(super) fn postgres_sign(&mut self, first: u8) -> TokenKind {
        match first {
            b'\'' => self.strings(self.escapes),
            b'"' => {
                self.quoted();
                TokenKind::Quoted
            }
            b'.' if self.begins_fraction() => self.fraction(),
            b'/' if self.peek(1) == b'*' => self.nested_comment(),
            b'-' if self.peek(1) == b'-' => self.line_comment(),
            _ => self.sign(first),
        }
    }

    /// A name, or a string whose mark is one: `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`, `U&"…"`.
    fn name_or_string(&mut self) -> TokenKind {
        let word = self.skip_word();
        match (word, self.peek(0), self.peek(1)) {
            ([b'e' | b'E'], b'\'', _) => self.strings(true),
            ([b'b' | b'B' | b'x' | b'X'], b'\'', _) => self.strings(false),
            ([b'n' | b'N'], b'\'', _) => self.strings(self.escapes),
            ([b'u' | b'U'], b'&', b'\'') => {
                self.at += 1;
                self.strings(false)
            }
            ([b'u' | b'U'], b'&', b'"') => {
                self.at += 1;
                self.quoted();
                TokenKind::Quoted
            }
            _ if self.before == Before::Dot => TokenKind::Word,
            _ => keyword::POSTGRES.find(word).map_or(TokenKind::Word, TokenKind::Keyword),
        }
    }

    /// A string and its continuations: "separated only by whitespace with at least one newline".
    fn strings(&mut self, escapes: bool) -> TokenKind {
        self.string(escapes);
        while let Some(at) = self.continuation() {
            self.at = at;
            self.string(escapes);
        }
        TokenKind::Literal
    }

    /// Where the string goes on, past space and comments.
    fn continuation(&self) -> Option<usize> {
        let (mut at, mut newline) = (self.at, false);
        loop {
            match self.sql.get(at..)? {
                [b'\n' | b'\r', ..] => (at, newline) = (at + 1, true),
                [byte, ..] if is_space(*byte) => at += 1,
                [b'-', b'-', rest @ ..] => at += 2 + memchr(b'\n', rest)?,
                [b'\'', ..] if newline => return Some(at),
                _ => return None,
            }
        }
    }

    /// At `$`: a parameter, a string in dollar quotes, or a sign.
    fn dollar(&mut self) -> TokenKind {
        let rest = &self.sql[self.at + 1..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            self.at += 1 + digits;
            return TokenKind::Parameter;
        }
        let tag = rest.iter().take_while(|byte| is_word(**byte) && **byte != b'$').count();
        if rest.get(tag) != Some(&b'$') {
            return self.sign(b'$');
        }
        let quote = &self.sql[self.at..self.at + tag + 2];
        let body = self.at + quote.len();
        let end = memmem::find(&self.sql[body..], quote).map(|offset| offset + quote.len());
        self.skip_to(body, end);
        TokenKind::Literal
    }

    /// A number ends where its digits end: servers before 15 take `1FROM` for two words.
    fn postgres_number(&mut self) -> TokenKind {
        let radix: fn(&u8) -> bool = match self.sql[self.at..] {
            [b'0', b'x' | b'X', b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'_', ..] => {
                u8::is_ascii_hexdigit
            }
            [b'0', b'o' | b'O' | b'b' | b'B', b'0'..=b'9' | b'_', ..] => u8::is_ascii_digit,
            _ => return self.decimal(),
        };
        self.at += 2;
        self.digits(radix);
        TokenKind::Literal
    }

    fn decimal(&mut self) -> TokenKind {
        self.digits(u8::is_ascii_digit);
        if self.peek(0) == b'.' {
            self.at += 1;
            self.digits(u8::is_ascii_digit);
        }
        self.exponent();
        TokenKind::Literal
    }

    /// Digits with `_` between them.
    fn digits(&mut self, is_digit: fn(&u8) -> bool) {
        let is_part = |byte: &&u8| is_digit(byte) || **byte == b'_';
        self.at += self.sql[self.at..].iter().take_while(is_part).count();
    }

    /// At `/*`: "these block comments nest, as specified in the SQL standard".
    fn nested_comment(&mut self) -> TokenKind {
        self.at += 2;
        let mut depth = 1_usize;
        while depth > 0 {
            self.skip_to(self.at, memchr2(b'*', b'/', &self.sql[self.at..]));
            match self.sql[self.at..] {
                [] => break,
                [b'*', b'/', ..] => (self.at, depth) = (self.at + 2, depth - 1),
                [b'/', b'*', ..] => (self.at, depth) = (self.at + 2, depth + 1),
                _ => self.at += 1,
            }
        }
        TokenKind::Comment
    }
}

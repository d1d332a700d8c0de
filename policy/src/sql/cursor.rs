//! The tokens that mean something, with a little look-ahead.

use std::collections::VecDeque;

use super::keyword::Keyword;
use super::lexer::{Lexer, Token, TokenKind};

/// Tokens without comments; the marks of executable comments are dropped too, but remembered.
pub(super) struct Cursor<'a> {
    lexer: Lexer<'a>,
    /// At most as many as [`peek`](Self::peek) looks ahead.
    ahead: VecDeque<Token>,
    /// Some of the code stands in an executable comment: a server may or may not run it.
    pub(super) executable: bool,
    /// A comment stands right behind a `;`.
    pub(super) comments_end: bool,
    ends: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(lexer: Lexer<'a>) -> Self {
        Self { lexer, ahead: VecDeque::new(), executable: false, comments_end: false, ends: false }
    }

    fn read(&mut self) -> Option<Token> {
        loop {
            let token = self.lexer.next()?;
            match token.kind {
                TokenKind::Comment => self.comments_end |= self.ends,
                TokenKind::ExecutableOpen | TokenKind::ExecutableClose => self.executable = true,
                kind => {
                    self.ends = kind == TokenKind::Sign(b';');
                    return Some(token);
                }
            }
        }
    }

    /// The next token of the text.
    pub(super) fn next(&mut self) -> Option<Token> {
        self.ahead.pop_front().or_else(|| self.read())
    }

    /// The token `ahead` places after the next.
    pub(super) fn peek(&mut self, ahead: usize) -> Option<TokenKind> {
        self.peek_token(ahead).map(|token| token.kind)
    }

    /// As [`peek`](Self::peek), with its place.
    pub(super) fn peek_token(&mut self, ahead: usize) -> Option<Token> {
        while self.ahead.len() <= ahead {
            let token = self.read()?;
            self.ahead.push_back(token);
        }
        self.ahead.get(ahead).copied()
    }

    /// Whether the next token is one of these keywords.
    pub(super) fn at(&mut self, keywords: &[Keyword]) -> bool {
        matches!(self.peek(0), Some(TokenKind::Keyword(found)) if keywords.contains(&found))
    }

    /// Takes the next token if it is one of these keywords.
    pub(super) fn take(&mut self, keywords: &[Keyword]) -> bool {
        let found = self.at(keywords);
        if found {
            self.next();
        }
        found
    }

    /// Whether the statement ends here.
    pub(super) fn at_end(&mut self) -> bool {
        matches!(self.peek(0), None | Some(TokenKind::Sign(b';')))
    }

    /// Whether the next token is this sign.
    pub(super) fn at_sign(&mut self, sign: u8) -> bool {
        self.peek(0) == Some(TokenKind::Sign(sign))
    }
}

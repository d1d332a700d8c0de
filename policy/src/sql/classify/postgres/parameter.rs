//! SET, RESET and `set_config`: which parameter they set, and for how long.

use crate::sql::classify::{Head, Reader, Subjects};
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::lexer::TokenKind;
use crate::sql::{Effects, Kind, Subject};

/// Tokens of a `set_config` that are looked at for its third argument; beyond it may be anything.
const LOOK_AHEAD_MAX: usize = 32;

impl Reader<'_> {
    pub(super) fn set_parameter(&mut self) -> Head {
        let local = self.cursor.take(&[Local]);
        // Of SET SESSION AUTHORIZATION the word is no scope.
        let next = Some(TokenKind::Keyword(Authorization));
        if !local && self.cursor.peek(1) != next && self.cursor.take(&[Session]) {
            if self.cursor.at(&[Characteristics]) {
                self.effects |= Effects::SETS_SESSION;
                self.subject = Subjects::Many;
                return Head::Is(Kind::Set);
            }
        }
        if self.cursor.at(&[Transaction]) {
            self.effects |= Effects::SETS_LOCAL;
            self.subject = Subjects::Many;
        } else if !self.cursor.at(&[Constraints]) {
            self.sets_parameter(if local { Effects::SETS_LOCAL } else { Effects::SETS_SESSION });
        }
        Head::Is(Kind::Set)
    }

    pub(super) fn reset_parameter(&mut self) -> Head {
        if self.cursor.at(&[All]) {
            self.effects |= Effects::SETS_SESSION;
            self.subject = Subjects::Many;
        } else {
            self.sets_parameter(Effects::SETS_SESSION);
        }
        Head::Is(Kind::Reset)
    }

    /// At the name of the parameter.
    fn sets_parameter(&mut self, effect: Effects) {
        self.effects |= effect;
        let Some(name) = self.parameter() else { return };
        if matches!(&*name, "role" | "session_authorization") {
            self.effects |= Effects::SETS_ROLE;
        }
        self.is_about(Subject::Name(name));
    }

    /// Its name in lower case; some have words of their own in the grammar.
    fn parameter(&mut self) -> Option<Box<str>> {
        const PHRASES: [(&[Keyword], &str); 6] = [
            (&[Time, Zone], "timezone"),
            (&[Session, Authorization], "session_authorization"),
            (&[Transaction, Isolation, Level], "transaction_isolation"),
            (&[Schema], "search_path"),
            (&[Names], "client_encoding"),
            (&[Xml], "xmloption"),
        ];
        for (words, name) in PHRASES {
            let is_next = |(at, word): (usize, &Keyword)| {
                self.cursor.peek(at) == Some(TokenKind::Keyword(*word))
            };
            if words.iter().enumerate().all(is_next) {
                words.iter().for_each(|word| _ = self.cursor.take(&[*word]));
                return Some(name.into());
            }
        }
        let mut name = self.take_name()?.into_string();
        while self.cursor.at_sign(b'.') {
            self.take();
            name.push('.');
            name.push_str(&self.take_name()?);
        }
        name.make_ascii_lowercase();
        Some(name.into())
    }

    /// `set_config(name, value, is_local)`, its `(` next. The name counts when it is the first value:
    /// only then it is the first in every text of this digest, which also keeps TRUE and FALSE apart.
    pub(super) fn set_config(&mut self) -> Effects {
        let is_literal =
            matches!(self.cursor.peek(1), Some(TokenKind::Literal | TokenKind::Parameter));
        if is_literal && self.cursor.peek(2) == Some(TokenKind::Sign(b',')) && self.values == 0 {
            self.is_about(Subject::FirstValue);
        } else {
            self.subject = Subjects::Many;
        }
        match self.is_local() {
            Some(true) => Effects::SETS_LOCAL,
            Some(false) => Effects::SETS_SESSION,
            None => Effects::SETS_LOCAL | Effects::SETS_SESSION,
        }
    }

    /// The third argument, if it is a constant.
    fn is_local(&mut self) -> Option<bool> {
        let (mut depth, mut commas) = (0_usize, 0_usize);
        for at in 0..LOOK_AHEAD_MAX {
            match self.cursor.peek(at)? {
                TokenKind::Sign(b'(' | b'[') => depth += 1,
                TokenKind::Sign(b')' | b']') if depth == 1 => return None,
                TokenKind::Sign(b')' | b']') => depth -= 1,
                TokenKind::Sign(b',') if depth == 1 => commas += 1,
                _ => {}
            }
            if commas == 2 {
                let ends = self.cursor.peek(at + 2) == Some(TokenKind::Sign(b')'));
                return match self.cursor.peek(at + 1)? {
                    TokenKind::Keyword(True) if ends => Some(true),
                    TokenKind::Keyword(False | Null) if ends => Some(false),
                    _ => None,
                };
            }
        }
        None
    }
}

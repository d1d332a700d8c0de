//! What a WHERE asks of the columns of a row.

use super::reader::{Reader, Seen, ends_where};
use super::value::Value;
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::lexer::TokenKind;

/// Parentheses around conditions that are looked into; what is deeper names nothing.
const DEPTH_MAX: usize = 16;

/// What all equalities of the WHERE make together; `None` if there is none, or the statement does not
/// wait for locks.
pub(super) fn equalities<'v>(
    reader: Reader<'_, impl Fn(usize) -> Option<Value<'v>>>,
) -> Option<u64> {
    Conditions { reader, is_hidden: false }.equalities()
}

struct Conditions<'a, F> {
    reader: Reader<'a, F>,
    /// A value is not known: what is left would name more than the row.
    is_hidden: bool,
}

/// What the conditions of one level of parentheses have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// The sum of the equalities, so that their order does not matter.
    sum: u64,
    count: u32,
    /// One of them is enough, so none must hold.
    is_or: bool,
}

impl Level {
    /// Takes over what must hold in parentheses.
    fn join(&mut self, inner: Self) {
        if !inner.is_or {
            self.sum = self.sum.wrapping_add(inner.sum);
            self.count += inner.count;
        }
    }
}

impl<'v, F: Fn(usize) -> Option<Value<'v>>> Conditions<'_, F> {
    fn equalities(&mut self) -> Option<u64> {
        self.skip_to_where()?;
        let found = self.conditions();
        // Behind the WHERE may stand that locks are not waited for.
        while let Some(token) = self.reader.next() {
            if matches!(token.kind, TokenKind::Keyword(Nowait | Skip)) {
                return None;
            }
        }
        let is_told =
            !found.is_or && found.count > 0 && !self.is_hidden && !self.reader.is_hidden();
        is_told.then_some(found.sum)
    }

    /// The WHERE of the statement itself: one in parentheses is that of a query within.
    fn skip_to_where(&mut self) -> Option<()> {
        loop {
            match self.reader.next()?.kind {
                TokenKind::Keyword(Where) => return Some(()),
                TokenKind::Sign(b'(') => self.reader.skip_parentheses(),
                _ => {}
            }
        }
    }

    fn conditions(&mut self) -> Level {
        let mut outer = [Level::default(); DEPTH_MAX];
        let (mut depth, mut level) = (0, Level::default());
        loop {
            // At the beginning of a condition.
            if self.reader.peek_is_sign(b'(') && depth < DEPTH_MAX {
                self.reader.next();
                if self.peek_is_query() {
                    self.reader.skip_parentheses();
                } else {
                    outer[depth] = std::mem::take(&mut level);
                    depth += 1;
                    continue;
                }
            }
            let equality = self.equality();
            if let (Some(equality), true) = (equality, self.skip_condition()) {
                level.sum = level.sum.wrapping_add(equality);
                level.count += 1;
            }
            // Behind it; a parenthesis that closes may end several levels.
            loop {
                match self.reader.peek().map(|token| token.kind) {
                    Some(TokenKind::Keyword(And)) => break,
                    Some(TokenKind::Keyword(Or | Xor) | TokenKind::Sign(b'|')) => {
                        level.is_or = true;
                        break;
                    }
                    Some(TokenKind::Sign(b')')) if depth > 0 => {
                        self.reader.next();
                        depth -= 1;
                        let inner = std::mem::replace(&mut level, outer[depth]);
                        // `(a, b) = (1, 2)` and `(a) + 1` are no conditions in parentheses.
                        if self.skip_condition() {
                            level.join(inner);
                        }
                    }
                    // The end; where parentheses do not match, nothing is known.
                    _ => return Level { is_or: level.is_or || depth > 0, ..level },
                }
            }
            self.reader.next();
        }
    }

    /// `column = value`, with as many names before the column as there are.
    fn equality(&mut self) -> Option<u64> {
        let column = self.reader.take_column()?;
        if !self.reader.take_sign(b'=') {
            return None;
        }
        let mut hashes = self.reader.column(column);
        let seen = self.reader.value(&mut hashes);
        self.is_hidden |= seen == Seen::Unknown;
        (seen == Seen::Value).then_some(hashes.digest)
    }

    /// Reads what is left of a condition. Returns whether that was nothing.
    fn skip_condition(&mut self) -> bool {
        let mut is_nothing = true;
        while let Some(token) = self.reader.peek() {
            match token.kind {
                TokenKind::Keyword(And | Or | Xor) | TokenKind::Sign(b')' | b';') => break,
                TokenKind::Sign(b'|') if !self.reader.is_postgres() => break,
                TokenKind::Keyword(keyword) if ends_where(keyword) => break,
                _ => {}
            }
            is_nothing = false;
            self.reader.next();
            match token.kind {
                TokenKind::Sign(b'(') => self.reader.skip_parentheses(),
                // Its AND is no other condition.
                TokenKind::Keyword(Between) => self.skip_past(And),
                TokenKind::Keyword(Case) => self.skip_past(End),
                _ => {}
            }
        }
        is_nothing
    }

    fn skip_past(&mut self, keyword: Keyword) {
        while let Some(token) = self.reader.next() {
            match token.kind {
                TokenKind::Sign(b'(') => self.reader.skip_parentheses(),
                TokenKind::Keyword(found) if found == keyword => return,
                _ => {}
            }
        }
    }

    fn peek_is_query(&mut self) -> bool {
        let kind = self.reader.peek().map(|token| token.kind);
        matches!(kind, Some(TokenKind::Keyword(Select | With | Values | Table)))
    }
}

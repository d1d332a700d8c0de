//! Which sequences a statement of PostgreSQL asks `currval` about, as far as its text tells.

use super::cursor::Cursor;
use super::lexer::{Lexer, TokenKind};
use super::{Dialect, Span};

/// The arguments of all calls of `currval` in `sql`, each as it is written: a literal, with or without a
/// cast to `regclass`, or `pg_get_serial_sequence` of two literals. `None` where one is anything
/// else. Without a call there are none.
///
/// What is returned means the same in another text that is read with the same `dialect`.
#[must_use]
pub fn sequences_asked(sql: &[u8], dialect: Dialect) -> Option<Vec<&[u8]>> {
    let mut cursor = Cursor::new(Lexer::new(sql, dialect));
    let mut asked = Vec::new();
    while let Some(token) = cursor.next() {
        let is_call =
            matches!(token.kind, TokenKind::Word | TokenKind::Quoted | TokenKind::Keyword(_))
                && cursor.at_sign(b'(')
                && &*dialect.name(token.span.of(sql)) == "currval";
        if is_call {
            let len = argument(&mut cursor, sql, dialect)?;
            let end = cursor.peek_token(len)?.span.end;
            let start = cursor.peek_token(1)?.span.start;
            asked.push(Span { start, end }.of(sql));
        }
    }
    Some(asked)
}

/// How many tokens the argument has whose `(` is next, if it is one of those known.
fn argument(cursor: &mut Cursor<'_>, sql: &[u8], dialect: Dialect) -> Option<usize> {
    use TokenKind::{Literal, Sign};
    const CLOSE: Option<TokenKind> = Some(Sign(b')'));
    let kinds: Vec<_> = (1..=7).map_while(|at| cursor.peek(at)).collect();
    let mut names = |at: usize, name: &str| {
        cursor.peek_token(at).is_some_and(|token| &*dialect.name(token.span.of(sql)) == name)
    };
    match kinds[..] {
        [Literal, Sign(b')'), ..] => Some(1),
        [Literal, Sign(b':'), Sign(b':'), _, Sign(b')'), ..] => names(4, "regclass").then_some(4),
        [_, Sign(b'('), Literal, Sign(b','), Literal, Sign(b')'), last] if Some(last) == CLOSE => {
            names(1, "pg_get_serial_sequence").then_some(6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_constant_is_told_as_it_is_written() {
        let check = |sql: &str, expect: Option<&[&str]>| {
            let dialect = Dialect::Postgres { standard_conforming_strings: true };
            let asked = sequences_asked(sql.as_bytes(), dialect);
            let expect = expect.map(|all| all.iter().map(|one| one.as_bytes()).collect());
            assert_eq!(asked, expect, "{sql}");
        };
        check("SELECT lastval()", Some(&[]));
        check("SELECT currval('a')", Some(&["'a'"]));
        check("SELECT 'currval(x)', CURRVAL ( E'a' )", Some(&["E'a'"]));
        check("SELECT pg_catalog.currval('a'::regclass)", Some(&["'a'::regclass"]));
        check("SELECT \"currval\"('a'), currval(16401)", Some(&["'a'", "16401"]));
        let serial = "pg_get_serial_sequence('t', 'id')";
        check(&format!("INSERT INTO u VALUES (currval({serial}), 1)"), Some(&[serial]));
        check("SELECT currval($1)", None);
        check("SELECT currval('a' || 'b')", None);
        check("SELECT currval('a'::text)", None);
        check("SELECT currval(f('t', 'id'))", None);
        check("SELECT currval('a'), currval(b) FROM c", None);
        check("SELECT currval('a", None);
        check("SELECT currval(", None);
    }
}

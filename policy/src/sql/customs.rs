//! Which parameters with a dot in their name a text of PostgreSQL sets (`app.tenant`). The server lists
//! all others.

use super::cursor::Cursor;
use super::digest::unquote;
use super::keyword::Keyword;
use super::lexer::{Lexer, Token, TokenKind};
use super::{Dialect, Span};

/// More are not looked for in one text.
const CUSTOMS_MAX: usize = 32;

/// The names that stand behind a SET or RESET, or begin the arguments of `set_config` as a literal: in
/// lower case, as the server takes them. They may be more than it sets: columns of an UPDATE look the
/// same. At most 32.
#[must_use]
pub fn customs_set(sql: &[u8], dialect: Dialect) -> Vec<String> {
    let mut cursor = Cursor::new(Lexer::new(sql, dialect));
    let mut customs = Vec::new();
    while let Some(token) = cursor.next()
        && customs.len() < CUSTOMS_MAX
    {
        let found = match token.kind {
            TokenKind::Keyword(Keyword::Set | Keyword::Reset) => {
                cursor.take(&[Keyword::Session, Keyword::Local]);
                dotted(&mut cursor, sql)
            }
            TokenKind::Word | TokenKind::Quoted
                if cursor.at_sign(b'(') && &*dialect.name(token.span.of(sql)) == "set_config" =>
            {
                let literal = cursor.peek_token(1);
                literal
                    .filter(|token| token.kind == TokenKind::Literal)
                    .map(|token| unquote(token.span.of(sql)))
                    .filter(|name| name.contains(&b'.'))
            }
            _ => None,
        };
        customs.extend(found.map(|name| String::from_utf8_lossy(name).to_lowercase()));
    }
    customs
}

/// Names with dots between them, as they are written without quotes.
fn dotted<'a>(cursor: &mut Cursor<'_>, sql: &'a [u8]) -> Option<&'a [u8]> {
    let is_name = |token: &Token| matches!(token.kind, TokenKind::Word | TokenKind::Keyword(_));
    let first = cursor.peek_token(0).filter(is_name)?;
    let (mut last, mut at) = (first, 1);
    while cursor.peek(at) == Some(TokenKind::Sign(b'.')) {
        last = cursor.peek_token(at + 1).filter(is_name)?;
        at += 2;
    }
    let span = Span { start: first.span.start, end: last.span.end };
    (at > 1).then(|| span.of(sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_dot_are_found_wherever_they_are_set() {
        let check = |sql: &str, expect: &[&str]| {
            let dialect = Dialect::Postgres { standard_conforming_strings: true };
            assert_eq!(customs_set(sql.as_bytes(), dialect), expect, "{sql}");
        };
        check("RESET TimeZone; SET a.b = 'x'; LISTEN c", &["a.b"]);
        check(
            "SET SESSION App.Tenant TO 7; SET LOCAL a.b.c = 1; RESET d.e",
            &["app.tenant", "a.b.c", "d.e"],
        );
        check("SELECT 1; SELECT set_config('App.tenant', $1, false), t.a FROM t", &["app.tenant"]);
        check("SELECT set_config('work_mem', '1MB', false), set_config($1, $2, true)", &[]);
        check("SET work_mem = '1MB'; SELECT a.b, 'SET c.d = 1' -- SET e.f = 2", &[]);
        check("SET a.; SET .b; SET", &[]);
        let many = (0..100).map(|n| format!("SET a.b{n} = 1;")).collect::<String>();
        let dialect = Dialect::Postgres { standard_conforming_strings: true };
        assert_eq!(customs_set(many.as_bytes(), dialect).len(), CUSTOMS_MAX);
    }
}

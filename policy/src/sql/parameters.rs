//! How many parameters a statement of PostgreSQL has.

use super::Dialect;
use super::lexer::{Lexer, TokenKind};

/// The highest number of a parameter in `sql`: 2 where there is a `$2` and no higher; 0 where there is
/// none, or the text is none that a server would take.
#[must_use]
pub fn parameters(sql: &[u8], dialect: Dialect) -> usize {
    Lexer::new(sql, dialect)
        .filter(|token| token.kind == TokenKind::Parameter)
        .filter_map(|token| {
            let number = token.span.of(sql).strip_prefix(b"$")?;
            std::str::from_utf8(number).ok()?.parse().ok()
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_counts() {
        for (sql, expect) in [
            ("SELECT 1", 0),
            ("SELECT $1", 1),
            ("SELECT $2::int, $1, $2 -- $3", 2),
            ("SELECT '$4', $tag$ $5 $tag$, \"$6\"", 0),
            ("SELECT $99999999999999999999999", 0),
        ] {
            let dialect = Dialect::Postgres { standard_conforming_strings: true };
            assert_eq!(parameters(sql.as_bytes(), dialect), expect, "{sql}");
        }
    }
}

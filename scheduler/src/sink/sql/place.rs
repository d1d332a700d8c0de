//! Where parameters stand in a text: `:name` and `{items}`, but not in strings, quoted names and
//! comments.

use std::ops::Range;

use super::statement::StatementError;

/// What stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// `{items}`.
    Items,
    /// `:name`, without the colon.
    Name(&'a str),
}

const ITEMS: &str = "{items}";

/// The places of a text, in order.
pub(crate) fn places(sql: &str) -> Result<Vec<(Range<usize>, Place<'_>)>, StatementError> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < sql.len() {
        let rest = &sql[at..];
        let len = if rest.starts_with(ITEMS) {
            found.push((at..at + ITEMS.len(), Place::Items));
            ITEMS.len()
        } else if let Some(len) = skipped(rest) {
            len.ok_or(StatementError::Endless(at))?
        } else if let Some(name) = rest.strip_prefix(':').map(name).filter(|name| !name.is_empty())
        {
            found.push((at..at + 1 + name.len(), Place::Name(name)));
            1 + name.len()
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += len;
    }
    Ok(found)
}

/// How long that is which begins here and in which nothing counts; `Some(None)` where it has no end.
fn skipped(rest: &str) -> Option<Option<usize>> {
    let until = |open: usize, close: &str| {
        Some(rest[open..].find(close).map(|end| open + end + close.len()))
    };
    match rest.as_bytes() {
        // A doubled quote within is the end of one and the beginning of another.
        [b'\'', ..] => until(1, "'"),
        [b'"', ..] => until(1, "\""),
        [b'`', ..] => until(1, "`"),
        [b'-', b'-', ..] => Some(Some(rest.find('\n').unwrap_or(rest.len()))),
        [b'/', b'*', ..] => until(2, "*/"),
        // A cast.
        [b':', b':', ..] => Some(Some(2)),
        [b'$', ..] => {
            let tag = name(&rest[1..]).len() + 1;
            let is_quote = rest[tag..].starts_with('$');
            is_quote.then(|| until(tag + 1, &rest[..=tag]).flatten())
        }
        _ => None,
    }
}

/// The name that begins here; empty when none does.
fn name(text: &str) -> &str {
    let is_part = |(index, byte): (usize, u8)| {
        byte.is_ascii_alphabetic() || byte == b'_' || index > 0 && byte.is_ascii_digit()
    };
    let len = text.bytes().enumerate().take_while(|part| is_part(*part)).count();
    &text[..len]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(sql: &str) -> Vec<&str> {
        places(sql).unwrap().into_iter().map(|(range, _)| &sql[range]).collect()
    }

    #[test]
    fn only_what_is_a_parameter_is_one() {
        for (sql, expected) in [
            ("SELECT :id, :body::jsonb", &[":id", ":body"][..]),
            ("SELECT '12:id', \":id\", `:id`, a[1: 2]", &[]),
            ("SELECT 'it''s :id', :id", &[":id"]),
            ("-- :id\n:body /* :id */", &[":body"]),
            ("$$ :id $$ $a$ $$ :id $a$ :id", &[":id"]),
            ("SELECT $1, a := 3, :id", &[":id"]),
            ("FROM {items} WHERE '{items}'", &["{items}"]),
            ("ü:id€", &[":id"]),
        ] {
            assert_eq!(found(sql), expected, "{sql}");
        }
    }

    proptest! {
        /// Any text is read to its end, or has something that does not end.
        #[test]
        fn no_text_is_too_odd(sql in "[-:'\"`$a-c{items}/* \n€1]{0,40}") {
            let _ends = places(&sql);
        }
    }
}

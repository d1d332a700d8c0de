//! Tags: key=value pairs that applications put into SQL comments.
//!
//! Two formats are read. sqlcommenter writes `/*key='value',key='value'*/`, with both sides
//! URL-encoded; marginalia and Rails write `/*key:value,key:value*/`. A comment that is neither is
//! prose and carries no tags. Query attributes, the protocol's own way, are not in here: they come
//! beside the text.

use std::borrow::Cow;

use crate::sql::Span;

/// Most tags that are kept of one text; more are ignored.
pub const TAGS_MAX: usize = 32;

/// Where a tag is in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub key: Span,
    /// Its value as it is written, without quotes.
    pub value: Span,
    /// Whether the value was quoted and so is URL-encoded.
    pub encoded: bool,
}

/// Adds the tags of the comment at `comment`, delimiters included.
pub(crate) fn read(sql: &[u8], comment: Span, tags: &mut Vec<Tag>) {
    let before = tags.len();
    let Some((start, end)) = body(sql, comment) else { return };
    let mut at = start;
    while at < end && tags.len() < TAGS_MAX {
        let Some((tag, next)) = pair(sql, at, end) else {
            tags.truncate(before);
            return;
        };
        tags.push(tag);
        at = next;
    }
}

/// What is between the delimiters; hints (`/*+`) are not ours.
fn body(sql: &[u8], comment: Span) -> Option<(usize, usize)> {
    let (start, end) = (comment.start as usize, comment.end as usize);
    let text = sql.get(start..end)?;
    let (open, close) = match text {
        [b'/', b'*', b'+', ..] => return None,
        [b'/', b'*', rest @ ..] => (2, if rest.ends_with(b"*/") { 2 } else { 0 }),
        [b'-', b'-', ..] => (2, 0),
        [b'#', ..] => (1, 0),
        _ => return None,
    };
    let (mut start, mut end) = (start + open, end - close);
    while start < end && sql[start].is_ascii_whitespace() {
        start += 1;
    }
    while start < end && sql[end - 1].is_ascii_whitespace() {
        end -= 1;
    }
    Some((start, end))
}

/// One pair, and where the next begins.
fn pair(sql: &[u8], at: usize, end: usize) -> Option<(Tag, usize)> {
    let blanks = |from: usize| sql[from..end].iter().take_while(|byte| **byte == b' ').count();
    let start = at + blanks(at);
    let key_len = sql[start..end].iter().take_while(|byte| is_key(**byte)).count();
    let key = span(start, start + key_len);
    let assign = start + key_len;
    if key_len == 0 || assign >= end || !matches!(sql[assign], b'=' | b':') {
        return None;
    }
    let quoted = sql[assign] == b'=' && sql.get(assign + 1) == Some(&b'\'') && assign + 1 < end;
    let (value, after) = if quoted {
        let open = assign + 2;
        let close = closing_quote(sql, open, end)?;
        (span(open, close), close + 1)
    } else {
        let open = assign + 1;
        let len = sql[open..end].iter().take_while(|byte| **byte != b',').count();
        let trimmed = sql[open..open + len].trim_ascii_end().len();
        (span(open, open + trimmed), open + len)
    };
    let after = after + blanks(after.min(end));
    match sql[..end].get(after) {
        None => Some((Tag { key, value, encoded: quoted }, end)),
        Some(b',') => Some((Tag { key, value, encoded: quoted }, after + 1)),
        Some(_) => None,
    }
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%')
}

fn closing_quote(sql: &[u8], from: usize, end: usize) -> Option<usize> {
    let mut at = from;
    while at < end {
        match sql[at] {
            b'\'' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

impl Tag {
    /// The key as it is written.
    #[must_use]
    pub fn key(self, sql: &[u8]) -> &[u8] {
        self.key.of(sql)
    }

    /// The value, decoded; it allocates only when there is something to decode.
    #[must_use]
    pub fn value(self, sql: &[u8]) -> Cow<'_, [u8]> {
        let written = self.value.of(sql);
        if self.encoded && written.iter().any(|byte| matches!(byte, b'%' | b'\\')) {
            Cow::Owned(decode(written))
        } else {
            Cow::Borrowed(written)
        }
    }
}

/// `%41` to `A`, `\'` to `'`; what is neither stands for itself.
fn decode(written: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(written.len());
    let mut rest = written;
    while let [first, after @ ..] = rest {
        let (byte, next) = match (first, after) {
            (b'%', [high, low, next @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, next),
                _ => (b'%', after),
            },
            (b'\\', [escaped, next @ ..]) => (*escaped, next),
            (byte, _) => (*byte, after),
        };
        out.push(byte);
        rest = next;
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(comment: &str, expect: &[(&str, &str)]) {
        let sql = comment.as_bytes();
        let mut tags = Vec::new();
        read(sql, span(0, sql.len()), &mut tags);
        let found: Vec<(String, String)> = tags
            .iter()
            .map(|tag| (tag.key(sql).to_vec(), tag.value(sql).into_owned()))
            .map(|(key, value)| {
                (String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap())
            })
            .collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expect, "{comment}");
    }

    #[test]
    fn sqlcommenter() {
        check(
            "/*action='%2Fpolls%20x',db_driver='django'*/",
            &[("action", "/polls x"), ("db_driver", "django")],
        );
        check(r"/* a='it\'s' , b='c,d' */", &[("a", "it's"), ("b", "c,d")]);
        check("/*a='%zz%4'*/", &[("a", "%zz%4")]);
        check("/*a=''*/", &[("a", "")]);
    }

    #[test]
    fn marginalia() {
        check(
            "/*application:Shop,job:Mail::Deliver*/",
            &[("application", "Shop"), ("job", "Mail::Deliver")],
        );
        check("-- class:batch", &[("class", "batch")]);
        check("# class=batch , a:b ", &[("class", "batch"), ("a", "b")]);
    }

    #[test]
    fn prose_and_hints_carry_no_tags() {
        for comment in [
            "/* see http://x.y/z */",
            "/*+ MAX_EXECUTION_TIME=1 */",
            "/**/",
            "/*",
            "--",
            "/* a='unterminated */",
            "/*a='b' c='d'*/",
            "/*=b*/",
            "/*a='\\*/",
        ] {
            check(comment, &[]);
        }
    }

    #[test]
    fn tags_beyond_the_bound_are_ignored() {
        let body: Vec<String> = (0..100).map(|n| format!("k{n}:v")).collect();
        let sql = format!("/*{}*/", body.join(","));
        let mut tags = Vec::new();
        read(sql.as_bytes(), span(0, sql.len()), &mut tags);
        assert_eq!(tags.len(), TAGS_MAX);
    }
}

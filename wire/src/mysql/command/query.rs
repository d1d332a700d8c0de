//! COM_QUERY: the text of one or more statements, and perhaps query attributes before it.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html>

use super::super::capability::Capabilities;
use super::Command;
use crate::{Malformed, Reader};

/// A COM_QUERY, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryText<'a> {
    /// The text, in whatever character set the session has.
    pub sql: &'a [u8],
    /// What the client said about the text; empty without `QUERY_ATTRIBUTES`.
    pub attributes: Attributes<'a>,
}

/// Reads a COM_QUERY payload, command byte included, in the layout that `caps` demand.
///
/// # Errors
/// When it is another command, or its attributes are cut short or of an unknown type.
pub fn query_text(payload: &[u8], caps: Capabilities) -> Result<QueryText<'_>, Malformed> {
    let mut reader = Reader::new("COM_QUERY", payload);
    if reader.u8()? != Command::Query as u8 {
        return Err(reader.err("another command"));
    }
    let attributes = if caps.contains(Capabilities::QUERY_ATTRIBUTES) {
        Attributes::parse(&mut reader)?
    } else {
        Attributes::default()
    };
    Ok(QueryText { sql: reader.rest(), attributes })
}

/// The query attributes of one statement: an iterator over the name and value of each that is a
/// string. Numbers, times and NULLs are passed over; they are no tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// One bit per attribute, set for NULL.
    nulls: &'a [u8],
    /// The type and name of each attribute from `next` on.
    heads: &'a [u8],
    /// The value of each attribute from `next` on that is not NULL.
    values: &'a [u8],
    next: usize,
    count: usize,
}

impl<'a> Attributes<'a> {
    /// Whether the client sent none.
    pub const fn is_empty(&self) -> bool {
        self.next == self.count
    }

    /// Reads up to the statement's text, and checks every attribute on the way.
    fn parse(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        // Each attribute takes three bytes or more, so no count beyond the payload gets far.
        let count = usize::try_from(reader.lenenc()?)
            .ok()
            .filter(|&count| count <= reader.remaining())
            .ok_or(reader.err("more attributes than bytes"))?;
        if reader.lenenc()? != 1 {
            return Err(reader.err("not one set of attributes"));
        }
        if count == 0 {
            return Ok(Self::default());
        }
        let nulls = reader.bytes(count.div_ceil(8))?;
        if reader.u8()? != 1 {
            return Err(reader.err("attributes without types"));
        }
        let rest = *reader;
        for _ in 0..count {
            reader.u16()?;
            reader.lenenc_bytes()?;
        }
        let heads = between(rest, *reader);
        let rest = *reader;
        let mut types = Reader::new("COM_QUERY", heads);
        for at in 0..count {
            let kind = types.u16()?;
            types.lenenc_bytes()?;
            if !is_null(nulls, at) {
                Value::read(reader, kind)?;
            }
        }
        Ok(Self { nulls, heads, values: between(rest, *reader), next: 0, count })
    }

    /// The next attribute, whatever its type.
    fn attribute(&mut self) -> Result<(&'a [u8], Value<'a>), Malformed> {
        let mut heads = Reader::new("COM_QUERY", self.heads);
        let mut values = Reader::new("COM_QUERY", self.values);
        let (kind, name) = (heads.u16()?, heads.lenenc_bytes()?);
        let value = if is_null(self.nulls, self.next) {
            Value::Other
        } else {
            Value::read(&mut values, kind)?
        };
        (self.heads, self.values) = (heads.rest(), values.rest());
        self.next += 1;
        Ok((name, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_empty() {
            // Cannot fail: `parse` has read the very same bytes.
            if let (name, Value::Text(value)) = self.attribute().ok()? {
                return Some((name, value));
            }
        }
        None
    }
}

/// A value of the binary protocol, as far as attributes need it.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>
enum Value<'a> {
    Text(&'a [u8]),
    Other,
}

impl<'a> Value<'a> {
    /// Reads a value of type `kind`: the low byte is `enum_field_types`, the rest are flags.
    fn read(reader: &mut Reader<'a>, kind: u16) -> Result<Self, Malformed> {
        let [kind, _flags] = kind.to_le_bytes();
        match kind {
            // VARCHAR, ENUM, SET, the BLOBs, VAR_STRING, STRING
            0x0F | 0xF7..=0xFE => return reader.lenenc_bytes().map(Self::Text),
            // DECIMAL, BIT, VECTOR, JSON, NEWDECIMAL, GEOMETRY
            0x00 | 0x10 | 0xF2 | 0xF5 | 0xF6 | 0xFF => {
                reader.lenenc_bytes()?;
            }
            // NULL
            0x06 => {}
            // TINY, BOOL
            0x01 | 0xF4 => reader.skip(1)?,
            // SHORT, YEAR
            0x02 | 0x0D => reader.skip(2)?,
            // LONG, FLOAT, INT24
            0x03 | 0x04 | 0x09 => reader.skip(4)?,
            // DOUBLE, LONGLONG
            0x05 | 0x08 => reader.skip(8)?,
            // TIMESTAMP, DATE, TIME, DATETIME, NEWDATE
            0x07 | 0x0A | 0x0B | 0x0C | 0x0E => {
                let len = reader.u8()?;
                reader.skip(len.into())?;
            }
            _ => return Err(reader.err("unknown type")),
        }
        Ok(Self::Other)
    }
}

fn is_null(nulls: &[u8], at: usize) -> bool {
    nulls.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// The bytes that were read from `start` on to get to `end`.
fn between<'a>(mut start: Reader<'a>, end: Reader<'_>) -> &'a [u8] {
    let len = end.position() - start.position();
    start.bytes(len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: Capabilities = Capabilities::QUERY_ATTRIBUTES;

    fn attributes(payload: &[u8]) -> Vec<(&[u8], &[u8])> {
        query_text(payload, WITH).unwrap().attributes.collect()
    }

    #[test]
    fn without_the_capability_all_is_text() {
        let query = query_text(b"\x03\x00\x01SELECT 1", Capabilities(0)).unwrap();
        assert_eq!(query.sql, b"\x00\x01SELECT 1");
        assert!(query.attributes.is_empty());
        assert_eq!(query_text(b"\x03", Capabilities(0)).unwrap().sql, b"");
    }

    #[test]
    fn an_empty_list_of_attributes_is_two_bytes() {
        let query = query_text(b"\x03\x00\x01SELECT 1", WITH).unwrap();
        assert_eq!(query.sql, b"SELECT 1");
        assert!(query.attributes.is_empty());
    }

    /// `route = 'checkout'` (STRING), `tries = 3` (LONGLONG), `none` (NULL), `when` (DATE), `q`.
    const FIVE: &[u8] = b"\x03\x05\x01\x04\x01\
        \xFE\x00\x05route\x08\x80\x05tries\xFE\x00\x04none\x0A\x00\x04when\xFD\x00\x01q\
        \x08checkout\x03\0\0\0\0\0\0\0\x04\xE6\x07\x06\x1B\x01xSELECT 1";

    #[test]
    fn strings_are_seen_and_other_types_passed_over() {
        assert_eq!(query_text(FIVE, WITH).unwrap().sql, b"SELECT 1");
        assert_eq!(attributes(FIVE), [(&b"route"[..], &b"checkout"[..]), (&b"q"[..], &b"x"[..])]);
    }

    #[test]
    fn every_cut_of_the_attributes_is_malformed() {
        for len in 0..FIVE.len() - b"SELECT 1".len() {
            assert!(query_text(&FIVE[..len], WITH).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn what_servers_refuse_is_malformed() {
        let two_sets = b"\x03\x00\x02SELECT 1";
        let no_types = b"\x03\x01\x01\x00\x00SELECT 1";
        let unknown_type = b"\x03\x01\x01\x00\x01\x99\x00\x01a\x01xSELECT 1";
        let huge_count = b"\x03\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x00\x01";
        let another = b"\x16\x00\x01SELECT 1";
        for payload in [&two_sets[..], no_types, unknown_type, huge_count, another, b""] {
            assert!(query_text(payload, WITH).is_err());
        }
    }
}

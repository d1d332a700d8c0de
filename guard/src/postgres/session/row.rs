//! Which row a unit is about, by the text and the parameters of its first statement. Nobody asks while
//! no row is fought for.

use policy::{
    hot::Key,
    sql::{Shape, Value},
};
use wire::postgres::{
    frame::{HEADER_LEN, Header},
    frontend::{Bind, Kind},
    list::Format,
};

use super::{Session, answer::take_name, dialect};
use crate::postgres::client::Message;

/// Types whose binary form is known, by their OIDs.
mod oid {
    pub(super) const TEXTS: [u32; 4] = [25, 1042, 1043, 19];
    pub(super) const FLOATS: [u32; 2] = [700, 701];
}

impl Session {
    /// The row that a unit is about whose first message lies at the front of the client's buffer.
    pub(super) fn row_of(&self, first: Message, shape: &Shape) -> Option<Key> {
        if !self.shared.hot.is_watching() || first.here < first.len {
            return None;
        }
        let body = &self.client.inbuf[HEADER_LEN..first.len];
        if first.kind == Kind::Query {
            return self.row_with(body.strip_suffix(&[0])?, shape, |_| None);
        }
        let bind = match first.kind {
            Kind::Bind => Bind::parse(body).ok()?,
            // Where it is not executed, nothing is locked.
            Kind::Parse => self.bind_behind(first)?,
            _ => return None,
        };
        // What is behind the name of a Parse: its text and its types.
        let mut rest = match first.kind {
            Kind::Parse => {
                let mut body = body;
                take_name(&mut body).filter(|name| *name == bind.statement)?;
                body
            }
            _ if bind.statement.is_empty() => &self.statements.unnamed.rest[..],
            _ => &self.statements.get(bind.statement)?.rest,
        };
        let sql = take_name(&mut rest)?;
        let types = rest.get(2..).unwrap_or_default();
        self.row_with(sql, shape, |number| {
            let value = bind.values.clone().nth(number)??;
            let oid = types.chunks_exact(4).nth(number).and_then(|oid| oid.try_into().ok());
            match bind.formats.of(number)? {
                Format::Text => Some(Value::Text(value)),
                Format::Binary => Some(read_binary(value, oid.map_or(0, u32::from_be_bytes))),
            }
        })
    }

    fn row_with<'v>(
        &self,
        sql: &[u8],
        shape: &Shape,
        parameter: impl Fn(usize) -> Option<Value<'v>>,
    ) -> Option<Key> {
        shape.row(sql, dialect(&self.settings), self.database.as_bytes(), parameter)
    }

    /// The Bind that the client has sent right behind a Parse, if it is there.
    fn bind_behind(&self, parse: Message) -> Option<Bind<'_>> {
        let mut behind = self.client.inbuf.get(parse.len..)?;
        loop {
            let header = Header::peek(behind).ok()??;
            let message = behind.get(..header.message_len())?;
            match Kind::of(header).ok()? {
                Kind::Bind => return Bind::parse(&message[HEADER_LEN..]).ok(),
                Kind::Describe | Kind::Flush => behind = &behind[message.len()..],
                _ => return None,
            }
        }
    }
}

/// A value in binary form. Where the client leaves the type to the server, it is what has this length:
/// keys are whole numbers or UUIDs, as a rule.
fn read_binary(value: &[u8], oid: u32) -> Value<'_> {
    match *value {
        _ if oid::TEXTS.contains(&oid) => Value::Text(value),
        [a, b, c, d] if oid::FLOATS.contains(&oid) => {
            Value::Real(f32::from_be_bytes([a, b, c, d]).into())
        }
        [a, b, c, d, e, f, g, h] if oid::FLOATS.contains(&oid) => {
            Value::Real(f64::from_be_bytes([a, b, c, d, e, f, g, h]))
        }
        [a, b] => Value::Signed(i16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Value::Signed(i32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Value::Signed(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => value.try_into().map_or(Value::Text(value), Value::Uuid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_values_are_read_by_type_or_length() {
        for (value, oid, expect) in [
            (&b"\0\x07"[..], 21, Value::Signed(7)),
            (b"\xff\xff\xff\xf9", 0, Value::Signed(-7)),
            (b"\0\0\0\0\0\0\0\x07", 20, Value::Signed(7)),
            (b"\x41\x28\0\0", 700, Value::Real(10.5)),
            (b"\x40\x1c\0\0\0\0\0\0", 701, Value::Real(7.0)),
            (b"seven, 7", 1043, Value::Text(b"seven, 7")),
            (b"seven", 0, Value::Text(b"seven")),
            (b"0123456789abcdef", 2950, Value::Uuid(*b"0123456789abcdef")),
        ] {
            assert_eq!(read_binary(value, oid), expect, "{value:?}");
        }
    }
}

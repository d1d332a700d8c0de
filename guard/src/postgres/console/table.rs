//! Columns and values, written as text or binary.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use wire::postgres::backend::{self, put_data_row, put_row_description};
use wire::postgres::list::Format;

/// A column: its name and its type.
pub(super) type Column = (&'static str, Type);

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    /// A whole number of 64 bits.
    Int,
    /// A number of 64 bits.
    Float,
}

impl Type {
    /// Its OID and the bytes of a value. <https://www.postgresql.org/docs/current/catalog-pg-type.html>
    const fn on_the_wire(self) -> (u32, i16) {
        match self {
            Self::Text => (25, -1),
            Self::Int => (20, 8),
            Self::Float => (701, 8),
        }
    }
}

/// A value; what is not known is NULL.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
}

/// One value for each column.
pub(super) type Row = Vec<Value>;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    fn encode(&self, format: Format) -> Option<Vec<u8>> {
        Some(match (self, format) {
            (Self::Null, _) => return None,
            (Self::Text(text), _) => text.clone().into_bytes(),
            (Self::Int(number), Format::Text) => number.to_string().into_bytes(),
            (Self::Int(number), Format::Binary) => number.to_be_bytes().into(),
            (Self::Float(number), Format::Text) => number.to_string().into_bytes(),
            (Self::Float(number), Format::Binary) => number.to_be_bytes().into(),
        })
    }
}

/// Appends a RowDescription; `format` says how each column is written.
pub(super) fn put_columns(
    out: &mut BytesMut,
    columns: &[Column],
    format: impl Fn(usize) -> Format,
) {
    let described: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(index, (name, kind))| {
            let (type_oid, type_len) = kind.on_the_wire();
            backend::Column {
                name: name.as_bytes(),
                table: 0,
                attribute: 0,
                type_oid,
                type_len,
                modifier: -1,
                format: format(index),
            }
        })
        .collect();
    put_row_description(out, &described);
}

/// Appends a DataRow.
pub(super) fn put_row(out: &mut BytesMut, row: &[Value], format: impl Fn(usize) -> Format) {
    let values: Vec<_> =
        row.iter().enumerate().map(|(index, value)| value.encode(format(index))).collect();
    let values: Vec<_> = values.iter().map(Option::as_deref).collect();
    put_data_row(out, &values);
}

/// The time that was `ago`, to the second: `2026-11-21 07:12:04 UTC`.
pub(super) fn time(ago: Duration) -> String {
    let then = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
    written(then.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Seconds since 1970 as a date and a time of day, by the calendar of 400 years that begin in March.
fn written(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_245_124, "2026-11-21 07:12:04 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(written(seconds), text);
        }
    }

    #[test]
    fn values_are_written_as_text_and_binary() {
        let both = |value: Value| {
            (value.encode(Format::Text).unwrap(), value.encode(Format::Binary).unwrap())
        };
        assert_eq!(both(Value::from(258_u32)), (b"258".to_vec(), vec![0, 0, 0, 0, 0, 0, 1, 2]));
        assert_eq!(both(Value::from("a")), (b"a".to_vec(), b"a".to_vec()));
        assert_eq!(both(Value::from(0.5)), (b"0.5".to_vec(), 0.5_f64.to_be_bytes().to_vec()));
        assert_eq!(Value::from(None::<u32>).encode(Format::Text), None);
    }
}

//! Texts of statements: Query and Parse; and what is done to their names: Describe and Close.

use bytes::{BufMut, BytesMut};

use super::super::frame::{only_string, put_nul_bytes, write_message};
use super::super::list::{Types, put_types};
use super::Kind;
use crate::{Malformed, Reader};

/// Reads the text of a Query, in whatever encoding the session has.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-QUERY>
///
/// # Errors
/// When the text does not end with the message.
pub fn query_text(body: &[u8]) -> Result<&[u8], Malformed> {
    only_string("Query", body)
}

/// Appends a Query.
pub fn put_query(out: &mut BytesMut, sql: &[u8]) {
    write_message(out, Kind::Query.byte(), |out| put_nul_bytes(out, sql));
}

/// Prepares a statement.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-PARSE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseMessage<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text, in whatever encoding the session has.
    pub sql: &'a [u8],
    /// The types of its parameters as far as the client says.
    pub types: Types<'a>,
}

impl<'a> ParseMessage<'a> {
    /// Reads the body of a Parse.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("Parse", body);
        let name = reader.nul_bytes()?;
        let sql = reader.nul_bytes()?;
        let types = Types::read(&mut reader)?;
        reader.end()?;
        Ok(Self { name, sql, types })
    }
}

/// Appends a Parse, with at most 65,535 types.
pub fn put_parse(out: &mut BytesMut, name: &[u8], sql: &[u8], types: &[u32]) {
    write_message(out, Kind::Parse.byte(), |out| {
        put_nul_bytes(out, name);
        put_nul_bytes(out, sql);
        put_types(out, types);
    });
}

/// What is described or closed.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-DESCRIBE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The prepared statement of that name.
    Statement(&'a [u8]),
    /// The portal of that name.
    Portal(&'a [u8]),
}

impl<'a> Target<'a> {
    /// Reads the body of a Describe or a Close.
    ///
    /// # Errors
    /// When it is neither of both targets, is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("Describe or Close", body);
        let wrong = reader.err("neither statement nor portal");
        let kind = reader.u8()?;
        let name = reader.nul_bytes()?;
        reader.end()?;
        match kind {
            b'S' => Ok(Self::Statement(name)),
            b'P' => Ok(Self::Portal(name)),
            _ => Err(wrong),
        }
    }

    pub(super) fn put(self, out: &mut BytesMut) {
        let (kind, name) = match self {
            Self::Statement(name) => (b'S', name),
            Self::Portal(name) => (b'P', name),
        };
        out.put_u8(kind);
        put_nul_bytes(out, name);
    }
}

/// Appends a Describe.
pub fn put_describe(out: &mut BytesMut, target: Target<'_>) {
    write_message(out, Kind::Describe.byte(), |out| target.put(out));
}

/// Appends a Close.
pub fn put_close(out: &mut BytesMut, target: Target<'_>) {
    write_message(out, Kind::Close.byte(), |out| target.put(out));
}

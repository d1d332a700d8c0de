//! Bind makes a portal, Execute runs it.

use bytes::{BufMut, BytesMut};

use super::super::frame::{put_nul_bytes, write_message};
use super::super::list::{Format, Formats, Values, put_formats, put_values};
use super::Kind;
use crate::{Malformed, Reader};

/// Makes a portal of a prepared statement and its parameters.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-BIND>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name; empty for the unnamed one.
    pub statement: &'a [u8],
    /// How the parameters are written.
    pub formats: Formats<'a>,
    /// The parameters.
    pub values: Values<'a>,
    /// How the columns of the result are to be written.
    pub result_formats: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// Reads the body of a Bind.
    ///
    /// # Errors
    /// When it is cut short, goes on behind its end, or has an unknown format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("Bind", body);
        let bind = Self {
            portal: reader.nul_bytes()?,
            statement: reader.nul_bytes()?,
            formats: Formats::read(&mut reader)?,
            values: Values::read(&mut reader)?,
            result_formats: Formats::read(&mut reader)?,
        };
        reader.end()?;
        Ok(bind)
    }
}

/// Appends a Bind for text, with at most 65,535 parameters; the result is wanted in `result`.
pub fn put_bind(
    out: &mut BytesMut,
    portal: &[u8],
    statement: &[u8],
    values: &[Option<&[u8]>],
    result: Format,
) {
    write_message(out, Kind::Bind.byte(), |out| {
        put_nul_bytes(out, portal);
        put_nul_bytes(out, statement);
        put_formats(out, &[]);
        put_values(out, values);
        put_formats(out, &[result]);
    });
}

/// Runs a portal.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-EXECUTE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// After how many rows the server stops with PortalSuspended; 0, or less, for never.
    pub rows_max: i32,
}

impl<'a> Execute<'a> {
    /// Reads the body of an Execute.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("Execute", body);
        let execute = Self { portal: reader.nul_bytes()?, rows_max: reader.i32_be()? };
        reader.end()?;
        Ok(execute)
    }
}

/// Appends an Execute.
pub fn put_execute(out: &mut BytesMut, portal: &[u8], rows_max: i32) {
    write_message(out, Kind::Execute.byte(), |out| {
        put_nul_bytes(out, portal);
        out.put_i32(rows_max);
    });
}

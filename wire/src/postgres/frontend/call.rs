use bytes::{BufMut, BytesMut};

use super::super::frame::write_message;
use super::super::list::{Format, Formats, Values, put_formats, put_values};
use super::Kind;
use crate::{Malformed, Reader};

/// Calls a function by its OID; libpq's `PQfn`, which large objects still use.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-FUNCTIONCALL>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// The function's OID.
    pub function: u32,
    /// How the arguments are written.
    pub formats: Formats<'a>,
    /// The arguments.
    pub values: Values<'a>,
    /// How the result is to be written.
    pub result_format: Format,
}

impl<'a> FunctionCall<'a> {
    /// Reads the body of a FunctionCall.
    ///
    /// # Errors
    /// When it is cut short, goes on behind its end, or has an unknown format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("FunctionCall", body);
        let call = Self {
            function: reader.u32_be()?,
            formats: Formats::read(&mut reader)?,
            values: Values::read(&mut reader)?,
            result_format: reader.u16_be()?.try_into()?,
        };
        reader.end()?;
        Ok(call)
    }
}

/// Appends a FunctionCall with at most 65,535 arguments, all in `format`, as is the result.
pub fn put_function_call(
    out: &mut BytesMut,
    function: u32,
    values: &[Option<&[u8]>],
    format: Format,
) {
    write_message(out, Kind::FunctionCall.byte(), |out| {
        out.put_u32(function);
        put_formats(out, &[format]);
        put_values(out, values);
        out.put_u16(format.code());
    });
}

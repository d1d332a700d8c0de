use bytes::{BufMut, BytesMut};

use super::super::frame::{put_count, write_message};
use super::super::list::{Format, Formats};
use super::Kind;
use crate::{Malformed, Reader};

/// How a COPY goes: the body of CopyInResponse, CopyOutResponse and CopyBothResponse.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COPYINRESPONSE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyResponse<'a> {
    /// How it is written as a whole: as text, CSV included, or in COPY's own binary form.
    pub format: Format,
    /// How each column is written; all as the whole.
    pub columns: Formats<'a>,
}

impl<'a> CopyResponse<'a> {
    /// Reads the body of any of the three.
    ///
    /// # Errors
    /// When it is cut short, goes on behind its end, or has an unknown format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COPY response", body);
        let format = u16::from(reader.u8()?).try_into()?;
        let columns = Formats::read(&mut reader)?;
        reader.end()?;
        Ok(Self { format, columns })
    }
}

/// Appends a response of that `kind`, which should be one of the three, for columns all of one
/// format.
pub fn put_copy_response(out: &mut BytesMut, kind: Kind, format: Format, columns: u16) {
    write_message(out, kind.byte(), |out| {
        out.put_u8(format as u8);
        put_count(out, columns.into());
        (0..columns).for_each(|_| out.put_u16(format.code()));
    });
}

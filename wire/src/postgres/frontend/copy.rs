//! The client's half of COPY. A server has the same CopyData and CopyDone.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>

use bytes::BytesMut;

use super::super::frame::{only_string, put_message, put_nul_bytes, write_message};
use super::Kind;
use crate::Malformed;

/// Appends a CopyData of at most [`super::super::frame::FRONTEND_LONG_MAX`] bytes.
pub fn put_copy_data(out: &mut BytesMut, data: &[u8]) {
    put_message(out, Kind::CopyData.byte(), data);
}

/// Appends a CopyDone.
pub fn put_copy_done(out: &mut BytesMut) {
    put_message(out, Kind::CopyDone.byte(), b"");
}

/// Appends a CopyFail; the server's error will quote `reason`.
pub fn put_copy_fail(out: &mut BytesMut, reason: &[u8]) {
    write_message(out, Kind::CopyFail.byte(), |out| put_nul_bytes(out, reason));
}

/// Reads why a client fails a COPY.
///
/// # Errors
/// When the text does not end with the message.
pub fn copy_fail_reason(body: &[u8]) -> Result<&[u8], Malformed> {
    only_string("CopyFail", body)
}

//! What a server answers in one packet: OK, ERR, EOF, and the head of a prepared statement.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_response_packets.html>

mod ok;
mod prepare;
mod state;
mod status;

pub use ok::{OkPacket, put_ok, put_ok_as, put_ok_filtered};
pub use prepare::{Metadata, PrepareOk};
pub use state::{SessionState, StateChange, TransactionState};
pub use status::Status;

use bytes::{BufMut, BytesMut};

use super::capability::Capabilities;
use super::frame::write_packet;
use crate::{Malformed, Reader};

/// The first byte of an OK packet.
pub const OK: u8 = 0x00;
/// The first byte of a request for a local file.
pub const LOCAL_INFILE: u8 = 0xFB;
/// The first byte of an EOF packet and, with `DEPRECATE_EOF`, of the OK packet in its place.
pub const EOF: u8 = 0xFE;
/// The first byte of an ERR packet.
pub const ERR: u8 = 0xFF;

/// Failure. It does not carry the session's status: whether a transaction is still open must be
/// known otherwise.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// The error's number; see [`super::code`].
    pub code: u16,
    /// The SQL state; `HY000` when the server sent none.
    pub sqlstate: [u8; 5],
    /// A text for people.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// The SQL state for errors that have none of their own.
    pub const GENERAL: &'static [u8; 5] = b"HY000";

    /// Reads a payload that starts with [`ERR`].
    ///
    /// Before the handshake is over a server may leave the SQL state out, whatever `caps` will be:
    /// so `#` decides wherever it may stand.
    ///
    /// # Errors
    /// When it is no ERR packet or is cut short.
    pub fn parse(payload: &'a [u8], caps: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("ERR packet", payload);
        if reader.u8()? != ERR {
            return Err(reader.err("not an ERR packet"));
        }
        let code = reader.u16()?;
        let mut sqlstate = *Self::GENERAL;
        let may_have_state = caps.contains(Capabilities::PROTOCOL_41) || caps == Capabilities(0);
        if may_have_state && reader.peek_u8() == Some(b'#') {
            reader.skip(1)?;
            sqlstate.copy_from_slice(reader.bytes(5)?);
        }
        Ok(Self { code, sqlstate, message: reader.rest() })
    }
}

/// Appends an ERR packet for a client with `caps`. Returns the next sequence id.
pub fn put_err(
    out: &mut BytesMut,
    seq: u8,
    caps: Capabilities,
    code: u16,
    sqlstate: &[u8; 5],
    message: &[u8],
) -> u8 {
    write_packet(out, seq, |out| {
        out.put_u8(ERR);
        out.put_u16_le(code);
        if caps.contains(Capabilities::PROTOCOL_41) {
            out.put_u8(b'#');
            out.put_slice(sqlstate);
        }
        out.put_slice(message);
    })
}

// === impl EofPacket ===

/// The end of a part of a result set, to clients without `DEPRECATE_EOF`.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_eof_packet.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EofPacket {
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// The session's status.
    pub status: Status,
}

impl EofPacket {
    /// The longest payload of an EOF packet, in bytes; what is longer and starts with [`EOF`] is
    /// something else.
    pub const LEN_MAX: usize = 8;

    /// Reads a payload that starts with [`EOF`].
    ///
    /// # Errors
    /// When it is no EOF packet of exactly 5 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("EOF packet", payload);
        if reader.u8()? != EOF {
            return Err(reader.err("not an EOF packet"));
        }
        let packet = Self { warnings: reader.u16()?, status: Status(reader.u16()?) };
        if reader.is_empty() { Ok(packet) } else { Err(reader.err("bytes after the end")) }
    }

    /// Puts another status into such a payload.
    ///
    /// # Errors
    /// As [`EofPacket::parse`]; the payload is unchanged then.
    pub fn set_status(payload: &mut [u8], status: Status) -> Result<(), Malformed> {
        Self::parse(payload)?;
        payload[3..5].copy_from_slice(&status.0.to_le_bytes());
        Ok(())
    }
}

/// Appends what ends a result set for a client with `caps`: an EOF packet or, with
/// `DEPRECATE_EOF`, the OK packet in its place. Returns the next sequence id.
pub fn put_eof(
    out: &mut BytesMut,
    seq: u8,
    caps: Capabilities,
    status: Status,
    warnings: u16,
) -> u8 {
    if caps.contains(Capabilities::DEPRECATE_EOF) {
        let ok = OkPacket { status, warnings, ..OkPacket::default() };
        return put_ok_as(out, seq, caps, &ok, EOF);
    }
    write_packet(out, seq, |out| {
        out.put_u8(EOF);
        out.put_u16_le(warnings);
        out.put_u16_le(status.0);
    })
}

#[cfg(test)]
mod tests;

//! What a server answers in one packet: OK, ERR, EOF, and the head of a prepared statement.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_response_packets.html>

mod state;

pub use state::{SessionState, StateChange, TransactionState};

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::capability::Capabilities;
use super::frame::{put_lenenc, put_lenenc_bytes, write_packet};
use crate::{Malformed, Reader};

/// The first byte of an OK packet.
pub const OK: u8 = 0x00;
/// The first byte of a request for a local file.
pub const LOCAL_INFILE: u8 = 0xFB;
/// The first byte of an EOF packet and, with `DEPRECATE_EOF`, of the OK packet in its place.
pub const EOF: u8 = 0xFE;
/// The first byte of an ERR packet.
pub const ERR: u8 = 0xFF;

/// The session's status, as OK and EOF packets carry it. ERR packets do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(pub u16);

macro_rules! statuses {
    ($($(#[$doc:meta])+ $name:ident = $bit:literal;)+) => {
        impl Status {
            $($(#[$doc])+ pub const $name: Self = Self($bit);)+

            /// Every named bit.
            const NAMED: &[(&'static str, Self)] = &[$((stringify!($name), Self::$name),)+];
        }
    };
}

statuses! {
    /// A transaction is open.
    IN_TRANS = 0x0001;
    /// Each statement is a transaction of its own unless one is open.
    AUTOCOMMIT = 0x0002;
    /// Another result follows this one.
    MORE_RESULTS = 0x0008;
    /// No good index was used.
    NO_GOOD_INDEX = 0x0010;
    /// No index was used.
    NO_INDEX = 0x0020;
    /// The rows wait in a cursor.
    CURSOR_EXISTS = 0x0040;
    /// The cursor has no more rows.
    LAST_ROW_SENT = 0x0080;
    /// The database of the session was dropped.
    DB_DROPPED = 0x0100;
    /// `\` is an ordinary character in strings: SQL must be read accordingly.
    NO_BACKSLASH_ESCAPES = 0x0200;
    /// A prepared statement was prepared anew and has other columns now.
    METADATA_CHANGED = 0x0400;
    /// The statement took longer than `long_query_time`.
    QUERY_WAS_SLOW = 0x0800;
    /// This result holds the OUT parameters of a CALL.
    PS_OUT_PARAMS = 0x1000;
    /// The open transaction is read-only.
    IN_TRANS_READONLY = 0x2000;
    /// The OK packet carries changes of session state.
    SESSION_STATE_CHANGED = 0x4000;
    /// MariaDB: `"` quotes identifiers: SQL must be read accordingly.
    ANSI_QUOTES = 0x8000;
}

impl Status {
    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The status with `other` set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The status with `other` cleared.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMED.iter().filter(|(_, bit)| self.contains(*bit)).map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

// === impl OkPacket ===

/// Success, and what it changed.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OkPacket<'a> {
    /// Rows changed or, with `FOUND_ROWS`, found.
    pub affected_rows: u64,
    /// The first AUTO_INCREMENT value that was generated, else 0.
    pub last_insert_id: u64,
    /// The session's status afterwards.
    pub status: Status,
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// A text for people; may be empty.
    pub info: &'a [u8],
    /// What changed in the session; empty without `SESSION_TRACK`.
    pub state: SessionState<'a>,
}

impl<'a> OkPacket<'a> {
    /// Reads a payload that starts with [`OK`] or, in place of an EOF, with [`EOF`].
    ///
    /// The manual says that without `SESSION_TRACK` the info runs to the end; all servers send it
    /// with its length in front nevertheless (`net_send_ok`), so that is what is read.
    ///
    /// # Errors
    /// When it is no OK packet, is cut short, or has bytes left over. What lies inside of `state`
    /// is checked when it is iterated.
    pub fn parse(payload: &'a [u8], caps: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("OK packet", payload);
        if !matches!(reader.u8()?, OK | EOF) {
            return Err(reader.err("not an OK packet"));
        }
        let mut packet = Self {
            affected_rows: reader.lenenc()?,
            last_insert_id: reader.lenenc()?,
            status: Status(reader.u16()?),
            warnings: reader.u16()?,
            ..Self::default()
        };
        if !reader.is_empty() {
            packet.info = reader.lenenc_bytes()?;
        }
        let tracked = caps.contains(Capabilities::SESSION_TRACK)
            && packet.status.contains(Status::SESSION_STATE_CHANGED);
        if tracked && !reader.is_empty() {
            packet.state = SessionState::new(reader.lenenc_bytes()?);
        }
        if reader.is_empty() { Ok(packet) } else { Err(reader.err("bytes after the end")) }
    }

    /// Appends the payload up to the info, and the info unless it is left out.
    fn put_head(&self, out: &mut BytesMut, header: u8, status: Status, info: bool) {
        out.put_u8(header);
        put_lenenc(out, self.affected_rows);
        put_lenenc(out, self.last_insert_id);
        out.put_u16_le(status.0);
        out.put_u16_le(self.warnings);
        if info {
            put_lenenc_bytes(out, self.info);
        }
    }
}

/// Appends an OK packet for a client with `caps`. Returns the next sequence id.
///
/// [`Status::SESSION_STATE_CHANGED`] is set as `ok.state` and `caps` demand.
pub fn put_ok(out: &mut BytesMut, seq: u8, caps: Capabilities, ok: &OkPacket<'_>) -> u8 {
    put_ok_as(out, seq, caps, ok, OK)
}

fn put_ok_as(out: &mut BytesMut, seq: u8, caps: Capabilities, ok: &OkPacket<'_>, header: u8) -> u8 {
    let tracked = caps.contains(Capabilities::SESSION_TRACK) && !ok.state.is_empty();
    write_packet(out, seq, |out| {
        if tracked {
            ok.put_head(out, header, ok.status.with(Status::SESSION_STATE_CHANGED), true);
            put_lenenc_bytes(out, ok.state.as_bytes());
        } else {
            let status = ok.status.without(Status::SESSION_STATE_CHANGED);
            ok.put_head(out, header, status, !ok.info.is_empty());
        }
    })
}

/// Appends an OK packet with those changes of session state that `keep` returns true for, and
/// that a client with `caps` can read. Returns the next sequence id.
///
/// `header` is [`OK`] or, at the end of a result set with `DEPRECATE_EOF`, [`EOF`]. The layout is
/// the one of a server to such a client: nothing is left of the state, flag included, when nothing
/// is kept.
///
/// # Errors
/// When a change of state is malformed; nothing is appended then.
pub fn put_ok_filtered(
    out: &mut BytesMut,
    seq: u8,
    caps: Capabilities,
    ok: &OkPacket<'_>,
    header: u8,
    mut keep: impl FnMut(&StateChange<'_>) -> bool,
) -> Result<u8, Malformed> {
    for change in ok.state {
        change?;
    }
    let start = out.len();
    if caps.contains(Capabilities::SESSION_TRACK) {
        let mut kept = false;
        let next = write_packet(out, seq, |out| {
            ok.put_head(out, header, ok.status.with(Status::SESSION_STATE_CHANGED), true);
            kept = ok.state.put_kept(out, &mut keep);
        });
        if kept {
            return Ok(next);
        }
        out.truncate(start);
    }
    let untracked = OkPacket { state: SessionState::default(), ..*ok };
    Ok(put_ok_as(out, seq, caps, &untracked, header))
}

// === impl ErrPacket ===

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

// === impl PrepareOk ===

/// The head of the reply to COM_STMT_PREPARE.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareOk {
    /// The statement's id on this connection.
    pub statement: u32,
    /// How many columns its result has; 0 if it has none.
    pub columns: u16,
    /// How many parameters it takes.
    pub params: u16,
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// Whether definitions of parameters and columns follow.
    pub metadata: Metadata,
}

/// Whether definitions follow a count of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// As many definitions follow as were counted.
    Full,
    /// The client knows them or does not want to.
    Omitted,
}

impl Metadata {
    /// Reads the byte that says so, which is there only if such a capability is negotiated.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            0 => Ok(Self::Omitted),
            1 => Ok(Self::Full),
            _ => Err(reader.err("neither full nor no metadata")),
        }
    }
}

impl PrepareOk {
    /// Reads a payload that starts with [`OK`].
    ///
    /// # Errors
    /// When it is another packet, or its length is odd.
    pub fn parse(payload: &[u8], caps: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_STMT_PREPARE_OK", payload);
        if reader.u8()? != OK {
            return Err(reader.err("not an OK packet"));
        }
        let (statement, columns, params) = (reader.u32()?, reader.u16()?, reader.u16()?);
        reader.skip(1)?;
        let warnings = reader.u16()?;
        let metadata = if caps.contains(Capabilities::OPTIONAL_RESULTSET_METADATA) {
            Metadata::read(&mut reader)?
        } else {
            Metadata::Full
        };
        let packet = Self { statement, columns, params, warnings, metadata };
        if reader.is_empty() { Ok(packet) } else { Err(reader.err("bytes after the end")) }
    }

    /// Puts another statement's id into such a payload.
    ///
    /// # Errors
    /// When it does not start with [`OK`] and an id; the payload is unchanged then.
    pub fn set_statement(payload: &mut [u8], id: u32) -> Result<(), Malformed> {
        let mut reader = Reader::new("COM_STMT_PREPARE_OK", payload);
        if reader.u8()? != OK {
            return Err(reader.err("not an OK packet"));
        }
        reader.u32()?;
        payload[1..5].copy_from_slice(&id.to_le_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;

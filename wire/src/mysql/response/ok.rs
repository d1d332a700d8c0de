use bytes::{BufMut, BytesMut};

use super::super::capability::Capabilities;
use super::super::frame::{put_lenenc, put_lenenc_bytes, write_packet};
use super::{EOF, OK, SessionState, StateChange, Status};
use crate::{Malformed, Reader};

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

/// Appends an OK packet that starts with `header`: [`OK`] or, in the place of an EOF, [`EOF`].
/// Returns the next sequence id.
pub fn put_ok_as(
    out: &mut BytesMut,
    seq: u8,
    caps: Capabilities,
    ok: &OkPacket<'_>,
    header: u8,
) -> u8 {
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

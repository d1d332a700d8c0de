//! Packets: a 3-byte length, a sequence id, a payload.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>
//!
//! A payload of [`MAX_PAYLOAD`] bytes or more travels in several packets: each that is full
//! announces another, so an exact multiple ends with an empty one. The sequence id wraps, and
//! restarts at 0 with each command.

use bytes::{BufMut, BytesMut};

/// Bytes before each payload.
pub const HEADER_LEN: usize = 4;

/// The longest payload of one packet, in bytes: 16 MiB - 1.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload that follow, at most [`MAX_PAYLOAD`].
    pub len: usize,
    /// The packet's place in its exchange; wraps from 255 to 0.
    pub seq: u8,
}

impl Header {
    /// Reads the header at the front of `buf`, which stays unread. `None` if it is not whole yet.
    pub fn peek(buf: &[u8]) -> Option<Self> {
        let &[a, b, c, seq] = buf.first_chunk::<HEADER_LEN>()?;
        Some(Self { len: u32::from_le_bytes([a, b, c, 0]) as usize, seq })
    }

    /// Whether the payload goes on in the next packet.
    pub const fn continues(self) -> bool {
        self.len == MAX_PAYLOAD
    }

    /// Bytes of header and payload together.
    pub const fn packet_len(self) -> usize {
        HEADER_LEN + self.len
    }

    /// Appends the header to `out`.
    pub fn put(self, out: &mut BytesMut) {
        out.put_slice(&self.bytes());
    }

    fn bytes(self) -> [u8; HEADER_LEN] {
        debug_assert!(self.len <= MAX_PAYLOAD, "a longer payload is split");
        let [a, b, c, ..] = self.len.to_le_bytes();
        [a, b, c, self.seq]
    }
}

/// Appends `payload` as one packet, or as several if it is long. Returns the next sequence id.
pub fn put_packet(out: &mut BytesMut, seq: u8, payload: &[u8]) -> u8 {
    out.reserve(payload.len() + HEADER_LEN * (payload.len() / MAX_PAYLOAD + 1));
    let mut seq = seq;
    let mut rest = payload;
    loop {
        let (packet, more) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let header = Header { len: packet.len(), seq };
        header.put(out);
        out.put_slice(packet);
        seq = seq.wrapping_add(1);
        if !header.continues() {
            return seq;
        }
        rest = more;
    }
}

/// Appends what `body` writes as one packet, or as several if it is long. Returns the next sequence
/// id. `body` may only append.
///
/// The header is filled in afterwards, so nothing is copied; only a payload that must be split is.
pub fn write_packet(out: &mut BytesMut, seq: u8, body: impl FnOnce(&mut BytesMut)) -> u8 {
    let start = out.len();
    out.put_bytes(0, HEADER_LEN);
    body(out);
    let header = Header { len: out.len() - start - HEADER_LEN, seq };
    if header.len >= MAX_PAYLOAD {
        let payload = out.split_off(start + HEADER_LEN);
        out.truncate(start);
        return put_packet(out, seq, &payload);
    }
    out[start..start + HEADER_LEN].copy_from_slice(&header.bytes());
    seq.wrapping_add(1)
}

/// Appends a length-encoded integer.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html>
pub fn put_lenenc(out: &mut BytesMut, value: u64) {
    match value {
        0..=0xFA => out.put_uint_le(value, 1),
        0xFB..=0xFFFF => {
            out.put_u8(0xFC);
            out.put_uint_le(value, 2);
        }
        0x1_0000..=0xFF_FFFF => {
            out.put_u8(0xFD);
            out.put_uint_le(value, 3);
        }
        _ => {
            out.put_u8(0xFE);
            out.put_u64_le(value);
        }
    }
}

/// Appends a length-encoded string.
pub fn put_lenenc_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_lenenc(out, bytes.len() as u64);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers in `bytes`, and the payloads behind them joined.
    fn split(mut bytes: &[u8]) -> (Vec<(usize, u8)>, Vec<u8>) {
        let (mut headers, mut payload) = (Vec::new(), Vec::new());
        while let Some(header) = Header::peek(bytes) {
            headers.push((header.len, header.seq));
            payload.extend_from_slice(&bytes[HEADER_LEN..header.packet_len()]);
            bytes = &bytes[header.packet_len()..];
        }
        assert!(bytes.is_empty());
        (headers, payload)
    }

    #[test]
    fn a_packet_is_length_sequence_payload() {
        let mut out = BytesMut::new();
        assert_eq!(put_packet(&mut out, 3, b"abc"), 4);
        assert_eq!(&out[..], b"\x03\0\0\x03abc");
        assert_eq!(Header::peek(&out), Some(Header { len: 3, seq: 3 }));
        assert_eq!(Header::peek(&out[..3]), None);
    }

    #[test]
    fn sequence_ids_wrap() {
        let mut out = BytesMut::new();
        assert_eq!(put_packet(&mut out, 255, b""), 0);
        assert_eq!(write_packet(&mut out, 255, |out| out.put_u8(1)), 0);
    }

    #[test]
    fn long_payloads_split_and_an_exact_multiple_ends_with_an_empty_packet() {
        let check = |len: usize, expect: &[(usize, u8)]| {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut put = BytesMut::from(&b"before"[..]);
            let mut written = BytesMut::from(&b"before"[..]);
            let next = put_packet(&mut put, 254, &payload);
            assert_eq!(write_packet(&mut written, 254, |out| out.put_slice(&payload)), next);
            assert_eq!(put, written);
            let (headers, joined) = split(&put[6..]);
            assert_eq!(headers, expect);
            assert!(joined == payload);
            assert_eq!(next, expect.last().unwrap().1.wrapping_add(1));
        };
        check(0, &[(0, 254)]);
        check(MAX_PAYLOAD - 1, &[(MAX_PAYLOAD - 1, 254)]);
        check(MAX_PAYLOAD, &[(MAX_PAYLOAD, 254), (0, 255)]);
        check(MAX_PAYLOAD + 1, &[(MAX_PAYLOAD, 254), (1, 255)]);
        check(2 * MAX_PAYLOAD, &[(MAX_PAYLOAD, 254), (MAX_PAYLOAD, 255), (0, 0)]);
    }

    #[test]
    fn length_encoded_values_read_back() {
        for value in [0, 250, 251, 0xFFFF, 0x1_0000, 0xFF_FFFF, 0x100_0000, u64::MAX] {
            let mut out = BytesMut::new();
            put_lenenc(&mut out, value);
            let mut reader = crate::Reader::new("test", &out);
            assert_eq!(reader.lenenc(), Ok(value));
            assert!(reader.is_empty());
        }
    }
}

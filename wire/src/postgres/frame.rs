//! Messages: a byte that says which, a 4-byte length that counts itself, a body.
//! <https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS>
//!
//! The first packets of a connection have no such byte; see [`super::startup`]. Integers are in
//! network order. A message is never split: a DataRow may have 1 GiB. So messages are *peeked*, and
//! long ones are passed on by their length and need never be whole.
//!
//! How long a message may be depends on its kind: see `Kind::body_len` of both directions.

use bytes::{BufMut, BytesMut};

use crate::{Malformed, Reader};

/// Bytes before each body: the kind and the length.
pub const HEADER_LEN: usize = 5;

/// Bytes of a length, which counts them.
const LENGTH_LEN: usize = 4;

/// The longest body that the format can announce, in bytes.
pub const BODY_MAX: usize = i32::MAX as usize - LENGTH_LEN;

/// The longest body that a server takes of kinds that may be long, in bytes: 1 GiB - 6.
/// (postgres:src/include/libpq/libpq.h `PQ_LARGE_MESSAGE_LIMIT`)
pub const FRONTEND_LONG_MAX: usize = 0x3FFF_FFFE - LENGTH_LEN;

/// The longest body that a server takes of all other kinds, in bytes.
/// (postgres:src/include/libpq/libpq.h `PQ_SMALL_MESSAGE_LIMIT`)
pub const FRONTEND_SHORT_MAX: usize = 10_000 - LENGTH_LEN;

/// The longest body that clients take of kinds that cannot be long, in bytes.
/// (postgres:src/interfaces/libpq/fe-protocol3.c `VALID_LONG_MESSAGE_TYPE`)
pub const BACKEND_SHORT_MAX: usize = 30_000 - LENGTH_LEN;

/// What stands before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which message it is; its meaning depends on who sends it.
    pub kind: u8,
    /// Bytes of body that follow, at most [`BODY_MAX`].
    pub len: usize,
}

impl Header {
    /// Reads the header at the front of `buf`, which stays unread. `None` if it is not whole yet.
    ///
    /// # Errors
    /// When the length is too small to count itself, or negative.
    #[inline]
    pub fn peek(buf: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(&[kind, a, b, c, d]) = buf.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let length = i32::from_be_bytes([a, b, c, d]);
        let len = usize::try_from(length).ok().and_then(|length| length.checked_sub(LENGTH_LEN));
        match len {
            Some(len) => Ok(Some(Self { kind, len })),
            None => Err(Malformed { message: "header", at: 1, why: "a length below 4" }),
        }
    }

    /// Bytes of header and body together.
    pub const fn message_len(self) -> usize {
        HEADER_LEN + self.len
    }

    /// Appends the header to `out`.
    pub fn put(self, out: &mut BytesMut) {
        out.put_slice(&self.bytes());
    }

    /// The header on the wire.
    pub(crate) fn bytes(self) -> [u8; HEADER_LEN] {
        debug_assert!(self.len <= BODY_MAX, "no message is longer");
        let [.., a, b, c, d] = ((self.len + LENGTH_LEN) as u64).to_be_bytes();
        [self.kind, a, b, c, d]
    }
}

/// Appends a message with that body, of at most [`BODY_MAX`] bytes.
pub fn put_message(out: &mut BytesMut, kind: u8, body: &[u8]) {
    Header { kind, len: body.len() }.put(out);
    out.put_slice(body);
}

/// Appends what `body` writes as one message. `body` may only append, at most [`BODY_MAX`] bytes.
///
/// The header is filled in afterwards, so nothing is copied.
pub fn write_message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0, HEADER_LEN);
    body(out);
    let header = Header { kind, len: out.len() - start - HEADER_LEN };
    out[start..start + HEADER_LEN].copy_from_slice(&header.bytes());
}

/// Appends a NUL-terminated string. What stands behind a NUL in `bytes` is left out, for no reader
/// would find it.
pub fn put_nul_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(bytes.split(|&byte| byte == 0).next().unwrap_or_default());
    out.put_u8(0);
}

/// Appends the length of a list, a 2-byte integer. What is beyond it may not be written.
pub(crate) fn put_count(out: &mut BytesMut, count: usize) {
    debug_assert!(count <= usize::from(u16::MAX), "no list is longer");
    let [.., a, b] = (count as u64).to_be_bytes();
    out.put_slice(&[a, b]);
}

/// Reads a body that is one NUL-terminated string.
pub(crate) fn only_string<'a>(
    message: &'static str,
    body: &'a [u8],
) -> Result<&'a [u8], Malformed> {
    let mut reader = Reader::new(message, body);
    let string = reader.nul_bytes()?;
    reader.end()?;
    Ok(string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kind_length_body() {
        let mut put = BytesMut::new();
        put_message(&mut put, b'Q', b"abc");
        assert_eq!(&put[..], b"Q\0\0\0\x07abc");
        let mut written = BytesMut::from(&b"before"[..]);
        write_message(&mut written, b'Q', |out| out.put_slice(b"abc"));
        assert_eq!(&written[6..], &put[..]);
        let header = Header { kind: b'Q', len: 3 };
        assert_eq!(Header::peek(&put), Ok(Some(header)));
        assert_eq!(header.message_len(), put.len());
        assert_eq!(Header::peek(&put[..4]), Ok(None));
    }

    #[test]
    fn lengths_below_four_are_refused_and_the_longest_is_not() {
        let check = |length: i32, expect: Option<usize>| {
            let bytes = [&b"Q"[..], &length.to_be_bytes()].concat();
            let len = Header::peek(&bytes).ok().map(|header| header.unwrap().len);
            assert_eq!(len, expect, "{length}");
        };
        check(i32::MIN, None);
        check(-1, None);
        check(0, None);
        check(3, None);
        check(4, Some(0));
        check(i32::MAX, Some(BODY_MAX));
        let longest = Header { kind: b'd', len: BODY_MAX };
        assert_eq!(Header::peek(&longest.bytes()), Ok(Some(longest)));
    }

    #[test]
    fn strings_end_at_their_nul() {
        let mut out = BytesMut::new();
        put_nul_bytes(&mut out, b"ab\0c");
        assert_eq!(&out[..], b"ab\0");
        assert_eq!(only_string("test", &out), Ok(&b"ab"[..]));
        assert!(only_string("test", b"ab\0c").is_err());
        assert!(only_string("test", b"ab").is_err());
    }
}

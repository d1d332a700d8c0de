use bytes::{BufMut, BytesMut};

use super::super::frame::{put_nul_bytes, write_message};
use crate::{Malformed, Reader};

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3 for all that is spoken today.
    pub major: u16,
    /// 0, or 2 since PostgreSQL 18; 1 is reserved and never used.
    pub minor: u16,
}

impl Version {
    /// What all servers and clients speak.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// With cancel keys of up to 256 bytes.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    /// Splits the 4-byte code of a start-up packet.
    pub const fn from_code(code: u32) -> Self {
        let [a, b, c, d] = code.to_be_bytes();
        Self { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }

    /// The 4-byte code of a start-up packet.
    pub const fn code(self) -> u32 {
        (self.major as u32) << 16 | self.minor as u32
    }
}

/// What the server can do of what the client asked for. It comes before any authentication.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-NEGOTIATEPROTOCOLVERSION>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest that the server speaks of the major version asked for. The manual says that
    /// this is a minor number; servers send, and libpq expects, the whole code.
    pub newest: Version,
    /// The options of the protocol (`_pq_.…`) that the server does not know.
    pub unknown: Options<'a>,
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads the body of a `v`.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its list.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("NegotiateProtocolVersion", body);
        let newest = Version::from_code(reader.u32_be()?);
        let count = reader.u32_be()?;
        let names = reader;
        for _ in 0..count {
            reader.nul_bytes()?;
        }
        reader.end()?;
        Ok(Self { newest, unknown: Options { names } })
    }
}

/// Names of options: an iterator.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    names: Reader<'a>,
}

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.names.nul_bytes().ok()
    }
}

impl PartialEq for Options<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl Eq for Options<'_> {}

/// Appends a NegotiateProtocolVersion that speaks of at most `u32::MAX` options.
pub fn put_negotiate_protocol_version(out: &mut BytesMut, newest: Version, unknown: &[&[u8]]) {
    write_message(out, b'v', |out| {
        out.put_u32(newest.code());
        let [.., a, b, c, d] = (unknown.len() as u64).to_be_bytes();
        out.put_slice(&[a, b, c, d]);
        unknown.iter().for_each(|name| put_nul_bytes(out, name));
    });
}

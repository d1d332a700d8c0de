//! The first packets of a connection, which carry no kind: a length and a code.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>
//!
//! ```text
//! client  a TLS ClientHello    direct TLS, of PostgreSQL 17; as the very first byte only
//!         SSLRequest           the server answers with one byte, `S` or `N`; perhaps TLS follows
//!         GSSENCRequest        the same, `G` or `N`; each may be asked once
//!         CancelRequest        for another connection; the server answers by closing
//!         StartupMessage       who it is, and what it wants; authentication follows
//! ```
//!
//! What comes behind an SSLRequest or a GSSENCRequest in the same buffer was sent in the clear by
//! who knows whom (CVE-2021-23214): the caller refuses it.

mod cancel;
mod parameters;
mod version;

pub use cancel::{CANCEL_KEY_MAX, CANCEL_KEY_MIN, CancelKey, CancelRequest, put_cancel_request};
pub use parameters::{PARAMETERS_MAX, Parameters};
pub use version::{NegotiateProtocolVersion, Options, Version, put_negotiate_protocol_version};

use bytes::{BufMut, BytesMut};

use super::frame::put_nul_bytes;
use crate::{Malformed, Reader};

/// The longest packet of a start-up, length included, in bytes.
/// (postgres:src/include/libpq/pqcomm.h `MAX_STARTUP_PACKET_LENGTH`)
pub const PACKET_MAX: usize = 10_000 + 4;

/// The shortest: a length and a code, in bytes.
pub const PACKET_MIN: usize = 8;

/// The first byte of a TLS connection: a record with a handshake.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// The name under which TLS clients must ask for this protocol (ALPN) if they start with TLS.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
pub const ALPN: &[u8] = b"postgresql";

/// The answer to an SSLRequest: TLS starts right behind.
pub const SSL_ACCEPTED: u8 = b'S';
/// The answer to a GSSENCRequest: encryption starts right behind.
pub const GSSENC_ACCEPTED: u8 = b'G';
/// The answer to either: no; the client goes on in the clear or asks for something else.
pub const REFUSED: u8 = b'N';

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// TLS, without asking. This can only be the very first byte of a connection.
    Tls,
    /// A packet of so many bytes, length included; at most [`PACKET_MAX`].
    Packet(usize),
}

impl First {
    /// Looks at the front of `buf`, which stays unread. `None` if that is not enough to tell.
    ///
    /// # Errors
    /// When a packet is shorter than [`PACKET_MIN`] or longer than [`PACKET_MAX`]: then it is
    /// another protocol.
    pub fn peek(buf: &[u8]) -> Result<Option<Self>, Malformed> {
        if buf.first() == Some(&TLS_HANDSHAKE) {
            return Ok(Some(Self::Tls));
        }
        let Some(length) = buf.first_chunk() else { return Ok(None) };
        let len = u32::from_be_bytes(*length) as usize;
        if (PACKET_MIN..=PACKET_MAX).contains(&len) {
            Ok(Some(Self::Packet(len)))
        } else {
            Err(Malformed { message: "start-up packet", at: 0, why: "no length of such a packet" })
        }
    }
}

/// A packet of a start-up, borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening<'a> {
    /// The client would like TLS.
    SslRequest,
    /// The client would like GSSAPI encryption.
    GssEncRequest,
    /// The client wants another connection's statement stopped.
    Cancel(CancelRequest<'a>),
    /// The client wants to log in.
    Startup(StartupMessage<'a>),
    /// The client speaks a protocol of another major version, or none at all.
    Unsupported(Version),
}

impl<'a> Opening<'a> {
    /// Reads a whole packet, length included.
    ///
    /// # Errors
    /// When its length is not that of `packet`, or its content is not what its code says.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("start-up packet", packet);
        if reader.u32_be()? as usize != packet.len() || packet.len() > PACKET_MAX {
            return Err(reader.err("not the length of this packet"));
        }
        let opening = match reader.u32_be()? {
            SSL_REQUEST => Self::SslRequest,
            GSSENC_REQUEST => Self::GssEncRequest,
            CANCEL_REQUEST => Self::Cancel(CancelRequest::read(&mut reader)?),
            code => match Version::from_code(code) {
                version @ Version { major: 3, .. } => {
                    let parameters = Parameters::read(&mut reader)?;
                    Self::Startup(StartupMessage { version, parameters })
                }
                version => return Ok(Self::Unsupported(version)),
            },
        };
        reader.end()?;
        Ok(opening)
    }
}

/// Who logs in, and how it wants its session to be.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-STARTUPMESSAGE>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupMessage<'a> {
    /// The version that the client asks for; its major number is 3.
    pub version: Version,
    /// `user`, which the server insists on, `database`, `options`, `replication`, settings of the
    /// session, and options of the protocol (`_pq_.…`).
    pub parameters: Parameters<'a>,
}

/// Appends an SSLRequest.
pub fn put_ssl_request(out: &mut BytesMut) {
    put_packet(out, SSL_REQUEST, |_| {});
}

/// Appends a GSSENCRequest.
pub fn put_gssenc_request(out: &mut BytesMut) {
    put_packet(out, GSSENC_REQUEST, |_| {});
}

/// Appends a StartupMessage. A parameter without a name would end the list, and is left out.
pub fn put_startup_message<'p>(
    out: &mut BytesMut,
    version: Version,
    parameters: impl IntoIterator<Item = (&'p [u8], &'p [u8])>,
) {
    put_packet(out, version.code(), |out| {
        for (name, value) in parameters {
            if !name.is_empty() {
                put_nul_bytes(out, name);
                put_nul_bytes(out, value);
            }
        }
        out.put_u8(0);
    });
}

fn put_packet(out: &mut BytesMut, code: u32, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u32(code);
    body(out);
    let [.., a, b, c, d] = ((out.len() - start) as u64).to_be_bytes();
    out[start..start + 4].copy_from_slice(&[a, b, c, d]);
}

#[cfg(test)]
mod tests;

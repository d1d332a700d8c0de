//! The packets of a login, one at a time, in both directions and on both sides.
//!
//! Commands and results are not read this way: they are peeked and forwarded. A login is short and
//! every packet of it is read whole, so all that matters here is that nobody can make the guard
//! wait for, or keep, more than a little.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::mysql::frame::{HEADER_LEN, Header};
use zeroize::Zeroize;

/// The longest packet of a login, in bytes. Connection attributes may take 64 KiB by the manual;
/// the rest is far shorter. A longer packet is refused by its header.
pub const PACKET_LEN_MAX: usize = 80 * 1024;

/// What one read asks for. Most packets of a login fit.
const READ_LEN: usize = 512;

/// How much of what a refused peer still sends is read, so that it gets to read why.
const FAREWELL_LEN_MAX: usize = 64 * 1024;

/// How long a refused peer may take to hang up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a packet could not be read or written.
#[derive(Debug, Error)]
pub enum PacketError {
    /// The peer hung up.
    #[error("the connection was closed")]
    Closed,
    /// The socket, or TLS, failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A packet was lost or the peer speaks something else.
    #[error("packet {found} came where packet {expected} was due")]
    OutOfOrder {
        /// The sequence id that was due.
        expected: u8,
        /// The one that came.
        found: u8,
    },
    /// A packet that no login needs.
    #[error("a packet of {len} bytes, where a login takes at most {PACKET_LEN_MAX}")]
    TooLong {
        /// Its length by its header.
        len: usize,
    },
}

/// Reads and writes packets, and numbers them.
#[derive(Debug)]
pub struct Packets<S> {
    /// What they travel on.
    pub stream: S,
    /// What was read and is not taken yet.
    pub buffer: BytesMut,
    /// The sequence id of the next packet, in whichever direction.
    pub seq: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    /// Packets on `stream`, of which the next has the id `seq`.
    pub fn new(stream: S, seq: u8) -> Self {
        Self { stream, buffer: BytesMut::new(), seq }
    }

    /// Reads the payload of the next packet.
    pub async fn read(&mut self) -> Result<BytesMut, PacketError> {
        self.fill(HEADER_LEN).await?;
        let header = self.header()?;
        self.fill(header.packet_len()).await?;
        self.buffer.advance(HEADER_LEN);
        Ok(self.buffer.split_to(header.len))
    }

    /// Reads the payload of the next packet and not one byte behind it: those may be TLS already.
    pub async fn read_alone(&mut self) -> Result<BytesMut, PacketError> {
        debug_assert!(self.buffer.is_empty(), "nothing was read ahead");
        self.buffer.resize(HEADER_LEN, 0);
        read_exact(&mut self.stream, &mut self.buffer).await?;
        let header = self.header()?;
        self.buffer.clear();
        let mut payload = BytesMut::zeroed(header.len);
        read_exact(&mut self.stream, &mut payload).await?;
        Ok(payload)
    }

    /// Sends the packet that `put` appends; it is given the sequence id and returns the next.
    pub async fn write(
        &mut self,
        put: impl FnOnce(&mut BytesMut, u8) -> u8,
    ) -> Result<(), PacketError> {
        let mut out = BytesMut::new();
        self.seq = put(&mut out, self.seq);
        let sent = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        let sent = sent.await;
        // It may have been a password.
        out.zeroize();
        sent.map_err(closed)
    }

    /// Hangs up so that the peer can still read what was sent last.
    pub async fn part(self) {
        hang_up(self.stream).await;
    }

    /// Checks the header at the front of the buffer, and counts it.
    fn header(&mut self) -> Result<Header, PacketError> {
        let header = Header::peek(&self.buffer).expect("the header was read before");
        let expected = self.seq;
        self.seq = header.seq.wrapping_add(1);
        if header.seq != expected {
            return Err(PacketError::OutOfOrder { expected, found: header.seq });
        }
        if header.len > PACKET_LEN_MAX {
            return Err(PacketError::TooLong { len: header.len });
        }
        Ok(header)
    }

    async fn fill(&mut self, len: usize) -> Result<(), PacketError> {
        while self.buffer.len() < len {
            self.buffer.reserve(READ_LEN.max(len - self.buffer.len()));
            if self.stream.read_buf(&mut self.buffer).await.map_err(closed)? == 0 {
                return Err(PacketError::Closed);
            }
        }
        Ok(())
    }
}

/// Hangs up so that the peer can still read what was sent last: if unread bytes were left behind,
/// closing would reset the connection and throw that away.
pub async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let farewell = async {
        stream.shutdown().await?;
        let mut rest = stream.take(FAREWELL_LEN_MAX as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // The peer is refused already: however it takes that changes nothing.
    drop(tokio::time::timeout(FAREWELL, farewell).await);
}

async fn read_exact<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut [u8],
) -> Result<(), PacketError> {
    stream.read_exact(buffer).await.map(drop).map_err(closed)
}

/// Tells a peer that is gone from a socket that failed.
fn closed(error: io::Error) -> PacketError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => PacketError::Closed,
        _ => PacketError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use wire::mysql::frame::put_packet;

    use super::*;

    #[tokio::test]
    async fn packets_come_whole_however_they_are_cut() {
        let (mut peer, stream) = duplex(1);
        let mut packets = Packets::new(stream, 254);
        let sent = tokio::spawn(async move {
            let mut out = BytesMut::new();
            let seq = put_packet(&mut out, 254, b"first");
            let seq = put_packet(&mut out, seq, b"");
            put_packet(&mut out, seq, b"wrapped");
            peer.write_all(&out).await.unwrap();
            peer
        });
        assert_eq!(packets.read_alone().await.unwrap(), &b"first"[..]);
        assert_eq!(packets.read().await.unwrap(), &b""[..]);
        assert_eq!(packets.read().await.unwrap(), &b"wrapped"[..]);
        drop(sent.await.unwrap());
        assert!(matches!(packets.read().await, Err(PacketError::Closed)));
    }

    #[tokio::test]
    async fn reading_alone_leaves_the_rest_to_tls() {
        let (mut peer, stream) = duplex(64);
        peer.write_all(b"\x01\0\0\x01x\x16\x03").await.unwrap();
        let mut packets = Packets::new(stream, 1);
        assert_eq!(packets.read_alone().await.unwrap(), &b"x"[..]);
        assert!(packets.buffer.is_empty());
        let mut rest = [0; 2];
        packets.stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(rest, [0x16, 0x03]);
    }

    #[tokio::test]
    async fn a_packet_out_of_order_or_too_long_is_refused_by_its_header() {
        let (mut peer, stream) = duplex(64);
        peer.write_all(b"GET / HT\xff\xff\xff\x21").await.unwrap();
        let mut packets = Packets::new(stream, 1);
        let refused = packets.read_alone().await;
        assert!(matches!(refused, Err(PacketError::OutOfOrder { expected: 1, found: b' ' })));
        packets.buffer.clear();
        packets.stream.read_exact(&mut [0; 4]).await.unwrap();
        assert!(matches!(packets.read().await, Err(PacketError::TooLong { len: 0xFF_FFFF })));
    }
}

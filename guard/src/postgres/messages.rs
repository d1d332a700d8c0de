//! The messages of a login, one at a time, in both directions and on both sides.
//!
//! Queries and results are not read this way: they are peeked and forwarded. A login is short and
//! every message of it is read whole, so all that matters here is that nobody can make the guard
//! wait for, or keep, more than a little.

use std::io;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::Malformed;
use wire::postgres::frame::{HEADER_LEN, Header};
use zeroize::Zeroize;

use crate::stream::packets::hang_up;

/// The longest body of a login, in bytes: a proof may have as much. A longer one is refused by its
/// header.
pub const BODY_MAX: usize = 65_535;

/// What one read asks for. Most messages of a login fit.
const READ_LEN: usize = 512;

/// Why a message could not be read or written.
#[derive(Debug, Error)]
pub enum MessageError {
    /// The peer hung up.
    #[error("the connection was closed")]
    Closed,
    /// The socket, or TLS, failed.
    #[error(transparent)]
    Io(io::Error),
    /// The peer sent what is no message, or none for a login.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message that no login needs.
    #[error("a message of {len} bytes, where a login takes at most {BODY_MAX}")]
    TooLong {
        /// Its length by its header.
        len: usize,
    },
}

/// Tells a peer that is gone from a socket that failed.
impl From<io::Error> for MessageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Reads and writes messages.
#[derive(Debug)]
pub struct Messages<S> {
    /// What they travel on.
    pub stream: S,
    /// What was read and is not taken yet.
    pub buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// Messages on `stream`, of which nothing was read yet.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Reads the next message: its kind, as `kind_of` has it, and its body.
    ///
    /// # Errors
    /// When there is none, or it is too long. A future that is dropped leaves what it read in the
    /// buffer.
    pub async fn read<K>(
        &mut self,
        kind_of: impl Fn(Header) -> Result<K, Malformed>,
    ) -> Result<(K, BytesMut), MessageError> {
        self.fill(HEADER_LEN).await?;
        let header = Header::peek(&self.buffer)?.expect("the header was read before");
        let kind = kind_of(header)?;
        if header.len > BODY_MAX {
            return Err(MessageError::TooLong { len: header.len });
        }
        self.fill(header.message_len()).await?;
        self.buffer.advance(HEADER_LEN);
        Ok((kind, self.buffer.split_to(header.len)))
    }

    /// Sends the messages that `put` appends.
    ///
    /// # Errors
    /// When they cannot be sent. A future that is dropped may have sent a part.
    pub async fn write(&mut self, put: impl FnOnce(&mut BytesMut)) -> Result<(), MessageError> {
        let mut out = BytesMut::new();
        put(&mut out);
        let sent = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        let sent = sent.await;
        // It may have been a password.
        out.zeroize();
        Ok(sent?)
    }

    /// Hangs up so that the peer can still read what was sent last.
    pub async fn part(self) {
        hang_up(self.stream).await;
    }

    /// Reads until there are `len` bytes.
    pub(super) async fn fill(&mut self, len: usize) -> Result<(), MessageError> {
        while self.buffer.len() < len {
            self.buffer.reserve(READ_LEN.max(len - self.buffer.len()));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(MessageError::Closed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use wire::postgres::backend::Kind;
    use wire::postgres::frame::put_message;

    use super::*;

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let (mut peer, stream) = duplex(1);
        let mut messages = Messages::new(stream);
        let sent = tokio::spawn(async move {
            let mut out = BytesMut::new();
            put_message(&mut out, b'Z', b"I");
            put_message(&mut out, b'S', b"a\0b\0");
            peer.write_all(&out).await.unwrap();
            peer
        });
        assert_eq!(messages.read(Kind::of).await.unwrap(), (Kind::ReadyForQuery, b"I"[..].into()));
        let (kind, body) = messages.read(Kind::of).await.unwrap();
        assert_eq!((kind, &body[..]), (Kind::ParameterStatus, &b"a\0b\0"[..]));
        drop(sent.await.unwrap());
        assert!(matches!(messages.read(Kind::of).await, Err(MessageError::Closed)));
    }

    #[tokio::test]
    async fn a_message_that_is_none_or_too_long_is_refused_by_its_header() {
        let check = async |header: &[u8]| {
            let (mut peer, stream) = duplex(64);
            peer.write_all(header).await.unwrap();
            Messages::new(stream).read(Kind::of).await.unwrap_err()
        };
        assert!(matches!(check(b"GET /").await, MessageError::Malformed(_)));
        assert!(matches!(check(b"Z\0\0\0\x06").await, MessageError::Malformed(_)));
        let long = check(b"E\x7f\xff\xff\xff").await;
        assert!(matches!(long, MessageError::TooLong { len: 0x7FFF_FFFB }));
    }
}

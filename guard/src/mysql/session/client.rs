//! The client's side of a session: its socket, and its commands as they come in.
//!
//! An idle client owns no buffer: the guard waits for the socket to become readable and only then
//! takes one of its [thread's](buffers). That keeps ten thousand idle clients small.

use std::{future::poll_fn, io};

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::mysql::{
    capability::Capabilities,
    frame::{HEADER_LEN, Header},
};

use crate::{
    session::buffers::{self, READ_LEN},
    stream::Stream,
};

/// How much a client may pipeline behind the statement that runs. Past it the guard stops reading,
/// and the client's writes wait in its socket.
const PIPELINE_LEN_MAX: usize = 256 * 1024;

/// Why no more commands come.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The client closed its connection between two commands.
    #[error("the client closed the connection")]
    Closed,
    /// The socket failed, or closed in the middle of a packet.
    #[error("the client's connection failed: {0}")]
    Io(#[from] io::Error),
    /// A command does not begin with sequence id 0, or its packets are not in sequence.
    #[error("a packet with sequence id {found} where {expected} was due")]
    OutOfOrder {
        /// What was due.
        expected: u8,
        /// What came.
        found: u8,
    },
    /// A packet is longer than `max_packet`.
    #[error("a packet of {len} bytes, and the limit is {max}")]
    TooLarge {
        /// Its length, as its header says.
        len: usize,
        /// `upstream.max_packet`.
        max: usize,
    },
}

/// The first packet of a command, whole, at the front of [`Client::inbuf`].
#[derive(Debug, Clone, Copy)]
pub struct First {
    /// Header and payload.
    pub packet: usize,
    /// Whether more packets of the same command follow (16 MiB and more).
    pub continues: bool,
}

/// A client's socket and what was read from it.
#[derive(Debug)]
pub struct Client {
    /// The socket.
    pub stream: Stream,
    /// What was read and not yet consumed.
    pub inbuf: BytesMut,
    /// What the guard itself has to say, until it is flushed. Written through [`Self::out`].
    pub outbuf: BytesMut,
    /// What was negotiated.
    pub capabilities: Capabilities,
    /// Whether part of a reply, and not its end, has been written.
    pub has_partial_reply: bool,
    max_packet: usize,
}

impl Client {
    /// A client that has logged in; `leftover` is what it sent behind its login.
    pub fn new(
        stream: Stream,
        leftover: BytesMut,
        capabilities: Capabilities,
        max_packet: usize,
    ) -> Self {
        let outbuf = BytesMut::new();
        Self { stream, inbuf: leftover, outbuf, capabilities, has_partial_reply: false, max_packet }
    }

    /// Waits for the first packet of the next command.
    ///
    /// Cancel-safe: what was read stays in `inbuf`.
    ///
    /// # Errors
    /// [`ClientError`]; the session ends with it.
    pub async fn next(&mut self) -> Result<First, ClientError> {
        loop {
            if let Some(first) = self.peek(0)? {
                return Ok(first);
            }
            self.rest();
            self.fill().await?;
        }
    }

    /// Waits for the packet of a command that follows with sequence id `seq`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next_part(&mut self, seq: u8) -> Result<First, ClientError> {
        loop {
            if let Some(first) = self.peek(seq)? {
                return Ok(first);
            }
            self.fill().await?;
        }
    }

    /// Whether something has been read that was not consumed.
    pub fn has_pipelined(&self) -> bool {
        !self.inbuf.is_empty()
    }

    /// Reads ahead while a statement runs: notices at once when the client goes away, and takes in
    /// what it pipelines, up to a bound.
    ///
    /// Returns only when something came. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`] when the client is gone.
    pub async fn watch(&mut self) -> Result<(), ClientError> {
        if self.inbuf.len() >= PIPELINE_LEN_MAX {
            return std::future::pending().await;
        }
        self.fill().await
    }

    /// Drops the consumed front of `inbuf`.
    pub fn consume(&mut self, len: usize) {
        self.inbuf.advance(len);
    }

    /// Where the guard puts what it has to say: few replies need it.
    pub fn out(&mut self) -> &mut BytesMut {
        if self.outbuf.capacity() == 0 {
            self.outbuf = buffers::take();
        }
        &mut self.outbuf
    }

    /// Writes out what `outbuf` holds.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.outbuf.is_empty() {
            self.stream.write_all(&self.outbuf).await?;
            self.outbuf.clear();
            if self.outbuf.capacity() > 4 * READ_LEN {
                self.outbuf = BytesMut::new();
            }
        }
        Ok(())
    }

    /// Gives the buffers back while nothing is in them.
    fn rest(&mut self) {
        if self.inbuf.is_empty() && self.inbuf.capacity() > 0 {
            buffers::put(std::mem::take(&mut self.inbuf));
        }
        if self.outbuf.is_empty() && self.outbuf.capacity() > 0 {
            buffers::put(std::mem::take(&mut self.outbuf));
        }
    }

    async fn fill(&mut self) -> Result<(), ClientError> {
        if self.inbuf.capacity() == 0 {
            if !self.stream.is_tls() {
                // Readiness needs no buffer. With TLS, plain text may be waiting inside the
                // library while the socket is quiet, so an idle TLS client keeps its buffer.
                // Only this task reads; `readable` would join a list of waiters and leave it again.
                poll_fn(|context| self.stream.socket().poll_read_ready(context)).await?;
            }
            self.inbuf = buffers::take();
        } else {
            self.inbuf.reserve(self.missing());
        }
        match self.stream.read_buf(&mut self.inbuf).await? {
            0 if self.inbuf.is_empty() => Err(ClientError::Closed),
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// How many bytes the packet at the front still lacks, so that a large one is read in large
    /// steps; a buffer's length when that is not known.
    fn missing(&self) -> usize {
        Header::peek(&self.inbuf).map_or(READ_LEN, |header| {
            header.packet_len().saturating_sub(self.inbuf.len()).clamp(1, 1 << 20)
        })
    }

    fn peek(&self, seq: u8) -> Result<Option<First>, ClientError> {
        let Some(header) = Header::peek(&self.inbuf) else { return Ok(None) };
        if header.seq != seq {
            return Err(ClientError::OutOfOrder { expected: seq, found: header.seq });
        }
        if header.len > self.max_packet {
            return Err(ClientError::TooLarge { len: header.len, max: self.max_packet });
        }
        let packet = HEADER_LEN + header.len;
        let is_whole = self.inbuf.len() >= packet;
        Ok(is_whole.then_some(First { packet, continues: header.continues() }))
    }
}

//! The client's side of a session: its socket, and its messages as they come in.
//!
//! An idle client owns no buffer: the guard waits for the socket to become readable and only then
//! takes one of its [thread's](buffers). A message need not be whole to be passed on: of most kinds only
//! the head has to be there, and the rest goes by its length.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use policy::sql::TEXT_BYTES_MAX;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWrite as _, AsyncWriteExt};
use wire::{
    Malformed,
    postgres::{
        frame::{HEADER_LEN, Header},
        frontend::{Kind, NAMES_MAX},
    },
};

use super::traffic::{Count, Own};
use crate::{
    session::buffers::{self, READ_LEN},
    stream::Stream,
};

/// How much a client may send ahead of what is being done for it. Past it the guard stops reading,
/// and the client's writes wait in its socket.
const AHEAD_LEN_MAX: usize = 256 * 1024;

/// What a server says of a proof once the client is in.
const NO_PROOF_IS_DUE: Malformed =
    Malformed { message: "message of a client", at: 0, why: "a proof that nobody asked for" };

/// Why no more messages come.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The client closed its connection between two messages.
    #[error("the client closed the connection")]
    Closed,
    /// The socket failed, or closed in the middle of a message.
    #[error("the client's connection failed: {0}")]
    Io(#[from] io::Error),
    /// What came is not the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A statement that must be kept is longer than `max_packet`.
    #[error("a message of {len} bytes, and the limit is {max}")]
    TooLarge {
        /// Its length, as its header says.
        len: usize,
        /// `upstream.max_packet`.
        max: usize,
    },
}

/// The message at the front of [`Client::inbuf`]: as much of it is there as one needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// Which message.
    pub kind: Kind,
    /// Header and body.
    pub len: usize,
    /// How many of its bytes are there.
    pub here: usize,
}

/// A client's socket and what was read from it.
#[derive(Debug)]
pub struct Client {
    /// The socket.
    pub stream: Stream,
    /// What was read and not yet consumed.
    pub inbuf: BytesMut,
    /// What is to be written to it.
    pub outbuf: BytesMut,
    /// How many bytes at the front of `inbuf`, and behind it, belong to a message whose head was
    /// consumed, and are dropped: their message was answered or refused by the guard.
    dropping: usize,
    /// How many bytes there must be before the message at the front can be dealt with.
    wanted: usize,
    max_message: usize,
    /// What is counted of it.
    pub traffic: Own,
}

impl Client {
    /// A client that has logged in; `leftover` is what it sent behind its login.
    pub fn new(stream: Stream, leftover: BytesMut, max_message: usize, mut traffic: Own) -> Self {
        traffic.add(Count::Received, leftover.len() as u64);
        let outbuf = BytesMut::new();
        Self { stream, inbuf: leftover, outbuf, dropping: 0, wanted: 0, max_message, traffic }
    }

    /// Waits for the next message. Cancel-safe: what was read stays in `inbuf`.
    ///
    /// # Errors
    /// [`ClientError`]; the session ends with it.
    pub async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = self.peek()? {
                return Ok(message);
            }
            self.rest();
            poll_fn(|context| self.poll_fill(context)).await?;
        }
    }

    /// The message at the front, if as much of it is there as must be.
    ///
    /// # Errors
    /// When it is none, or is longer than it may be.
    #[expect(
        clippy::inline_always,
        reason = "for each message: what is returned through memory is waited for"
    )]
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Option<Message>, ClientError> {
        let dropped = self.dropping.min(self.inbuf.len());
        self.inbuf.advance(dropped);
        self.dropping -= dropped;
        let Some(header) = Header::peek(&self.inbuf)? else { return Ok(None) };
        let kind = Kind::of(header)?;
        if kind == Kind::Password {
            return Err(NO_PROOF_IS_DUE.into());
        }
        let len = header.message_len();
        if kind == Kind::Parse && len > self.max_message {
            return Err(ClientError::TooLarge { len, max: self.max_message });
        }
        self.wanted = len.min(needed(kind));
        let here = len.min(self.inbuf.len());
        Ok((here >= self.wanted).then_some(Message { kind, len, here }))
    }

    /// Whether something has been read that was not consumed.
    pub fn has_pipelined(&self) -> bool {
        !self.inbuf.is_empty()
    }

    /// Drops a message. What of it has not come yet is dropped as it comes.
    pub fn drop_message(&mut self, message: Message) {
        self.inbuf.advance(message.here);
        self.dropping = message.len - message.here;
    }

    /// Has the rest of a message dropped whose head was passed on.
    pub fn abandon(&mut self, rest: usize) {
        self.dropping += rest;
    }

    /// Reads ahead while the session is busy: notices at once when the client goes away. Cancel-safe.
    /// What waits to be written is, meanwhile.
    pub async fn gone(&mut self) -> ClientError {
        loop {
            let heard = poll_fn(|context| {
                while let Poll::Ready(delivered) = self.poll_deliver(context) {
                    if !delivered? {
                        break;
                    }
                }
                self.poll_fill(context)
            });
            if let Err(error) = heard.await {
                return error;
            }
        }
    }

    /// Reads more into `inbuf`, up to a bound on what is sent ahead.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        if self.inbuf.len() >= AHEAD_LEN_MAX.max(self.wanted) {
            return Poll::Pending;
        }
        if self.inbuf.capacity() == 0 {
            if !self.stream.is_tls() {
                // Readiness needs no buffer. With TLS, plain text may be waiting inside the library
                // while the socket is quiet, so an idle TLS client keeps its buffer.
                ready!(self.stream.socket().poll_read_ready(context))?;
            }
            self.inbuf = buffers::take();
        }
        match ready!(poll_read(&mut self.stream, &mut self.inbuf, context))? {
            0 if self.inbuf.is_empty() => Poll::Ready(Err(ClientError::Closed)),
            0 => Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
            len => {
                self.traffic.add(Count::Received, len as u64);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Writes some of `outbuf`. Ready with `false` where there is nothing.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn poll_deliver(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let before = self.outbuf.len();
        let delivered = poll_write(&mut self.stream, &mut self.outbuf, context);
        self.traffic.note_written(before - self.outbuf.len());
        delivered
    }

    /// Where the guard puts what the client is told.
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
            self.traffic.note_written(self.outbuf.len());
            self.outbuf.clear();
        }
        Ok(())
    }

    /// Hands in what was counted of it.
    pub fn hand_in(&mut self) {
        self.traffic.hand_in(self.outbuf.len());
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
}

/// How much of a message must be there before it can be dealt with.
const fn needed(kind: Kind) -> usize {
    match kind {
        // As much of the text as is read; a longer one says so in its effects.
        Kind::Query => HEADER_LEN + TEXT_BYTES_MAX,
        // Its names.
        Kind::Bind => HEADER_LEN + NAMES_MAX,
        Kind::CopyData | Kind::FunctionCall => HEADER_LEN,
        _ => usize::MAX,
    }
}

/// Reads once into `buffer`.
///
/// # Errors
/// When the socket failed.
pub fn poll_read(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    buffer.reserve(READ_LEN);
    pin!(stream.read_buf(buffer)).poll(context)
}

/// Writes once from `buffer`. Ready with `false` where there is nothing to write.
///
/// # Errors
/// When the socket failed.
pub fn poll_write(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<bool>> {
    if buffer.is_empty() {
        return Poll::Ready(Ok(false));
    }
    // Not `write_buf`: for one piece, `writev` costs the kernel more than `send`.
    let len = ready!(Pin::new(stream).poll_write(context, buffer))?;
    if len == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    buffer.advance(len);
    Poll::Ready(Ok(true))
}

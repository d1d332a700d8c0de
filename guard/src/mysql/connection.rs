//! One connection to the database, with everything that is known about its session.
//!
//! The statements that the guard sends for itself (a label to replay, a probe, a rollback) go
//! through [`Connection::command`] and [`Connection::query`]: they read the whole reply, so a
//! connection is never left with an answer that nobody asked for. The client's own statements go
//! through `session::relay`.

use std::{io, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{
    Malformed, Reader,
    mysql::{
        capability::Capabilities,
        command::{self, Command},
        frame::{HEADER_LEN, Header},
        response::{ErrPacket, OkPacket, PrepareOk, Status},
        result::{Event, Tracker},
    },
};

use super::{
    connect::{Connected, ServerError},
    shadows::Shadows,
};
use crate::{
    mysql::session::{prepared::ServerStatements, settings::Settings},
    stream::Stream,
};

/// How many bytes one read from the database asks for, and what a connection keeps for reading.
pub const READ_LEN: usize = 32 * 1024;

/// The longest reply the guard reads for itself. Its own statements answer in a few hundred bytes.
const OWN_REPLY_LEN_MAX: usize = 1024 * 1024;

/// Why a connection can no longer be used.
#[derive(Debug, Error)]
pub enum Lost {
    /// The socket failed.
    #[error("the connection to the database failed: {0}")]
    Io(#[from] io::Error),
    /// The database closed it.
    #[error("the database closed the connection")]
    Closed,
    /// What came is not the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A reply to the guard's own statement was longer than any it knows.
    #[error("the database answered the guard's own statement with over {OWN_REPLY_LEN_MAX} bytes")]
    TooLong,
}

/// What the database answered to a statement of the guard's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done, with the status flags of the session.
    Ok(Status),
    /// Refused by the database.
    Err(ServerError),
}

impl From<&ErrPacket<'_>> for ServerError {
    fn from(packet: &ErrPacket<'_>) -> Self {
        Self { code: packet.code, sqlstate: packet.sqlstate, message: packet.message.into() }
    }
}

/// A connection to the database.
///
/// Dropping it closes the socket. That frees nothing by itself: a server goes on with a statement
/// whose client is gone. A connection that may be in a transaction goes to `upstream::reclaim`
/// instead, which sees its thread off.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// What was read and not yet consumed.
    pub inbuf: BytesMut,
    /// What is to be written before the client's own bytes.
    pub outbuf: BytesMut,
    /// `COM_STMT_CLOSE` packets that go out with the next command; they have no reply.
    pub closing: BytesMut,
    /// The server's id of this connection.
    pub thread_id: u32,
    /// What was negotiated.
    pub capabilities: Capabilities,
    /// The collation of the handshake, by its number.
    pub charset: u8,
    /// The collation that a login with it has: MariaDB from 11.5 on has others for some character sets.
    pub login_collation: Box<[u8]>,
    /// Whether the server is a MariaDB.
    pub mariadb: bool,
    /// When its server started, in Unix seconds; see [`Backend`](crate::upstream::control::Backend).
    pub server_started: u64,
    /// The status flags the server sent last.
    pub status: Status,
    /// The label: what the session state of this connection is.
    pub settings: Arc<Settings>,
    /// `innodb_lock_wait_timeout` in seconds, where a class asked for one of its own.
    pub lock_wait: Option<u64>,
    /// Whether the server's own limit for statements was lifted; see `handover::Net`.
    pub is_net_lifted: bool,
    /// The statements prepared on it.
    pub statements: ServerStatements,
    /// The session whose `LAST_INSERT_ID()` it carries.
    pub last_insert_of: Option<u64>,
    /// The session whose statement may have changed its state without a reply that told so; see
    /// `session::untold`. It is reset before it serves another.
    pub untold_of: Option<u64>,
    /// The session whose statement may have left warnings on it. MariaDB keeps them behind statements
    /// that use no tables, so another session's statement could find them; see `session::warnings`.
    pub warnings_of: Option<u64>,
    /// The payload of an OK to a command of the guard's own, where it told of changes: the last one.
    /// On MySQL, while something is untold, the first: it has told all.
    pub told: BytesMut,
    /// The variables that its server tells under others' names.
    pub shadows: Arc<Shadows>,
}

impl Connection {
    /// Wraps a fresh login whose state is `settings`.
    pub fn new(connected: Connected, settings: Arc<Settings>) -> Self {
        Self {
            stream: connected.stream,
            inbuf: connected.leftover,
            outbuf: BytesMut::new(),
            closing: BytesMut::new(),
            thread_id: connected.thread_id,
            capabilities: connected.capabilities,
            charset: 0,
            login_collation: Box::default(),
            mariadb: connected.mariadb,
            server_started: 0,
            status: Status(connected.status),
            settings,
            lock_wait: None,
            is_net_lifted: false,
            statements: ServerStatements::default(),
            last_insert_of: None,
            untold_of: None,
            warnings_of: None,
            told: BytesMut::new(),
            shadows: Arc::default(),
        }
    }

    /// Notes what the session state of this connection is now.
    pub fn relabel(&mut self, settings: &Arc<Settings>) {
        // Nearly always what it was; counting references costs when other cores count too.
        if !Arc::ptr_eq(&self.settings, settings) {
            self.settings = Arc::clone(settings);
        }
    }

    /// Notes that a statement of this session may have changed its state without a reply that told
    /// so.
    pub fn note_untold(&mut self, session: u64) {
        if self.untold_of.is_none() {
            self.told.clear();
        }
        self.untold_of = Some(session);
    }

    /// Whether MySQL has told the guard what was untold.
    pub fn has_told(&self) -> bool {
        self.untold_of.is_some() && !self.mariadb && !self.told.is_empty()
    }

    /// Takes what was told. Nothing is untold from here on.
    pub fn take_told(&mut self) -> BytesMut {
        self.untold_of = None;
        self.told.split()
    }

    /// Reads more bytes into `inbuf`.
    ///
    /// # Errors
    /// [`Lost`] when the socket failed or was closed. Cancel-safe: no byte is lost.
    pub async fn fill(&mut self) -> Result<(), Lost> {
        self.inbuf.reserve(READ_LEN);
        match self.stream.read_buf(&mut self.inbuf).await? {
            0 => Err(Lost::Closed),
            _ => Ok(()),
        }
    }

    /// Sends what `outbuf` holds.
    ///
    /// # Errors
    /// [`Lost`] when the socket failed. Not cancel-safe: drop the connection then.
    pub async fn flush(&mut self) -> Result<(), Lost> {
        self.stream.write_all(&self.outbuf).await?;
        self.outbuf.clear();
        Ok(())
    }

    /// Reads one whole reply to `command` and drops it, but for its end.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe: drop the connection then.
    pub async fn read_answer(&mut self, command: Command) -> Result<Answer, Lost> {
        let mut tracker = Tracker::new(command, self.capabilities);
        let mut answer = None;
        loop {
            while !self.inbuf.is_empty() {
                let scan = tracker.scan(&self.inbuf)?;
                self.inbuf.advance(scan.len);
                let Some(event) = scan.event else { break };
                let (packet, is_last) = self.note(event, &mut answer)?;
                self.inbuf.advance(packet);
                if is_last && let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            self.fill().await?;
        }
    }

    /// Notes one control packet at the front of `inbuf`: its length and whether it is the last.
    fn note(&mut self, event: Event, answer: &mut Option<Answer>) -> Result<(usize, bool), Lost> {
        match event {
            Event::Ok { packet, last } => {
                let payload = &self.inbuf[HEADER_LEN..packet];
                let ok = OkPacket::parse(payload, self.capabilities)?;
                let has_told = self.untold_of.is_some() && !self.mariadb && !self.told.is_empty();
                if !has_told {
                    self.told.clear();
                    if ok.status.contains(Status::SESSION_STATE_CHANGED) {
                        self.told.extend_from_slice(payload);
                    }
                }
                self.status = ok.status;
                *answer = Some(Answer::Ok(ok.status));
                Ok((packet, last))
            }
            Event::Eof { packet, last, status, .. } => {
                if last {
                    self.status = status;
                    *answer = Some(Answer::Ok(status));
                }
                Ok((packet, last))
            }
            Event::Err { packet } => {
                let err = ErrPacket::parse(&self.inbuf[HEADER_LEN..packet], self.capabilities)?;
                *answer = Some(Answer::Err(ServerError::from(&err)));
                Ok((packet, true))
            }
            Event::PrepareOk { packet, last } => {
                *answer = Some(Answer::Ok(self.status));
                Ok((packet, last))
            }
            Event::Done { packet } => {
                *answer = Some(Answer::Ok(self.status));
                Ok((packet, true))
            }
            Event::LocalInfile { .. } => Err(Lost::Malformed(Malformed {
                message: "reply to the guard's own statement",
                at: 0,
                why: "the server asks for a local file",
            })),
        }
    }

    /// Sends one command of the guard's own, already in `outbuf`, and reads its reply.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe: drop the connection then.
    pub async fn command(&mut self, command: Command) -> Result<Answer, Lost> {
        self.flush().await?;
        self.read_answer(command).await
    }

    /// Says good-bye: a connection that only ends counts as aborted at the server.
    ///
    /// # Errors
    /// [`Lost`], when it has ended already.
    pub async fn quit(mut self) -> Result<(), Lost> {
        command::put_simple(&mut self.outbuf, Command::Quit);
        self.flush().await
    }

    /// Runs one SQL statement of the guard's own that answers OK or an error.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe: drop the connection then.
    pub async fn execute(&mut self, sql: &[u8]) -> Result<Answer, Lost> {
        command::put_query_with(&mut self.outbuf, self.capabilities, sql);
        self.command(Command::Query).await
    }

    /// Runs one query of the guard's own and returns its rows as text, `None` for NULL.
    ///
    /// # Errors
    /// The outer error is [`Lost`], the inner one the database's. Not cancel-safe.
    pub async fn query(&mut self, sql: &[u8]) -> Result<Result<Rows, ServerError>, Lost> {
        command::put_query_with(&mut self.outbuf, self.capabilities, sql);
        self.flush().await?;
        self.read_rows().await
    }

    /// Reads the reply to a query of the guard's own.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn read_rows(&mut self) -> Result<Result<Rows, ServerError>, Lost> {
        let mut tracker = Tracker::new(Command::Query, self.capabilities);
        let mut passed = BytesMut::new();
        let mut answer = None;
        loop {
            while !self.inbuf.is_empty() {
                let scan = tracker.scan(&self.inbuf)?;
                passed.extend_from_slice(&self.inbuf[..scan.len]);
                self.inbuf.advance(scan.len);
                if passed.len() > OWN_REPLY_LEN_MAX {
                    return Err(Lost::TooLong);
                }
                let Some(event) = scan.event else { break };
                let (packet, is_last) = self.note(event, &mut answer)?;
                self.inbuf.advance(packet);
                match answer.take() {
                    Some(Answer::Err(error)) => return Ok(Err(error)),
                    Some(Answer::Ok(_)) if is_last => return Ok(Ok(parse_rows(&passed)?)),
                    _ => {}
                }
            }
            self.fill().await?;
        }
    }

    /// Prepares a statement for the guard's own use of it. Returns the server's id.
    ///
    /// # Errors
    /// The outer error is [`Lost`], the inner one the database's. Not cancel-safe.
    pub async fn prepare(&mut self, sql: &[u8]) -> Result<Result<u32, ServerError>, Lost> {
        command::put_stmt_prepare(&mut self.outbuf, sql);
        self.flush().await?;
        let mut tracker = Tracker::new(Command::StmtPrepare, self.capabilities);
        let (mut id, mut answer) = (0, None);
        loop {
            while !self.inbuf.is_empty() {
                let scan = tracker.scan(&self.inbuf)?;
                self.inbuf.advance(scan.len);
                let Some(event) = scan.event else { break };
                if let Event::PrepareOk { packet, .. } = event {
                    let payload = &self.inbuf[HEADER_LEN..packet];
                    id = PrepareOk::parse(payload, self.capabilities)?.statement;
                }
                let (packet, is_last) = self.note(event, &mut answer)?;
                self.inbuf.advance(packet);
                match answer.take() {
                    Some(Answer::Err(error)) => return Ok(Err(error)),
                    _ if is_last => return Ok(Ok(id)),
                    _ => {}
                }
            }
            self.fill().await?;
        }
    }

    /// Whether the server has said or done something while nobody was listening: the connection
    /// was closed, or out of step. Costs no system call while the socket is quiet.
    pub fn is_disturbed(&self) -> bool {
        if !self.inbuf.is_empty() || !self.outbuf.is_empty() {
            return true;
        }
        let mut byte = [0];
        match self.stream.socket().try_read(&mut byte) {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }
}

/// The rows of a small text result: one value per column, `None` for NULL.
pub type Rows = Vec<Vec<Option<Bytes>>>;

/// Takes the rows out of the column count, the definitions and the rows of one text result.
fn parse_rows(mut reply: &[u8]) -> Result<Rows, Malformed> {
    let mut packets = Vec::new();
    while let Some(header) = Header::peek(reply) {
        let end = HEADER_LEN + header.len;
        let short = Malformed { message: "result", at: 0, why: "packet shorter than its header" };
        packets.push(reply.get(HEADER_LEN..end).ok_or(short)?);
        reply = &reply[end..];
    }
    let Some(first) = packets.first() else { return Ok(Rows::new()) };
    let columns = usize::from(Reader::new("column count", first).u8()?);
    let mut rows = Rows::new();
    for packet in packets.iter().skip(1 + columns) {
        let mut reader = Reader::new("row", packet);
        let mut row = Vec::with_capacity(columns);
        for _ in 0..columns {
            if reader.peek_u8() == Some(0xFB) {
                reader.skip(1)?;
                row.push(None);
            } else {
                row.push(Some(Bytes::copy_from_slice(reader.lenenc_bytes()?)));
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

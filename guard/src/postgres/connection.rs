//! One connection to the database, with everything that is known about its session.
//!
//! What the guard sends for itself (settings to replay, a look at what the session holds, a
//! rollback) goes through [`Connection::query`], which reads the whole reply. The client's own
//! messages go through `session::relay`. Both go through the same [`Tracker`], so a connection
//! always knows what it still owes, and to whom.

use std::{io, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::warn;
use wire::{
    Malformed,
    postgres::{
        backend::{Kind, ParameterStatus, TransactionStatus, data_row},
        frame::HEADER_LEN,
        frontend::{put_bind, put_execute, put_parse, put_query, put_sync},
        list::Format,
        result::{Asker, Event, Full, Part, Request, Tracker},
    },
};

use super::{
    connect::{Connected, Parameter, ServerError},
    key::BackendKey,
    sequences::Draws,
    settings::Settings,
    statements::ServerStatements,
    stop,
    welcome::{ROLE, Reports},
};
use crate::{
    engine,
    stream::Stream,
    upstream::{control::Backend, target::Target},
};

/// How many bytes one read from the database asks for, and what a connection keeps for reading.
pub const READ_LEN: usize = 32 * 1024;

/// How many rows the guard reads for itself. Its own questions have a few hundred at most.
const OWN_ROWS_MAX: usize = 10_000;

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
    /// The database ends the connection, and says why.
    #[error("the database ended the connection: {0}")]
    Ended(ServerError),
    /// A reply to the guard's own statement was longer than any it knows.
    #[error("the database answered the guard's own statement with too much")]
    TooLong,
    /// More requests than anybody answers.
    #[error(transparent)]
    Full(#[from] Full),
}

/// A row of the guard's own: one value for each column, `None` for NULL.
pub type Row = Vec<Option<Bytes>>;

/// The rows of all statements of a query; or why one failed.
pub type Answer = Result<Vec<Row>, ServerError>;

/// A connection to the database.
///
/// Dropping it closes the socket. That frees nothing by itself: a server goes on with a statement
/// whose client is gone. A connection that may be in a transaction goes to `upstream::reclaim`
/// instead, which sees its backend off.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// What was read and not yet consumed.
    pub inbuf: BytesMut,
    /// What is to be written.
    pub outbuf: BytesMut,
    /// What was asked and is not answered.
    pub tracker: Tracker,
    /// Who serves it.
    pub backend: Backend,
    /// What it is cancelled by, where the reserved connections cannot.
    pub key: Option<BackendKey>,
    /// How the last reply left its transaction.
    pub status: TransactionStatus,
    /// The label: what the session was set to, beyond what every fresh one is.
    pub settings: Arc<Settings>,
    /// `lock_timeout` in milliseconds, where a class asked for one of its own.
    pub lock_timeout: Option<u64>,
    /// The settings that the server reports, as it told them last.
    pub reported: Vec<Parameter>,
    /// The statements prepared on it.
    pub statements: ServerStatements,
    /// The session that used it last.
    pub last_used_by: u64,
    /// Whether code that nobody has read may have set a parameter of its own, with a dot in its name,
    /// which the server lists nowhere.
    pub may_hide: bool,
    /// Whose draws from sequences it knows.
    pub draws: Draws,
    /// Notifications that came while the guard asked for itself.
    pub notifications: BytesMut,
    /// Where it is noted what the server reports.
    pub reports: Arc<Reports>,
}

impl Connection {
    /// Wraps a fresh login.
    pub fn new(connected: Connected) -> Self {
        let id = connected.key.as_ref().map_or(0, |key| key.process_id);
        Self {
            stream: connected.stream,
            inbuf: connected.leftover,
            outbuf: BytesMut::new(),
            tracker: Tracker::new(),
            backend: Backend { id, since: 0 },
            key: connected.key,
            status: TransactionStatus::Idle,
            settings: Arc::default(),
            lock_timeout: None,
            reported: connected.parameters,
            statements: ServerStatements::default(),
            last_used_by: 0,
            may_hide: false,
            draws: Draws::Own,
            notifications: BytesMut::new(),
            reports: Arc::default(),
        }
    }

    /// Whether a transaction is open on it, failed or not.
    pub fn is_in_transaction(&self) -> bool {
        self.status != TransactionStatus::Idle
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

    /// Runs SQL of the guard's own, and reads the whole answer.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe: drop the connection then.
    pub async fn query(&mut self, sql: &[u8]) -> Result<Answer, Lost> {
        self.tracker.push(Request::Query, Asker::Guard)?;
        put_query(&mut self.outbuf, sql);
        // As on the server: a query ends the unnamed statement.
        self.statements.unnamed = 0;
        self.read_answer().await
    }

    /// As [`Self::query`], of one statement with one parameter.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe: drop the connection then.
    pub async fn query_with(&mut self, sql: &[u8], parameter: &[u8]) -> Result<Answer, Lost> {
        for request in [Request::Parse, Request::Bind, Request::Execute, Request::Sync] {
            self.tracker.push(request, Asker::Guard)?;
        }
        self.statements.unnamed = u64::MAX;
        put_parse(&mut self.outbuf, b"", sql, &[]);
        put_bind(&mut self.outbuf, b"", b"", &[Some(parameter)], Format::Text);
        put_execute(&mut self.outbuf, b"", 0);
        put_sync(&mut self.outbuf);
        self.read_answer().await
    }

    async fn read_answer(&mut self) -> Result<Answer, Lost> {
        self.flush().await?;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            while let Some((event, message)) = self.next_event()? {
                match event.kind {
                    _ if event.part == Part::Rest || event.rest > 0 => return Err(Lost::TooLong),
                    Kind::DataRow if rows.len() >= OWN_ROWS_MAX => return Err(Lost::TooLong),
                    Kind::DataRow => rows.push(row(&message)?),
                    Kind::ErrorResponse => failure = Some(ServerError::parse(body(&message))?),
                    _ => {}
                }
            }
            if self.tracker.is_over() {
                return Ok(failure.map_or(Ok(rows), Err));
            }
            self.fill().await?;
        }
    }

    /// Takes the next event off `inbuf`, with the bytes of its message that are there, and notes
    /// what it tells of the session. What lies before it was for nobody.
    ///
    /// # Errors
    /// [`Lost`] when the server is out of step or ends the connection.
    pub fn next_event(&mut self) -> Result<Option<(Event, BytesMut)>, Lost> {
        let scan = self.tracker.scan(&self.inbuf)?;
        self.inbuf.advance(scan.len);
        let Some(event) = scan.event else { return Ok(None) };
        let message = self.inbuf.split_to(event.bytes);
        self.note(&event, &message)?;
        if event.kind == Kind::NotificationResponse {
            self.notifications.extend_from_slice(&message);
        }
        Ok(Some((event, message)))
    }

    /// Notes what an event tells of the session.
    ///
    /// # Errors
    /// When it cannot be read, or the server ends the connection.
    pub fn note(&mut self, event: &Event, message: &[u8]) -> Result<(), Lost> {
        if event.part == Part::Rest || event.bytes == 0 {
            return Ok(());
        }
        match event.kind {
            Kind::ReadyForQuery => self.status = TransactionStatus::parse(body(message))?,
            Kind::ParameterStatus if event.rest == 0 => {
                let ParameterStatus { name, value } = ParameterStatus::parse(body(message))?;
                self.note_parameter(name, value);
            }
            Kind::ErrorResponse if self.tracker.has_ended() => {
                return Err(Lost::Ended(ServerError::parse(body(message))?));
            }
            _ => {}
        }
        Ok(())
    }

    /// A setting, as the server reported it last; empty if it never did.
    pub fn parameter(&self, name: &[u8]) -> &[u8] {
        let own = self.reported.iter().find(|(known, _)| **known == *name);
        own.map_or(b"", |(_, value)| value)
    }

    fn note_parameter(&mut self, name: &[u8], value: &[u8]) {
        if name == ROLE {
            self.reports.note_role(value);
        }
        match self.reported.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = value.into(),
            None => self.reported.push((name.into(), value.into())),
        }
    }

    /// Reads what the kernel has, without waiting: whether the server has closed the connection, or
    /// said what nobody asked for. A server whose configuration is reloaded tells settings to all
    /// its connections; that is noted and disturbs nothing.
    fn has_gone_astray(&mut self) -> bool {
        loop {
            let mut chunk = [0; 512];
            match self.stream.socket().try_read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) | Ok(0) => return true,
                // With TLS these bytes belong to the library.
                Ok(_) if self.stream.is_tls() => return true,
                Ok(len) => self.inbuf.extend_from_slice(&chunk[..len]),
            }
        }
        while !self.inbuf.is_empty() {
            match self.next_event() {
                Ok(Some((event, _))) if event.kind == Kind::ParameterStatus => {}
                _ => return true,
            }
        }
        self.tracker.has_ended() || !self.outbuf.is_empty()
    }
}

impl engine::Connection for Connection {
    fn is_disturbed(&mut self) -> bool {
        self.has_gone_astray()
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    async fn leave(self, target: &Target) {
        if let Some(key) = &self.key
            && let Err(error) = stop::by_key(target, key).await
        {
            warn!(backend = self.backend.id, %error, "a CancelRequest did not get through");
        }
    }
}

/// The body of a message that is there with its header.
pub fn body(message: &[u8]) -> &[u8] {
    message.get(HEADER_LEN..).unwrap_or_default()
}

fn row(message: &[u8]) -> Result<Row, Malformed> {
    Ok(data_row(body(message))?.map(|value| value.map(Bytes::copy_from_slice)).collect())
}

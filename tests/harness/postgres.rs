//! A client of PostgreSQL that hides nothing: it sends what it is told to, when it is told to, and
//! gives back every message. Its login is the one that the guard has for databases. When a test
//! fails, it tells what was asked and answered last.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use drill::client::PATIENCE;
use drill::server::account::{Account, SCHEMA};
use guard::account;
use guard::postgres::connect::{ConnectError, Parameter, Wishes, cancel, connect};
use guard::postgres::key::BackendKey;
use guard::postgres::messages::{MessageError, Messages};
use guard::secret::Secret;
use guard::stream::Stream;
use guard::tls::{ClientTls, TlsMode};
use guard::upstream::target::{ClearPassword, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::postgres::backend::{Fields, Kind, Severity, TransactionStatus, data_row};
use wire::postgres::frame::HEADER_LEN;
use wire::postgres::frontend::{put_bind, put_execute, put_parse, put_query, put_sync};
use wire::postgres::list::Format;

/// An error that a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgFailure {
    /// The SQLSTATE.
    pub code: String,
    /// The text.
    pub message: String,
    /// Whether the connection ends with it.
    pub is_fatal: bool,
}

impl fmt::Display for PgFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum PgError {
    /// The connection is closed; the last words, if there were any.
    Closed(Option<PgFailure>),
    /// Nothing came in time.
    Late(Duration),
    /// What came is not the protocol.
    Malformed(String),
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for PgError {}

impl From<MessageError> for PgError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Closed | MessageError::Io(_) => Self::Closed(None),
            error => Self::Malformed(error.to_string()),
        }
    }
}

/// What came up to a ReadyForQuery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgReply {
    /// The rows of all its statements.
    pub rows: Vec<Vec<Option<String>>>,
    /// The tags of all its statements.
    pub tags: Vec<String>,
    /// The error, if one came.
    pub failure: Option<PgFailure>,
    /// How it left the transaction.
    pub status: TransactionStatus,
}

impl PgReply {
    /// The first column of the first row.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }
}

/// A client.
#[derive(Debug)]
pub struct PgClient {
    messages: Messages<Stream>,
    canceller: Canceller,
    parameters: Vec<Parameter>,
    patience: Duration,
    history: VecDeque<String>,
}

/// How much of what was said a client remembers.
const HISTORY_LEN_MAX: usize = 12;

/// Stops what a client runs, from another connection.
#[derive(Debug, Clone)]
pub struct Canceller {
    addr: SocketAddr,
    key: Option<BackendKey>,
}

impl Canceller {
    /// Sends a CancelRequest, and waits until the other side hangs up.
    ///
    /// # Panics
    /// When the client was given no key.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn cancel(&self) -> Result<(), ConnectError> {
        let key = self.key.as_ref().expect("the client was given a key");
        cancel(&target(self.addr), key).await
    }

    /// The same key, brought to another address.
    #[must_use]
    pub fn at(&self, addr: SocketAddr) -> Self {
        Self { addr, key: self.key.clone() }
    }
}

fn target(addr: SocketAddr) -> Target {
    Target {
        address: addr.into(),
        tls: ClientTls::load(TlsMode::Off, "localhost", None).expect("nothing to load"),
        connect_timeout: PATIENCE,
        clear_password: ClearPassword::Refused,
    }
}

impl PgClient {
    /// Logs in, without TLS, to the database `app`.
    ///
    /// # Errors
    /// When it is not let in.
    pub async fn login(addr: SocketAddr, account: &Account) -> Result<Self, ConnectError> {
        let account = account::Account::new(account.name, Secret::from(account.password));
        let wishes = Wishes { database: Some(SCHEMA.into()), parameters: Vec::new() };
        let connected = connect(&target(addr), &account, &wishes).await?;
        let mut messages = Messages::new(connected.stream);
        messages.buffer = connected.leftover;
        let canceller = Canceller { addr, key: connected.key };
        let (parameters, history) = (connected.parameters, VecDeque::new());
        Ok(Self { messages, canceller, parameters, patience: PATIENCE, history })
    }

    /// How long it waits for each message.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// What it was told of a setting when it logged in.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let found = self.parameters.iter().find(|(known, _)| **known == *name.as_bytes());
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// What stops its statements.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Runs SQL by the simple protocol, and reads the reply.
    ///
    /// # Errors
    /// When there is no whole reply. An error of the server's is one.
    pub async fn query(&mut self, sql: &str) -> Result<PgReply, PgError> {
        self.remember(sql.to_owned());
        self.send(|out| put_query(out, sql.as_bytes())).await?;
        self.reply().await
    }

    /// Runs one statement with parameters by the extended protocol, unnamed, and reads the reply.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn execute(&mut self, sql: &str, values: &[&str]) -> Result<PgReply, PgError> {
        self.remember(format!("{sql} {values:?}"));
        self.send(|out| put_series(out, sql, values)).await?;
        self.reply().await
    }

    /// Sends whatever `put` appends.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, put: impl FnOnce(&mut BytesMut)) -> Result<(), PgError> {
        Ok(self.messages.write(put).await?)
    }

    /// Reads the next message.
    ///
    /// # Errors
    /// When none comes.
    pub async fn message(&mut self) -> Result<(Kind, BytesMut), PgError> {
        let read = self.messages.read(Kind::of);
        let read = tokio::time::timeout(self.patience, read).await;
        Ok(read.map_err(|_| PgError::Late(self.patience))??)
    }

    /// Reads up to the next ReadyForQuery.
    ///
    /// # Errors
    /// When there is none.
    ///
    /// # Panics
    /// When a message cannot be read.
    pub async fn reply(&mut self) -> Result<PgReply, PgError> {
        let (rows, tags, status) = (Vec::new(), Vec::new(), TransactionStatus::Idle);
        let mut reply = PgReply { rows, tags, failure: None, status };
        loop {
            let (kind, body) = match self.message().await {
                Ok(message) => message,
                Err(PgError::Closed(None)) => return Err(PgError::Closed(reply.failure)),
                Err(error) => return Err(error),
            };
            match kind {
                Kind::DataRow => reply.rows.push(row(&body)),
                Kind::CommandComplete => {
                    let tag = body.strip_suffix(&[0]).unwrap_or(&body);
                    reply.tags.push(String::from_utf8_lossy(tag).into_owned());
                }
                Kind::ErrorResponse => {
                    assert_eq!(reply.failure, None, "two errors in one reply");
                    reply.failure = Some(failure(&body));
                }
                Kind::ReadyForQuery => {
                    reply.status = TransactionStatus::parse(&body).expect("a status");
                    self.remember(format!("{reply:?}"));
                    return Ok(reply);
                }
                _ => {}
            }
        }
    }

    /// Reads up to the next ReadyForQuery, and keeps nothing. Returns how many bytes the bodies of `kind`
    /// have had.
    ///
    /// # Errors
    /// When there is no ReadyForQuery.
    pub async fn skim(&mut self, kind: Kind) -> Result<usize, PgError> {
        let Messages { stream, buffer } = &mut self.messages;
        let mut counted = 0;
        let skim = async {
            loop {
                while buffer.len() < HEADER_LEN {
                    fill(stream, buffer).await?;
                }
                let (found, len) = (buffer.get_u8(), buffer.get_u32() as usize - 4);
                let mut left = len;
                while left > 0 {
                    if buffer.is_empty() {
                        fill(stream, buffer).await?;
                    }
                    let here = left.min(buffer.len());
                    buffer.advance(here);
                    left -= here;
                }
                if found == kind.byte() {
                    counted += len;
                }
                if found == Kind::ReadyForQuery.byte() {
                    return Ok(());
                }
            }
        };
        let skimmed = tokio::time::timeout(self.patience, skim).await;
        skimmed.unwrap_or(Err(PgError::Late(self.patience))).map(|()| counted)
    }

    /// Waits until the other side hangs up, and returns its last words.
    ///
    /// # Errors
    /// When it does not.
    pub async fn closed(&mut self) -> Result<Option<PgFailure>, PgError> {
        match self.reply().await {
            Err(PgError::Closed(words)) => Ok(words),
            Err(error) => Err(error),
            Ok(reply) => Err(PgError::Malformed(format!("{reply:?} instead of an end"))),
        }
    }

    /// Says that nothing more will be sent, and goes on reading.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn finish_sending(&mut self) -> Result<(), PgError> {
        self.messages.stream.shutdown().await.map_err(|_| PgError::Closed(None))
    }

    /// Reads bytes, whatever they are, until the other side hangs up. A reset counts as that.
    ///
    /// # Errors
    /// When it does not.
    pub async fn rest(&mut self) -> Result<BytesMut, PgError> {
        let Messages { stream, buffer } = &mut self.messages;
        let end = async { while !matches!(stream.read_buf(buffer).await, Ok(0) | Err(_)) {} };
        let read = tokio::time::timeout(self.patience, end).await;
        read.map_err(|_| PgError::Late(self.patience))?;
        Ok(buffer.split())
    }

    fn remember(&mut self, words: String) {
        if self.history.len() == HISTORY_LEN_MAX {
            self.history.pop_front();
        }
        self.history.push_back(words);
    }
}

impl Drop for PgClient {
    /// Closes the connection.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("last on this connection: {:#?}", self.history);
        }
    }
}

/// Appends a whole series for one statement: Parse, Bind, Execute, Sync.
pub fn put_series(out: &mut BytesMut, sql: &str, values: &[&str]) {
    put_unsynced(out, sql, values);
    put_sync(out);
}

/// Appends a series without its Sync.
pub fn put_unsynced(out: &mut BytesMut, sql: &str, values: &[&str]) {
    let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
    put_parse(out, b"", sql.as_bytes(), &[]);
    put_bind(out, b"", b"", &values, Format::Text);
    put_execute(out, b"", 0);
}

async fn fill(stream: &mut Stream, buffer: &mut BytesMut) -> Result<(), PgError> {
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => Err(PgError::Closed(None)),
        Ok(_) => Ok(()),
    }
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let values = data_row(body).expect("a row");
    values.map(|value| value.map(|text| String::from_utf8_lossy(text).into_owned())).collect()
}

fn failure(body: &[u8]) -> PgFailure {
    let fields = Fields::parse(body).expect("an error");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    PgFailure {
        code: fields.code().map(|code| text(&code)).expect("a code"),
        message: fields.message().map(text).expect("a message"),
        is_fatal: fields.severity().is_some_and(Severity::ends_connection),
    }
}

/// Runs SQL that must succeed.
///
/// # Panics
/// When it does not.
pub async fn pg_done(client: &mut PgClient, sql: &str) -> PgReply {
    let reply = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(reply.failure, None, "{sql}");
    reply
}

/// Runs SQL that must fail, and returns the error.
///
/// # Panics
/// When it succeeds, or the connection fails.
pub async fn pg_refused(client: &mut PgClient, sql: &str) -> PgFailure {
    let reply = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    reply.failure.unwrap_or_else(|| panic!("{sql} succeeded"))
}

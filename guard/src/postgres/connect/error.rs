use std::fmt;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use thiserror::Error;
use wire::Malformed;
use wire::postgres::auth::scram;
use wire::postgres::backend::{Fields, Notice, Severity, put_error};
use wire::postgres::frame::HEADER_LEN;

use crate::config::Endpoint;
use crate::postgres::messages::MessageError;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The steps together took too long.
    #[error("the database did not let us in within {0:?}")]
    TimedOut(Duration),
    /// There is nobody at that address.
    #[error("the database at {address} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        address: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// The server said no.
    #[error("the database refused: {0}")]
    Refused(ServerError),
    /// The connection broke, or the server broke the rules of framing.
    #[error("the login at the database broke off: {0}")]
    Message(#[from] MessageError),
    /// TLS is required and the server has none.
    #[error("the database offers no TLS, and TLS is required")]
    NoTls,
    /// TLS failed; among other reasons because the certificate is not to be believed, or because
    /// plain text came instead.
    #[error("TLS with the database failed: {0}")]
    Tls(#[source] io::Error),
    /// TLS began without asking, and the server does not say that it is a PostgreSQL.
    #[error("the database does not say by ALPN that it speaks PostgreSQL's protocol")]
    NoAlpn,
    /// The account is to be proved in a way that the guard does not know.
    #[error("the database asks for {0}, which is not supported")]
    Method(String),
    /// The account is to be proved with the password, and that is not known.
    #[error("the database asks for {0}, which needs the password, and that is not known")]
    NeedsPassword(&'static str),
    /// The server wants the password in the clear.
    #[error("the database asks for the password in the clear, which is not allowed")]
    ClearPassword,
    /// The exchange has failed: the server is perhaps not the one it says.
    #[error("the login at the database failed: {0}")]
    Scram(#[from] scram::Failure),
    /// The server says something that is not due.
    #[error("the database sent {0}")]
    Exchange(&'static str),
}

impl From<Malformed> for ConnectError {
    fn from(malformed: Malformed) -> Self {
        Self::Message(malformed.into())
    }
}

impl ConnectError {
    /// The server's own error, to be told to the client as it is.
    pub const fn server_error(&self) -> Option<&ServerError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server refused this account or what it wished for: that says nothing about how
    /// the server is. A server that is full, going away or coming up is no refusal in this sense.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(error) => !error.is_of_the_server(),
            Self::Method(_) | Self::NeedsPassword(_) | Self::ClearPassword => true,
            _ => false,
        }
    }
}

/// An ErrorResponse of the server, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The SQLSTATE.
    pub sqlstate: [u8; 5],
    /// The body of the message as it came, which is what a client gets.
    pub body: Box<[u8]>,
}

impl ServerError {
    /// `internal_error`, for servers that do not say.
    const UNKNOWN: [u8; 5] = *b"XX000";

    /// Keeps the body of an ErrorResponse.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let fields = Fields::parse(body)?;
        Ok(Self { sqlstate: fields.code().unwrap_or(Self::UNKNOWN), body: body.into() })
    }

    /// One that the guard says in the server's words.
    pub fn own(sqlstate: [u8; 5], message: &str) -> Self {
        let (severity, message) = (Severity::Fatal, message.as_bytes());
        let notice = Notice { severity, code: sqlstate, message, detail: None, hint: None };
        let mut whole = BytesMut::new();
        put_error(&mut whole, &notice);
        Self { sqlstate, body: whole[HEADER_LEN..].into() }
    }

    /// The body of the message as one that ends a connection: what was refused to a session that is
    /// open, a login is refused for.
    pub fn fatal(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body.len());
        for field in self.body.split_inclusive(|&byte| byte == 0) {
            match field {
                [kind @ (b'S' | b'V'), ..] => body.extend([&[*kind], &b"FATAL\0"[..]].concat()),
                other => body.extend_from_slice(other),
            }
        }
        body
    }

    /// Its fields.
    pub const fn fields(&self) -> Fields<'_> {
        Fields::of_head(&self.body)
    }

    /// Whether it says how the server is, rather than what it thinks of whoever logs in: its
    /// connections or resources are at an end (53), an operator or a crash intervened (57), its
    /// system failed (58), it has a bug (XX).
    fn is_of_the_server(&self) -> bool {
        matches!(&self.sqlstate, [b'5', b'3' | b'7' | b'8', ..] | [b'X', b'X', ..])
    }

    /// Whether it may mean that the server does not know the version of the protocol.
    pub(super) fn may_be_of_the_version(&self) -> bool {
        matches!(&self.sqlstate, b"0A000" | b"08P01")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = String::from_utf8_lossy(&self.sqlstate);
        let message = self.fields().message().unwrap_or_default();
        write!(f, "{state}: {}", String::from_utf8_lossy(message))
    }
}

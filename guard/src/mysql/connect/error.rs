use std::fmt;
use std::io;
use std::time::Duration;

use thiserror::Error;
use wire::Malformed;
use wire::mysql::response::ErrPacket;
use wire::mysql::{Capabilities, code};

use crate::config::Endpoint;
use crate::secret::rsa::RsaError;
use crate::stream::packets::PacketError;

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
    Packet(#[from] PacketError),
    /// The server sent what is no message.
    #[error("the database is not understood: {0}")]
    Malformed(#[from] Malformed),
    /// TLS is required and the server has none.
    #[error("the database offers no TLS, and TLS is required")]
    NoTls,
    /// TLS failed; among other reasons because the certificate is not to be believed, or because
    /// plain text came instead.
    #[error("TLS with the database failed: {0}")]
    Tls(#[source] io::Error),
    /// The account is to be proved in a way that the guard does not know.
    #[error("the database asks for the authentication plugin {0:?}, which is not supported")]
    Plugin(String),
    /// The account is to be proved with the password, and only a hash of it is known.
    #[error("the database asks for {0}, which needs the password, and only its hash is known")]
    NeedsPassword(&'static str),
    /// The server wants the password in the clear.
    #[error("the database asks for the password in the clear, which is not allowed")]
    ClearPassword,
    /// The server asks for one proof after the other.
    #[error("the database switched its authentication plugin {0} times")]
    Switches(u32),
    /// The server says something that does not belong into this plugin's exchange.
    #[error("the database left the rules of {0}")]
    Exchange(&'static str),
    /// The server's key does not encrypt.
    #[error("the database's public key cannot be used: {0}")]
    PublicKey(#[from] RsaError),
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
    /// the server is. A server that is full or going away is no refusal in this sense.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(error) => !matches!(
                error.code,
                code::TOO_MANY_CONNECTIONS
                    | code::SERVER_SHUTDOWN
                    | code::HOST_IS_BLOCKED
                    | code::TOO_MANY_USER_CONNECTIONS
                    | code::USER_LIMIT_REACHED
            ),
            Self::Plugin(_) | Self::NeedsPassword(_) | Self::ClearPassword => true,
            _ => false,
        }
    }
}

/// An ERR packet of the server, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The error's number.
    pub code: u16,
    /// The SQL state.
    pub sqlstate: [u8; 5],
    /// The text for people.
    pub message: Box<[u8]>,
}

impl ServerError {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let ErrPacket { code, sqlstate, message } =
            ErrPacket::parse(payload, Capabilities::PROTOCOL_41)?;
        Ok(Self { code, sqlstate, message: message.into() })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = String::from_utf8_lossy(&self.sqlstate);
        write!(f, "{} ({state}): {}", self.code, String::from_utf8_lossy(&self.message))
    }
}

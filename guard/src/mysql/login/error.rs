use std::io;
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;
use wire::Malformed;
use wire::mysql::code;

use crate::mysql::connect::{ConnectError, ServerError};
use crate::stream::packets::PacketError;

/// `ER_NOT_SUPPORTED_AUTH_MODE`: the client's authentication is too old.
const OLD_PASSWORD: u16 = 1251;
/// `ER_SECURE_TRANSPORT_REQUIRED`.
const TLS_REQUIRED: u16 = 3159;
/// `ER_SERVER_ISNT_AVAILABLE`: no common driver retries it at once.
const UNAVAILABLE: u16 = 3168;

/// Why a client was not let in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The steps together took too long.
    #[error("the login took longer than {0:?}")]
    TimedOut(Duration),
    /// The connection broke, or the client broke the rules of framing.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The client sent what is no message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Something came between the request for TLS and TLS.
    #[error("received unencrypted data after the SSL request")]
    PlainTextBeforeTls,
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// The client asks for TLS where there is none, or twice.
    #[error("the client asked for TLS, which is not offered")]
    TlsNotOffered,
    /// The client went on without TLS.
    #[error("the client went on without TLS, which is required")]
    TlsRequired,
    /// The client's authentication is older than 4.1, or it cannot switch to the plugin it needs.
    #[error("the client does not support the authentication protocol")]
    OldPassword,
    /// The client left the rules of its plugin.
    #[error("the client sent {0}")]
    Exchange(&'static str),
    /// The client sent its password for everybody to read, for want of TLS or of RSA (as GnuTLS
    /// builds of MariaDB's client do). Even a right one is refused, as servers refuse it.
    #[error("{0}: its password came over plain text, without TLS or the guard's RSA key")]
    BarePassword(#[source] Box<Self>),
    /// Name or password is wrong; which of them is not said.
    #[error("access denied for user '{user}'@'{from}'")]
    Denied {
        /// Who the client said it is.
        user: Box<str>,
        /// Its address.
        from: IpAddr,
        /// Whether it had a password at all.
        using_password: bool,
    },
    /// Too many passwords from that address were wrong.
    #[error("too many wrong passwords from this address, retry after {retry_after:?}")]
    TooMany {
        /// When the next is looked at.
        retry_after: Duration,
    },
    /// The database refused the account.
    #[error("the database refused: {0}")]
    Refused(ServerError),
    /// The database could not be asked about the account.
    #[error("the account could not be verified: {0}")]
    Unverifiable(#[source] ConnectError),
}

impl LoginError {
    /// The name of the reason, for metrics and logs; one of a fixed few.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "login_timeout",
            Self::Packet(PacketError::Closed | PacketError::Io(_)) => "closed",
            Self::Packet(PacketError::OutOfOrder { .. }) => "out_of_order",
            Self::Packet(PacketError::TooLong { .. }) => "too_long",
            Self::Malformed(_) => "malformed",
            Self::PlainTextBeforeTls => "plain_text_before_tls",
            Self::Tls(_) => "tls",
            Self::TlsNotOffered => "tls_not_offered",
            Self::TlsRequired => "tls_required",
            Self::OldPassword => "old_password",
            Self::Exchange(_) => "exchange",
            Self::BarePassword(_) => "bare_password",
            Self::Denied { .. } => "denied",
            Self::TooMany { .. } => "too_many_denied",
            Self::Refused(_) => "refused",
            Self::Unverifiable(_) => "unverifiable",
        }
    }

    /// Who is to blame, for metrics: `client` or `upstream`.
    pub const fn blame(&self) -> &'static str {
        match self {
            Self::Unverifiable(_) => "upstream",
            _ => "client",
        }
    }

    /// Whether the client kept to the protocol and was told no: a session that it had goes on where
    /// the database's would.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::BarePassword(_)
                | Self::Denied { .. }
                | Self::TooMany { .. }
                | Self::Refused(_)
                | Self::Unverifiable(_)
        )
    }

    /// What the client is told, if it can be: code, SQL state and text.
    pub(super) fn reply(&self) -> Option<(u16, [u8; 5], String)> {
        let reply = |code, sqlstate: &[u8; 5], text: String| Some((code, *sqlstate, text));
        match self {
            Self::TimedOut(_)
            | Self::Tls(_)
            | Self::Packet(PacketError::Closed | PacketError::Io(_)) => None,
            Self::Packet(PacketError::OutOfOrder { .. }) => reply(
                code::PACKETS_OUT_OF_ORDER,
                b"08S01",
                format!("Got packets out of order: {self}"),
            ),
            Self::Packet(PacketError::TooLong { .. }) => reply(
                code::PACKET_TOO_LARGE,
                b"08S01",
                format!("Got a packet bigger than allowed: {self}"),
            ),
            Self::Malformed(_)
            | Self::PlainTextBeforeTls
            | Self::TlsNotOffered
            | Self::Exchange(_) => {
                reply(code::BAD_HANDSHAKE, b"08S01", format!("Bad handshake: {self}"))
            }
            Self::TlsRequired => reply(
                TLS_REQUIRED,
                b"HY000",
                "Connections using insecure transport are prohibited: listener.tls is required"
                    .into(),
            ),
            Self::OldPassword => reply(
                OLD_PASSWORD,
                b"08004",
                "Client does not support authentication protocol requested by server; consider \
                 upgrading the client"
                    .into(),
            ),
            Self::BarePassword(denied) => {
                let (code, sqlstate, text) = denied.reply()?;
                let why = "caching_sha2_password without TLS needs RSA; use TLS";
                Some((code, sqlstate, format!("{text}: {why}")))
            }
            Self::Denied { user, from, using_password } => {
                let using = if *using_password { "YES" } else { "NO" };
                let text =
                    format!("Access denied for user '{user}'@'{from}' (using password: {using})");
                reply(code::ACCESS_DENIED, b"28000", text)
            }
            Self::TooMany { retry_after } => {
                let text = format!(
                    "Access denied: tidegate saw too many wrong passwords from this address, \
                     retry_after_ms={}",
                    retry_after.as_millis()
                );
                reply(code::ACCESS_DENIED, b"28000", text)
            }
            Self::Refused(ServerError { code, sqlstate, message }) => {
                reply(*code, sqlstate, String::from_utf8_lossy(message).into_owned())
            }
            // The address of the database is nobody's business but the operator's.
            Self::Unverifiable(_) => reply(
                UNAVAILABLE,
                b"HY000",
                "tidegate could not ask the database whether the password is right".into(),
            ),
        }
    }
}

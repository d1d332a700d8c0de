use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use wire::Malformed;
use wire::postgres::auth::scram::Failure;
use wire::postgres::startup::Version;

use crate::postgres::connect::ServerError;
use crate::postgres::messages::MessageError;
use crate::postgres::users::LookupError;

/// Why a client was not let in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The steps together took too long.
    #[error("the login took longer than {0:?}")]
    TimedOut(Duration),
    /// The connection broke, or the client broke the rules of framing.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Something came between the request for TLS and TLS.
    #[error("received unencrypted data after SSL request")]
    PlainTextBeforeTls,
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// The client began TLS where there is none.
    #[error("the client began TLS, which is not offered")]
    TlsNotOffered,
    /// The client began with TLS and did not say what it speaks: it may mean another protocol.
    #[error("received direct SSL connection request without ALPN protocol negotiation extension")]
    NoAlpn,
    /// The client went on without TLS.
    #[error("the client went on without TLS, which is required")]
    TlsRequired,
    /// The client asked twice for TLS or for GSSAPI encryption, or asked by TLS.
    #[error("the client asked again for encryption")]
    AskedAgain,
    /// The client speaks another protocol.
    #[error("unsupported frontend protocol {}.{}", .0.major, .0.minor)]
    Version(Version),
    /// The client does not say who it is.
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    /// The client's name is no text.
    #[error("the user name is not UTF-8")]
    UserNotUtf8,
    /// The client wants to replicate, and does not say how.
    #[error("invalid value for parameter \"replication\": \"{0}\"")]
    Replication(Box<str>),
    /// The client sent something that is not due.
    #[error("the client sent {0}")]
    Exchange(&'static str),
    /// The client left the rules of SCRAM, or somebody sits between.
    #[error("SCRAM failed: {0}")]
    Scram(#[from] Failure),
    /// Name or password is wrong; which of them is not said.
    #[error("password authentication failed for user \"{user}\"")]
    Denied {
        /// Who the client said it is.
        user: Arc<str>,
    },
    /// Too many passwords from that address were wrong.
    #[error("too many wrong passwords from this address, retry after {retry_after:?}")]
    TooMany {
        /// When the next is looked at.
        retry_after: Duration,
    },
    /// The database refused the account or what it wants; for whoever looks at that behind the
    /// proof.
    #[error("the database refused: {0}")]
    Refused(ServerError),
    /// The database could not be asked about the user.
    #[error("the user could not be looked up: {0}")]
    Unverifiable(#[source] LookupError),
}

impl From<Malformed> for LoginError {
    fn from(malformed: Malformed) -> Self {
        Self::Message(malformed.into())
    }
}

impl LoginError {
    /// The name of the reason, for metrics and logs; one of a fixed few.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "login_timeout",
            Self::Message(MessageError::Closed | MessageError::Io(_)) => "closed",
            Self::Message(MessageError::Malformed(_)) => "malformed",
            Self::Message(MessageError::TooLong { .. }) => "too_long",
            Self::PlainTextBeforeTls => "plain_text_before_tls",
            Self::Tls(_) | Self::NoAlpn => "tls",
            Self::TlsNotOffered => "tls_not_offered",
            Self::TlsRequired => "tls_required",
            Self::AskedAgain => "asked_again",
            Self::Version(_) => "version",
            Self::NoUser | Self::UserNotUtf8 | Self::Replication(_) => "startup",
            Self::Exchange(_) | Self::Scram(_) => "exchange",
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

    /// What the client is told, if it can be: SQLSTATE and text.
    pub(super) fn reply(&self) -> Option<([u8; 5], String)> {
        let sqlstate = match self {
            // Whoever speaks plain text where TLS is due would read an error that anybody could
            // have made up.
            Self::TimedOut(_)
            | Self::Tls(_)
            | Self::TlsNotOffered
            | Self::PlainTextBeforeTls
            | Self::Message(MessageError::Closed | MessageError::Io(_))
            // Whoever looks at a refusal of the database passes it on.
            | Self::Refused(_) => return None,
            Self::Message(_) | Self::NoAlpn | Self::AskedAgain | Self::Exchange(_) => b"08P01",
            Self::Scram(Failure::Binding) => b"28000",
            Self::Scram(Failure::Unsupported) => b"0A000",
            Self::Scram(_) => b"08P01",
            Self::TlsRequired | Self::NoUser => b"28000",
            Self::UserNotUtf8 => b"22021",
            Self::Replication(_) => b"22023",
            Self::Version(_) => b"0A000",
            Self::Denied { .. } => b"28P01",
            Self::TooMany { .. } => b"28000",
            Self::Unverifiable(_) => b"08006",
        };
        let text = match self {
            Self::Message(MessageError::Malformed(malformed)) => {
                format!("invalid startup packet or message: {malformed}")
            }
            Self::Scram(Failure::Binding) => "SCRAM channel binding negotiation error".into(),
            Self::Scram(Failure::Unsupported) => "unsupported extension of SCRAM".into(),
            Self::Scram(failure) => format!("malformed SCRAM message: {failure}"),
            Self::TlsRequired => "connection requires TLS".into(),
            Self::Version(_) => format!("{self}: server supports 3.0 to 3.2"),
            Self::TooMany { retry_after } => format!(
                "too many wrong passwords from this address, retry_after_ms={}",
                retry_after.as_millis()
            ),
            // The address of the database is nobody's business but the operator's.
            Self::Unverifiable(_) => "the database could not be asked about this user".into(),
            _ => self.to_string(),
        };
        Some((*sqlstate, text))
    }
}

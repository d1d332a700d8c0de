use std::ops::RangeInclusive;

use super::super::frame::{FRONTEND_LONG_MAX, FRONTEND_SHORT_MAX, Header};
use crate::Malformed;

/// The first byte of a client's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Makes a portal of a prepared statement and its parameters.
    Bind = b'B',
    /// Forgets a prepared statement or a portal.
    Close = b'C',
    /// A part of what is copied in.
    CopyData = b'd',
    /// All of it has been sent.
    CopyDone = b'c',
    /// The client cannot go on: the COPY is to fail.
    CopyFail = b'f',
    /// Asks for the columns of a portal, or the parameters and columns of a statement.
    Describe = b'D',
    /// Runs a portal.
    Execute = b'E',
    /// Asks for what the server has not sent yet.
    Flush = b'H',
    /// Calls a function by its OID; a legacy.
    FunctionCall = b'F',
    /// Prepares a statement.
    Parse = b'P',
    /// PasswordMessage, SASLInitialResponse, SASLResponse or GSSResponse: what the server asked.
    Password = b'p',
    /// Runs the text of one or more statements.
    Query = b'Q',
    /// Ends a series of messages of the extended protocol.
    Sync = b'S',
    /// Ends the connection.
    Terminate = b'X',
}

impl Kind {
    /// Reads the kind of a message, and checks that such a message can be so long.
    ///
    /// # Errors
    /// When there is no such message, or its length is out of [`Kind::body_len`].
    #[inline]
    pub fn of(header: Header) -> Result<Self, Malformed> {
        let kind = Self::try_from(header.kind)?;
        if kind.body_len().contains(&header.len) {
            Ok(kind)
        } else {
            Err(Malformed { message: "message of a client", at: 1, why: "no length of its kind" })
        }
    }

    /// How short and how long its body may be, in bytes. A server ends the connection on others.
    #[inline]
    pub const fn body_len(self) -> RangeInclusive<usize> {
        match self {
            Self::CopyData => 0..=FRONTEND_LONG_MAX,
            Self::Query => 1..=FRONTEND_LONG_MAX,
            Self::Bind | Self::Parse | Self::FunctionCall => 4..=FRONTEND_LONG_MAX,
            Self::Password => 0..=Self::PASSWORD_MAX,
            Self::Close | Self::Describe => 2..=FRONTEND_SHORT_MAX,
            Self::Execute => 5..=FRONTEND_SHORT_MAX,
            Self::CopyFail => 1..=FRONTEND_SHORT_MAX,
            Self::Flush | Self::Sync | Self::CopyDone | Self::Terminate => 0..=0,
        }
    }

    /// The longest proof of a password, in bytes.
    /// (postgres:src/include/libpq/auth.h `PG_MAX_AUTH_TOKEN_LENGTH`)
    pub const PASSWORD_MAX: usize = 65_535 - 4;

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it belongs to the extended protocol: an error in one makes the server skip all up
    /// to the next Sync.
    pub const fn is_extended(self) -> bool {
        matches!(
            self,
            Self::Parse | Self::Bind | Self::Describe | Self::Execute | Self::Close | Self::Flush
        )
    }
}

impl TryFrom<u8> for Kind {
    type Error = Malformed;

    #[inline]
    fn try_from(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            b'B' => Self::Bind,
            b'C' => Self::Close,
            b'd' => Self::CopyData,
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail,
            b'D' => Self::Describe,
            b'E' => Self::Execute,
            b'H' => Self::Flush,
            b'F' => Self::FunctionCall,
            b'P' => Self::Parse,
            b'p' => Self::Password,
            b'Q' => Self::Query,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            _ => {
                return Err(Malformed {
                    message: "message of a client",
                    at: 0,
                    why: "no such message",
                });
            }
        })
    }
}

use std::ops::RangeInclusive;

use super::super::frame::{BACKEND_SHORT_MAX, BODY_MAX, Header};
use crate::Malformed;

/// The first byte of a server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// What the server asks of a client that logs in, or that it is satisfied.
    Authentication = b'R',
    /// The number and key by which this connection is cancelled.
    BackendKeyData = b'K',
    /// A Bind was done.
    BindComplete = b'2',
    /// A Close was done.
    CloseComplete = b'3',
    /// A statement was run to its end.
    CommandComplete = b'C',
    /// A part of what is copied out.
    CopyData = b'd',
    /// All of it has been sent.
    CopyDone = b'c',
    /// The client may send what is to be copied in.
    CopyInResponse = b'G',
    /// What is copied out follows.
    CopyOutResponse = b'H',
    /// Both at once: a replication stream.
    CopyBothResponse = b'W',
    /// A row.
    DataRow = b'D',
    /// The query was empty; instead of CommandComplete.
    EmptyQueryResponse = b'I',
    /// Failure.
    ErrorResponse = b'E',
    /// What a function returned.
    FunctionCallResponse = b'V',
    /// The server speaks less than the client asked for.
    NegotiateProtocolVersion = b'v',
    /// What was described has no columns.
    NoData = b'n',
    /// A warning, or less. It may come at any time.
    NoticeResponse = b'N',
    /// What another session sent by NOTIFY. It may come at any time.
    NotificationResponse = b'A',
    /// The types of a statement's parameters.
    ParameterDescription = b't',
    /// The value of a setting that the server reports. It may come at any time.
    ParameterStatus = b'S',
    /// A Parse was done.
    ParseComplete = b'1',
    /// An Execute stopped at its bound of rows.
    PortalSuspended = b's',
    /// A reply is over, and in which state the transaction is.
    ReadyForQuery = b'Z',
    /// The columns of what follows, or of what was described.
    RowDescription = b'T',
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
            Err(Malformed { message: "message of a server", at: 1, why: "no length of its kind" })
        }
    }

    /// How short and how long its body may be, in bytes.
    ///
    /// libpq takes others for a loss of synchronisation. It names those that may be long; a
    /// ParameterDescription has at most 65,535 types.
    #[inline]
    pub const fn body_len(self) -> RangeInclusive<usize> {
        match self {
            Self::DataRow | Self::RowDescription => 2..=BODY_MAX,
            Self::CopyData => 0..=BODY_MAX,
            Self::ErrorResponse | Self::NoticeResponse => 1..=BODY_MAX,
            Self::FunctionCallResponse => 4..=BODY_MAX,
            Self::NotificationResponse => 6..=BODY_MAX,
            Self::ParameterDescription => 2..=2 + 4 * 65_535,
            Self::BindComplete
            | Self::CloseComplete
            | Self::CopyDone
            | Self::EmptyQueryResponse
            | Self::NoData
            | Self::ParseComplete
            | Self::PortalSuspended => 0..=0,
            Self::ReadyForQuery => 1..=1,
            Self::CommandComplete => 1..=BACKEND_SHORT_MAX,
            Self::ParameterStatus => 2..=BACKEND_SHORT_MAX,
            Self::CopyInResponse | Self::CopyOutResponse | Self::CopyBothResponse => {
                3..=BACKEND_SHORT_MAX
            }
            Self::Authentication => 4..=BACKEND_SHORT_MAX,
            Self::BackendKeyData => 8..=260,
            Self::NegotiateProtocolVersion => 8..=BACKEND_SHORT_MAX,
        }
    }

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it may come at any time, asked for or not.
    #[inline]
    pub const fn is_asynchronous(self) -> bool {
        matches!(self, Self::NoticeResponse | Self::NotificationResponse | Self::ParameterStatus)
    }
}

impl TryFrom<u8> for Kind {
    type Error = Malformed;

    #[inline]
    fn try_from(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            b'R' => Self::Authentication,
            b'K' => Self::BackendKeyData,
            b'2' => Self::BindComplete,
            b'3' => Self::CloseComplete,
            b'C' => Self::CommandComplete,
            b'd' => Self::CopyData,
            b'c' => Self::CopyDone,
            b'G' => Self::CopyInResponse,
            b'H' => Self::CopyOutResponse,
            b'W' => Self::CopyBothResponse,
            b'D' => Self::DataRow,
            b'I' => Self::EmptyQueryResponse,
            b'E' => Self::ErrorResponse,
            b'V' => Self::FunctionCallResponse,
            b'v' => Self::NegotiateProtocolVersion,
            b'n' => Self::NoData,
            b'N' => Self::NoticeResponse,
            b'A' => Self::NotificationResponse,
            b't' => Self::ParameterDescription,
            b'S' => Self::ParameterStatus,
            b'1' => Self::ParseComplete,
            b's' => Self::PortalSuspended,
            b'Z' => Self::ReadyForQuery,
            b'T' => Self::RowDescription,
            _ => {
                return Err(Malformed {
                    message: "message of a server",
                    at: 0,
                    why: "no such message",
                });
            }
        })
    }
}

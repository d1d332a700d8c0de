//! What may come next in one reply. This is the diagram of [`super`], as a function.

use super::Request;
use crate::postgres::backend::Kind;

/// A reply, by what has come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// To a Query; nothing yet.
    Query,
    /// To a Query; rows.
    Rows,
    /// To a Query; a result that is complete.
    Results,
    /// To a FunctionCall; nothing yet.
    FunctionCall,
    /// Only ReadyForQuery is left, unless there is one more error.
    Ready,
    /// To a Sync. It may fail: it commits.
    Sync,
    Parse,
    Bind,
    Close,
    DescribeStatement,
    /// To a Describe of a portal, or the second half of one of a statement.
    DescribePortal,
    /// To an Execute; perhaps rows.
    Execute,
    /// The server takes what the client sends: if `open`, all that will be pushed, up to a
    /// CopyEnd or what cannot be in a COPY.
    CopyIn {
        open: bool,
        extended: bool,
    },
    CopyOut {
        extended: bool,
    },
    /// All has been copied out; CommandComplete is left.
    CopiedOut {
        extended: bool,
    },
    CopyBoth,
}

/// What a message makes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    To(Reply),
    Done,
}

impl Reply {
    /// The reply that begins when `request` is answered. `None` if it has none of its own.
    #[inline]
    pub(super) const fn to(request: Request) -> Option<Self> {
        Some(match request {
            Request::Query => Self::Query,
            Request::FunctionCall => Self::FunctionCall,
            Request::Parse => Self::Parse,
            Request::Bind => Self::Bind,
            Request::DescribeStatement => Self::DescribeStatement,
            Request::DescribePortal => Self::DescribePortal,
            Request::Execute => Self::Execute,
            Request::Close => Self::Close,
            Request::Sync => Self::Sync,
            Request::CopyEnd | Request::GivenParse | Request::GivenClose => return None,
        })
    }

    /// What a message of that kind makes of it. `None` if it cannot come now. Errors, and what may
    /// come at any time, are not asked about.
    #[inline]
    pub(super) const fn next(self, kind: Kind) -> Option<Next> {
        Some(match (self, kind) {
            (Self::Rows, Kind::DataRow) => Next::To(Self::Rows),
            (Self::Execute, Kind::DataRow) => Next::To(Self::Execute),
            (Self::Parse, Kind::ParseComplete)
            | (Self::Bind, Kind::BindComplete)
            | (Self::Close, Kind::CloseComplete)
            | (Self::DescribePortal, Kind::RowDescription | Kind::NoData)
            | (
                Self::Execute,
                Kind::CommandComplete | Kind::PortalSuspended | Kind::EmptyQueryResponse,
            )
            | (Self::Results | Self::Ready | Self::Sync, Kind::ReadyForQuery) => Next::Done,
            (Self::DescribeStatement, Kind::ParameterDescription) => Next::To(Self::DescribePortal),
            // A rule may add the rows of a second SELECT to those of a statement.
            (Self::Query | Self::Rows | Self::Results, Kind::RowDescription) => {
                Next::To(Self::Rows)
            }
            (Self::Query | Self::Rows | Self::Results, Kind::CommandComplete)
            | (Self::Query | Self::Results, Kind::EmptyQueryResponse) => Next::To(Self::Results),
            (Self::FunctionCall, Kind::FunctionCallResponse) => Next::To(Self::Ready),
            _ => return self.next_of_copy(kind),
        })
    }

    const fn next_of_copy(self, kind: Kind) -> Option<Next> {
        let extended = self.is_extended();
        Some(match (self, kind) {
            (Self::Query | Self::Results | Self::Execute, Kind::CopyInResponse) => {
                Next::To(Self::CopyIn { open: true, extended })
            }
            (Self::Query | Self::Results | Self::Execute, Kind::CopyOutResponse) => {
                Next::To(Self::CopyOut { extended })
            }
            (Self::CopyOut { .. }, Kind::CopyData) => Next::To(self),
            (Self::CopyOut { .. }, Kind::CopyDone) => Next::To(Self::CopiedOut { extended }),
            (
                Self::CopyIn { open: false, extended: true } | Self::CopiedOut { extended: true },
                Kind::CommandComplete,
            ) => Next::Done,
            (
                Self::CopyIn { open: false, extended: false } | Self::CopiedOut { extended: false },
                Kind::CommandComplete,
            ) => Next::To(Self::Results),
            (Self::Query | Self::Results, Kind::CopyBothResponse) => Next::To(Self::CopyBoth),
            (Self::CopyBoth, Kind::CopyData) => Next::To(Self::CopyBoth),
            // A stream that ends may be followed by rows, which say where the next one starts.
            (Self::CopyBoth, Kind::CopyDone) => Next::To(Self::Query),
            // A server that shuts down leaves CopyDone out.
            (Self::CopyBoth, Kind::CommandComplete) => Next::To(Self::Results),
            _ => return None,
        })
    }

    /// Whether an error makes the server skip up to the next Sync, instead of being ready.
    #[inline]
    pub(super) const fn is_extended(self) -> bool {
        match self {
            Self::Parse
            | Self::Bind
            | Self::Close
            | Self::DescribeStatement
            | Self::DescribePortal
            | Self::Execute => true,
            Self::CopyIn { extended, .. }
            | Self::CopyOut { extended }
            | Self::CopiedOut { extended } => extended,
            Self::Query
            | Self::Rows
            | Self::Results
            | Self::FunctionCall
            | Self::Ready
            | Self::Sync
            | Self::CopyBoth => false,
        }
    }
}

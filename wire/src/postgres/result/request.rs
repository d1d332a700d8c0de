use thiserror::Error;

use super::QUEUE_MAX;
use crate::postgres::{backend, frontend::Kind};

/// A message that the server answers, or that changes what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// A Query.
    Query,
    /// A FunctionCall.
    FunctionCall,
    /// A Parse.
    Parse,
    /// A Bind.
    Bind,
    /// A Describe of a prepared statement.
    DescribeStatement,
    /// A Describe of a portal.
    DescribePortal,
    /// An Execute.
    Execute,
    /// A Close.
    Close,
    /// A Sync.
    Sync,
    /// A CopyDone or a CopyFail. It has no reply of its own; where no COPY is, none at all.
    CopyEnd,
    /// A Parse that is not sent: the guard says ParseComplete when its turn comes.
    GivenParse,
    /// A Close that is not sent: the guard says CloseComplete when its turn comes.
    GivenClose,
}

impl Request {
    /// What the guard says in the server's place. `None` if the server answers it.
    pub(super) const fn given(self) -> Option<backend::Kind> {
        match self {
            Self::GivenParse => Some(backend::Kind::ParseComplete),
            Self::GivenClose => Some(backend::Kind::CloseComplete),
            _ => None,
        }
    }

    /// Whether it is nothing that the server answers.
    pub(super) const fn is_answerless(self) -> bool {
        matches!(self, Self::CopyEnd | Self::GivenParse | Self::GivenClose)
    }

    /// What a client's message is to be pushed as. `first` is the first byte of its body, which
    /// tells what a Describe is for. `None` for those that are never answered: Flush, CopyData,
    /// Terminate; and for Password, which belongs to the login.
    pub const fn of(kind: Kind, first: Option<u8>) -> Option<Self> {
        Some(match kind {
            Kind::Query => Self::Query,
            Kind::FunctionCall => Self::FunctionCall,
            Kind::Parse => Self::Parse,
            Kind::Bind => Self::Bind,
            Kind::Describe if matches!(first, Some(b'S')) => Self::DescribeStatement,
            Kind::Describe => Self::DescribePortal,
            Kind::Execute => Self::Execute,
            Kind::Close => Self::Close,
            Kind::Sync => Self::Sync,
            Kind::CopyDone | Kind::CopyFail => Self::CopyEnd,
            Kind::Flush | Kind::CopyData | Kind::Terminate | Kind::Password => return None,
        })
    }
}

/// Who is to see the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The client: what decides nothing is passed on unread.
    Client,
    /// The guard: each message is an event, and none goes to the client.
    Guard,
}

/// Too many requests have no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{QUEUE_MAX} requests are not answered yet")]
pub struct Full;

/// A request in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) request: Request,
    pub(super) asker: Asker,
}

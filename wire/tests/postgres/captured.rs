//! Conversations with PostgreSQL 15.18, as they came from the socket.

mod copy;
mod extended;
mod simple;

use wire::postgres::result::Request;

/// What happened on one connection after its login.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
    /// The kind of each message that decides something, and the number of the request that it
    /// answers or comes with; `-` for none. Read off the conversation by hand.
    pub(crate) events: &'static str,
}

/// What was sent in one go, and all that came back. Messages stand one to a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) sent: &'static [Request],
    pub(crate) reply: &'static [u8],
}

/// All of them.
pub(crate) fn sessions() -> impl Iterator<Item = Session> {
    [simple::SESSIONS, extended::SESSIONS, copy::SESSIONS].into_iter().flatten().copied()
}

//! What a protocol brings, so that the rest of the guard need not know which it is.
//!
//! The gate, the pools, what lingers in them, the reserved connections and the listeners are the
//! same for every database. What differs is an [`Engine`]: how a connection is opened, what it is,
//! and how a client that was accepted becomes a session.

use std::{fmt::Debug, hash::Hash};

use thiserror::Error;

use crate::{
    config::NativeLimits,
    listener::Arrival,
    metrics::ConnectOutcome,
    stream::socket::Socket,
    upstream::{
        Upstream,
        control::{Backend, Courier},
        target::Target,
    },
};

/// A database's protocol, and what all its sessions share.
pub trait Engine: Debug + Send + Sync + Sized + 'static {
    /// One connection to the database.
    type Connection: Connection;
    /// What connections must have in common to be lent to the same sessions: what is settled at
    /// login and cannot be changed behind it.
    type Key: Debug + Clone + Eq + Hash + Send + Sync;
    /// What a connection is opened with.
    type Opener: Debug + Send + Sync;
    /// What a pool remembers of its sessions.
    type Memory: Debug + Send + Sync;
    /// Why no connection was opened.
    type ConnectError: ConnectError;
    /// What connections are set to as a net below the guard's own limits.
    type Nets: Debug + Send + Sync;
    /// How reserved connections are opened and used.
    type Courier: Courier;
    /// How clients of one listener log in.
    type Login: Debug + Send + Sync;

    /// The nets for these limits.
    fn nets(limits: &NativeLimits) -> Self::Nets;

    /// The server's version, as it says it; `None` while it is not known.
    fn version(&self) -> Option<String>;

    /// Opens a connection and sets it up.
    ///
    /// Dropping the future closes it.
    fn open(
        upstream: &Upstream<Self>,
        opener: &Self::Opener,
    ) -> impl Future<Output = Result<Self::Connection, OpenError<Self::ConnectError>>> + Send;

    /// Logs a client in and serves it to its end. Not cancel-safe: it runs in a task of its own.
    fn serve(socket: Socket, arrival: Arrival<Self>) -> impl Future<Output = ()> + Send;
}

/// A connection as a pool sees it.
pub trait Connection: Debug + Send + 'static {
    /// Whether something came that nobody asked for, or the server closed it. Looks at what the
    /// kernel has, without waiting.
    fn is_disturbed(&mut self) -> bool;

    /// Who serves it at the server.
    fn backend(&self) -> Backend;

    /// Stops what runs on it without a reserved connection, where the protocol has a way, and closes it: of one that
    /// those may not end, or that none of them can be told of.
    ///
    /// Dropping the future closes it.
    fn leave(self, target: &Target) -> impl Future<Output = ()> + Send;
}

/// Why a connection was not opened, as a pool sees it.
pub trait ConnectError: std::error::Error + Send + Sync + 'static {
    /// Whether the server is well and refused this account.
    fn is_refusal(&self) -> bool;

    /// How it is counted.
    fn outcome(&self) -> ConnectOutcome;
}

/// Why a connection could not be opened and set up.
#[derive(Debug, Error)]
pub enum OpenError<E: ConnectError> {
    /// The login failed.
    #[error(transparent)]
    Connect(#[from] E),
    /// The database closed the new connection, or refused the set-up.
    #[error("a new connection to the database failed: {0}")]
    Setup(String),
    /// The address led to another server than the control connections'.
    #[error("the upstream address leads to several servers: {found} and {expected}")]
    OtherServer {
        /// Where the new connection led.
        found: String,
        /// Where the control connections lead.
        expected: String,
    },
}

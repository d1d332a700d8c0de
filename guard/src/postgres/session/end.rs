//! Why a session is over, and what its client is told.

use std::time::Duration;

use tokio::time::timeout;
use wire::postgres::backend::Severity;

use super::{Session, listen};
use crate::{
    metrics::Disconnect,
    postgres::{client::ClientError, listeners::Overdue, refuse::Error},
};

/// How long a client may take to hear the last word.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a session is over.
#[derive(Debug)]
pub enum End {
    /// The client went away, or sent what is not the protocol.
    Client(ClientError),
    /// Terminate.
    Quit,
    /// The client was told an error after which nothing more can be understood, or is told this one.
    Told(Option<Error>),
    /// Somebody killed the session.
    Killed,
    /// The client was silent for longer than it may.
    Idle,
    /// The guard shuts down.
    Drained,
    /// The connection to the database broke inside a transaction or with pinned state: what the
    /// client relies on is gone.
    UpstreamLost,
    /// Notifications for it are missing.
    Overdue(Overdue),
}

impl End {
    /// The cause in the metrics.
    pub(super) fn label(&self) -> Disconnect {
        match self {
            Self::Quit => Disconnect::Quit,
            Self::Client(ClientError::Malformed(_) | ClientError::TooLarge { .. })
            | Self::Told(_) => Disconnect::Malformed,
            Self::Client(_) => Disconnect::Gone,
            Self::Killed => Disconnect::Killed,
            Self::Idle => Disconnect::IdleTimeout,
            Self::Drained => Disconnect::Drain,
            Self::UpstreamLost | Self::Overdue(Overdue::Lost) => Disconnect::UpstreamLost,
            Self::Overdue(Overdue::TooMany) => Disconnect::Notifications,
        }
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Client(error.into())
    }
}

impl Session {
    /// Tells the client why, where it can still be told.
    pub(super) async fn say_goodbye(&mut self, end: &End) {
        let error = match end {
            End::Drained | End::Killed => {
                goodbye(*b"57P01", "terminating connection due to administrator command")
            }
            End::Idle => goodbye(*b"57P05", "terminating connection due to idle-session timeout"),
            End::Client(ClientError::Malformed(error)) => goodbye(*b"08P01", &error.to_string()),
            End::Client(error @ ClientError::TooLarge { .. }) => {
                goodbye(*b"54000", &error.to_string())
            }
            End::UpstreamLost => goodbye(
                *b"08006",
                "the connection to the database was lost, and with it what this \
                                    session relies on",
            ),
            End::Overdue(overdue) => {
                let (code, words) = listen::overdue_words(*overdue);
                goodbye(code, words)
            }
            End::Told(Some(error)) => error.clone(),
            End::Client(_) | End::Quit | End::Told(None) => return,
        };
        error.put(self.client.out(), Severity::Fatal);
        // A client that does not listen any more misses it.
        let _missed = timeout(LAST_WORD, self.client.flush()).await;
    }
}

fn goodbye(code: [u8; 5], message: &str) -> Error {
    Error::Own { code, message: message.into() }
}

//! A client of a crowd: one connection of either protocol, and what it may hear.

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::client::{Client, ClientError, Reply};
use crate::guard::Guard;
use crate::server::Server;
use crate::server::account::{APP, Account, MD5};
use crate::server::engine::Engine;

/// `ER_LOCK_DEADLOCK` and `ER_LOCK_WAIT_TIMEOUT` of MySQL and MariaDB.
const DEADLOCK: u16 = 1213;
const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// Where clients connect: a server of that engine, or a guard before one.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The server's kind, and with it the protocol.
    pub engine: Engine,
    /// Where it, or the guard, listens.
    pub addr: SocketAddr,
}

impl Target {
    /// The server itself.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        Self { engine: server.engine(), addr: server.addr() }
    }

    /// A guard before a server of that kind.
    #[must_use]
    pub fn behind(guard: &Guard, engine: Engine) -> Self {
        Self { engine, addr: guard.addr() }
    }

    /// As whom clients log in. A SCRAM proof is some milliseconds of work for its client, and hundreds
    /// that share this machine with the server keep it busy with that: directly, the storm of the
    /// demo then had 5 backends running, with md5 296. The guard has no part in it: a login by SCRAM
    /// costs it 0.2 ms of CPU in all, and no hashing (`tests/herd_postgres.rs`).
    #[must_use]
    pub fn account(self) -> Account {
        if self.engine.is_postgres() { MD5 } else { APP }
    }
}

/// A connection that is logged in. Dropping it closes the socket without a word, in the middle of
/// whatever it was doing, as an application that gave up does.
#[derive(Debug)]
pub struct Peer(Kind);

#[derive(Debug)]
enum Kind {
    MySql(Box<Client>),
    Postgres(Postgres),
}

/// Why an attempt failed before its deadline.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server, or the guard, said no; the connection lives.
    #[error("{0}")]
    Refused(String),
    /// The server ended the transaction in favour of others: a deadlock, or a lock waited for too
    /// long; the connection lives.
    #[error("{0}")]
    Aborted(String),
    /// It said no, and hung up: at login, or later.
    #[error("{0}")]
    TurnedAway(String),
    /// The connection broke without a word.
    #[error("{0}")]
    Lost(String),
}

impl Peer {
    /// Connects and logs in, to the schema or database `app`.
    ///
    /// # Errors
    /// When it is not let in. Dropping the future closes the socket.
    pub async fn login(target: Target, account: &Account) -> Result<Self, Fault> {
        Ok(Self(if target.engine.is_postgres() {
            Kind::Postgres(Postgres::login(target.addr, account).await?)
        } else {
            Kind::MySql(Box::new(Client::login(target.addr, account).await?))
        }))
    }

    /// Runs a statement and drops its rows.
    ///
    /// # Errors
    /// When it fails; the fault says whether the connection lives.
    pub async fn run(&mut self, sql: &str) -> Result<(), Fault> {
        match &mut self.0 {
            Kind::MySql(client) => answered(client.query(sql).await?).map(drop),
            Kind::Postgres(postgres) => Ok(postgres.client.batch_execute(sql).await?),
        }
    }

    /// Runs a statement and gives the first value of its first row as text; none where that is NULL, or there is
    /// no row.
    ///
    /// # Errors
    /// As [`Peer::run`].
    pub async fn value(&mut self, sql: &str) -> Result<Option<String>, Fault> {
        match &mut self.0 {
            Kind::MySql(client) => Ok(answered(client.query(sql).await?)?.value()),
            Kind::Postgres(postgres) => {
                let told = postgres.client.simple_query(sql).await?;
                let row = told.iter().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                Ok(row.and_then(|row| row.get(0)).map(str::to_owned))
            }
        }
    }
}

/// The reply, unless it is an error.
fn answered(reply: Reply) -> Result<Reply, Fault> {
    match reply.failure() {
        Some(failure) if matches!(failure.code, DEADLOCK | LOCK_WAIT_TIMEOUT) => {
            Err(Fault::Aborted(failure.to_string()))
        }
        Some(failure) => Err(Fault::Refused(failure.to_string())),
        None => Ok(reply),
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(failure) => Self::TurnedAway(failure.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(told) if told.parsed_severity() == Some(Severity::Fatal) => {
                Self::TurnedAway(told.to_string())
            }
            Some(told)
                if [&SqlState::T_R_DEADLOCK_DETECTED, &SqlState::LOCK_NOT_AVAILABLE]
                    .contains(&told.code()) =>
            {
                Self::Aborted(told.to_string())
            }
            Some(told) => Self::Refused(told.to_string()),
            None => Self::Lost(error.to_string()),
        }
    }
}

/// The driver's client and the task that has its socket.
#[derive(Debug)]
struct Postgres {
    client: tokio_postgres::Client,
    connection: JoinHandle<()>,
}

impl Postgres {
    async fn login(addr: SocketAddr, account: &Account) -> Result<Self, Fault> {
        let (client, connection) = account.config(addr).connect(NoTls).await.map_err(|error| {
            match error.as_db_error() {
                Some(told) => Fault::TurnedAway(told.to_string()),
                None => Fault::Lost(error.to_string()),
            }
        })?;
        // How it ends is for the client's own calls to tell.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, connection })
    }
}

impl Drop for Postgres {
    /// The driver would wait for the reply and say goodbye.
    fn drop(&mut self) {
        self.connection.abort();
    }
}

//! A client of either protocol, for what holds on both: the text of statements, the first value of
//! an answer, refusals and last words.

use std::net::SocketAddr;

use drill::client::{Client, ClientError, Reply};
use drill::server::Server;
use drill::server::account::Account;
use drill::server::engine::Engine;
use drill::server::probe::{Look, Thread};
use wire::mysql::command::Command;
use wire::postgres::frontend::put_query;

use crate::measure::{Open, open, pg_open};
use crate::postgres::{PgClient, PgError, PgReply};

/// Runs each test, a function of the engine, before MariaDB and before PostgreSQL.
#[macro_export]
macro_rules! on_both_engines {
    ($($(#[$doc:meta])* $test:ident,)*) => {
        mod on_mariadb {
            $($(#[$doc])* #[tokio::test] async fn $test() {
                super::$test($crate::Engine::MariaDb).await;
            })*
        }

        mod on_postgres {
            $($(#[$doc])* #[tokio::test] async fn $test() {
                super::$test($crate::Engine::Postgres).await;
            })*
        }
    };
}

/// A client that has logged in. Dropping it closes the socket without a word.
#[derive(Debug)]
pub enum Caller {
    /// It speaks MySQL's protocol.
    MySql(Box<Client>),
    /// It speaks PostgreSQL's.
    Postgres(Box<PgClient>),
}

/// What a caller was told instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// MySQL's number of the error, or PostgreSQL's SQLSTATE.
    pub code: String,
    /// The text.
    pub message: String,
}

/// A value, if there was a row and it was not NULL; or an error.
pub type Told = Result<Option<String>, Refusal>;

/// The code of what the guard refuses in order to protect.
#[must_use]
pub fn shed_code(engine: Engine) -> &'static str {
    if engine.is_postgres() { "53400" } else { "3168" }
}

impl Caller {
    /// Logs in, without TLS, to the schema or database `app`.
    ///
    /// # Errors
    /// When it is not let in.
    pub async fn login(
        engine: Engine,
        addr: SocketAddr,
        account: &Account,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(if engine.is_postgres() {
            Self::Postgres(Box::new(PgClient::login(addr, account).await?))
        } else {
            Self::MySql(Box::new(Client::login(addr, account).await?))
        })
    }

    /// Runs a statement.
    ///
    /// # Panics
    /// When there is no answer; an error is one.
    pub async fn ask(&mut self, sql: &str) -> Told {
        self.say(sql).await;
        self.hear().await
    }

    /// Runs a statement that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn done(&mut self, sql: &str) -> Option<String> {
        self.ask(sql).await.unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"))
    }

    /// Runs a statement that must fail.
    ///
    /// # Panics
    /// When it succeeds.
    pub async fn refused(&mut self, sql: &str) -> Refusal {
        match self.ask(sql).await {
            Ok(_) => panic!("{sql} succeeded"),
            Err(refusal) => refusal,
        }
    }

    /// Sends a statement; its answer is heard later.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn say(&mut self, sql: &str) {
        match self {
            Self::MySql(client) => {
                let payload = [&[Command::Query as u8], sql.as_bytes()].concat();
                client.send_packet(0, &payload).await.expect("it is connected");
            }
            Self::Postgres(client) => {
                let sent = client.send(|out| put_query(out, sql.as_bytes())).await;
                sent.expect("it is connected");
            }
        }
    }

    /// Hears the answer to what was said.
    ///
    /// # Panics
    /// When there is none.
    pub async fn hear(&mut self) -> Told {
        self.try_hear().await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Hears the answer to what was said, or that the connection has ended.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn try_hear(&mut self) -> Result<Told, Box<dyn std::error::Error + Send + Sync>> {
        Ok(match self {
            Self::MySql(client) => told(&client.reply(Command::Query).await?),
            Self::Postgres(client) => pg_told(client.reply().await?),
        })
    }

    /// Waits until the other side hangs up, and returns the text of its last words, which may be
    /// none.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(&mut self) -> String {
        match self {
            Self::MySql(client) => {
                let words: Result<_, ClientError> = client.closed().await;
                String::from_utf8_lossy(&words.expect("it is closed")).into_owned()
            }
            Self::Postgres(client) => {
                let words: Result<_, PgError> = client.closed().await;
                words.expect("it is closed").map_or_else(String::new, |failure| failure.message)
            }
        }
    }
}

/// What an account has open on a server now, over a connection that is made for the question.
///
/// # Panics
/// When the server does not tell.
pub async fn open_on(server: &Server, account: &Account) -> Open {
    if server.engine().is_postgres() {
        pg_open(&server.postgres_probe().await.expect("root may look"), account).await
    } else {
        open(&mut server.probe().await.expect("root may look"), account).await
    }
}

/// What a server's process list has now, over a connection that is made for the question.
///
/// # Panics
/// When the server does not tell.
pub async fn threads(server: &Server) -> Vec<Thread> {
    let threads = if server.engine().is_postgres() {
        server.postgres_probe().await.expect("root may look").threads().await
    } else {
        server.probe().await.expect("root may look").threads().await
    };
    threads.expect("root may look")
}

fn told(reply: &Reply) -> Told {
    match reply.failure() {
        Some(failure) => Err(Refusal { code: failure.code.to_string(), message: failure.message }),
        None => Ok(reply.value()),
    }
}

fn pg_told(reply: PgReply) -> Told {
    match reply.failure {
        Some(failure) => Err(Refusal { code: failure.code, message: failure.message }),
        None => Ok(reply.value().map(ToOwned::to_owned)),
    }
}

//! The client's way in: TLS, start-up packet, proof, and the last word.
//!
//! ```text
//! open ──► SSLRequest, TLS ──► StartupMessage ──► proof ──► Login
//!                         │                                  ├─ accept: settings, key, ready
//!                         │                                  └─ refuse: FATAL
//!                         └──► CancelRequest ──► Cancel
//! ```
//!
//! All steps together have one deadline, however slowly the bytes drip in, and whoever is refused
//! is told why, in PostgreSQL's words. Many may be on their way in at once; the work that costs
//! (TLS signatures, hashing passwords) is done by a few at a time ([`LoginContext::pacing`]), so
//! that a herd is let in by and by while those inside go on undisturbed.

mod error;
mod open;
mod prove;
mod startup;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ipnet::IpNet;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use wire::postgres::backend::{
    Kind, Notice, Severity, TransactionStatus, put_backend_key_data, put_error,
    put_parameter_status, put_ready_for_query,
};
use wire::postgres::frame::put_message;
use wire::postgres::startup::{Version, put_negotiate_protocol_version};

pub use self::error::LoginError;
use self::open::Opened;
use self::prove::Prover;
use self::startup::Startup;
use super::connect::{Parameter, ServerError};
use super::key::BackendKey;
use super::messages::{MessageError, Messages};
use super::users::Users;
use crate::account::Account;
use crate::stream::{Stream, socket::Socket};
use crate::tls::ServerTls;
use crate::upstream::target::ClearPassword;

/// How long a client may take to receive the last word, where its deadline is over by then.
const LAST_WORD: Duration = Duration::from_secs(5);

/// What all logins share.
#[derive(Debug)]
pub struct LoginContext {
    /// TLS, if it is offered; [`ServerTls::speaking`] this protocol, for direct TLS.
    pub tls: Option<Arc<ServerTls>>,
    /// Who may log in.
    pub users: Arc<Users>,
    /// Whether clients that speak TLS are asked for the password as it is. All others prove it.
    pub clear_password: ClearPassword,
    /// From where clients need not prove who they are.
    pub trusted: Vec<IpNet>,
    /// How long a login may take, all steps together.
    pub timeout: Duration,
    /// The places for work that costs. Who waits for one waits in order, within the timeout.
    pub pacing: Arc<Semaphore>,
}

/// What a client came for.
#[derive(Debug)]
pub enum Entered {
    /// To log in.
    Login(Box<Login>),
    /// To have a statement stopped.
    Cancel(Cancel),
}

/// A client that wants another connection's statement stopped. It waits until we [hang up](Self::hang_up)
/// when that is done, whether or not there was something to stop.
#[derive(Debug)]
pub struct Cancel {
    /// Of which connection; compare it with that one's.
    pub key: BackendKey,
    stream: Stream,
}

impl Cancel {
    /// Ends its connection, TLS first: libpq 17 and newer takes an end without `close_notify` for a
    /// cancel that failed. Cancel-safe: dropping it hangs up, too.
    pub async fn hang_up(mut self) {
        // Who does not listen has hung up by itself.
        let _gone = timeout(LAST_WORD, self.stream.shutdown()).await;
    }
}

/// A client that proved who it is, was told so, and waits for the last word: call
/// [`Login::accept`], [`Login::refuse`] or [`Login::pass_on`].
#[derive(Debug)]
pub struct Login {
    /// Its bytes.
    pub stream: Stream,
    /// What it sent behind its login already.
    pub leftover: BytesMut,
    /// Who it is.
    pub user: Arc<str>,
    /// What proves it to the database.
    pub account: Arc<Account>,
    /// The database it wants; named as the user if it does not say.
    pub database: Box<[u8]>,
    /// What else it sent, in its order: settings, `options`, `replication` if it means that.
    /// Nothing of it was looked at.
    pub parameters: Vec<Parameter>,
    /// What was agreed on: 3.0 or 3.2. It says how long its key is.
    pub version: Version,
    /// Whether it wants to replicate. Such a connection is nobody else's.
    pub is_replication: bool,
}

/// Lets a client in, up to the last word.
///
/// # Errors
/// When it is not let in. It has been told then, if it listens, and the connection is closed.
///
/// Dropping the future closes the connection.
pub async fn login(socket: Socket, context: &LoginContext) -> Result<Entered, LoginError> {
    let deadline = Instant::now() + context.timeout;
    timeout_at(deadline, attempt(socket, context))
        .await
        .unwrap_or(Err(LoginError::TimedOut(context.timeout)))
}

impl Login {
    /// Tells the client that it is in: the settings of its session, what it is cancelled by, and
    /// that the guard is ready.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn accept(
        &mut self,
        parameters: &[Parameter],
        key: &BackendKey,
    ) -> Result<(), LoginError> {
        let mut messages = Messages::new(&mut self.stream);
        let told = messages.write(|out| {
            for (name, value) in parameters {
                put_parameter_status(out, name, value);
            }
            put_backend_key_data(out, key.process_id, key.secret());
            put_ready_for_query(out, TransactionStatus::Idle);
        });
        Ok(timeout(LAST_WORD, told).await.unwrap_or(Err(MessageError::Closed))?)
    }

    /// Tells the client why it is not let in, and hangs up.
    pub async fn refuse(self, sqlstate: &[u8; 5], message: &str) {
        tell(Messages::new(self.stream), sqlstate, message).await;
    }

    /// Tells the client what the database said, and hangs up.
    pub async fn pass_on(self, error: &ServerError) {
        let put = |out: &mut BytesMut| put_message(out, Kind::ErrorResponse.byte(), &error.fatal());
        part(Messages::new(self.stream), put).await;
    }
}

async fn attempt(socket: Socket, context: &LoginContext) -> Result<Entered, LoginError> {
    let from = socket.peer().map_err(MessageError::Io)?.ip();
    socket.set_nodelay().map_err(MessageError::Io)?;
    let (mut messages, startup) = match open::open(socket, context).await? {
        Opened::Startup(messages, startup) => (messages, startup),
        Opened::Cancel(key, stream) => {
            return Ok(Entered::Cancel(Cancel { key, stream }));
        }
    };
    let prover = Prover { context, user: &startup.user, from };
    match enter(&mut messages, &startup, prover).await {
        Ok(account) => Ok(Entered::Login(Box::new(startup.into_login(messages, account)))),
        Err(error) => told(messages, error).await,
    }
}

/// Says which version is spoken, if not the one that was asked for, and has the client prove who it
/// is.
async fn enter(
    messages: &mut Messages<Stream>,
    startup: &Startup,
    prover: Prover<'_>,
) -> Result<Arc<Account>, LoginError> {
    if startup.is_to_be_negotiated() {
        let unknown: Vec<_> = startup.unknown.iter().map(|name| &**name).collect();
        messages
            .write(|out| put_negotiate_protocol_version(out, startup.version(), &unknown))
            .await?;
    }
    prover.prove(messages).await
}

/// Tells the client why it is not let in, so far as it can be told, and hangs up.
async fn told<T>(messages: Messages<Stream>, error: LoginError) -> Result<T, LoginError> {
    if let Some((sqlstate, message)) = error.reply() {
        tell(messages, &sqlstate, &message).await;
    }
    Err(error)
}

async fn tell(messages: Messages<Stream>, sqlstate: &[u8; 5], message: &str) {
    let notice = Notice {
        severity: Severity::Fatal,
        code: *sqlstate,
        message: message.as_bytes(),
        detail: None,
        hint: None,
    };
    part(messages, |out| put_error(out, &notice)).await;
}

async fn part(mut messages: Messages<Stream>, last: impl FnOnce(&mut BytesMut)) {
    if let Ok(Ok(())) = timeout(LAST_WORD, messages.write(last)).await {
        messages.part().await;
    }
}

#[cfg(test)]
mod tests;

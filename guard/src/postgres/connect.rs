//! A new connection to a database: reach it, agree, prove who we are. And the word that stops what
//! runs on another.
//!
//! ```text
//! reach ──► [SSLRequest,] TLS ──► StartupMessage ──► proof ──► settings and key ──► Connected
//!                        └──► CancelRequest ──► the server hangs up
//! ```
//!
//! The server is not trusted with more than it needs: it cannot make the guard send a password in
//! the clear, compute proofs without end, or slip plain text in before TLS, and it has to prove
//! itself where SCRAM is spoken. All steps together have one deadline. Deliberately absent: pacing
//! (see [`crate::herd`]), and everything after the login.

mod auth;
mod error;

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;
use wire::postgres::backend::{BackendKeyData, Kind, ParameterStatus, TransactionStatus};
use wire::postgres::frontend::put_terminate;
use wire::postgres::startup::{
    ALPN, REFUSED, SSL_ACCEPTED, Version, put_cancel_request, put_ssl_request, put_startup_message,
};

pub use self::error::{ConnectError, ServerError};
use super::key::BackendKey;
use super::messages::Messages;
use crate::account::Account;
use crate::stream::{Stream, socket::Socket};
use crate::tls::{ClientTls, Start, TlsMode};
use crate::upstream::target::Target;

/// How many settings a server may report. PostgreSQL 18 reports 15.
const PARAMETERS_MAX: usize = 128;

/// How many notices a server may send before it is ready, all dropped. Extensions that load at the
/// login may have some.
const NOTICES_MAX: usize = 128;

/// A setting: name and value.
pub type Parameter = (Box<[u8]>, Box<[u8]>);

/// What a connection is to be like.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The database; `None` for the one that is named as the user.
    pub database: Option<Vec<u8>>,
    /// What else the server is told: settings, `options`, `replication`. Together with the names no
    /// more than 10,000 bytes.
    pub parameters: Vec<Parameter>,
}

impl Wishes {
    /// What the guard's own connections to `database` are like.
    pub fn control(database: Option<Vec<u8>>) -> Self {
        let name = (Box::from(*b"application_name"), Box::from(*b"tidegate"));
        Self { database, parameters: vec![name] }
    }
}

/// A connection that is logged in.
#[derive(Debug)]
pub struct Connected {
    /// Its bytes.
    pub stream: Stream,
    /// What came behind the login; nothing, unless the server speaks unasked.
    pub leftover: BytesMut,
    /// What it is cancelled by. Some servers behind proxies send nothing.
    pub key: Option<BackendKey>,
    /// The settings that the server reports, in its order.
    pub parameters: Vec<Parameter>,
    /// What was agreed on: 3.0 or 3.2.
    pub version: Version,
}

/// Connects to `target` and logs in.
///
/// Version 3.2 is asked for. Servers up to 17 negotiate 3.0 instead; those from before 2017, and
/// some proxies, refuse, and are asked for 3.0 on another connection.
///
/// # Errors
/// When the server cannot be reached in time, breaks the protocol, or refuses; its own error is in
/// [`ConnectError::Refused`].
///
/// Dropping the future closes the connection.
pub async fn connect(
    target: &Target,
    account: &Account,
    wishes: &Wishes,
) -> Result<Connected, ConnectError> {
    within(target, async {
        match attempt(target, account, wishes, Version::V3_2).await {
            Err(ConnectError::Refused(error)) if error.may_be_of_the_version() => {
                attempt(target, account, wishes, Version::V3_0).await
            }
            other => other,
        }
    })
    .await
}

/// Asks the server to stop what runs on the connection of `key`, and waits until it hangs up: then
/// the signal has been sent, though the statement may run on for a moment.
///
/// # Errors
/// When the server could not be asked, or did not hang up in time. Whether there is such a
/// connection, and whether it ran something, it does not say.
///
/// Dropping the future closes the connection; the server may have been asked already.
pub async fn cancel(target: &Target, key: &BackendKey) -> Result<(), ConnectError> {
    within(target, async {
        let mut messages = reach(target).await?;
        messages.write(|out| put_cancel_request(out, key.process_id, key.secret())).await?;
        match messages.stream.read(&mut [0]).await {
            Ok(0) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            // TLS that ends without a word, as servers end it here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Ok(_) => Err(ConnectError::Exchange("an answer to a CancelRequest")),
            Err(error) => Err(ConnectError::Message(error.into())),
        }
    })
    .await
}

impl Connected {
    /// Says goodbye and closes.
    ///
    /// # Errors
    /// When the connection failed before.
    pub async fn quit(self) -> Result<(), ConnectError> {
        Ok(Messages::new(self.stream).write(put_terminate).await?)
    }
}

async fn within<T>(
    target: &Target,
    attempt: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    tokio::time::timeout(target.connect_timeout, attempt)
        .await
        .unwrap_or(Err(ConnectError::TimedOut(target.connect_timeout)))
}

async fn attempt(
    target: &Target,
    account: &Account,
    wishes: &Wishes,
    version: Version,
) -> Result<Connected, ConnectError> {
    let mut messages = reach(target).await?;
    let database = wishes.database.as_deref().map(|name| (&b"database"[..], name));
    let parameters = [(&b"user"[..], account.user.as_bytes())]
        .into_iter()
        .chain(database)
        .chain(wishes.parameters.iter().map(|(name, value)| (&**name, &**value)));
    messages.write(|out| put_startup_message(out, version, parameters)).await?;
    let version = auth::prove(&mut messages, account, target.clear_password, version).await?;
    settle(messages, version).await
}

/// Connects, by TLS where that is wanted and to be had.
async fn reach(target: &Target) -> Result<Messages<Stream>, ConnectError> {
    let unreachable =
        |source| ConnectError::Unreachable { address: target.address.clone(), source };
    let mut plain = Messages::new(target.dial().await.map_err(unreachable)?);
    let Some(tls) = &target.tls else { return Ok(Messages::new(plain.stream.into())) };
    if tls.start == Start::Direct {
        return Ok(Messages::new(secure(plain.stream, tls).await?));
    }
    plain.write(put_ssl_request).await?;
    // Nothing behind the answer is read: between it and TLS somebody could slip in what then seems
    // to come by TLS (CVE-2021-23222). This way TLS meets it, and fails.
    let mut answer = [0];
    plain
        .stream
        .read_exact(&mut answer)
        .await
        .map_err(|error| ConnectError::Message(error.into()))?;
    match answer {
        [SSL_ACCEPTED] => Ok(Messages::new(secure(plain.stream, tls).await?)),
        [REFUSED] if tls.mode == TlsMode::Preferred => Ok(Messages::new(plain.stream.into())),
        [REFUSED] => Err(ConnectError::NoTls),
        // It may be an error. But whose it is, nobody can tell (CVE-2024-10977).
        _ => Err(ConnectError::Exchange("no answer to an SSLRequest")),
    }
}

async fn secure(socket: Socket, tls: &ClientTls) -> Result<Stream, ConnectError> {
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let stream =
        connector.connect(tls.server_name.clone(), socket).await.map_err(ConnectError::Tls)?;
    // It may be another service's (ALPACA), as libpq has it.
    let says_so = stream.get_ref().1.alpn_protocol() == Some(ALPN);
    match tls.start == Start::Direct && !says_so {
        true => Err(ConnectError::NoAlpn),
        false => Ok(stream.into()),
    }
}

/// Reads what the server says of the session, until it is ready.
async fn settle(
    mut messages: Messages<Stream>,
    version: Version,
) -> Result<Connected, ConnectError> {
    let mut key = None;
    let mut parameters = Vec::new();
    let mut notices = 0;
    loop {
        let (kind, body) = messages.read(Kind::of).await?;
        match kind {
            Kind::ParameterStatus if parameters.len() < PARAMETERS_MAX => {
                let ParameterStatus { name, value } = ParameterStatus::parse(&body)?;
                parameters.push((name.into(), value.into()));
            }
            Kind::BackendKeyData if key.is_none() => {
                key = Some(BackendKeyData::parse(&body)?.into());
            }
            Kind::NoticeResponse if notices < NOTICES_MAX => notices += 1,
            Kind::ErrorResponse => return Err(ConnectError::Refused(ServerError::parse(&body)?)),
            Kind::ReadyForQuery => {
                if TransactionStatus::parse(&body)? != TransactionStatus::Idle {
                    return Err(ConnectError::Exchange("a transaction that nobody has begun"));
                }
                let Messages { stream, buffer: leftover } = messages;
                return Ok(Connected { stream, leftover, key, parameters, version });
            }
            _ => return Err(ConnectError::Exchange("what is not due before it is ready")),
        }
    }
}

#[cfg(test)]
mod tests;

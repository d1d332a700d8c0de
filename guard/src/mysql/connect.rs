//! A new connection to a database: reach it, agree, prove who we are.
//!
//! The server is not trusted with more than it needs: it cannot make the guard send a password in
//! the clear, ask for proofs without end, or slip plain text in before TLS. All steps together have
//! one deadline. Deliberately absent: pacing (see [`crate::herd`]) and everything after the login.

mod auth;
mod error;

use std::sync::Arc;

use bytes::BytesMut;
use tokio_rustls::TlsConnector;
use wire::mysql::Capabilities;
use wire::mysql::auth::{Plugin, Scramble};
use wire::mysql::command::{Command, put_simple};
use wire::mysql::handshake::{self, ConnectAttributes, HandshakeResponse, SslRequest};
use wire::mysql::response::OkPacket;

pub use self::error::{ConnectError, ServerError};
use crate::account::Account;
use crate::stream::Stream;
use crate::stream::packets::Packets;
use crate::tls::{ClientTls, TlsMode};
use crate::upstream::target::{ClearPassword, Target};

/// What every connection asks for, so far as the server has it.
const ALWAYS: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0,
);

/// What no connection asks for, whoever wishes it: compression and a second factor are not spoken
/// here, a password that expired would lock a shared connection up, and the last four follow from
/// other wishes.
const NEVER: Capabilities = Capabilities(
    Capabilities::COMPRESS.0
        | Capabilities::ZSTD_COMPRESSION_ALGORITHM.0
        | Capabilities::MULTI_FACTOR_AUTHENTICATION.0
        | Capabilities::CAPABILITY_EXTENSION.0
        | Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS.0
        | Capabilities::CACHE_METADATA.0
        | Capabilities::SSL.0
        | Capabilities::SSL_VERIFY_SERVER_CERT.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::CONNECT_ATTRS.0,
);

/// The longest packet we say that we take, in bytes: the most there is.
const MAX_PACKET: u32 = 1 << 30;

/// `utf8mb4_general_ci`, which every server knows.
const UTF8MB4: u8 = 45;

/// A connection attribute: name and value.
pub type Attribute = (Box<[u8]>, Box<[u8]>);

/// What a connection is to be like.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Capabilities beyond those that every connection has. What the server lacks is left out.
    pub capabilities: Capabilities,
    /// Collation, by the number of the handshake.
    pub charset: u8,
    /// The database to begin in.
    pub database: Option<Vec<u8>>,
    /// What the server is to show about us in `session_connect_attrs`.
    pub attributes: Vec<Attribute>,
}

impl Wishes {
    /// What the guard's own connections are like.
    pub fn control() -> Self {
        Self {
            capabilities: Capabilities::LONG_FLAG
                | Capabilities::MULTI_RESULTS
                | Capabilities::SESSION_TRACK
                | Capabilities::DEPRECATE_EOF,
            charset: UTF8MB4,
            database: None,
            attributes: vec![(Box::from(*b"program_name"), Box::from(*b"tidegate"))],
        }
    }
}

/// A connection that is logged in.
#[derive(Debug)]
pub struct Connected {
    /// Its bytes.
    pub stream: Stream,
    /// What came behind the login; nothing, unless the server speaks unasked.
    pub leftover: BytesMut,
    /// The server's id for it, to be killed by.
    pub thread_id: u32,
    /// The server's version.
    pub version: Arc<str>,
    /// Whether the server is MariaDB.
    pub mariadb: bool,
    /// What was agreed on, without what concerns the login only.
    pub capabilities: Capabilities,
    /// What the server could do.
    pub server_capabilities: Capabilities,
    /// The collation it was given.
    pub charset: u8,
    /// The session's first status flags.
    pub status: u16,
}

/// What a server says of itself before anybody logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Its version.
    pub version: Arc<str>,
    /// Whether it is MariaDB.
    pub mariadb: bool,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its default collation.
    pub charset: u8,
    /// The first status flags of a session.
    pub status: u16,
    /// The connection's id.
    pub thread_id: u32,
    scramble: Scramble,
    /// `None` if it is not one of ours.
    plugin: Option<Plugin>,
}

/// Connects to `target` and logs in.
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
        let (packets, greeting) = reach(target).await?;
        log_in(packets, greeting, target, account, wishes).await
    })
    .await
}

/// Asks the server at `target` what it is, and whether it lets `account` in.
///
/// Without an account the server sees a handshake that breaks off: MySQL counts those towards
/// `max_connect_errors` until a login succeeds.
///
/// # Errors
/// As [`connect`].
pub async fn probe(target: &Target, account: Option<&Account>) -> Result<Greeting, ConnectError> {
    within(target, async {
        let (packets, greeting) = reach(target).await?;
        if let Some(account) = account {
            let wishes = Wishes::control();
            log_in(packets, greeting.clone(), target, account, &wishes).await?.quit().await?;
        }
        Ok(greeting)
    })
    .await
}

impl Connected {
    /// Says goodbye, so that the server does not count the connection as aborted.
    ///
    /// # Errors
    /// When the connection failed before.
    pub async fn quit(self) -> Result<(), ConnectError> {
        let mut packets = Packets::new(self.stream, 0);
        let goodbye = packets.write(|out, seq| {
            put_simple(out, Command::Quit);
            seq
        });
        Ok(goodbye.await?)
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

/// Connects and reads the greeting.
async fn reach(target: &Target) -> Result<(Packets<Stream>, Greeting), ConnectError> {
    let unreachable =
        |source| ConnectError::Unreachable { address: target.address.clone(), source };
    let socket = target.dial().await.map_err(unreachable)?;
    let mut packets = Packets::new(Stream::Plain(socket), 0);
    // Nothing behind it is read: between greeting and TLS somebody could slip in what then seems to
    // come by TLS (CVE-2021-3935 and its like). This way TLS meets it, and fails.
    let payload = packets.read_alone().await?;
    if let Ok(error) = ServerError::parse(&payload) {
        return Err(ConnectError::Refused(error));
    }
    let read = handshake::Greeting::parse(&payload)?;
    let greeting = Greeting {
        version: String::from_utf8_lossy(read.version).into(),
        mariadb: read.is_mariadb(),
        capabilities: read.capabilities,
        charset: read.charset,
        status: read.status,
        thread_id: read.connection_id,
        scramble: read.scramble,
        plugin: Plugin::from_name(read.plugin),
    };
    Ok((packets, greeting))
}

/// Agrees on capabilities and TLS, says who we are, and proves it.
async fn log_in(
    mut packets: Packets<Stream>,
    greeting: Greeting,
    target: &Target,
    account: &Account,
    wishes: &Wishes,
) -> Result<Connected, ConnectError> {
    let server = greeting.capabilities;
    let agreed = Capabilities(server.0 & wishes.capabilities.without(NEVER).with(ALWAYS).0);
    let block = ConnectAttributes::block(wishes.attributes.iter().map(|(n, v)| (&**n, &**v)));
    let mut response = HandshakeResponse {
        capabilities: agreed,
        max_packet: MAX_PACKET,
        charset: wishes.charset,
        user: account.user.as_bytes(),
        auth: &[],
        database: wishes.database.as_deref(),
        plugin: None,
        attributes: ConnectAttributes::parse(&block)?,
    };
    if response.database.is_some() {
        response.capabilities = response.capabilities | Capabilities::CONNECT_WITH_DB;
    }
    if !block.is_empty() && server.contains(Capabilities::CONNECT_ATTRS) {
        response.capabilities = response.capabilities | Capabilities::CONNECT_ATTRS;
    }
    if let Some(tls) = wanted_tls(target, server)? {
        response.capabilities = response.capabilities | Capabilities::SSL;
        let HandshakeResponse { capabilities, max_packet, charset, .. } = response;
        let request = SslRequest { capabilities, max_packet, charset };
        packets.write(|out, seq| request.put(out, seq)).await?;
        packets = secure(packets, tls).await?;
    }

    let proof = auth::Proof::new(account, &greeting, packets.stream.is_private(), target)?;
    response.plugin = Some(proof.plugin().name().as_bytes());
    response.auth = proof.first();
    packets.write(|out, seq| response.put(out, seq)).await?;
    let last = proof.complete(&mut packets).await?;
    let status = OkPacket::parse(&last, agreed)?.status;

    Ok(Connected {
        stream: packets.stream,
        leftover: packets.buffer,
        thread_id: greeting.thread_id,
        version: greeting.version,
        mariadb: greeting.mariadb,
        capabilities: agreed,
        server_capabilities: server,
        charset: wishes.charset,
        status: status.0,
    })
}

/// The TLS to use with a server that can do `server`, if any.
fn wanted_tls(target: &Target, server: Capabilities) -> Result<Option<&ClientTls>, ConnectError> {
    match &target.tls {
        Some(tls) if server.contains(Capabilities::SSL) => Ok(Some(tls)),
        Some(tls) if tls.mode != TlsMode::Preferred => Err(ConnectError::NoTls),
        _ => Ok(None),
    }
}

async fn secure(
    packets: Packets<Stream>,
    tls: &ClientTls,
) -> Result<Packets<Stream>, ConnectError> {
    let Stream::Plain(socket) = packets.stream else { return Err(ConnectError::NoTls) };
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let stream =
        connector.connect(tls.server_name.clone(), socket).await.map_err(ConnectError::Tls)?;
    Ok(Packets::new(stream.into(), packets.seq))
}

#[cfg(test)]
mod tests;

//! The client's way in: greeting, TLS, proof, and the last word.
//!
//! ```text
//! greet ──► opening ──► TLS, if asked for ──► response ──► proof ──► Login
//!                                                                     ├─ accept: OK
//!                                                                     └─ refuse: ERR
//! ```
//!
//! The guard speaks for the database: it shows the database's version and abilities, but its own
//! connection id, scramble and certificate. All steps together have one deadline, however slowly
//! the bytes drip in, and whoever is refused is told why. Many may be on their way in at once; the
//! work that costs (TLS signatures, RSA) is done by a few at a time ([`LoginContext::pacing`]), so
//! that a herd is let in by and by while those inside go on undisturbed.

mod change_user;
mod enter;
mod error;
mod prove;
mod secure;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use wire::mysql::Capabilities;
use wire::mysql::auth::{Plugin, SCRAMBLE_LEN, Scramble};
use wire::mysql::handshake::{Greeting, Opening};
use wire::mysql::response::{OkPacket, Status, put_err, put_ok};

pub use self::change_user::{Changed, change_user};
use self::enter::Entrance;
pub use self::error::LoginError;
pub use self::prove::Challenge;
use crate::account::Account;
use crate::mysql::connect::Attribute;
use crate::mysql::users::Users;
use crate::secret::rsa::RsaKey;
use crate::stream::Stream;
use crate::stream::packets::{PacketError, Packets};
use crate::stream::socket::Socket;
use crate::tls::ServerTls;

/// What the guard never offers, whatever the database can do: compression and second factors are
/// not spoken here, and which column definitions a client may do without (`CACHE_METADATA`) is
/// known to a connection of the database, of which a client has many.
const NOT_CARRIED: Capabilities = Capabilities(
    Capabilities::COMPRESS.0
        | Capabilities::ZSTD_COMPRESSION_ALGORITHM.0
        | Capabilities::MULTI_FACTOR_AUTHENTICATION.0
        | Capabilities::CAPABILITY_EXTENSION.0
        | Capabilities::CACHE_METADATA.0
        | Capabilities::SSL.0,
);

/// What the guard can do by itself.
const OWN: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::CONNECT_ATTRS.0,
);

/// How long a client may take to receive the last word, where its deadline is over by then.
const LAST_WORD: Duration = Duration::from_secs(5);

/// What the guard says of the database, and of itself as that.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// The id of this client's connection.
    pub connection_id: u32,
    /// The database's version.
    pub version: Arc<str>,
    /// What is offered; see [`offer`].
    pub capabilities: Capabilities,
    /// The database's default collation.
    pub charset: u8,
    /// The status flags of a fresh session.
    pub status: u16,
    /// Whether the database is MariaDB.
    pub mariadb: bool,
}

/// What may be offered to clients of a database that can do `server`: files of theirs only where
/// somebody may send some.
pub fn offer(server: Capabilities, sends_files: bool) -> Capabilities {
    let offered = server.with(OWN).without(NOT_CARRIED);
    if sends_files { offered } else { offered.without(Capabilities::LOCAL_FILES) }
}

/// What all logins share.
#[derive(Debug)]
pub struct LoginContext {
    /// TLS, if it is offered.
    pub tls: Option<Arc<ServerTls>>,
    /// Who may log in.
    pub users: Arc<Users>,
    /// The plugin that clients are asked for: native or caching_sha2. Any of the two is taken.
    pub plugin: Plugin,
    /// How long a login may take, all steps together.
    pub timeout: Duration,
    /// The places for work that costs. Who waits for one waits in order, within the timeout.
    pub pacing: Arc<Semaphore>,
    /// For passwords without TLS.
    pub rsa: Arc<RsaKey>,
}

/// A client that proved who it is, and waits for the last word: call [`Login::accept`] or
/// [`Login::refuse`].
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
    /// The database it wants to begin in; `None` if it does not say.
    pub database: Option<Vec<u8>>,
    /// What was agreed on, without what concerns the login only.
    pub capabilities: Capabilities,
    /// Its collation.
    pub charset: u8,
    /// What it says about itself, 2 KiB of it at most.
    pub attributes: Vec<Attribute>,
    /// Whether it was told that the database is MariaDB.
    pub mariadb: bool,
    /// What it answered: `COM_CHANGE_USER` begins with a reply to the same.
    pub challenge: Challenge,
    last: LastWord,
}

/// What the final OK needs.
#[derive(Debug)]
struct LastWord {
    seq: u8,
    status: Status,
    /// Why MariaDB's client may trust our certificate; else empty.
    info: Vec<u8>,
}

/// Lets a client in, up to the last word.
///
/// # Errors
/// When it is not let in. It has been told then, if it listens, and the connection is closed.
///
/// Dropping the future closes the connection.
pub async fn login(
    socket: Socket,
    welcome: &Welcome,
    context: &LoginContext,
) -> Result<Login, LoginError> {
    let deadline = Instant::now() + context.timeout;
    timeout_at(deadline, attempt(socket, welcome, context))
        .await
        .unwrap_or(Err(LoginError::TimedOut(context.timeout)))
}

impl Login {
    /// Tells the client that it is in.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn accept(&mut self) -> Result<(), LoginError> {
        let mut packets = Packets::new(&mut self.stream, self.last.seq);
        let ok = OkPacket { status: self.last.status, info: &self.last.info, ..Default::default() };
        let told = packets.write(|out, seq| put_ok(out, seq, self.capabilities, &ok));
        Ok(timeout(LAST_WORD, told).await.unwrap_or(Err(PacketError::Closed))?)
    }

    /// Tells the client why it is not let in, and hangs up.
    pub async fn refuse(self, code: u16, sqlstate: &[u8; 5], message: &str) {
        let packets = Packets::new(self.stream, self.last.seq);
        tell(packets, self.capabilities, code, sqlstate, message).await;
    }
}

async fn attempt(
    socket: Socket,
    welcome: &Welcome,
    context: &LoginContext,
) -> Result<Login, LoginError> {
    let from = socket.peer().map_err(PacketError::Io)?.ip();
    socket.set_nodelay().map_err(PacketError::Io)?;
    let scramble = random_scramble();
    let mut packets = Packets::new(Stream::Plain(socket), 0);
    let greeted = greet(&mut packets, welcome, context, &scramble).await;
    let mut payload = match greeted {
        Ok(payload) => payload,
        Err(error) => return told(packets, error).await,
    };
    if let (Some(tls), Ok(Opening::Ssl(_))) = (&context.tls, Opening::parse(&payload)) {
        packets = secure::secure(packets, tls, &context.pacing).await?;
        payload = match packets.read().await {
            Ok(payload) => payload,
            Err(error) => return told(packets, error.into()).await,
        };
    }
    let entrance =
        Entrance { from, scramble, is_private: packets.stream.is_private(), welcome, context };
    match entrance.enter(&mut packets, &payload).await {
        Ok(entered) => Ok(entered.into_login(packets, welcome)),
        Err(error) => told(packets, error).await,
    }
}

/// Sends the greeting and reads the client's first packet, and nothing behind it.
async fn greet(
    packets: &mut Packets<Stream>,
    welcome: &Welcome,
    context: &LoginContext,
    scramble: &Scramble,
) -> Result<BytesMut, LoginError> {
    let greeting = Greeting {
        version: welcome.version.as_bytes(),
        connection_id: welcome.connection_id,
        scramble: *scramble,
        capabilities: offered(welcome, context),
        charset: welcome.charset,
        status: welcome.status,
        plugin: context.plugin.name().as_bytes(),
    };
    packets.write(|out, _| greeting.put(out)).await?;
    Ok(packets.read_alone().await?)
}

fn offered(welcome: &Welcome, context: &LoginContext) -> Capabilities {
    match context.tls {
        Some(_) => welcome.capabilities.with(Capabilities::SSL),
        None => welcome.capabilities.without(Capabilities::SSL),
    }
}

/// Tells the client why it is not let in, so far as it can be told, and hangs up.
async fn told<T>(packets: Packets<Stream>, error: LoginError) -> Result<T, LoginError> {
    if let Some((code, sqlstate, message)) = error.reply() {
        tell(packets, Capabilities::PROTOCOL_41, code, &sqlstate, &message).await;
    }
    Err(error)
}

async fn tell(
    mut packets: Packets<Stream>,
    capabilities: Capabilities,
    code: u16,
    sqlstate: &[u8; 5],
    message: &str,
) {
    let error = packets
        .write(|out, seq| put_err(out, seq, capabilities, code, sqlstate, message.as_bytes()));
    if let Ok(Ok(())) = timeout(LAST_WORD, error).await {
        packets.part().await;
    }
}

/// Random bytes without NUL, which would end them early for some clients, and without `$`, at which
/// servers split what they store; 7-bit, as servers make them.
fn random_scramble() -> Scramble {
    let mut scramble = [0; SCRAMBLE_LEN];
    aws_lc_rs::rand::fill(&mut scramble).expect("aws-lc aborts rather than run out of randomness");
    scramble.map(|byte| match byte & 0x7F {
        0 | b'$' => b'x',
        byte => byte,
    })
}

#[cfg(test)]
mod tests;

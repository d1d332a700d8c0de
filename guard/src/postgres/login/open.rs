//! From the first byte to the packet that says what the client wants.
//!
//! ```text
//! TLS at once (ALPN) ──────────────┐
//! SSLRequest ──► S, TLS  or  N ────┼──► StartupMessage or CancelRequest
//! GSSENCRequest ──► N ─────────────┘
//! ```
//!
//! Each may be asked once, in either order, and neither by TLS. Until TLS stands, nothing is read
//! behind a packet: who sits between could slip in what then seems to come by TLS (CVE-2021-23214).
//! This way TLS meets it, and fails.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::postgres::startup::{self, First, Opening, REFUSED, SSL_ACCEPTED};

use super::{LoginContext, LoginError, Startup, told};
use crate::postgres::key::BackendKey;
use crate::postgres::messages::{MessageError, Messages};
use crate::stream::{Stream, socket::Socket};
use crate::tls::{Demand, HANDSHAKE_RECORD, ServerTls};

/// Bytes of a packet's length.
const LENGTH_LEN: usize = 4;

/// What a client wants.
pub(super) enum Opened {
    /// To log in.
    Startup(Messages<Stream>, Startup),
    /// To have a statement stopped.
    Cancel(BackendKey, Stream),
}

/// What a packet said.
enum Said {
    Tls,
    Encryption,
    Cancel(BackendKey),
    Startup(Startup),
}

/// Whether something was asked for already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    Once,
}

/// Has the client say what it wants. Whoever says it badly has been told so.
pub(super) async fn open(socket: Socket, context: &LoginContext) -> Result<Opened, LoginError> {
    let mut stream = match first_byte(&socket).await? {
        Some(HANDSHAKE_RECORD) => direct(socket, context).await?,
        _ => Stream::Plain(socket),
    };
    let (mut tls, mut encryption) = (Asked::Not, Asked::Not);
    loop {
        let said = match read(&mut stream).await {
            Ok(said) => said,
            Err(error) => return told(Messages::new(stream), error).await,
        };
        stream = match (said, stream) {
            (Said::Tls, Stream::Plain(socket)) if tls == Asked::Not => {
                tls = Asked::Once;
                answer(socket, context).await?
            }
            (Said::Encryption, Stream::Plain(mut socket)) if encryption == Asked::Not => {
                encryption = Asked::Once;
                say(&mut socket, REFUSED).await?;
                Stream::Plain(socket)
            }
            (Said::Tls | Said::Encryption, stream) => {
                return told(Messages::new(stream), LoginError::AskedAgain).await;
            }
            // Also where TLS is a must: clients before libpq 17 know no other way.
            (Said::Cancel(key), stream) => return Ok(Opened::Cancel(key, stream)),
            (Said::Startup(startup), stream) => {
                let must = |tls: &&ServerTls| tls.demand == Demand::Required;
                if !stream.is_tls() && context.tls.as_deref().filter(must).is_some() {
                    return told(Messages::new(stream), LoginError::TlsRequired).await;
                }
                return Ok(Opened::Startup(Messages::new(stream), startup));
            }
        };
    }
}

/// The next byte, which stays to be read; none of a Unix socket, on which nobody begins TLS.
async fn first_byte(socket: &Socket) -> Result<Option<u8>, LoginError> {
    let Socket::Tcp(tcp) = socket else { return Ok(None) };
    let mut first = [0];
    match tcp.peek(&mut first).await.map_err(MessageError::from)? {
        0 => Err(MessageError::Closed.into()),
        _ => Ok(Some(first[0])),
    }
}

/// TLS without asking. The client must say that it means this protocol, or it could be deceived
/// into speaking another (ALPACA).
async fn direct(socket: Socket, context: &LoginContext) -> Result<Stream, LoginError> {
    let tls = context.tls.as_ref().ok_or(LoginError::TlsNotOffered)?;
    let stream = tls.accept(socket, &context.pacing).await.map_err(failed)?;
    let says_so = stream.get_ref().1.alpn_protocol() == Some(startup::ALPN);
    let stream = Stream::from(stream);
    match says_so {
        true => Ok(stream),
        false => told(Messages::new(stream), LoginError::NoAlpn).await,
    }
}

/// Answers an SSLRequest, and goes on by TLS if there is some.
async fn answer(mut socket: Socket, context: &LoginContext) -> Result<Stream, LoginError> {
    let Some(tls) = &context.tls else {
        say(&mut socket, REFUSED).await?;
        return Ok(Stream::Plain(socket));
    };
    say(&mut socket, SSL_ACCEPTED).await?;
    if first_byte(&socket).await? != Some(HANDSHAKE_RECORD) {
        return Err(LoginError::PlainTextBeforeTls);
    }
    Ok(tls.accept(socket, &context.pacing).await.map_err(failed)?.into())
}

async fn say(socket: &mut Socket, answer: u8) -> Result<(), LoginError> {
    Ok(socket.write_all(&[answer]).await.map_err(MessageError::from)?)
}

/// Reads a packet, and not one byte behind it.
async fn read(stream: &mut Stream) -> Result<Said, LoginError> {
    let mut packet = BytesMut::zeroed(LENGTH_LEN);
    stream.read_exact(&mut packet).await.map_err(MessageError::from)?;
    let Some(First::Packet(len)) = First::peek(&packet)? else {
        return Err(LoginError::AskedAgain);
    };
    packet.resize(len, 0);
    stream.read_exact(&mut packet[LENGTH_LEN..]).await.map_err(MessageError::from)?;
    match Opening::parse(&packet)? {
        Opening::SslRequest => Ok(Said::Tls),
        Opening::GssEncRequest => Ok(Said::Encryption),
        Opening::Cancel(request) => Ok(Said::Cancel(request.into())),
        Opening::Startup(message) => Ok(Said::Startup(Startup::of(&message)?)),
        Opening::Unsupported(version) => Err(LoginError::Version(version)),
    }
}

/// Tells a client that hung up from one whose TLS is wrong.
fn failed(error: io::Error) -> LoginError {
    match MessageError::from(error) {
        MessageError::Io(error) => LoginError::Tls(error),
        closed => closed.into(),
    }
}

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::server::Acceptor;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;

use super::LoginError;
use crate::stream::Stream;
use crate::stream::packets::{PacketError, Packets};
use crate::tls::ServerTls;

/// The first byte of TLS: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Goes on by TLS. Nothing may have been read behind the request.
///
/// The signature is the work that costs: it is done in the first step after the client's hello has
/// come, so that only this step needs a place. A client that is slow before or behind it keeps
/// nobody waiting.
pub(super) async fn secure(
    packets: Packets<Stream>,
    tls: &ServerTls,
    pacing: &Semaphore,
) -> Result<Packets<Stream>, LoginError> {
    let Packets { stream, buffer, seq } = packets;
    // CVE-2021-3935: whoever sits between could slip in what seems to come by TLS.
    let Stream::Plain(tcp) = stream else { return Err(LoginError::PlainTextBeforeTls) };
    let mut first = [0];
    if !buffer.is_empty()
        || tcp.peek(&mut first).await.map_err(PacketError::Io)? == 1 && first != [HANDSHAKE_RECORD]
    {
        return Err(LoginError::PlainTextBeforeTls);
    }
    let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await.map_err(failed)?;
    let mut handshake = pin!(hello.into_stream(Arc::clone(&tls.config)));
    let place = pacing.acquire().await.expect("the semaphore is never closed");
    let signed = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
    drop(place);
    let stream = match signed {
        Poll::Ready(done) => done,
        Poll::Pending => handshake.await,
    };
    Ok(Packets::new(stream.map_err(failed)?.into(), seq))
}

/// Tells a client that hung up from one whose TLS is wrong.
fn failed(error: io::Error) -> LoginError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => PacketError::Closed.into(),
        _ => LoginError::Tls(error),
    }
}

use std::io;

use tokio::sync::Semaphore;

use super::LoginError;
use crate::stream::Stream;
use crate::stream::packets::{PacketError, Packets};
use crate::stream::socket::Socket;
use crate::tls::{HANDSHAKE_RECORD, ServerTls};

/// Goes on by TLS. Nothing may have been read behind the request.
pub(super) async fn secure(
    packets: Packets<Stream>,
    tls: &ServerTls,
    pacing: &Semaphore,
) -> Result<Packets<Stream>, LoginError> {
    let Packets { stream, buffer, seq } = packets;
    // CVE-2021-3935: whoever sits between could slip in what seems to come by TLS.
    let Stream::Plain(Socket::Tcp(tcp)) = stream else {
        return Err(LoginError::PlainTextBeforeTls);
    };
    let mut first = [0];
    if !buffer.is_empty()
        || tcp.peek(&mut first).await.map_err(PacketError::Io)? == 1 && first != [HANDSHAKE_RECORD]
    {
        return Err(LoginError::PlainTextBeforeTls);
    }
    let stream = tls.accept(tcp.into(), pacing).await.map_err(failed)?;
    Ok(Packets::new(stream.into(), seq))
}

/// Tells a client that hung up from one whose TLS is wrong.
fn failed(error: io::Error) -> LoginError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => PacketError::Closed.into(),
        _ => LoginError::Tls(error),
    }
}

//! What keeps the HTTP side small, whoever connects: few connections, and none that is silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tracing::warn;

use super::line::Line;
use crate::config::Address;
use crate::listener::socket::ListenSocket;
use crate::stream::socket::Peer;
use crate::tls::ServerTls;

/// Connections at once. One more waits in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take for its next request, from connecting or from the answer before, header
/// and body together, and the TLS before the first. Longer than an answer may take to be made.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// Handshakes of TLS whose signature is made at once: they cost what statements could have.
const HANDSHAKES_MAX: usize = 1;

/// How long to rest when nothing can be accepted because something is short.
const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// A listener that serves few at once, with TLS or without.
#[derive(Debug)]
pub struct Bounded {
    socket: ListenSocket,
    tls: Option<Arc<ServerTls>>,
    handshakes: Arc<Semaphore>,
    places: Arc<Semaphore>,
    within: Duration,
}

impl Bounded {
    /// Bounds what `socket` accepts, and has it speak TLS if there is some.
    pub fn new(socket: ListenSocket, tls: Option<ServerTls>) -> Self {
        Self {
            socket,
            tls: tls.map(Arc::new),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            within: REQUEST_WITHIN,
        }
    }

    /// Where it is, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<Address> {
        self.socket.address()
    }

    /// The next client that has not gone by now.
    async fn next(&self) -> (Line, Peer) {
        loop {
            match self.socket.accept().await {
                Ok((socket, peer)) => match &self.tls {
                    None => return (Line::plain(socket), peer),
                    Some(tls) => return (Line::tls(socket, tls, &self.handshakes), peer),
                },
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    warn!(%error, "the admin side cannot accept connections");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

/// Whether a client went away before it was accepted; anything else is a shortage.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

impl Listener for Bounded {
    type Io = Impatient;
    type Addr = Peer;

    async fn accept(&mut self) -> (Impatient, Peer) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (line, peer) = self.next().await;
        let due = Box::pin(tokio::time::sleep(self.within));
        (Impatient { line, due, within: self.within, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<Peer> {
        self.socket.address().map(|address| match address {
            Address::Tcp(address) => Peer::Tcp(address),
            Address::Unix(_) => Peer::Unix,
        })
    }
}

/// A connection on which reading fails when the next request is not there in time.
pub struct Impatient {
    line: Line,
    due: Pin<Box<Sleep>>,
    within: Duration,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.due.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.line).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.line).poll_write(context, bytes);
        match written {
            // The client takes an answer: the time for its next request begins.
            Poll::Ready(Ok(_)) => {
                let due = Instant::now() + self.within;
                self.due.as_mut().reset(due);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending if self.due.as_mut().poll(context).is_ready() => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => {}
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// A server of these connections that answers each byte with another.
    async fn echo(within: Duration) -> SocketAddr {
        let listener = ListenSocket::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bounded = Bounded::new(ListenSocket::Tcp(listener), None);
            bounded.within = within;
            loop {
                let (mut stream, _) = bounded.accept().await;
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_u8(byte).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn who_says_nothing_is_left() {
        let mut client = TcpStream::connect(echo(Duration::from_millis(50)).await).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "closed");
    }

    #[tokio::test]
    async fn one_more_than_there_are_places_waits_for_one() {
        let address = echo(REQUEST_WITHIN).await;
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_u8(1).await.unwrap();
            client.read_u8().await.unwrap();
            clients.push(client);
        }
        let mut last = TcpStream::connect(address).await.unwrap();
        last.write_u8(2).await.unwrap();
        assert!(last.try_read(&mut [0]).is_err(), "it is not served yet");
        clients.pop();
        assert_eq!(last.read_u8().await.unwrap(), 2);
    }
}

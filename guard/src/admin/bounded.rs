//! What keeps the HTTP side small, whoever connects: few connections, and none that is silent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections at once. One more waits in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take for its next request, from connecting or from the answer before, header
/// and body together. Longer than an answer may take to be made.
pub(super) const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// A listener that serves few at once.
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    within: Duration,
}

impl Bounded {
    /// Bounds what `listener` accepts; each request must be there `within` this time.
    pub(super) fn new(listener: TcpListener, within: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), within }
    }
}

impl Listener for Bounded {
    type Io = Impatient;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Impatient, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let due = Box::pin(tokio::time::sleep(self.within));
        (Impatient { stream, due, within: self.within, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection on which reading fails when the next request is not there in time.
pub(super) struct Impatient {
    stream: TcpStream,
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
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
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server of these connections that answers each byte with another.
    async fn echo(within: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bounded = Bounded::new(listener, within);
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

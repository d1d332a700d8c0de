//! A fault proxy: stands before a server, passes bytes on, and answers as late as it is told. So a healthy server
//! can be seen as a sick one is: it is there, lets everybody in, and takes its time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::error::Error;

/// What one read of an answer asks for.
const READ_LEN: usize = 64 * 1024;
/// Pieces of answers of one connection that wait to be passed on. At the bound the server is not read from, as by a
/// client that does not keep up.
const HELD_MAX: usize = 64;

/// A relay on loopback. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    delay: watch::Sender<Duration>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Stands before what listens at `server`, and delays nothing yet. A connection that the server does not accept is
    /// closed.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn before(server: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (delay, told) = watch::channel(Duration::ZERO);
        Ok(Self { addr, delay, task: tokio::spawn(serve(listener, server, told)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on, whatever the server sends is passed on so much later; in its order, on all connections.
    pub fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, delay: watch::Receiver<Duration>) {
    // Dropped with this task, it ends every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One that was gone before it was accepted is none.
                let Ok((client, _)) = accepted else { continue };
                let delay = delay.clone();
                connections.spawn(async move {
                    // Either side may hang up as it likes.
                    let _ended = relay(client, server, delay).await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Passes bytes on until both sides are done, or one breaks off.
async fn relay(
    client: TcpStream,
    server: SocketAddr,
    delay: watch::Receiver<Duration>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let asks = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let (hold, held) = mpsc::channel(HELD_MAX);
    tokio::try_join!(asks, take(from_server, hold, delay), give(held, to_client)).map(drop)
}

/// Reads what the server sends, and notes when it is due.
async fn take(
    mut from_server: OwnedReadHalf,
    hold: mpsc::Sender<(Instant, Bytes)>,
    delay: watch::Receiver<Duration>,
) -> std::io::Result<()> {
    loop {
        let mut answer = BytesMut::with_capacity(READ_LEN);
        let is_over = from_server.read_buf(&mut answer).await? == 0;
        let due = Instant::now() + *delay.borrow();
        // Nobody takes it any more when the client is gone.
        if is_over || hold.send((due, answer.freeze())).await.is_err() {
            return Ok(());
        }
    }
}

/// Passes on what is due.
async fn give(
    mut held: mpsc::Receiver<(Instant, Bytes)>,
    mut to_client: OwnedWriteHalf,
) -> std::io::Result<()> {
    while let Some((due, answer)) = held.recv().await {
        sleep_until(due).await;
        to_client.write_all(&answer).await?;
    }
    to_client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says back what it hears.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _hung_up = copy(&mut from, &mut to).await;
                });
            }
        });
        addr
    }

    #[tokio::test]
    async fn answers_come_whole_in_order_and_no_sooner_than_the_delay() {
        let proxy = FaultProxy::before(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let (mut from, mut to) = client.split();
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
        let mut came = vec![0; sent.len()];
        let (written, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut came));
        written.unwrap();
        read.unwrap();
        assert!(sent == came);

        let delay = Duration::from_millis(30);
        proxy.delay(delay);
        let began = Instant::now();
        to.write_all(b"one").await.unwrap();
        from.read_exact(&mut came[..3]).await.unwrap();
        assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
        assert_eq!(&came[..3], b"one");
        // What is sent last comes, too, and then the end.
        to.write_all(b"two").await.unwrap();
        to.shutdown().await.unwrap();
        let mut last = Vec::new();
        from.read_to_end(&mut last).await.unwrap();
        assert_eq!(last, b"two");
    }

    #[tokio::test]
    async fn dropped_it_ends_its_connections() {
        let proxy = FaultProxy::before(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        client.write_all(b"a").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        drop(proxy);
        let end = client.read(&mut [0]).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}

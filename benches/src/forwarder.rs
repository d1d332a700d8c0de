//! A bare TCP forwarder: the yardstick.
//!
//! It does what no proxy can avoid (accept, connect, read, write) and nothing else, with the same
//! runtime and the same number of worker threads as the guard. What the guard costs above it is
//! the price of what the guard decides.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

/// One read takes at most this many bytes, in each direction. Larger than any request and most
/// replies of the workloads here, so that a statement costs one read and one write per direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// Forwards every connection from `listen` to `upstream` until the process is killed.
pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr, workers: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_io()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        // Spawned, so that the accept loop runs on a worker and not on the main thread, which
        // would be one thread more than the guard has.
        tokio::spawn(accept(listener, upstream)).await?
    })
}

pub(crate) async fn accept(listener: TcpListener, upstream: SocketAddr) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await.context("cannot accept")?;
        tokio::spawn(async move {
            // A broken connection is its two peers' business; the yardstick keeps no log.
            let _: std::io::Result<()> = forward(client, upstream).await;
        });
    }
}

async fn forward(mut client: TcpStream, upstream: SocketAddr) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}

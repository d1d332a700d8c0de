//! The connections of the load generators that are not sysbench.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mysql_async::prelude::{FromRow, Queryable as _};
use mysql_async::{Conn, OptsBuilder};
use tokio::time::{Instant, sleep, timeout};

use crate::server::ACCOUNT;

/// How long one connection, or one statement, may take before it counts as failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a load generator on one thread: it shall not take more of the machine than it needs.
pub(crate) fn block_on<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(load)
}

/// How to reach `addr`, with nothing sent after the handshake.
fn options(addr: SocketAddr) -> OptsBuilder {
    ACCOUNT
        .options(addr)
        // Given, these two are not asked of the server by a first statement.
        .max_allowed_packet(Some(16 << 20))
        .wait_timeout(Some(28_800))
}

/// Opens one authenticated connection.
pub(crate) async fn connect(addr: SocketAddr) -> Result<Conn> {
    let opened = timeout(PATIENCE, Conn::new(options(addr))).await;
    Ok(opened.context("no handshake in time")??)
}

/// The first row that a statement yields on a connection of its own.
pub(crate) async fn first<T: FromRow + Send + 'static>(
    addr: SocketAddr,
    sql: &str,
) -> Result<Option<T>> {
    let mut connection = connect(addr).await?;
    let row =
        timeout(PATIENCE, connection.query_first(sql)).await.context("no answer in time")??;
    connection.disconnect().await?;
    Ok(row)
}

/// Waits until a statement is answered at `addr`, or says after `limit` what went wrong last.
pub(crate) async fn until_served(addr: SocketAddr, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match first::<u8>(addr, "SELECT 1").await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("{addr} serves nothing after {limit:?}")));
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

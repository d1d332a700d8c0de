//! The private MariaDB that every contestant faces, on a core of its own.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use drill::server::Settings;
use drill::server::account::Account;
use mysql_async::prelude::Queryable as _;

use crate::client;
use crate::machine::Core;
use crate::process::pin;
use crate::stage::WORKERS;

/// The account of the load generators.
pub(crate) const ACCOUNT: Account = drill::server::account::APP;

/// How many connections the server takes: more than the forwarder, which opens one for each of
/// its clients, is ever sent.
const MAX_CONNECTIONS: u32 = 12_000;

/// Holds all tables of sysbench, so that no disk is measured.
const BUFFER_POOL_MIB: u32 = 512;

/// A running server with relaxed durability; it ends when dropped.
pub(crate) struct Server(drill::server::Server);

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let settings = Settings {
            max_connections: MAX_CONNECTIONS,
            buffer_pool_mib: BUFFER_POOL_MIB,
            ..Settings::default()
        };
        let server = client::block_on(async { Ok(drill::server::Server::start(settings).await?) })?;
        // Threads of later connections inherit it from the one that makes them.
        pin(server.id(), Core::Server, WORKERS)?;
        Ok(Self(server))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// A global status counter, read over a connection of its own (which `Connections` counts).
    pub(crate) fn status(&self, variable: &str) -> Result<u64> {
        client::block_on(async {
            let mut root = self.0.root().await?;
            let sql = format!("SHOW GLOBAL STATUS LIKE '{variable}'");
            let row: Option<(String, u64)> = root.query_first(sql).await?;
            root.disconnect().await?;
            Ok(row.with_context(|| format!("the server has no status variable {variable}"))?.1)
        })
    }

    /// Runs a statement as root, on a connection of its own.
    pub(crate) fn execute(&self, sql: &str) -> Result<()> {
        client::block_on(async {
            let mut root = self.0.root().await?;
            root.query_drop(sql).await?;
            Ok(root.disconnect().await?)
        })
    }
}

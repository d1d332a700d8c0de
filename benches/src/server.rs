//! The private MariaDB that every contestant faces.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::client;
use crate::machine::Core;
use crate::process::Process;

/// The account of the load generators. It exists only on a server that lives for one run.
pub(crate) const USER: &str = "bench";
pub(crate) const PASSWORD: &str = "bench";
pub(crate) const DATABASE: &str = "bench";

/// How many connections the server takes: more than the forwarder, which opens one for each of
/// its clients, is ever sent.
const MAX_CONNECTIONS: usize = 12_000;

/// How long the server may take to answer for the first time.
const START: Duration = Duration::from_secs(30);

/// A running server with relaxed durability and an empty database; it ends when dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    _process: Process,
}

impl Server {
    /// Creates a data folder under `scratch` and starts a server on it.
    pub(crate) fn start(scratch: &Path, port: u16) -> Result<Self> {
        let data = scratch.join("data");
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", data.display()))
            .output()
            .context("cannot run mariadb-install-db")?;
        ensure!(installed.status.success(), "mariadb-install-db: {}", text(&installed.stderr));

        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = scratch.join("server.sock");
        let mut process = Process::start(
            Core::Server,
            &scratch.join("server.log"),
            "mariadbd",
            [
                "--no-defaults".to_owned(),
                "--user=root".to_owned(),
                format!("--datadir={}", data.display()),
                format!("--socket={}", socket.display()),
                format!("--bind-address={}", addr.ip()),
                format!("--port={port}"),
                format!("--max-connections={MAX_CONNECTIONS}"),
                "--back-log=4096".to_owned(),
                "--skip-name-resolve".to_owned(),
                // The network path is measured, not the disk.
                "--innodb-flush-log-at-trx-commit=0".to_owned(),
                "--innodb-doublewrite=OFF".to_owned(),
                "--innodb-buffer-pool-size=512M".to_owned(),
                "--skip-log-bin".to_owned(),
            ],
        )?;
        create_account(&mut process, &socket)?;
        Ok(Self { addr, _process: process })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A global status counter, read over a connection of its own (which `Connections` counts).
    pub(crate) fn status(&self, variable: &str) -> Result<u64> {
        let sql = format!("SHOW GLOBAL STATUS LIKE '{variable}'");
        client::block_on(async {
            let row: Option<(String, u64)> = client::first(self.addr, &sql).await?;
            Ok(row.with_context(|| format!("the server has no status variable {variable}"))?.1)
        })
    }

    /// Runs a statement on a connection of its own.
    pub(crate) fn execute(&self, sql: &str) -> Result<()> {
        client::block_on(async {
            let _: Option<mysql_async::Row> = client::first(self.addr, sql).await?;
            Ok(())
        })
    }
}

/// Waits for the server and creates the load generators' account, as root over the socket.
fn create_account(process: &mut Process, socket: &Path) -> Result<()> {
    let sql = format!(
        "CREATE DATABASE {DATABASE}; \
         CREATE USER {USER}@'127.0.0.1' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORD}'); \
         GRANT ALL ON *.* TO {USER}@'127.0.0.1'"
    );
    let deadline = std::time::Instant::now() + START;
    loop {
        let client = Command::new("mariadb")
            .args(["--no-defaults", "--user=root", "--execute", &sql])
            .arg(format!("--socket={}", socket.display()))
            .output()
            .context("cannot run mariadb")?;
        if client.status.success() {
            return Ok(());
        }
        if let Some(status) = process.ended()? {
            bail!("the server ended at once with {status}");
        }
        ensure!(
            std::time::Instant::now() < deadline,
            "no server after {START:?}: {}",
            text(&client.stderr)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

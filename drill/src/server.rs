//! A private MariaDB or MySQL server: own data folder, own port on loopback, own socket, gone when
//! dropped. A copy of a template made once per machine, so that a start takes under two seconds.

pub mod account;
mod certificate;
pub mod engine;
pub mod probe;
mod template;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mysql_async::{Conn, Opts, OptsBuilder};

use self::account::{Account, ROOT};
use self::engine::Engine;
use crate::error::{Error, at};
use crate::home::{Scratch, free_port, tail};
use crate::process::Process;

/// Longest a start may take, also on a machine that is busy building.
const START: Duration = Duration::from_secs(60);
/// Longest an orderly end may take before the server is killed.
const END: Duration = Duration::from_secs(30);
/// Ports tried when another process takes one between its choice and the server's start.
const PORT_ATTEMPTS: usize = 3;

/// What differs from one private server to the next.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which server. Default: MariaDB.
    pub engine: Engine,
    /// `max_connections`. Default: 1,000.
    pub max_connections: u32,
    /// `innodb_buffer_pool_size` in MiB. Default: 128.
    pub buffer_pool_mib: u32,
    /// More arguments of `mariadbd` or `mysqld`, such as `--lock-wait-timeout=5`; they win over
    /// those above.
    pub arguments: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: Engine::MariaDb,
            max_connections: 1_000,
            buffer_pool_mib: 128,
            arguments: Vec::new(),
        }
    }
}

impl From<Engine> for Settings {
    fn from(engine: Engine) -> Self {
        Self { engine, ..Self::default() }
    }
}

/// A running private server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Server {
    // Fields drop in order: the process must be gone before its folder is.
    process: Process,
    settings: Settings,
    port: u16,
    folder: Scratch,
}

impl Server {
    /// Starts a server with an empty schema `app` and the accounts of [`account`], and waits until
    /// it answers.
    ///
    /// # Errors
    /// [`Error::Missing`] when the engine is not installed; otherwise what went wrong, with the end
    /// of the server's log.
    pub async fn start(settings: impl Into<Settings>) -> Result<Self, Error> {
        let settings = settings.into();
        let template = template::ready(settings.engine)?;
        let folder = Scratch::new()?;
        template::copy(&template, folder.path())?;
        let port = free_port()?;
        let process = launch(&settings, port, folder.path())?;
        let mut server = Self { process, settings, port, folder };
        for _retry in 1..PORT_ATTEMPTS {
            match server.answers().await {
                Err(Error::Failed { .. }) if server.port_was_taken() => {
                    server.port = free_port()?;
                    server.process = launch(&server.settings, server.port, server.folder.path())?;
                }
                outcome => return outcome.map(|()| server),
            }
        }
        server.answers().await.map(|()| server)
    }

    /// Ends the server in order and starts it again on the same port and data. A server that has
    /// crashed is only started.
    ///
    /// # Errors
    /// When it does not answer again.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        self.process = launch(&self.settings, self.port, self.folder.path())?;
        self.answers().await
    }

    /// Ends the server in order; kills it when that takes too long. Its data stays.
    pub fn stop(&mut self) {
        if self.process.terminate(END).is_err() {
            self.process.kill();
        }
    }

    /// Kills the server without warning, as a crash would. Its data stays.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// Which server this is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.settings.engine
    }

    /// Where it listens: a port on loopback.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// The certificate (PEM) that signed the server's own; that is valid for `localhost` and
    /// 127.0.0.1.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join(certificate::CA)
    }

    /// The server's own certificate and its key (PEM), for a guard to use as its own.
    #[must_use]
    pub fn identity(&self) -> (PathBuf, PathBuf) {
        let folder = self.folder.path();
        (folder.join(certificate::CERTIFICATE), folder.join(certificate::KEY))
    }

    /// The server's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log(&self) -> String {
        tail(&log(self.folder.path()))
    }

    /// How to connect directly as `account` over TCP, to the schema `app`, without TLS.
    #[must_use]
    pub fn options(&self, account: &Account) -> OptsBuilder {
        account.options(self.addr())
    }

    /// Connects directly as `account` over TCP.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn connect(&self, account: &Account) -> Result<Conn, Error> {
        Ok(Conn::new(self.options(account)).await?)
    }

    /// Connects as root over the socket; works also while `max_connections` are in use.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn root(&self) -> Result<Conn, Error> {
        let options = self.options(&ROOT).socket(Some(self.socket().display().to_string()));
        Ok(Conn::new(Opts::from(options)).await?)
    }

    /// Waits until the server answers a login over its socket.
    async fn answers(&mut self) -> Result<(), Error> {
        let until = Instant::now() + START;
        loop {
            match self.root().await {
                Ok(conn) => return Ok(conn.disconnect().await?),
                Err(_) if self.process.ended().is_some() => {
                    let program = self.settings.engine.to_string();
                    return Err(Error::Failed { program, log: self.log() });
                }
                Err(_) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(_) => {
                    let what = format!("the start of {}", self.settings.engine);
                    return Err(Error::Late { what, after: START, log: self.log() });
                }
            }
        }
    }

    fn port_was_taken(&self) -> bool {
        self.log().contains("Address already in use")
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("sock")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Starts the program on the data in `folder`.
fn launch(settings: &Settings, port: u16, folder: &Path) -> Result<Process, Error> {
    // A log of an earlier run would be read as this one's.
    match fs::remove_file(log(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at(log(folder))(error));
        }
        _ => {}
    }
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments = settings.engine.arguments();
    arguments.extend([
        format!("--datadir={}", file(template::DATA)),
        format!("--tmpdir={}", folder.display()),
        format!("--port={port}"),
        format!("--socket={}", file("sock")),
        format!("--pid-file={}", file("pid")),
        format!("--ssl-ca={}", file(certificate::CA)),
        format!("--ssl-cert={}", file(certificate::CERTIFICATE)),
        format!("--ssl-key={}", file(certificate::KEY)),
        format!("--max-connections={}", settings.max_connections),
        format!("--innodb-buffer-pool-size={}M", settings.buffer_pool_mib),
    ]);
    arguments.extend(settings.arguments.iter().cloned());
    Process::start(&settings.engine.program()?, arguments, &log(folder))
}

#[cfg(test)]
mod tests;

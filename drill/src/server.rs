//! A private MariaDB, MySQL or PostgreSQL server: own data folder, own port on loopback, own socket,
//! gone when dropped. A copy of a template made once per machine, so that a start takes under two
//! seconds.

pub mod account;
mod certificate;
pub mod engine;
pub mod mysql;
pub mod postgres;
pub mod probe;
pub mod replicated;
mod template;
pub mod work;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::engine::{Engine, Place, Run};
use crate::error::{Error, at};
use crate::home::{Scratch, free_port, tail};
use crate::process::Process;

/// Longest a start may take, also on a machine that is busy building.
const START: Duration = Duration::from_secs(60);
/// Longest an orderly end may take before the server is killed.
const END: Duration = Duration::from_secs(30);
/// Longest an end at once may take before the server is killed.
const VANISH: Duration = Duration::from_secs(5);
/// Ports tried when another process takes one between its choice and the server's start.
const PORT_ATTEMPTS: usize = 3;

/// What differs from one private server to the next.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which server. Default: MariaDB.
    pub engine: Engine,
    /// `max_connections`. Default: 1,000.
    pub max_connections: u32,
    /// `innodb_buffer_pool_size` or `shared_buffers` in MiB. Default: 128.
    pub buffer_pool_mib: u32,
    /// PostgreSQL: it is a hot standby of the server that listens here, which was started from the same template and
    /// keeps its log since then (`--wal_keep_size`). Default: none.
    pub standby_of: Option<SocketAddr>,
    /// More arguments of the server's program, such as `--lock-wait-timeout=5` (both MySQL's and
    /// PostgreSQL's take settings in this form); they win over those above.
    pub arguments: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: Engine::MariaDb,
            max_connections: 1_000,
            buffer_pool_mib: 128,
            standby_of: None,
            arguments: Vec::new(),
        }
    }
}

/// `max_connections` of a PostgreSQL under a crowd: each is a process, so servers have fewer than a
/// MariaDB.
const BACKENDS_MAX: u32 = 300;

impl Settings {
    /// With as many connections as a server of that kind usually has.
    #[must_use]
    pub fn usual(engine: Engine) -> Self {
        let usual = Self::from(engine);
        let max_connections =
            if engine.is_postgres() { BACKENDS_MAX } else { usual.max_connections };
        Self { max_connections, ..usual }
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
        if settings.standby_of.is_some() {
            // A copy of what its primary began with: all that differs comes by the log.
            let signal = folder.path().join(template::DATA).join("standby.signal");
            fs::write(&signal, "").map_err(at(&signal))?;
        }
        settings.engine.kind().own(folder.path())?;
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
        let end = self.settings.engine.kind().end();
        if self.process.end(end, END).is_err() {
            self.process.kill();
        }
    }

    /// Kills the server without warning, as a crash would. Its data stays.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// Stops the server in the middle of whatever it does (SIGSTOP): its sockets stay open, and nothing comes. Until
    /// [`Self::thaw`].
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<(), Error> {
        Ok(self.process.freeze()?)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn thaw(&self) -> Result<(), Error> {
        Ok(self.process.thaw()?)
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
        self.settings.engine.kind().socket(self.place())
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

    fn place(&self) -> Place<'_> {
        Place { folder: self.folder.path(), port: self.port }
    }

    /// Waits until the server answers a login over its socket.
    async fn answers(&mut self) -> Result<(), Error> {
        let until = Instant::now() + START;
        let socket = self.socket();
        loop {
            match self.settings.engine.kind().knock(&socket, self.port).await {
                Ok(()) => return Ok(()),
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
        // MySQL, MariaDB and PostgreSQL all give the system's words.
        self.log().contains("Address already in use")
    }
}

impl Drop for Server {
    /// Ends the server at once; whatever is left of it is killed with its process.
    fn drop(&mut self) {
        let _killed_next = self.process.end(self.settings.engine.kind().vanish(), VANISH);
    }
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
    let Run { program, mut arguments } =
        settings.engine.kind().command(settings, Place { folder, port })?;
    arguments.extend(settings.arguments.iter().cloned());
    Process::start(&program, arguments, &log(folder))
}

#[cfg(test)]
mod tests;

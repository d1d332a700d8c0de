//! PgBouncer as a child process before a private PostgreSQL, to compare with: Debian's package, or
//! that of its unstable suite, own port and folder. Debian's service of that name is not used.

use std::fmt::{self, Write as _};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{Error, at};
use crate::home::{self, Scratch, free_port, tail};
use crate::process::Process;
use crate::server::Server;
use crate::server::account::{APP, Account, OPEN, OTHER, ROOT};
use crate::server::postgres::connect;
use crate::unprivileged;

/// Longest a start may take, also on a machine that is busy building.
const START: Duration = Duration::from_secs(30);
/// Starts tried when another process takes a port between its choice and the start.
const PORT_ATTEMPTS: usize = 3;
const PROGRAM: &str = "/usr/sbin/pgbouncer";
const LOG: &str = "log";

/// Which PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The package of the Debian release.
    Release,
    /// That of the unstable suite, where `scripts/install-pgbouncer.sh` has unpacked it. It carries
    /// prepared statements in transaction pooling.
    Unstable,
}

impl Program {
    /// Those that are there, the release's first; each version once.
    #[must_use]
    pub fn installed() -> Vec<(Self, Version)> {
        let mut installed: Vec<(Self, Version)> = Vec::new();
        for program in [Self::Release, Self::Unstable] {
            if let Ok(version) = program.version()
                && installed.iter().all(|(_, other)| *other != version)
            {
                installed.push((program, version));
            }
        }
        installed
    }

    /// Which version it says that it is.
    ///
    /// # Errors
    /// When it is not there, or tells no version.
    pub fn version(self) -> Result<Version, Error> {
        let path = self.path()?;
        let output = Command::new(&path).arg("--version").output().map_err(at(&path))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Version::told(&text)
            .ok_or(Error::Failed { program: "pgbouncer --version".into(), log: text })
    }

    fn path(self) -> Result<PathBuf, Error> {
        let (path, hint) = match self {
            Self::Release => {
                (PathBuf::from(PROGRAM), "run scripts/install-clients.sh, or install Debian's")
            }
            Self::Unstable => {
                (home::state().join("pgbouncer/bin/pgbouncer"), "run scripts/install-pgbouncer.sh")
            }
        };
        let missing = Error::Missing { program: "PgBouncer", hint };
        Some(path).filter(|path| path.is_file()).ok_or(missing)
    }
}

/// A version of PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// In 1.26.1 it is 1.
    pub major: u32,
    /// In 1.26.1 it is 26.
    pub minor: u32,
    /// In 1.26.1 it is 1.
    pub patch: u32,
}

impl Version {
    /// Whether it carries prepared statements in transaction pooling, if nothing is set. 1.21 could first;
    /// since [1.24](https://www.pgbouncer.org/changelog.html) `max_prepared_statements` is 200 by default.
    #[must_use]
    pub fn carries_prepared(self) -> bool {
        (self.major, self.minor) >= (1, 24)
    }

    /// Reads the line `PgBouncer 1.26.1`, which more may follow.
    fn told(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix("PgBouncer ")?.split_whitespace().next()?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()?, patch: number()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What a drill says about a PgBouncer; everything else is its default.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which one. Default: that of the release.
    pub program: Program,
    /// `pool_mode`: `session`, `transaction` or `statement`. Default: `transaction`.
    pub pool_mode: &'static str,
    /// `default_pool_size`: server connections for each pair of user and database. Default: 8.
    pub pool_size: u32,
    /// `query_timeout`, in whole seconds; none when zero, which is PgBouncer's default and here.
    pub query_timeout: Duration,
    /// `max_client_conn`. Default: 1,000.
    pub max_clients: u32,
    /// More lines for the section `[pgbouncer]`, such as `max_prepared_statements = 200`.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            program: Program::Release,
            pool_mode: "transaction",
            pool_size: 8,
            query_timeout: Duration::ZERO,
            max_clients: 1_000,
            more: String::new(),
        }
    }
}

impl Setup {
    fn text(&self, server: &Server, port: u16, folder: &Scratch) -> String {
        let users = folder.path().join(USERS);
        let upstream = server.addr();
        let mut text = format!(
            "[databases]\n\
             * = host={} port={}\n\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = scram-sha-256\n\
             auth_file = {}\n\
             admin_users = {}\n\
             ignore_startup_parameters = extra_float_digits\n\
             pool_mode = {}\n\
             default_pool_size = {}\n\
             max_client_conn = {}\n\
             query_timeout = {}\n",
            upstream.ip(),
            upstream.port(),
            users.display(),
            ROOT.name,
            self.pool_mode,
            self.pool_size,
            self.max_clients,
            self.query_timeout.as_secs(),
        );
        let _cannot_fail = writeln!(text, "{}", self.more);
        text
    }
}

const CONFIG: &str = "pgbouncer.ini";
const USERS: &str = "users.txt";

/// A running PgBouncer. Dropping it kills it.
#[derive(Debug)]
pub struct PgBouncer {
    // Fields drop in order: the process must be gone before its folder is.
    process: Process,
    port: u16,
    folder: Scratch,
}

impl PgBouncer {
    /// Whether it is installed. Says loudly on the error output when it is not, so that a test that
    /// returns then is a visible skip.
    #[must_use]
    pub fn available() -> bool {
        match Program::Release.path() {
            Ok(_) => true,
            Err(missing) => {
                eprintln!("*** SKIPPED, PgBouncer: {missing} ***");
                false
            }
        }
    }

    /// Starts one before `server`, for the accounts `root`, `app`, `other` and `open`, and waits
    /// until a login through it succeeds.
    ///
    /// # Errors
    /// When it is not installed, refuses its configuration, or does not answer in time.
    pub async fn start(server: &Server, setup: &Setup) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            let mut bouncer = Self::launch(server, setup)?;
            match bouncer.answers().await {
                Err(Error::Failed { .. })
                    if attempt < PORT_ATTEMPTS && bouncer.log().contains("in use") =>
                {
                    attempt += 1;
                }
                outcome => return outcome.map(|()| bouncer),
            }
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its process id, to read its memory and processor time by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        tail(&self.folder.path().join(LOG))
    }

    fn launch(server: &Server, setup: &Setup) -> Result<Self, Error> {
        let program = setup.program.path()?;
        let folder = Scratch::new()?;
        let port = free_port()?;
        let users = [ROOT, APP, OTHER, OPEN]
            .map(|Account { name, password }| format!("\"{name}\" \"{password}\"\n"));
        for (name, text) in [(USERS, users.concat()), (CONFIG, setup.text(server, port, &folder))] {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(at(&path))?;
        }
        unprivileged::own(folder.path())?;
        let mut line = unprivileged::prefix();
        let config = folder.path().join(CONFIG);
        line.extend([program.display().to_string(), config.display().to_string()]);
        let first = PathBuf::from(line.remove(0));
        let process = Process::start(&first, line, &folder.path().join(LOG))?;
        Ok(Self { process, port, folder })
    }

    async fn answers(&mut self) -> Result<(), Error> {
        let until = Instant::now() + START;
        let config = APP.config(self.addr());
        loop {
            match connect(&config).await {
                Ok(_client) => return Ok(()),
                Err(_) if self.process.ended().is_some() => {
                    return Err(Error::Failed { program: "PgBouncer".into(), log: self.log() });
                }
                Err(_) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => {
                    let what = format!("a login through PgBouncer ({error})");
                    return Err(Error::Late { what, after: START, log: self.log() });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::engine::Engine;
    use crate::server::probe::Look;

    #[test]
    fn a_version_says_whether_prepared_statements_are_carried() {
        let check = |text, expect: Option<(&str, bool)>| {
            let version = Version::told(text);
            let told = version.map(|version| (version.to_string(), version.carries_prepared()));
            assert_eq!(told, expect.map(|(name, carries)| (name.to_owned(), carries)), "{text}");
        };
        check("PgBouncer 1.18.0\nlibevent 2.1.12-stable\n", Some(("1.18.0", false)));
        check("PgBouncer 1.23.1\n", Some(("1.23.1", false)));
        check("PgBouncer 1.26.1\n", Some(("1.26.1", true)));
        check("pgbouncer: not found", None);
    }

    #[tokio::test]
    async fn clients_share_the_pool() {
        if !PgBouncer::available() {
            return;
        }
        let server = Server::start(Engine::Postgres).await.unwrap();
        let setup = Setup { pool_size: 2, ..Setup::default() };
        let bouncer = PgBouncer::start(&server, &setup).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..6 {
            let client = connect(&APP.config(bouncer.addr())).await.unwrap();
            client.simple_query("SELECT 1").await.unwrap();
            clients.push(client);
        }
        let mut probe = server.postgres_probe().await.unwrap();
        let threads = probe.threads().await.unwrap();
        let backends = threads.iter().filter(|thread| thread.user == "app").count();
        assert!((1..=2).contains(&backends), "{threads:?}");
    }

    #[tokio::test]
    async fn a_query_timeout_closes_the_connection() {
        if !PgBouncer::available() {
            return;
        }
        let server = Server::start(Engine::Postgres).await.unwrap();
        let setup = Setup { query_timeout: Duration::from_secs(1), ..Setup::default() };
        let bouncer = PgBouncer::start(&server, &setup).await.unwrap();
        let client = connect(&APP.config(bouncer.addr())).await.unwrap();
        let error = client.simple_query("SELECT pg_sleep(60)").await.unwrap_err();
        let told = error.as_db_error().map(|error| error.message().to_owned());
        assert_eq!(told.as_deref(), Some("query timeout"), "{error}");
    }
}

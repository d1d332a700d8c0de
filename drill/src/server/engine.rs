//! The kinds of server. What one kind needs to run in private is a `Kind`, and `Engine::kind` is the
//! only place that tells them apart.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use rustix::process::Signal;

use super::Settings;
use super::mysql::{Flavour, Release};
use super::postgres::Version;
use crate::error::Error;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// MariaDB of the Debian release, from the system's packages.
    MariaDb,
    /// MariaDB 10.5 of Debian's suite bullseye, unpacked under `.tidegate`: the extended matrix.
    MariaDb105,
    /// MariaDB 11.8 of its suite trixie, likewise.
    MariaDb118,
    /// MySQL of Debian's unstable suite, unpacked under `.tidegate`: the extended matrix.
    MySql,
    /// PostgreSQL of the Debian release, from the system's packages.
    Postgres,
    /// PostgreSQL 14 out of an npm package, unpacked under `.tidegate`: the extended matrix.
    Postgres14,
    /// PostgreSQL 16, likewise.
    Postgres16,
    /// PostgreSQL 17, likewise.
    Postgres17,
    /// PostgreSQL 18, likewise.
    Postgres18,
}

impl Engine {
    /// The server's program.
    ///
    /// # Errors
    /// [`Error::Missing`] when it is not installed.
    pub fn program(self) -> Result<PathBuf, Error> {
        self.kind().program()
    }

    /// The command-line client that comes with the server; PostgreSQL's npm packages come without one and
    /// have that of the Debian release.
    ///
    /// # Errors
    /// [`Error::Missing`] when it is not installed.
    pub fn client(self) -> Result<PathBuf, Error> {
        self.kind().client()
    }

    /// Whether it speaks PostgreSQL's protocol; otherwise it speaks MySQL's.
    #[must_use]
    pub fn is_postgres(self) -> bool {
        !self.is_mariadb() && self != Self::MySql
    }

    /// Whether it is a MariaDB.
    #[must_use]
    pub fn is_mariadb(self) -> bool {
        matches!(self, Self::MariaDb | Self::MariaDb105 | Self::MariaDb118)
    }

    /// What serves a connection, in its own words.
    #[must_use]
    pub fn worker(self) -> &'static str {
        if self.is_postgres() { "backends" } else { "threads" }
    }

    /// Whether it can be started here. Says loudly on the error output when it cannot, so that a
    /// test that returns then is a visible skip.
    #[must_use]
    pub fn available(self) -> bool {
        match self.program() {
            Ok(_) => true,
            Err(missing) => {
                eprintln!("*** SKIPPED, {self}: {missing} ***");
                false
            }
        }
    }

    pub(super) fn kind(self) -> &'static dyn Kind {
        match self {
            Self::MariaDb => &Flavour::MariaDb(Release::Debian),
            Self::MariaDb105 => &Flavour::MariaDb(Release::Unpacked("mariadb-10.5")),
            Self::MariaDb118 => &Flavour::MariaDb(Release::Unpacked("mariadb-11.8")),
            Self::MySql => &Flavour::MySql,
            Self::Postgres => &Version::Debian,
            Self::Postgres14 => &Version::Unpacked(14),
            Self::Postgres16 => &Version::Unpacked(16),
            Self::Postgres17 => &Version::Unpacked(17),
            Self::Postgres18 => &Version::Unpacked(18),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MariaDb105 => "MariaDB-10.5",
            Self::MariaDb118 => "MariaDB-11.8",
            Self::MySql => "MySQL",
            Self::Postgres => "PostgreSQL",
            Self::Postgres14 => "PostgreSQL-14",
            Self::Postgres16 => "PostgreSQL-16",
            Self::Postgres17 => "PostgreSQL-17",
            Self::Postgres18 => "PostgreSQL-18",
        })
    }
}

/// Where a private server lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Its folder, with its data, certificates and log.
    pub(super) folder: &'a Path,
    /// Its port on loopback.
    pub(super) port: u16,
}

/// What comes of a try to log in.
pub(super) type Knock = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// How one kind of server is made and run in private.
pub(super) trait Kind: Sync {
    /// The server's program, or how to get it.
    fn program(&self) -> Result<PathBuf, Error>;

    /// The command-line client, or how to get it.
    fn client(&self) -> Result<PathBuf, Error>;

    /// All that the template of its data depends on, beside the version.
    fn recipe(&self) -> String;

    /// Makes the data folder `data`, with the schema and the accounts.
    fn make(&self, data: &Path) -> Result<(), Error>;

    /// Gives a fresh copy of the template to the user that the server runs as.
    fn own(&self, folder: &Path) -> Result<(), Error>;

    /// The program and the arguments of a server there.
    fn command(&self, settings: &Settings, place: Place<'_>) -> Result<Run, Error>;

    /// The server's Unix socket.
    fn socket(&self, place: Place<'_>) -> PathBuf;

    /// Logs in as root over the socket.
    fn knock(&self, socket: &Path, port: u16) -> Knock;

    /// Tells it to end in order, without waiting for its clients.
    fn end(&self) -> Signal;

    /// Tells it to end at once; its data is not needed any more.
    fn vanish(&self) -> Signal;
}

/// A program and its arguments.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// Looks for a program in `PATH` and where Debian puts servers, which is not in everyone's `PATH`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(Path::new).map(Path::to_path_buf);
    env::split_paths(&path).chain(sbin).map(|folder| folder.join(name)).find(|path| path.is_file())
}

//! The two kinds of server, and how each is run in private.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::home;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// MariaDB of the Debian release, from the system's packages.
    MariaDb,
    /// MySQL of Debian's unstable suite, unpacked under `.tidegate`: the extended matrix.
    MySql,
}

impl Engine {
    /// The server's program.
    ///
    /// # Errors
    /// [`Error::Missing`] when it is not installed.
    pub fn program(self) -> Result<PathBuf, Error> {
        match self {
            Self::MariaDb => find("mariadbd").ok_or(Error::Missing {
                program: "mariadbd",
                hint: "run scripts/install-servers.sh, or install Debian's mariadb-server",
            }),
            Self::MySql => {
                Some(unpacked("mysqld")).filter(|path| path.is_file()).ok_or(Error::Missing {
                    program: "MySQL 9.7",
                    hint: "run scripts/install-mysql.sh",
                })
            }
        }
    }

    /// The command-line client that comes with the server.
    ///
    /// # Errors
    /// [`Error::Missing`] when it is not installed.
    pub fn client(self) -> Result<PathBuf, Error> {
        match self {
            Self::MariaDb => find("mariadb").ok_or(Error::Missing {
                program: "mariadb",
                hint: "run scripts/install-clients.sh, or install Debian's mariadb-client",
            }),
            Self::MySql => {
                Some(unpacked("mysql")).filter(|path| path.is_file()).ok_or(Error::Missing {
                    program: "MySQL 9.7",
                    hint: "run scripts/install-mysql.sh",
                })
            }
        }
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

    /// Arguments that make it private, quick to start and quick to write: a drill's data is worth
    /// nothing, so that durability is relaxed; the machine's own configuration is not read.
    pub(super) fn arguments(self) -> Vec<String> {
        let mut arguments = self.no_defaults();
        arguments.extend(
            [
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--skip-log-bin",
                "--local-infile=1",
                "--secure-file-priv=",
                "--max-allowed-packet=128M",
                "--max-connect-errors=1000000",
                "--back-log=4096",
                "--character-set-server=utf8mb4",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=0",
                "--innodb-print-all-deadlocks=0",
            ]
            .map(String::from),
        );
        match self {
            Self::MariaDb => arguments.push("--plugin-load-add=auth_ed25519".into()),
            Self::MySql => arguments.push("--mysqlx=OFF".into()),
        }
        arguments
    }

    /// What has to come first on every command line of the server.
    pub(super) fn no_defaults(self) -> Vec<String> {
        let mut arguments = match self {
            Self::MariaDb => vec!["--no-defaults".into()],
            // The wrapper made by the install script passes it, before folders of its own.
            Self::MySql => Vec::new(),
        };
        // Both refuse to run as root unless told to; any other user runs them as itself.
        if rustix::process::geteuid().is_root() {
            arguments.push("--user=root".into());
        }
        arguments
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

fn unpacked(name: &str) -> PathBuf {
    home::state().join("mysql-9.7/bin").join(name)
}

/// Looks for a program in `PATH` and where Debian puts servers, which is not in everyone's `PATH`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(Path::new).map(Path::to_path_buf);
    env::split_paths(&path).chain(sbin).map(|folder| folder.join(name)).find(|path| path.is_file())
}

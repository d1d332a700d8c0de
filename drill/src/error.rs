//! What can go wrong while a drill is set up.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a server, a guard or a client of a drill could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the drill could not be used.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// What was read or written.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A program is not on this machine.
    #[error("{program} is not installed: {hint}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// A program ended although it should run, or ran and reported a failure.
    #[error("{program} failed; its last lines:\n{log}")]
    Failed {
        /// The program that ended.
        program: String,
        /// The end of what it wrote.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {after:?}; last lines:\n{log}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
        /// The end of what the program concerned wrote.
        log: String,
    },
    /// No free port was found on loopback.
    #[error("no free port on loopback between {from} and {to}")]
    NoPort {
        /// First port tried.
        from: u16,
        /// First port not tried.
        to: u16,
    },
    /// TLS certificates could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A direct connection to a MariaDB or MySQL failed.
    #[error(transparent)]
    Sql(#[from] mysql_async::Error),
    /// A direct connection to a PostgreSQL failed.
    #[error("{0}{detail}", detail = postgres_detail(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the server said, which the driver's own text leaves out.
fn postgres_detail(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(String::new, |refusal| format!(": {refusal}"))
}

/// Turns an `io::Error` about `path` into one that names it.
pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { path, source }
}

//! PostgreSQL in private: programs, arguments, data, and connections through a driver.

mod accounts;
pub mod probe;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tokio_postgres::{Client, Config, NoTls};

use super::account::{Account, ROOT, SCHEMA};
use super::engine::{Kind, Knock, Place, Run};
use super::{Server, Settings, certificate, template};
use crate::error::{Error, at};
use crate::home::{self, Scratch};
use crate::unprivileged;

/// Which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Of the Debian release.
    Debian,
    /// Of this generation, unpacked under `.tidegate`.
    Unpacked(u8),
}

/// Where Debian puts the programs; only some of them are in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

impl Account {
    /// How to connect as this account to a PostgreSQL server or guard at `addr`, to the database
    /// `app`.
    #[must_use]
    pub fn config(&self, addr: SocketAddr) -> Config {
        let mut config = Config::new();
        config
            .host(addr.ip().to_string())
            .port(addr.port())
            .user(self.name)
            .password(self.password)
            .dbname(SCHEMA);
        config
    }
}

/// Connects without TLS. The connection is served by a task of its own and ends when the client is
/// dropped.
///
/// # Errors
/// When the server refuses.
pub async fn connect(config: &Config) -> Result<Client, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // The client's own calls fail with it too; a server that is killed on purpose is one.
            eprintln!("a direct connection ended: {error}");
        }
    });
    Ok(client)
}

/// What only a PostgreSQL does; a MariaDB or MySQL answers none of it.
impl Server {
    /// How to connect directly as `account` over TCP, to the database `app`, without TLS.
    #[must_use]
    pub fn postgres_config(&self, account: &Account) -> Config {
        account.config(self.addr())
    }

    /// Connects directly as `account` over TCP.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn postgres(&self, account: &Account) -> Result<Client, Error> {
        connect(&self.postgres_config(account)).await
    }

    /// Connects as root over the socket, to the database `app`; works also while `max_connections`
    /// are in use.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn postgres_root(&self) -> Result<Client, Error> {
        connect(&over(&self.socket(), self.addr().port())).await
    }
}

/// Root, over a Unix socket.
fn over(socket: &Path, port: u16) -> Config {
    let mut config = Config::new();
    // The driver makes the socket's name from its folder and the port.
    config.host_path(socket.parent().unwrap_or(socket)).port(port);
    config.user(ROOT.name).password(ROOT.password).dbname(SCHEMA);
    config
}

impl Kind for Version {
    fn program(&self) -> Result<PathBuf, Error> {
        self.find("postgres")
    }

    fn client(&self) -> Result<PathBuf, Error> {
        Self::Debian.find("psql")
    }

    fn recipe(&self) -> String {
        let initial = initial().join(" ");
        format!("{}{}{}{initial}", accounts::ACCESS, accounts::roles(), accounts::rights())
    }

    /// Made in a folder that its user can reach, which the one of templates may not be.
    fn make(&self, data: &Path) -> Result<(), Error> {
        let scratch = Scratch::new()?;
        unprivileged::own(scratch.path())?;
        let made = scratch.path().join(template::DATA);
        let mut command = self.unprivileged("initdb")?;
        command.arg("--pgdata").arg(&made).args(initial());
        template::run(command, Stdio::null())?;
        let access = made.join("pg_hba.conf");
        fs::write(&access, accounts::ACCESS).map_err(at(&access))?;
        for (database, sql) in [("postgres", accounts::roles()), (SCHEMA, accounts::rights())] {
            self.alone(&made, database, &sql, &scratch.path().join("sql"))?;
        }
        fs::create_dir_all(data).map_err(at(data))?;
        template::copy(&made, data)
    }

    fn own(&self, folder: &Path) -> Result<(), Error> {
        unprivileged::own(folder)
    }

    fn command(&self, settings: &Settings, place: Place<'_>) -> Result<Run, Error> {
        let file = |name: &str| place.folder.join(name).display().to_string();
        let data = file(template::DATA);
        let mut line = unprivileged::prefix();
        line.extend([self.program()?.display().to_string(), "-D".into(), data.clone()]);
        line.extend([
            format!("--port={}", place.port),
            format!("--unix_socket_directories={data}"),
            // Shown in the title of every process of it, so that one left behind can be told.
            format!("--cluster_name={}", place.folder.display()),
            "--ssl=on".into(),
            format!("--ssl_cert_file={}", file(certificate::CERTIFICATE)),
            format!("--ssl_key_file={}", file(certificate::KEY)),
            format!("--max_connections={}", settings.max_connections),
            format!("--shared_buffers={}MB", settings.buffer_pool_mib),
        ]);
        line.extend(ARGUMENTS.map(String::from));
        if let Some(primary) = settings.standby_of {
            let (host, port, Account { name, password }) = (primary.ip(), primary.port(), ROOT);
            let source = format!("host={host} port={port} user={name} password={password}");
            line.push(format!("--primary_conninfo={source}"));
        }
        Ok(Run { program: line.remove(0).into(), arguments: line })
    }

    fn socket(&self, place: Place<'_>) -> PathBuf {
        place.folder.join(template::DATA).join(format!(".s.PGSQL.{}", place.port))
    }

    fn knock(&self, socket: &Path, port: u16) -> Knock {
        let config = over(socket, port);
        Box::pin(async move { connect(&config).await.map(drop) })
    }

    fn end(&self) -> Signal {
        // "Fast": SIGTERM would wait for the clients to leave.
        Signal::INT
    }

    fn vanish(&self) -> Signal {
        // "Immediate": killed, it would leave its piece of shared memory behind.
        Signal::QUIT
    }
}

/// Arguments that make it private, quick to start and quick to write.
const ARGUMENTS: [&str; 9] = [
    "--listen_addresses=127.0.0.1",
    // A drill's data is worth nothing: it need not outlive a crash of the machine, only the server's.
    "--fsync=off",
    "--full_page_writes=off",
    "--password_encryption=scram-sha-256",
    // In the data folder, where it goes with the rest, instead of /dev/shm.
    "--dynamic_shared_memory_type=mmap",
    // Two-phase transactions are off unless there is room for some.
    "--max_prepared_transactions=64",
    "--timezone=UTC",
    "--log_timezone=UTC",
    "--log_line_prefix=%m [%p] %q%u@%d ",
];

/// Arguments that matter when the data folder is made.
fn initial() -> [String; 5] {
    [
        format!("--username={}", ROOT.name),
        "--encoding=UTF8".into(),
        // Also where the machine has no other locale.
        "--locale=C.UTF-8".into(),
        // Replaced by a file of our own next.
        "--auth=trust".into(),
        "--no-sync".into(),
    ]
}

impl Version {
    /// One of its programs.
    fn find(self, name: &str) -> Result<PathBuf, Error> {
        let (folder, missing) = match self {
            Self::Debian => (
                PathBuf::from(DEBIAN),
                Error::Missing {
                    program: "PostgreSQL 15",
                    hint: "run scripts/install-servers.sh, or install Debian's postgresql-15",
                },
            ),
            Self::Unpacked(generation) => (
                home::state().join(format!("postgresql-{generation}/bin")),
                Error::Missing {
                    program: "PostgreSQL of the extended matrix",
                    hint: "run scripts/install-postgresql.sh",
                },
            ),
        };
        Some(folder.join(name)).filter(|path| path.is_file()).ok_or(missing)
    }

    /// A command of one of its programs, as the user it runs as.
    fn unprivileged(self, name: &str) -> Result<Command, Error> {
        let mut line = unprivileged::prefix();
        line.push(self.find(name)?.display().to_string());
        let mut command = Command::new(line.remove(0));
        command.args(line);
        Ok(command)
    }

    /// Runs statements, one per line, in a server without clients.
    fn alone(self, data: &Path, database: &str, sql: &str, file: &Path) -> Result<(), Error> {
        fs::write(file, sql).map_err(at(file))?;
        let mut command = self.unprivileged("postgres")?;
        command.args(["--single", "--fsync=off", "-D"]).arg(data).arg(database);
        template::run(command, fs::File::open(file).map_err(at(file))?.into())
    }
}

#[cfg(test)]
mod tests;

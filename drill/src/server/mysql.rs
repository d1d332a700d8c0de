//! MariaDB and MySQL in private: programs, arguments, data, and connections through a driver.

mod accounts;
pub mod probe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mysql_async::{Conn, Opts, OptsBuilder};
use rustix::process::Signal;

use super::account::{Account, ROOT, SCHEMA};
use super::engine::{Kind, Knock, Place, Run, find};
use super::{Server, Settings, certificate, template};
use crate::error::{Error, at};
use crate::home;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    MariaDb(Release),
    MySql,
}

/// Where a MariaDB comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// The Debian release.
    Debian,
    /// Unpacked in this folder under `.tidegate`.
    Unpacked(&'static str),
}

impl Account {
    /// How to connect as this account to a MySQL server or guard at `addr`, to the schema `app`.
    #[must_use]
    pub fn options(&self, addr: std::net::SocketAddr) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(addr.ip().to_string())
            .tcp_port(addr.port())
            .user(Some(self.name))
            .pass(Some(self.password))
            .db_name(Some(SCHEMA))
            // Otherwise the driver asks the server for its socket and leaves the guard aside.
            .prefer_socket(Some(false))
    }
}

/// What only a MariaDB or MySQL does; a PostgreSQL answers none of it.
impl Server {
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
}

impl Kind for Flavour {
    fn program(&self) -> Result<PathBuf, Error> {
        match self {
            Self::MariaDb(Release::Debian) => find("mariadbd").ok_or(Error::Missing {
                program: "mariadbd",
                hint: "run scripts/install-servers.sh, or install Debian's mariadb-server",
            }),
            Self::MariaDb(Release::Unpacked(tree)) => unpacked(tree, "mariadbd"),
            Self::MySql => unpacked(MYSQL, "mysqld"),
        }
    }

    fn client(&self) -> Result<PathBuf, Error> {
        match self {
            Self::MariaDb(Release::Debian) => find("mariadb").ok_or(Error::Missing {
                program: "mariadb",
                hint: "run scripts/install-clients.sh, or install Debian's mariadb-client",
            }),
            Self::MariaDb(Release::Unpacked(tree)) => unpacked(tree, "mariadb"),
            Self::MySql => unpacked(MYSQL, "mysql"),
        }
    }

    fn recipe(&self) -> String {
        let arguments = [self.arguments(), self.initial()].concat().join(" ");
        format!("{}{arguments}", accounts::statements(*self))
    }

    fn make(&self, data: &Path) -> Result<(), Error> {
        let sql = data.with_extension("sql");
        fs::write(&sql, accounts::statements(*self)).map_err(at(&sql))?;
        match self {
            Self::MariaDb(release) => self.make_mariadb(*release, data, &sql)?,
            Self::MySql => self.make_mysql(data, &sql)?,
        }
        fs::remove_file(&sql).map_err(at(&sql))
    }

    fn own(&self, _folder: &Path) -> Result<(), Error> {
        // It runs as whoever started it.
        Ok(())
    }

    fn command(&self, settings: &Settings, place: Place<'_>) -> Result<Run, Error> {
        let file = |name: &str| place.folder.join(name).display().to_string();
        let mut arguments = self.arguments();
        arguments.extend([
            format!("--datadir={}", file(template::DATA)),
            format!("--tmpdir={}", place.folder.display()),
            format!("--port={}", place.port),
            format!("--socket={}", self.socket(place).display()),
            format!("--pid-file={}", file("pid")),
            format!("--ssl-ca={}", file(certificate::CA)),
            format!("--ssl-cert={}", file(certificate::CERTIFICATE)),
            format!("--ssl-key={}", file(certificate::KEY)),
            format!("--max-connections={}", settings.max_connections),
            format!("--innodb-buffer-pool-size={}M", settings.buffer_pool_mib),
        ]);
        Ok(Run { program: self.program()?, arguments })
    }

    fn socket(&self, place: Place<'_>) -> PathBuf {
        place.folder.join("sock")
    }

    fn knock(&self, socket: &Path, port: u16) -> Knock {
        let addr = (std::net::Ipv4Addr::LOCALHOST, port).into();
        let options = ROOT.options(addr).socket(Some(socket.display().to_string()));
        Box::pin(async move { Ok(Conn::new(Opts::from(options)).await?.disconnect().await?) })
    }

    fn end(&self) -> Signal {
        Signal::TERM
    }

    fn vanish(&self) -> Signal {
        Signal::KILL
    }
}

impl Flavour {
    fn is_mariadb(self) -> bool {
        matches!(self, Self::MariaDb(_))
    }

    /// Arguments that make it private, quick to start and quick to write: a drill's data is worth
    /// nothing, so that durability is relaxed; the machine's own configuration is not read.
    fn arguments(self) -> Vec<String> {
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
            Self::MariaDb(_) => arguments.push("--plugin-load-add=auth_ed25519".into()),
            Self::MySql => arguments.push("--mysqlx=OFF".into()),
        }
        arguments
    }

    /// What has to come first on every command line of the server.
    fn no_defaults(self) -> Vec<String> {
        let mut arguments = match self {
            Self::MariaDb(Release::Debian) => vec!["--no-defaults".into()],
            // The wrapper made by the install script passes it, before folders of its own.
            Self::MariaDb(Release::Unpacked(_)) | Self::MySql => Vec::new(),
        };
        // Both refuse to run as root unless told to; any other user runs them as itself.
        if rustix::process::geteuid().is_root() {
            arguments.push("--user=root".into());
        }
        arguments
    }

    /// Arguments that matter when the data folder is made.
    fn initial(self) -> Vec<String> {
        // The redo log is preallocated, and copied for every server: keep it small.
        vec![match self {
            Self::MariaDb(_) => "--innodb-log-file-size=32M".into(),
            Self::MySql => "--innodb-redo-log-capacity=32M".into(),
        }]
    }

    fn make_mariadb(self, release: Release, data: &Path, sql: &Path) -> Result<(), Error> {
        let datadir = format!("--datadir={}", data.display());
        let own: &[&str] = match release {
            Release::Debian => &["--auth-root-authentication-method=normal", "--skip-test-db"],
            Release::Unpacked(_) => {
                fs::create_dir_all(data).map_err(at(data))?;
                &[]
            }
        };
        let mut command = Command::new(release.maker()?);
        command.args(self.no_defaults()).args(self.initial()).arg(&datadir).args(own);
        command.arg("--skip-name-resolve");
        template::run(command, Stdio::null())?;
        let mut command = Command::new(self.program()?);
        command.args(self.arguments()).args(self.initial()).arg(&datadir).arg("--bootstrap");
        template::run(command, fs::File::open(sql).map_err(at(sql))?.into())
    }

    fn make_mysql(self, data: &Path, sql: &Path) -> Result<(), Error> {
        let mut command = Command::new(self.program()?);
        command.args(self.arguments()).args(self.initial()).args([
            "--initialize-insecure".to_owned(),
            format!("--datadir={}", data.display()),
            format!("--init-file={}", sql.display()),
        ]);
        template::run(command, Stdio::null())
    }
}

impl Release {
    /// What makes a data folder.
    fn maker(self) -> Result<PathBuf, Error> {
        match self {
            Self::Debian => find("mariadb-install-db").ok_or(Error::Missing {
                program: "mariadb-install-db",
                hint: "run scripts/install-servers.sh, or install Debian's mariadb-server",
            }),
            Self::Unpacked(tree) => unpacked(tree, "mariadb-make-data"),
        }
    }
}

/// Where the install script unpacks MySQL.
const MYSQL: &str = "mysql-9.7";

/// A program that an install script unpacked.
fn unpacked(tree: &'static str, name: &str) -> Result<PathBuf, Error> {
    let path = home::state().join(tree).join("bin").join(name);
    let hint = match tree {
        MYSQL => "run scripts/install-mysql.sh",
        _ => "run scripts/install-mariadb.sh",
    };
    Some(path).filter(|path| path.is_file()).ok_or(Error::Missing { program: tree, hint })
}

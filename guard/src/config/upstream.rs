//! The database server, the control connections and the accounts.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Network;
use super::value::{self, Bytes, Endpoint};
use crate::secret::Secret;

/// `[upstream]`: the database server behind the guard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The protocol it speaks.
    #[serde(default)]
    pub engine: Engine,
    /// `host:port`, or `host` for port 3306, of PostgreSQL 5432. Or the path of the server's Unix socket, such as
    /// `/run/postgresql/.s.PGSQL.5432` or `/run/mysqld/mysqld.sock`.
    pub address: Endpoint,
    /// Whether the guard uses TLS towards the server.
    #[serde(default)]
    pub tls: UpstreamTls,
    /// PostgreSQL: how TLS begins, as libpq's `sslnegotiation`.
    #[serde(default)]
    pub tls_negotiation: TlsNegotiation,
    /// PEM file with the authorities that may have signed the server's certificate. Needed when
    /// `tls = "required"`.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The name that the server's certificate must carry. Default: the host of `address`.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Connections that serve clients. The control connections come on top. This bound is never
    /// exceeded, and it bounds what runs at once as well.
    #[serde(default = "default::connections")]
    pub connections: u32,
    /// How long connecting and logging in may take together.
    #[serde(default = "default::connect_timeout", with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub connect_timeout: Duration,
    /// How long a client keeps an upstream connection.
    #[serde(default)]
    pub pooling: Pooling,
    /// How long a connection stays with the client that used it last, if no other needs it. "0s"
    /// gives it back at once.
    #[serde(default = "default::linger", with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub linger: Duration,
    /// Connections unused for this long are closed.
    #[serde(default = "default::idle_timeout", with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub idle_timeout: Duration,
    /// Logins to the server that may be under way at once.
    #[serde(default = "default::handshakes_at_once")]
    pub handshakes_at_once: u32,
    /// Logins to the server that may be begun per second, to begin with: half as many more after each second in
    /// which all succeeded. After a failure it begins anew, after a pause of up to a second.
    #[serde(default = "default::handshakes_per_second")]
    pub handshakes_per_second: u32,
    /// Prepared statements kept on one upstream connection; the one unused longest is closed first.
    /// All connections together should stay below the server's `max_prepared_stmt_count`.
    #[serde(default = "default::statements_per_connection")]
    pub statements_per_connection: u32,
    /// Prepared statements that one client may have open. One more is refused with the server's own
    /// error 1461.
    #[serde(default = "default::statements_per_client")]
    pub statements_per_client: u32,
    /// PostgreSQL: connections by which clients listen together (`LISTEN`), one for each database in
    /// which some do, opened when the first does. They come on top of `connections`. A client for
    /// whose database there is none keeps a connection of its own; with 0 each that listens does.
    #[serde(default = "default::listen_connections")]
    pub listen_connections: u32,
    /// PostgreSQL: clients that may replicate at once (`replication` in the start-up packet), each with
    /// a connection of its own on top of `connections`. No limit and no rule holds for what they do;
    /// the server says which account may. One more is refused; with 0 all are.
    #[serde(default = "default::replication_connections")]
    pub replication_connections: u32,
    /// The largest command a client may send. A larger one is refused with error 1153, by its header.
    #[serde(default = "default::max_packet")]
    pub max_packet: Bytes,
    /// Whether the server's own time limits are set on each connection, as a net a little wider than
    /// the widest class (`max_statement_time`, `max_execution_time`, `innodb_lock_wait_timeout`,
    /// `lock_wait_timeout`).
    #[serde(default = "default::native_limits")]
    pub native_limits: bool,
}

/// The protocol a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// MySQL 5.7 to 9.x and MariaDB 10.3 to 12.x; which of the two is found out when connecting.
    #[default]
    Mysql,
    /// PostgreSQL 14 to 18.
    Postgres,
}

impl Engine {
    /// The port that its servers usually listen on.
    pub const fn port(self) -> u16 {
        match self {
            Self::Mysql => 3306,
            Self::Postgres => 5432,
        }
    }

    /// The port that the guard listens on where nothing else is said: beside the server's own, and of PostgreSQL
    /// that of its other poolers.
    pub const fn guard_port(self) -> u16 {
        match self {
            Self::Mysql => 3307,
            Self::Postgres => 6432,
        }
    }
}

/// Whether the guard uses TLS towards the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamTls {
    /// Plain text.
    #[default]
    Off,
    /// TLS, and the server's certificate must be valid for its name and signed by `ca`.
    Required,
    /// TLS, but whoever answers is believed. It keeps out listeners, not impostors.
    Unverified,
}

/// How TLS towards a PostgreSQL begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsNegotiation {
    /// The server is asked for it first (`SSLRequest`), and says whether it has it.
    #[default]
    Request,
    /// At once, which saves a round trip for each new connection, and goes through what tells
    /// connections apart by TLS. PostgreSQL 17 or newer.
    Direct,
}

/// How long a client keeps an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// For one transaction. What cannot move to another connection pins the client to this one.
    #[default]
    Transaction,
    /// From login to disconnect: one upstream connection per client, limits as ever.
    Session,
}

/// `[control]`: the reserved connections, opened at start and never lent to a client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// An account that may kill the clients' statements: `CONNECTION ADMIN` of MariaDB,
    /// `CONNECTION_ADMIN` of MySQL, the roles `pg_signal_backend` and `pg_monitor` of PostgreSQL.
    pub user: String,
    /// Its password. Give this or `password_file`.
    #[serde(default)]
    pub password: Secret,
    /// File that holds the password; a newline at its end is dropped.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How many there are, at least 2: one may be stuck while the other is needed.
    #[serde(default = "default::control_connections")]
    pub connections: u32,
    /// PostgreSQL: the database that they connect to.
    #[serde(default = "default::control_database")]
    pub database: String,
    /// `host:port` of the server's extra door (`admin_port`, `extra_port`), which opens even when
    /// the server has no connections left. `host` alone is its usual port. Default: the address of `[upstream]`.
    #[serde(default)]
    pub address: Option<Endpoint>,
}

/// `[observe]`: what is asked of the database about itself: who waits for whom, and how much is stuck.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// Whether it is asked, over one more reserved connection of the `[control]` account. MySQL and
    /// MariaDB: that needs `PROCESS`, and on MySQL `SELECT` on `performance_schema`.
    pub enabled: bool,
}

impl Default for Observe {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `[auth]`: how clients prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Whether an account that is in neither `[[user]]` nor `file` is checked by logging in to the
    /// database with what the client sent. So no list of passwords has to be written.
    pub database: bool,
    /// Password file: one `user:password` per line, `#` begins a comment. PostgreSQL: in place of the
    /// password what `pg_authid` has of it (`SCRAM-SHA-256$…`, `md5…`). A list of PgBouncer's
    /// (`userlist.txt`) is read as it is.
    pub file: Option<PathBuf>,
    /// PostgreSQL: the query by which the database is asked what it keeps of a password, for accounts
    /// that are in neither list. `$1` is the name; it returns the name and the password as
    /// `pg_authid` has it. `[control]` asks it, so its account must be allowed to. Default: a look into
    /// `pg_authid`, which superusers may.
    pub query: Option<String>,
    /// PostgreSQL: networks from where clients need not prove who they are (`trust`).
    pub trust: Vec<Network>,
    /// How long an account that the database confirmed is believed before it is asked again.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub ttl: Duration,
    /// Whether accounts may send files with `LOAD DATA LOCAL INFILE`. The database may ask for any
    /// file that the client's program can read, so only those should be able to that need it. A
    /// `[[user]]` may say otherwise for itself.
    pub local_infile: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            database: true,
            file: None,
            query: None,
            trust: Vec::new(),
            ttl: Duration::from_secs(600),
            local_infile: false,
        }
    }
}

/// `[[user]]`: an account that the guard knows by itself. It must exist in the database as well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The account's name, without a host.
    pub name: String,
    /// Its password. Give this or `password_file`.
    #[serde(default)]
    pub password: Secret,
    /// File that holds the password; a newline at its end is dropped.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Whether it may send files with `LOAD DATA LOCAL INFILE`. Default: `auth.local_infile`.
    #[serde(default)]
    pub local_infile: Option<bool>,
}

/// Defaults of sections that have required keys.
mod default {
    use super::{Bytes, Duration};

    pub(super) fn connections() -> u32 {
        32
    }
    pub(super) fn connect_timeout() -> Duration {
        Duration::from_secs(5)
    }
    pub(super) fn idle_timeout() -> Duration {
        Duration::from_secs(300)
    }
    pub(super) fn linger() -> Duration {
        Duration::from_secs(1)
    }
    pub(super) fn handshakes_at_once() -> u32 {
        2
    }
    pub(super) fn handshakes_per_second() -> u32 {
        20
    }
    pub(super) fn statements_per_connection() -> u32 {
        256
    }
    pub(super) fn statements_per_client() -> u32 {
        1024
    }
    pub(super) fn listen_connections() -> u32 {
        8
    }
    pub(super) fn replication_connections() -> u32 {
        4
    }
    pub(super) fn max_packet() -> Bytes {
        Bytes(64 << 20)
    }
    pub(super) fn native_limits() -> bool {
        true
    }
    pub(super) fn control_database() -> String {
        "postgres".into()
    }
    pub(super) fn control_connections() -> u32 {
        2
    }
}

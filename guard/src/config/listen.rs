//! Where applications connect, and what a login may cost.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::upstream::Engine;
use super::value::{self, Address, SocketMode};

/// `[[listener]]`: where applications connect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// IP address and port; before PostgreSQL the default is `127.0.0.1:6432`, as PgBouncer's port. Or the path of a
    /// Unix socket, which has no TLS; clients of PostgreSQL find one named `.s.PGSQL.6432` by its
    /// folder as host and 6432 as port. For rules, its clients are at 127.0.0.1.
    pub address: Address,
    /// Unix socket: who may connect, as permissions of the file.
    pub socket_mode: SocketMode,
    /// Unix socket: the group of the file, by its name in `/etc/group` or its number. Default: the
    /// guard's own.
    pub socket_group: Option<String>,
    /// Whether clients may or must use TLS.
    pub tls: ListenerTls,
    /// PEM file with the certificate chain, the server's own first. Without it the guard makes a
    /// certificate at each start that nobody signed: it keeps out listeners, and impostors only where
    /// the client is a MariaDB of 11.4 or newer, which knows the guard by the password they share.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of `certificate`.
    pub key: Option<PathBuf>,
    /// Client connections at once. One more waits in the kernel's backlog: to refuse it would only
    /// make it come back at once.
    pub max_clients: u32,
    /// How long a client may take from connecting to the end of its login, all steps together.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub login_timeout: Duration,
    /// Logins that may be under way at once. The others wait their turn, in order.
    pub logins_at_once: u32,
    /// The authentication method that clients are asked for. Only `caching_sha2_password` can check
    /// an unknown account against the database.
    pub auth_plugin: AuthPlugin,
    /// How long a client may leave the guard unable to write to it before it is dropped and its
    /// statement cancelled.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub write_timeout: Duration,
    /// How long a client may stay silent outside a transaction. The default is MySQL's `wait_timeout`.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub idle_timeout: Duration,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            address: Self::usual_address(Engine::default()),
            socket_mode: SocketMode(0o777),
            socket_group: None,
            tls: ListenerTls::Offered,
            certificate: None,
            key: None,
            max_clients: 10_000,
            login_timeout: Duration::from_secs(10),
            logins_at_once: 64,
            auth_plugin: AuthPlugin::CachingSha2Password,
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(8 * 60 * 60),
        }
    }
}

impl Listener {
    /// Where it listens if nothing else is said.
    pub(super) fn usual_address(engine: Engine) -> Address {
        Address::Tcp(SocketAddr::from(([127, 0, 0, 1], engine.guard_port())))
    }
}

/// Whether clients may or must use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerTls {
    /// Plain text only.
    Off,
    /// The client chooses.
    #[default]
    Offered,
    /// A client without TLS is refused before it sends its password.
    Required,
}

/// An authentication method, by the name it has on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthPlugin {
    /// SHA-256, MySQL's default since 8.0.
    #[default]
    CachingSha2Password,
    /// SHA-1, MariaDB's default.
    MysqlNativePassword,
}

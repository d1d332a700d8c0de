//! Where operators look and change things, and who may.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Address, SocketMode};
use crate::secret::Secret;

/// `[admin]`: the HTTP side, and the console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Where metrics, health, the page and the API are served: IP address and port, or the path of a Unix
    /// socket. An address that is not of the loopback takes a token, and a certificate with its key.
    pub address: Address,
    /// Unix socket: who may connect, as permissions of the file. Without a token not everybody on the
    /// host: `"0770"` at most.
    pub socket_mode: SocketMode,
    /// Unix socket: the group of the file, by its name in `/etc/group` or its number. Default: the
    /// guard's own.
    pub socket_group: Option<String>,
    /// What everybody must show at `address`, wherever that is: `Authorization: Bearer TOKEN`, or the
    /// page's login. At least 32 characters, of those that may stand in that header: letters, digits and
    /// `-._~+/=`.
    pub token: Secret,
    /// A file that holds the token instead. An end of line at its end is not part of it.
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate chain, the server's own first: `address` then speaks HTTPS alone.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of `certificate`.
    pub key: Option<PathBuf>,
    /// Where `/metrics`, `/live`, `/ready`, `/check` and the pressure, and nothing else, are served as well,
    /// for a scraper on another host: without token and TLS. Any address is allowed.
    pub metrics_address: Option<SocketAddr>,
    /// PostgreSQL: the accounts that may use the console, which is the database `tidegate` of every
    /// listener. They log in as ever; from networks of `auth.trust`, without a proof.
    pub users: Vec<String>,
    /// PostgreSQL: the accounts that may look at the console (`SHOW`), and change nothing.
    pub stats_users: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9307)),
            socket_mode: SocketMode(0o600),
            socket_group: None,
            token: Secret::default(),
            token_file: None,
            certificate: None,
            key: None,
            metrics_address: None,
            users: Vec::new(),
            stats_users: Vec::new(),
        }
    }
}

/// The shortest token, in characters. Of 16 kinds (`openssl rand -hex 16`) that is 128 bits: not to be guessed,
/// however fast one tries.
const TOKEN_MIN: usize = 32;

/// Whether a text can be a token, which is told without showing it. RFC 6750 §2.1 has its characters.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn check_token(token: &[u8]) -> Result<(), String> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if !token.iter().all(is_allowed) {
        return Err(
            "not a token; expected letters, digits and -._~+/= only, such as `openssl rand \
                    -hex 32` prints"
                .into(),
        );
    }
    if token.len() < TOKEN_MIN {
        return Err(format!(
            "too short, so that it could be guessed; expected {TOKEN_MIN} characters or more, such as \
             `openssl rand -hex 32` prints"
        ));
    }
    Ok(())
}

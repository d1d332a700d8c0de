//! Where a database is, and how it is reached.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use crate::config::Endpoint;
use crate::stream::socket::Socket;
use crate::tls::ClientTls;

/// How long a silent connection is left alone before the kernel asks whether the server is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// Where a database is.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to connect to.
    pub address: Endpoint,
    /// TLS, or `None` for plain text.
    pub tls: Option<ClientTls>,
    /// How long connecting and logging in may take, all steps together.
    pub connect_timeout: Duration,
    /// Whether the password may be sent as it is (MySQL's `mysql_clear_password`,
    /// PostgreSQL's `password`).
    pub clear_password: ClearPassword,
}

impl Target {
    /// Opens a socket to it, which finds out by itself when the server's machine has vanished.
    ///
    /// # Errors
    /// When nobody is there. Dropping the future gives it up.
    pub async fn dial(&self) -> io::Result<Socket> {
        if let Some(path) = self.address.socket() {
            return UnixStream::connect(path).await.map(Socket::Unix);
        }
        let tcp = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        tcp.set_nodelay(true)?;
        let keepalive =
            TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_AFTER / 3);
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
        Ok(tcp.into())
    }
}

/// Whether a password may be sent as it is. Never over plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClearPassword {
    /// A server that asks for it is refused.
    #[default]
    Refused,
    /// A server that asks for it gets it, by TLS only; for PAM and LDAP.
    OverTls,
}

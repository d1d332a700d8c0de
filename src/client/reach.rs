//! Reaching a guard's admin side: over TCP, TLS or a Unix socket.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A guard that does not answer within this is not reachable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a guard's admin side is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Host and port, in plain text.
    Plain(String),
    /// Host and port, over TLS.
    Tls(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A connection.
pub(super) trait Line: Read + Write {}

impl<T: Read + Write> Line for T {}

impl Place {
    /// Reads `http://HOST:PORT`, `https://HOST:PORT`, or the path of a Unix socket, also behind `unix:`.
    pub(super) fn parse(text: &str) -> Self {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::Unix(path.strip_prefix("//").unwrap_or(path).into());
        }
        if text.starts_with('/') {
            return Self::Unix(text.into());
        }
        let host = |rest: &str| rest.trim_end_matches('/').to_owned();
        match text.strip_prefix("https://") {
            Some(rest) => Self::Tls(host(rest)),
            None => Self::Plain(host(text.strip_prefix("http://").unwrap_or(text))),
        }
    }

    /// What the `Host` header says.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Plain(host) | Self::Tls(host) => host,
            Self::Unix(_) => "localhost",
        }
    }

    /// Connects; over TLS to a server that an authority in the PEM file `ca`, or of the system, vouches for. With
    /// a token to send, plain text is for this host alone.
    ///
    /// # Errors
    /// When nobody answers in time, or it is not who it should be; [`io::ErrorKind::InvalidInput`] when it makes no sense to
    /// ask.
    pub(super) fn connect(&self, ca: Option<&Path>, has_token: bool) -> io::Result<Box<dyn Line>> {
        match self {
            Self::Plain(host) => {
                let address = address(host)?;
                if has_token && !address.ip().is_loopback() {
                    return Err(usage("the token would be sent in plain text; expected https://"));
                }
                Ok(Box::new(tcp(&address)?))
            }
            Self::Tls(host) => {
                let name = host.rsplit_once(':').map_or(&**host, |(name, _)| name);
                let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name).map_err(usage)?;
                let config = Arc::new(config(ca).map_err(usage)?);
                let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(connection, tcp(&address(host)?)?);
                // Nothing is sent before it is known to whom.
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Ok(Box::new(stream))
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// What was asked for makes no sense.
fn usage(why: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn address(host: &str) -> io::Result<SocketAddr> {
    Ok(host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?)
}

fn tcp(address: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// TLS that believes the authorities in `ca`, or those of the system.
fn config(ca: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let named = |error| anyhow::anyhow!("{}: {error}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(named)? {
                roots.add(certificate.map_err(named)?)?;
            }
        }
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_its_beginning() {
        let check = |text: &str, expect| assert_eq!(Place::parse(text), expect, "{text}");
        check("http://127.0.0.1:9307/", Place::Plain("127.0.0.1:9307".into()));
        check("127.0.0.1:9307", Place::Plain("127.0.0.1:9307".into()));
        check("https://[::1]:9307", Place::Tls("[::1]:9307".into()));
        check("/run/tidegate/admin", Place::Unix("/run/tidegate/admin".into()));
        check("unix:/run/tidegate/admin", Place::Unix("/run/tidegate/admin".into()));
        check("unix:///run/tidegate/admin", Place::Unix("/run/tidegate/admin".into()));
        check("unix:admin", Place::Unix("admin".into()));
    }
}

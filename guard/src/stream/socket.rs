//! A socket, of TCP or of Unix, and who is at its other end.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// Over the network, or loopback.
    Tcp(TcpStream),
    /// On this host.
    Unix(UnixStream),
}

/// Does the same whichever it is.
macro_rules! of_either {
    ($socket:expr, $inner:ident => $act:expr) => {
        match $socket {
            Socket::Tcp($inner) => $act,
            Socket::Unix($inner) => $act,
        }
    };
}

impl Socket {
    /// Has small writes sent at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peer(&self) -> io::Result<Peer> {
        match self {
            Self::Tcp(tcp) => tcp.peer_addr().map(Peer::Tcp),
            Self::Unix(_) => Ok(Peer::Unix),
        }
    }

    /// Whether it never leaves this host.
    pub const fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Reads what the kernel has, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when it has nothing; any other when the connection failed.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        of_either!(self, inner => inner.try_read(buf))
    }

    /// Waits until there may be something to read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, inner => inner.poll_read_ready(cx))
    }
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self::Unix(unix)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        of_either!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        of_either!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_either!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        of_either!(self, inner => inner.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// At that address.
    Tcp(SocketAddr),
    /// On this host: it came by a Unix socket.
    Unix,
}

impl Peer {
    /// Its address, for rules and networks: who came by a Unix socket is at 127.0.0.1.
    pub const fn ip(self) -> IpAddr {
        match self {
            Self::Tcp(addr) => addr.ip(),
            Self::Unix => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// Its port; 0 of a Unix socket.
    pub const fn port(self) -> u16 {
        match self {
            Self::Tcp(addr) => addr.port(),
            Self::Unix => 0,
        }
    }
}

/// `unix` for one of a Unix socket, as PgBouncer writes it.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

//! The socket that clients connect to, of TCP or of Unix.
//!
//! A Unix socket is a file. It is made with its mode and group before anybody can connect, and removed
//! when the guard stops listening. A crash leaves it behind: then nobody answers there, which is how
//! the next start tells it from one that is in use. What is no socket is never removed.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tracing::debug;

use crate::config::Address;
use crate::stream::socket::{Peer, Socket};

/// Clients that may wait in the kernel until they are accepted. It takes no more than its own
/// `net.core.somaxconn`. Past it, a client may believe that it is connected while the kernel has
/// forgotten it, and wait for a greeting for ever: so it is as long as a herd.
const BACKLOG: u32 = 16 * 1024;

/// How long a silent client is left alone before the kernel asks whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// What clients connect to.
#[derive(Debug)]
pub enum ListenSocket {
    /// An address of the network.
    Tcp(TcpListener),
    /// A file.
    Unix(UnixListener, SocketFile),
}

impl ListenSocket {
    /// Listens on an address of the network.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }

    /// Listens on a file, whose access is `mode`, for the group `gid` if it is given.
    ///
    /// # Errors
    /// When another process listens there, there is something else, or the system refuses.
    pub fn unix(path: &Path, mode: u32, gid: Option<u32>) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile::of(path)?;
        chown(path, None, gid)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        socket.listen(BACKLOG as i32)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(socket.into())?, file))
    }

    /// The next client.
    ///
    /// # Errors
    /// When there is none to be had: it has gone, or something is short. Cancel-safe.
    pub async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                keep_alive(&stream);
                Ok((stream.into(), Peer::Tcp(peer)))
            }
            Self::Unix(listener, _) => Ok((listener.accept().await?.0.into(), Peer::Unix)),
        }
    }

    /// Where it is, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }
}

/// The file of a socket. Dropped, it is removed, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            debug!(path = %self.path.display(), %error, "a socket was left behind");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Removes a socket at which nobody answers.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        ));
    }
    match Probe::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // One that is in use, also if its backlog is full.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The number of a group, by its name in `/etc/group` or as it is.
///
/// # Errors
/// When there is none of that name.
pub fn gid(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group")?;
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    number.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no group {group}")))
}

/// Has the kernel ask now and then whether a silent client is there.
fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        debug!(%error, "no keepalive for a client");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let name = format!("tidegate-socket-{}-{:x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[tokio::test]
    async fn what_a_crash_left_behind_is_replaced_and_what_is_in_use_is_not() {
        let folder = folder();
        let path = folder.join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a closed socket leaves its file");

        let first = ListenSocket::unix(&path, 0o640, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(first.address().unwrap(), Address::Unix(path.clone()));
        let second = ListenSocket::unix(&path, 0o777, None).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        let _client = Probe::connect(&path).unwrap();
        assert_eq!(first.accept().await.unwrap().1, Peer::Unix);

        drop(first);
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        let error = ListenSocket::unix(&path, 0o777, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_another_has_made_anew_is_left_alone() {
        let folder = folder();
        let path = folder.join("s");
        let first = ListenSocket::unix(&path, 0o777, None).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = ListenSocket::unix(&path, 0o777, None).unwrap();
        drop(first);
        assert!(path.exists());
        fs::remove_dir_all(folder).unwrap();
    }
}

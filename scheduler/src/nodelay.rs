//! Has connections to databases send at once what is written to them.
//!
//! sqlx (0.9) leaves Nagle's algorithm on, and gives a large statement to the socket in records of TLS,
//! 16 KiB each. The kernel then keeps the second one until the server has acknowledged the first, which
//! that puts off for 40 ms: measured, each page of a plan and each slice of rows took 44 ms, of which
//! the server worked 1 to 2. sqlx shows nobody its sockets, so they are looked for among those of
//! this process, by the port that they lead to. Where the kernel does not allow that, large statements
//! take longer, and nothing else happens.

use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::net::{getpeername, sockopt::set_tcp_nodelay};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tracing::debug;

/// Turns Nagle's algorithm off on all connections of this process to this port. To be called when one was
/// opened; takes a few microseconds for each open file.
pub fn send_at_once(port: u16) {
    if let Err(error) = try_send_at_once(port) {
        debug!(%error, port, "large statements wait for acknowledgements");
    }
}

fn try_send_at_once(port: u16) -> std::io::Result<()> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|kind| kind.to_string_lossy().starts_with("socket:"));
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let Some(number) = number.filter(|_| is_socket) else { continue };
        let socket = match pidfd_getfd(&this, number, PidfdGetfdFlags::empty()) {
            Ok(socket) => socket,
            // Closed meanwhile.
            Err(Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        let peer = match getpeername(&socket) {
            Ok(Some(peer)) => peer,
            // Closed meanwhile, and a file opened under its number: it stays open for good, for to close
            // any descriptor of a file takes all locks from it that this process has, SQLite's too.
            Err(Errno::NOTSOCK) => {
                std::mem::forget(socket);
                continue;
            }
            // It listens, or has no peer.
            Ok(None) | Err(_) => continue,
        };
        if SocketAddr::try_from(peer).is_ok_and(|peer| peer.port() == port) {
            set_tcp_nodelay(&socket, true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_to_that_port_send_at_once_and_others_are_left_alone() {
        let [there, elsewhere] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [one, other] =
            [&there, &elsewhere].map(|to| TcpStream::connect(to.local_addr().unwrap()).unwrap());
        try_send_at_once(there.local_addr().unwrap().port()).unwrap();
        assert!(one.nodelay().unwrap());
        assert!(!other.nodelay().unwrap());
    }

    /// It closed what it had looked at, and with it the locks of a ledger in a file were gone: whoever
    /// came and went next took its log away, and all that was written from then on was lost.
    #[tokio::test]
    async fn a_file_keeps_its_locks() {
        use sqlx::{Connection as _, Executor as _, SqliteConnection};
        let path = std::env::temp_dir().join(format!("nodelay-{}.db", std::process::id()));
        let url = format!("sqlite:{}?mode=rwc", path.display());
        let mut file = SqliteConnection::connect(&url).await.unwrap();
        file.execute("BEGIN IMMEDIATE").await.unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
        let locks = || {
            let all = std::fs::read_to_string("/proc/locks").unwrap();
            all.lines().filter(|lock| lock.contains(&format!(":{inode} "))).count()
        };
        let before = locks();
        try_send_at_once(5432).unwrap();
        assert!(before > 0 && locks() == before);
        file.close().await.unwrap();
        std::fs::remove_file(path).unwrap();
    }
}

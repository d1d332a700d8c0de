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
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let socket = match pidfd_getfd(&this, number, PidfdGetfdFlags::empty()) {
            Ok(socket) => socket,
            // Closed meanwhile.
            Err(Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        // What is no socket, or leads nowhere, has no peer.
        let Ok(Some(peer)) = getpeername(&socket) else { continue };
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
}

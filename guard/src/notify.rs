//! What a service manager is told: `sd_notify`, lines of text in datagrams to the socket that
//! `NOTIFY_SOCKET` names. Without it nothing is told.
//!
//! (<https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>)

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use tracing::warn;

/// Where the guard tells how it is.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

/// How the guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Clients are served, by the configuration in force.
    Ready,
    /// The configuration is read again; [`Self::Ready`] follows.
    Reloading,
    /// The guard drains.
    Stopping,
    /// It is alive.
    Alive,
}

impl Condition {
    const fn message(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Reloading => b"RELOADING=1",
            Self::Stopping => b"STOPPING=1",
            Self::Alive => b"WATCHDOG=1",
        }
    }
}

impl Notifier {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_env() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_meant = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_meant && *micros > 0);
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let opened = open(&name);
            let failed = |error: &io::Error| warn!(%error, ?name, "NOTIFY_SOCKET cannot be used");
            opened.inspect_err(failed).ok()
        });
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// Tells the service manager. One that does not listen misses it.
    pub fn tell(&self, condition: Condition) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(condition.message(), address) {
            warn!(%error, ?condition, "the service manager cannot be told");
        }
    }

    /// Says for as long as it is awaited that the guard is alive, twice as often as asked for.
    pub async fn run_watchdog(&self) {
        let Some(within) = self.watchdog else { return };
        let mut ticks = tokio::time::interval(within / 2);
        loop {
            ticks.tick().await;
            self.tell(Condition::Alive);
        }
    }
}

/// A socket, and the address behind `name`: a path, or with `@` before it an abstract name.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // It is told from tasks that serve clients.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abstract_socket_is_told() {
        let name = format!("tidegate-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let socket = Some(open(OsStr::new(&format!("@{name}"))).unwrap());
        let notifier = Notifier { socket, watchdog: None };
        notifier.tell(Condition::Reloading);
        let mut buffer = [0; 64];
        let len = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"RELOADING=1");
        drop(manager);
        notifier.tell(Condition::Ready);
    }
}

//! Where the drill finds what was installed, and where its servers live.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, at};

/// Ports are taken from here: below what the system gives to outgoing connections, so that a server
/// that restarts finds its own port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The folder of installed clients, unpacked servers and templates: `$TIDEGATE_STATE`, else the
/// nearest `.tidegate` at or above the working folder, else `tidegate` in the user's cache.
#[must_use]
pub fn state() -> PathBuf {
    if let Some(named) = env::var_os("TIDEGATE_STATE") {
        return PathBuf::from(named);
    }
    if let Ok(here) = env::current_dir() {
        for folder in here.ancestors() {
            let state = folder.join(".tidegate");
            if state.is_dir() {
                return state;
            }
        }
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(env::temp_dir).join("tidegate")
}

/// A folder that is removed with all it holds when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder under the system's temporary one.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new() -> Result<Self, Error> {
        // Short: a socket's whole path may have 107 bytes.
        let path = env::temp_dir().join(format!("tidegate-{}", unique()));
        fs::create_dir_all(&path).map_err(at(&path))?;
        Ok(Self { path })
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    /// Removes the folder; one that is gone already is no failure.
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// A name no other process and no earlier call uses.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A port on loopback that nobody listens on now.
///
/// Another process may take it before the caller does; whoever starts a server tries again then.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> Result<u16, Error> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let count = u32::from(PORTS.end - PORTS.start);
    let first = (nanos / 1000).wrapping_add(std::process::id().wrapping_mul(7919)) % count;
    for step in 0..count {
        let offset = u16::try_from((first + step) % count).unwrap_or(0);
        let port = PORTS.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::NoPort { from: PORTS.start, to: PORTS.end })
}

/// The end of a log file, for an error's text; empty when there is none.
pub(crate) fn tail(path: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

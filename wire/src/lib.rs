//! The wire protocols of the databases: bytes to messages and back.
//!
//! A proxy forwards nearly all it sees. So each codec here has two speeds: frames are *peeked* and
//! passed on by their length, and only the few packets that a decision needs are decoded, borrowed
//! from the caller's buffer. Every read is checked: what is short or odd is [`Malformed`], never a
//! default and never a panic.
//!
//! Deliberately absent: I/O, clocks, threads, logging and any policy. What a message *means* for
//! the load on a database is decided elsewhere.

mod error;
pub mod mysql;
pub mod postgres;
mod reader;

pub use error::Malformed;
pub use reader::Reader;

#[cfg(test)]
mod tests {
    /// `clippy.toml` bans clocks, threads and output; this bans what could bring them along.
    #[test]
    fn invariant_1_wire_knows_neither_policy_nor_io() {
        let manifest = include_str!("../Cargo.toml");
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        for banned in ["tokio", "policy", "tracing", "log", "mio", "socket2"] {
            let named = |line: &str| line.split(['.', ' ', '=']).next() == Some(banned);
            assert!(!dependencies.lines().any(named), "{banned}");
        }
        let clippy = include_str!("../clippy.toml");
        for method in ["Instant::now", "SystemTime::now", "thread::sleep", "thread::spawn"] {
            assert!(clippy.contains(method), "{method}");
        }
    }
}

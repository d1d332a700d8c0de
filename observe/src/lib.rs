//! What a database says of itself: counters, open transactions, who waits for whom.
//!
//! ```text
//!   Ladder ──when, what──► Server::sql ──► the caller's reserved connection ──rows──► Server::read
//! ```
//!
//! Asking is not free, and dearest when the database is worst off: so cheap counters are asked always,
//! transactions when somebody waits, the graph of waits at most once a second, and nothing again before
//! ten times as long as it took ([`ladder`]). What is asked of which server, and what is never asked of
//! some, stands with that server's statements ([`server`]).
//!
//! There is no I/O and no clock in here: `clippy.toml` enforces it.

pub mod counters;
pub mod ladder;
pub mod replica;
pub mod server;

mod mysql;
mod postgres;
mod rows;

pub use rows::{Rows, Unreadable};

#[cfg(test)]
mod tests {
    /// `clippy.toml` bans clocks, threads and output; this bans what could bring them along.
    #[test]
    fn what_observes_has_no_io() {
        let manifest = include_str!("../Cargo.toml");
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        for banned in ["tokio", "wire", "tracing", "log", "mio", "socket2", "sqlx"] {
            let named = |line: &str| line.split(['.', ' ', '=']).next() == Some(banned);
            assert!(!dependencies.lines().any(named), "{banned}");
        }
    }
}

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
mod reader;

pub use error::Malformed;
pub use reader::Reader;

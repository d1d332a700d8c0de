//! What a person sees at a glance: sentences, figures, tables and the tree of locks, made of one
//! [`Snapshot`](crate::control::Snapshot).
//!
//! The live page and `tidegate top` show the same, so what they show is decided here, as values; how it looks is
//! theirs. All of it is pure. What clients or the database wrote comes out on one line, without control characters
//! and cut ([`plain`]); escaping it for HTML is the page's.

mod figures;
mod table;
mod tables;
mod text;
mod tree;
mod words;

pub use self::figures::{Figure, figures};
pub use self::table::{Cell, Row, Table, Tone};
pub use self::tables::{Group, tables};
pub use self::text::{many, plain, quoted, rate, server, time};
pub use self::tree::{Line, lines};
pub use self::words::{Advice, Level, Told, tell};

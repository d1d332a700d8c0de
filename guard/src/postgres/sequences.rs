//! Whose draws `currval()` and `lastval()` tell on a connection.
//!
//! A backend remembers what was drawn from sequences until it ends, or until DISCARD SEQUENCES. That
//! costs a statement, so it is sent only where somebody asks: before a session asks that has drawn
//! nothing yet, and, once an account was seen to ask, whenever a connection changes hands. The server
//! then answers as on a fresh connection.

use policy::sql::{Effects, Kind, Shape};

/// What makes a connection forget all draws. Allowed in a transaction, and not undone by its end.
pub const FORGET: &str = "DISCARD SEQUENCES";

/// Whose draws a connection knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Draws {
    /// None but the session's that uses it.
    #[default]
    Own,
    /// Another's, and none of the session's.
    Others,
    /// Another's, and perhaps the session's.
    Mixed,
}

/// Whether a statement may draw from a sequence: by its text, a default, a trigger or a function.
pub fn may_draw(shape: &Shape) -> bool {
    const NAME: &[u8] = b"nextval";
    let reads = shape.kind <= Kind::LockingSelect && shape.kind != Kind::Explain;
    let runs_more = Effects::CALLS | Effects::MULTI | Effects::TRUNCATED | Effects::DYNAMIC;
    !reads
        || shape.effects.intersects(runs_more)
        || shape.text.as_bytes().windows(NAME.len()).any(|word| word.eq_ignore_ascii_case(NAME))
}

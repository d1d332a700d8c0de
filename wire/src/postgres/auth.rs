//! Proofs of a password: challenge and secret in, reply out, and the other way round.
//!
//! Pure functions over bytes; who may log in is decided elsewhere, and randomness comes from there.
//! All comparisons take the same time whatever differs. The messages that carry the proofs are in
//! [`super::login`].

pub mod md5;
pub mod scram;

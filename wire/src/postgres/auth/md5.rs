//! `md5`: deprecated since PostgreSQL 18, and still everywhere.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>
//!
//! ```text
//! stored  "md5" hex(md5(password || user))
//! reply   "md5" hex(md5(hex(md5(password || user)) || salt))
//! ```
//!
//! Whoever knows what is stored can log in without the password.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// Bytes of what is stored and of a reply.
pub const LEN: usize = 35;

/// What a server stores, with `md5` in front.
pub fn stored(password: &[u8], user: &[u8]) -> [u8; LEN] {
    hashed(password, user)
}

/// The reply to `salt`, from what is [`stored`].
pub fn reply(stored: &[u8; LEN], salt: [u8; 4]) -> [u8; LEN] {
    hashed(&stored[PREFIX.len()..], &salt)
}

/// Checks `reply` against what is [`stored`].
pub fn verify(reply: &[u8], stored: &[u8; LEN], salt: [u8; 4]) -> bool {
    self::reply(stored, salt).ct_eq(reply).into()
}

const PREFIX: &[u8; 3] = b"md5";

fn hashed(first: &[u8], second: &[u8]) -> [u8; LEN] {
    let digest = Md5::new().chain_update(first).chain_update(second).finalize();
    let mut out = [0; LEN];
    let (prefix, hex) = out.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[nibble(byte >> 4), nibble(byte & 15)]);
    }
    out
}

const fn nibble(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python's hashlib computes them from the manual's formula.
    #[test]
    fn hashes_are_postgresqls() {
        let stored = stored(b"secret", b"app");
        assert_eq!(&stored, b"md56a422f785c9e20873908ce25d1736ae2");
        assert_eq!(&reply(&stored, [1, 2, 3, 4]), b"md5911f527656472583a006e7727877b33e");
    }

    /// From `pg_authid` of PostgreSQL 15.18.
    #[test]
    fn what_is_stored_is_what_postgresql_stores() {
        assert_eq!(&stored(b"secret", b"app2"), b"md506f5fd0a3579999fd5b25290c424281d");
    }

    #[test]
    fn a_reply_is_right_or_wrong() {
        let stored = stored(b"secret", b"app");
        let right = reply(&stored, *b"salt");
        assert!(verify(&right, &stored, *b"salt"));
        assert!(!verify(&right, &stored, *b"tlas"));
        assert!(!verify(&right[..34], &stored, *b"salt"));
        assert!(!verify(b"", &stored, *b"salt"));
        assert!(!verify(b"secret", &stored, *b"salt"));
    }
}

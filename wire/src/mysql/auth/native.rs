//! `mysql_native_password`: SHA-1 over the scramble.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html>
//!
//! ```text
//! stage1 = SHA1(password)      stage2 = SHA1(stage1), which is what servers store
//! reply  = stage1 XOR SHA1(scramble || stage2)
//! ```
//!
//! So whoever knows stage 2 can check a reply *and* learns stage 1 from it, which is enough to log
//! in elsewhere: a proxy needs no password.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::{Scramble, xor};

/// Bytes of a reply and of both stages.
pub const LEN: usize = 20;

/// SHA1(password): as good as the password for this method.
pub fn stage1(password: &[u8]) -> [u8; LEN] {
    Sha1::digest(password).into()
}

/// SHA1(stage1): what `mysql.user` shows behind a `*`.
pub fn stage2(stage1: &[u8; LEN]) -> [u8; LEN] {
    Sha1::digest(stage1).into()
}

/// The reply to `scramble`. It is for a password that is not empty: an empty one is proved by an
/// empty reply.
pub fn reply(stage1: &[u8; LEN], scramble: &Scramble) -> [u8; LEN] {
    xor(*stage1, &mask(scramble, &stage2(stage1)))
}

/// Checks `reply` against the stored hash. Returns stage 1 if it is right.
pub fn verify(reply: &[u8], scramble: &Scramble, stage2: &[u8; LEN]) -> Option<[u8; LEN]> {
    let stage1 = xor(reply.try_into().ok()?, &mask(scramble, stage2));
    bool::from(self::stage2(&stage1).ct_eq(stage2)).then_some(stage1)
}

/// Reads a stored hash: `*` and 40 hexadecimal digits.
pub fn parse_hash(text: &str) -> Option<[u8; LEN]> {
    let digits = text.strip_prefix('*')?.as_bytes();
    if digits.len() != 2 * LEN {
        return None;
    }
    let mut hash = [0; LEN];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(hash)
}

fn mask(scramble: &Scramble, stage2: &[u8; LEN]) -> [u8; LEN] {
    Sha1::new().chain_update(scramble).chain_update(stage2).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAMBLE: &Scramble = b"0123456789abcdefghij";

    /// `SELECT PASSWORD('secret')` on MariaDB 10.11.
    const HASH: &str = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

    #[test]
    fn the_stored_hash_is_the_servers() {
        assert_eq!(parse_hash(HASH), Some(stage2(&stage1(b"secret"))));
        assert_eq!(parse_hash(&HASH.to_lowercase()), parse_hash(HASH));
    }

    #[test]
    fn odd_hashes_are_refused() {
        for text in ["", "*", "14E65567", &HASH[..40], &HASH.replace('E', "G"), &format!("{HASH}0")]
        {
            assert_eq!(parse_hash(text), None, "{text}");
        }
    }

    #[test]
    fn a_right_reply_gives_stage_1_away() {
        let stage1 = stage1(b"secret");
        let reply = reply(&stage1, SCRAMBLE);
        assert_eq!(verify(&reply, SCRAMBLE, &stage2(&stage1)), Some(stage1));
    }

    #[test]
    fn a_wrong_reply_gives_nothing() {
        let stage1 = stage1(b"secret");
        let hash = stage2(&stage1);
        let mut reply = reply(&stage1, SCRAMBLE);
        assert_eq!(verify(&reply, b"jihgfedcba9876543210", &hash), None);
        assert_eq!(verify(&reply[..19], SCRAMBLE, &hash), None);
        assert_eq!(verify(b"", SCRAMBLE, &hash), None);
        reply[3] ^= 1;
        assert_eq!(verify(&reply, SCRAMBLE, &hash), None);
    }
}

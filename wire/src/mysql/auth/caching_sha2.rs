//! `caching_sha2_password`: SHA-256 over the scramble if the server remembers the password, else the
//! password itself, by TLS or encrypted for the server's RSA key.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
//!
//! ```text
//! client   reply = SHA256(password) XOR SHA256(SHA256(SHA256(password)) || scramble)
//! server   0x01 0x03  right: OK follows
//!          0x01 0x04  full authentication, please
//! client   TLS: password NUL     plain: 0x02, and with the key: RSA-OAEP(password NUL XOR scramble)
//! ```

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Scramble, xor};

/// Bytes of a reply.
pub const LEN: usize = 32;

/// What the server says behind 0x01 when the reply was right. An OK packet follows.
pub const FAST_AUTH_SUCCESS: u8 = 3;
/// What the server says behind 0x01 when it cannot tell from the reply.
pub const PERFORM_FULL_AUTHENTICATION: u8 = 4;
/// What the client sends to be given the server's public key.
pub const REQUEST_PUBLIC_KEY: u8 = 2;

/// The reply to `scramble`. It is for a password that is not empty: an empty one is proved by an
/// empty reply.
pub fn reply(password: &[u8], scramble: &Scramble) -> [u8; LEN] {
    let once: [u8; LEN] = Sha256::digest(password).into();
    xor(once, &mask(scramble, &Sha256::digest(once).into()))
}

/// Checks `reply` against `digest`, the password's [`digest`].
pub fn verify(reply: &[u8], scramble: &Scramble, digest: &[u8; LEN]) -> bool {
    let Ok(reply) = reply.try_into() else { return false };
    let once = xor(reply, &mask(scramble, digest));
    <[u8; LEN]>::from(Sha256::digest(once)).ct_eq(digest).into()
}

/// SHA256(SHA256(password)): what a server keeps in its cache.
pub fn digest(password: &[u8]) -> [u8; LEN] {
    Sha256::digest(Sha256::digest(password)).into()
}

/// Hides or shows, for it is its own inverse, the NUL-terminated password that is encrypted by RSA.
/// This only keeps equal passwords from looking equal.
pub fn obscure(password: &mut [u8], scramble: &Scramble) {
    password.iter_mut().zip(scramble.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

fn mask(scramble: &Scramble, digest: &[u8; LEN]) -> [u8; LEN] {
    Sha256::new().chain_update(digest).chain_update(scramble).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From go-sql-driver/mysql, auth_test.go `TestScrambleSHA256Pass`.
    #[test]
    fn replies_equal_the_go_drivers() {
        let scramble =
            &[10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21];
        let check = |password: &[u8], expect: &str| {
            let hex: String =
                reply(password, scramble).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expect);
        };
        check(b"secret", "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c");
        check(b"secret2", "abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6");
    }

    #[test]
    fn a_reply_is_right_or_wrong() {
        let scramble = b"0123456789abcdefghij";
        let digest = digest(b"secret");
        let mut reply = reply(b"secret", scramble);
        assert!(verify(&reply, scramble, &digest));
        assert!(!verify(&reply, b"jihgfedcba9876543210", &digest));
        assert!(!verify(&reply[1..], scramble, &digest));
        assert!(!verify(b"", scramble, &digest));
        reply[31] ^= 0x80;
        assert!(!verify(&reply, scramble, &digest));
    }

    #[test]
    fn obscuring_twice_shows_the_password_again() {
        let scramble = b"0123456789abcdefghij";
        let password = *b"longer than the scramble is\0";
        let mut hidden = password;
        obscure(&mut hidden, scramble);
        assert_ne!(hidden, password);
        obscure(&mut hidden, scramble);
        assert_eq!(hidden, password);
    }
}

//! `client_ed25519` of MariaDB: an Ed25519 signature whose secret key is SHA512(password).
//! <https://mariadb.com/docs/server/reference/plugins/authentication-plugins/authentication-plugin-ed25519>
//!
//! The server stores only the public key, so a proxy can prove a password it knows, but can never
//! pass on somebody else's proof.

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use sha2::{Digest, Sha512};

/// Bytes of a signature.
pub const LEN: usize = 64;

/// Bytes of the challenge.
pub const SCRAMBLE_LEN: usize = 32;

/// The signature of `scramble`.
pub fn sign(password: &[u8], scramble: &[u8; SCRAMBLE_LEN]) -> [u8; LEN] {
    let secret = secret(password);
    raw_sign::<Sha512>(&secret, scramble, &VerifyingKey::from(&secret)).to_bytes()
}

/// The public key, which is what servers store.
pub fn public_key(password: &[u8]) -> [u8; 32] {
    VerifyingKey::from(&secret(password)).to_bytes()
}

fn secret(password: &[u8]) -> ExpandedSecretKey {
    ExpandedSecretKey::from_bytes(&Sha512::digest(password).into())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signature;

    use super::*;

    /// What MariaDB 10.11 stores for `IDENTIFIED VIA ed25519 USING PASSWORD('secret')`:
    /// `ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY`.
    #[test]
    fn the_public_key_is_the_servers() {
        let expect = [
            0x64, 0x88, 0x14, 0x44, 0x45, 0x20, 0xe4, 0xf5, 0x60, 0x43, 0xa2, 0xec, 0x92, 0x15,
            0xe6, 0x3b, 0xe7, 0x99, 0x2d, 0x2d, 0x27, 0x0b, 0xc6, 0xde, 0xe8, 0x73, 0xe3, 0x61,
            0x64, 0x78, 0x60, 0x96,
        ];
        assert_eq!(public_key(b"secret"), expect);
    }

    #[test]
    fn the_signature_fits_the_public_key() {
        let signature = Signature::from_bytes(&sign(b"secret", &[7; SCRAMBLE_LEN]));
        let key = VerifyingKey::from_bytes(&public_key(b"secret")).unwrap();
        assert!(key.verify_strict(&[7; SCRAMBLE_LEN], &signature).is_ok());
        assert!(key.verify_strict(&[8; SCRAMBLE_LEN], &signature).is_err());
    }
}

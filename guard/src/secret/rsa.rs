//! RSA for passwords over plain text, as `caching_sha2_password` has it: OAEP with SHA-1.
//!
//! By aws-lc, whose decryption takes the same time whatever it decrypts (RUSTSEC-2023-0071 is about
//! one that does not). It keeps listeners out, but not an impostor, who would show a key of their
//! own: only TLS does.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use zeroize::Zeroizing;

/// RSA failed. Nothing more is said, on purpose: what exactly failed helps only an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("RSA failed")]
pub struct RsaError;

impl<E: Into<aws_lc_rs::error::Unspecified>> From<E> for RsaError {
    fn from(_: E) -> Self {
        Self
    }
}

/// The guard's own key: made anew at each start, since clients ask for it at each login.
#[derive(Debug)]
pub struct RsaKey {
    private: OaepPrivateDecryptingKey,
    pem: String,
}

impl RsaKey {
    /// Makes a key of 2048 bits. Takes about 0.1 s.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn generate() -> Result<Self, RsaError> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
        let public = private.public_key();
        let pem =
            pem(AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&public)?.as_ref());
        Ok(Self { private: OaepPrivateDecryptingKey::new(private)?, pem })
    }

    /// The public half, in PEM.
    pub fn public_pem(&self) -> &str {
        &self.pem
    }

    /// Decrypts what a client encrypted for this key. Takes about 1 ms.
    ///
    /// # Errors
    /// When it was not encrypted for this key.
    pub fn decrypt(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, RsaError> {
        let mut plain = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let len = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, encrypted, &mut plain, None)?.len();
        plain.truncate(len);
        Ok(plain)
    }
}

/// Encrypts `plain` for the owner of the public key `pem`.
///
/// # Errors
/// When it is no such key, or one too short for so much.
pub fn encrypt(pem: &[u8], plain: &[u8]) -> Result<Vec<u8>, RsaError> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| RsaError)?;
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&key)?)?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let len = key.encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut encrypted, None)?.len();
    encrypted.truncate(len);
    Ok(encrypted)
}

/// RFC 7468: base64 in lines of 64 between two markers.
fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let at = |index| u32::from(group.get(index).copied().unwrap_or_default());
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for digit in 0..4 {
                let value = bits >> (18 - 6 * digit) & 0x3F;
                text.push(match digit <= group.len() {
                    true => char::from(DIGITS[value as usize]),
                    false => '=',
                });
            }
        }
        text.push('\n');
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_for_a_key_only_that_key_decrypts() {
        let (key, other) = (RsaKey::generate().unwrap(), RsaKey::generate().unwrap());
        let encrypted = encrypt(key.public_pem().as_bytes(), b"secret\0").unwrap();
        assert_eq!(encrypted.len(), 256);
        assert_eq!(key.decrypt(&encrypted).unwrap().as_slice(), b"secret\0");
        assert_eq!(other.decrypt(&encrypted), Err(RsaError));
        assert_eq!(key.decrypt(&encrypted[1..]), Err(RsaError));
        assert_eq!(key.decrypt(b""), Err(RsaError));
    }

    #[test]
    fn what_is_no_key_or_too_long_is_an_error() {
        assert_eq!(encrypt(b"no key", b"x"), Err(RsaError));
        let key = RsaKey::generate().unwrap();
        assert_eq!(encrypt(key.public_pem().as_bytes(), &[0; 256]), Err(RsaError));
    }

    #[test]
    fn pem_pads_its_last_group() {
        let body = |der: &[u8]| pem(der).lines().nth(1).unwrap().to_owned();
        assert_eq!(body(b"Man"), "TWFu");
        assert_eq!(body(b"Ma"), "TWE=");
        assert_eq!(body(b"M"), "TQ==");
    }
}

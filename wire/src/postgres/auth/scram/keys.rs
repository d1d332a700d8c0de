use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Bytes of a key and of all that is computed from keys.
pub const KEY_LEN: usize = 32;

/// How many iterations a server may ask for. PostgreSQL's default is 4,096; a million take about
/// half a second, and who asks for more wants to waste it.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// A key, or what is computed from one.
pub(super) type Key = [u8; KEY_LEN];

/// What proves a password without it: for one salt and one number of iterations. It does not show
/// itself in logs, and is overwritten when dropped.
#[derive(Clone)]
pub struct Keys {
    /// Proves the client to the server.
    pub client: [u8; KEY_LEN],
    /// Proves the server to the client.
    pub server: [u8; KEY_LEN],
}

impl Keys {
    /// Computes the keys of `password`. This is slow by design: two hashes for each iteration.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = salted(&prepared(password), salt, iterations);
        Self { client: hmac(&salted, &[b"Client Key"]), server: hmac(&salted, &[b"Server Key"]) }
    }

    /// What a server keeps of the client's key.
    pub(super) fn stored(&self) -> Key {
        hash(&self.client)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.server.zeroize();
    }
}

/// In the same time whatever differs.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        (self.client.ct_eq(&other.client) & self.server.ct_eq(&other.server)).into()
    }
}

impl Eq for Keys {}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// The password as it is hashed: normalised by SASLprep if it is UTF-8 and all its characters are
/// allowed, else as it is. PostgreSQL does the same on both sides.
pub fn prepared(password: &[u8]) -> Cow<'_, [u8]> {
    let text = std::str::from_utf8(password).ok();
    match text.and_then(|text| stringprep::saslprep(text).ok()) {
        Some(Cow::Owned(prepared)) => Cow::Owned(prepared.into_bytes()),
        Some(Cow::Borrowed(_)) | None => Cow::Borrowed(password),
    }
}

/// PBKDF2 with HMAC-SHA-256, of which one block is enough.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    let keyed = keyed(password);
    let mut block = finished(keyed.clone(), &[salt, &1_u32.to_be_bytes()]);
    let mut sum = block;
    for _ in 1..iterations {
        block = finished(keyed.clone(), &[&block]);
        sum = xor(sum, &block);
    }
    sum
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    finished(keyed(key), parts)
}

pub(super) fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

pub(super) fn xor(mut left: Key, right: &Key) -> Key {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
    left
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn finished(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Key {
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

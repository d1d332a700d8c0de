//! Signatures by Standard Webhooks 1.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>),
//! symmetric: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, one for each key.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// What keys begin with.
const PREFIX: &str = "whsec_";
/// How long a key may be, in bytes, by the specification.
const KEY_LEN: std::ops::RangeInclusive<usize> = 24..=64;

/// A key to sign with. It is never shown.
#[derive(Clone)]
pub struct Key {
    /// The state after the key was taken in: half of each signature's work, done once.
    keyed: Hmac<Sha256>,
}

/// Why a text is no key. It does not say what the text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It does not begin as keys do.
    #[error("a key of Standard Webhooks begins with \"whsec_\"")]
    Prefix,
    /// What follows is no base64.
    #[error("what follows \"whsec_\" must be base64, with its padding")]
    Base64,
    /// It is too short or too long.
    #[error("the key has {0} bytes; it must have 24 to 64")]
    Len(usize),
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(KeyError::Prefix)?;
        let key = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyError::Base64)?);
        if !KEY_LEN.contains(&key.len()) {
            return Err(KeyError::Len(key.len()));
        }
        let keyed = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Ok(Self { keyed })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The signatures of a message by all keys, as the header has them.
#[must_use]
pub fn sign(keys: &[Key], id: &[u8], second: i64, body: &[u8]) -> String {
    let mut header = String::with_capacity(48 * keys.len());
    for key in keys {
        let mut mac = key.keyed.clone();
        mac.update(id);
        let mut dotted = String::with_capacity(24);
        write!(dotted, ".{second}.").expect("a String takes everything");
        mac.update(dotted.as_bytes());
        mac.update(body);
        header.push_str(if header.is_empty() { "v1," } else { " v1," });
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut header);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example that the libraries of Standard Webhooks test themselves with.
    #[test]
    fn it_signs_as_the_reference_does() {
        let keys: [Key; 1] = [SECRET.parse().unwrap()];
        let body = br#"{"test": 2432232314}"#;
        let header = sign(&keys, b"msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_keys_change_both_sign() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let keys = [SECRET.parse().unwrap(), other.parse().unwrap()];
        let header = sign(&keys, b"id", 1, b"{}");
        let each = [&keys[..1], &keys[1..]].map(|key| sign(key, b"id", 1, b"{}"));
        assert_eq!(header, each.join(" "));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let error = |text: &str| text.parse::<Key>().unwrap_err();
        assert_eq!(error("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), KeyError::Prefix);
        assert_eq!(error("whsec_not base64"), KeyError::Base64);
        assert_eq!(error("whsec_c2hvcnQ="), KeyError::Len(5));
        assert_eq!(format!("{:?}", SECRET.parse::<Key>().unwrap()), "Key(…)");
    }
}

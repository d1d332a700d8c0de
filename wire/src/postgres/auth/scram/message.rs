//! The texts of the exchange: attributes, each a letter, `=` and a value, with commas between.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::keys::Key;
use crate::{Malformed, Reader};

pub(super) fn encoded(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The base64 in `text`.
pub(super) fn decoded(message: &'static str, text: &[u8]) -> Result<Vec<u8>, Malformed> {
    BASE64_STANDARD.decode(text).map_err(|_| Malformed { message, at: 0, why: "not base64" })
}

/// The base64 of a key in `text`.
pub(super) fn decoded_key(message: &'static str, text: &[u8]) -> Result<Key, Malformed> {
    let wrong = Malformed { message, at: 0, why: "not the base64 of 32 bytes" };
    decoded(message, text)?.try_into().map_err(|_| wrong)
}

/// A number in decimal digits.
pub(super) fn number(message: &'static str, text: &[u8]) -> Result<u32, Malformed> {
    let digits = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or(Malformed { message, at: 0, why: "no number" })
}

/// Reads the attribute `name`, which must come next.
pub(super) fn attribute<'a>(reader: &mut Reader<'a>, name: u8) -> Result<&'a [u8], Malformed> {
    let mut ahead = *reader;
    if ahead.array()? != [name, b'='] {
        return Err(reader.err("another attribute is due"));
    }
    let value = up_to_comma(&mut ahead)?;
    *reader = ahead;
    Ok(value)
}

/// Reads up to the next comma, which is consumed and not returned, or to the end.
pub(super) fn up_to_comma<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let mut ahead = *reader;
    let rest = ahead.rest();
    let len = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
    let value = reader.bytes(len)?;
    if !reader.is_empty() {
        reader.skip(1)?;
    }
    Ok(value)
}

/// Whether `nonce` has characters, and only those that a nonce may have.
pub(super) fn is_nonce(nonce: &[u8]) -> bool {
    !nonce.is_empty() && nonce.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',')
}

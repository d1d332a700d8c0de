//! Values, however they are written: the same one always mixes the same.

use std::borrow::Cow;

use super::super::Dialect;
use super::super::digest::Hashes;

/// The value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// As text; also bytes of types that nobody looks into.
    Text(&'a [u8]),
    /// A whole number.
    Signed(i64),
    /// A whole number.
    Unsigned(u64),
    /// A number that some drivers send for every number they have.
    Real(f64),
    /// A UUID, which is written in hexadecimal digits.
    Uuid([u8; 16]),
}

const NUMBER: u64 = 0x0400_0000_0000_0000;
const NEGATIVE: u64 = 0x0500_0000_0000_0000;
const TEXT: u64 = 0x0600_0000_0000_0000;

/// Beyond this a float leaves out whole numbers.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Value<'_> {
    pub(super) fn mix(self, hashes: &mut Hashes) {
        match self {
            Self::Text(bytes) => mix_text(hashes, bytes, false),
            Self::Signed(number) => mix_whole(hashes, number.unsigned_abs(), number < 0),
            Self::Unsigned(number) => mix_whole(hashes, number, false),
            Self::Real(number) if number.fract() == 0.0 && number.abs() <= WHOLE_MAX => {
                mix_whole(hashes, number.abs() as u64, number < 0.0);
            }
            Self::Real(number) => mix_text(hashes, number.to_string().as_bytes(), false),
            Self::Uuid(bytes) => mix_text(hashes, &uuid(bytes), false),
        }
    }
}

/// A literal of a text.
#[derive(Debug)]
pub(super) struct Literal<'a> {
    content: Cow<'a, [u8]>,
    is_negative: bool,
}

impl Literal<'_> {
    pub(super) fn mix(&self, hashes: &mut Hashes) {
        mix_text(hashes, &self.content, self.is_negative);
    }
}

/// What a literal means, behind a sign. `None` where that would take a server to tell: bits, escapes.
pub(super) fn literal(written: &[u8], dialect: Dialect, is_negative: bool) -> Option<Literal<'_>> {
    if matches!(written.first()?, b'0'..=b'9' | b'.') {
        return Some(Literal { content: Cow::Borrowed(written), is_negative });
    }
    let opens = written.iter().position(|byte| matches!(byte, b'\'' | b'"'))?;
    let (mark, quoted) = written.split_at(opens);
    let is_plain = match mark {
        [] | [b'n' | b'N'] => true,
        [b'e' | b'E'] => dialect.is_postgres(),
        [b'_', ..] => !mark.ends_with(b"x") && !mark.ends_with(b"X"),
        _ => false,
    };
    let [quote, inner @ ..] = quoted else { return None };
    let inner = inner.strip_suffix(&[*quote])?;
    if !is_plain || inner.contains(&b'\\') {
        return None;
    }
    let content = undouble(inner, *quote)?;
    Some(Literal { content, is_negative })
}

/// The content of a string, whose doubled quotes stand for one. `None` if one stands alone: then it is
/// several strings.
fn undouble(inner: &[u8], quote: u8) -> Option<Cow<'_, [u8]>> {
    if !inner.contains(&quote) {
        return Some(Cow::Borrowed(inner));
    }
    let mut content = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        if byte == quote && bytes.next() != Some(&quote) {
            return None;
        }
        content.push(byte);
    }
    Some(Cow::Owned(content))
}

/// A number of the same value mixes the same, with or without zeros before it.
fn mix_text(hashes: &mut Hashes, text: &[u8], is_negative: bool) {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] if !is_negative => (true, digits),
        [b'+', digits @ ..] => (is_negative, digits),
        _ => (is_negative, text),
    };
    match digits {
        [b'0'..=b'9' | b'.', ..] if digits.iter().all(u8::is_ascii_digit) => {
            let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
            mix_digits(hashes, &digits[zeros..], is_negative);
        }
        [b'0'..=b'9' | b'.', ..] => mix_digits(hashes, digits, is_negative),
        _ => hashes.mix_bytes(TEXT, text, false),
    }
}

/// Zero has no digits.
fn mix_digits(hashes: &mut Hashes, digits: &[u8], is_negative: bool) {
    let tag = if is_negative && !digits.is_empty() { NEGATIVE } else { NUMBER };
    hashes.mix_bytes(tag, digits, false);
}

fn mix_whole(hashes: &mut Hashes, number: u64, is_negative: bool) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number);
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    mix_digits(hashes, &digits[at..], is_negative);
}

/// As servers write it.
fn uuid(bytes: [u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text
}

//! Numbers in as few bytes as they need: seven bits each, the lowest first (LEB128).

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front. None where there is no whole one, or it has more than 64 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_comes_back(number: u64, rest: Vec<u8>) {
            let mut out = Vec::new();
            put(&mut out, number);
            prop_assert!(out.len() <= 10);
            out.extend(&rest);
            let mut bytes = out.as_slice();
            prop_assert_eq!(take(&mut bytes), Some(number));
            prop_assert_eq!(bytes, rest.as_slice());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            take(&mut bytes.as_slice());
        }
    }
}

//! The normalised text of a statement.

/// The longest normalised text that is kept, in bytes; more is cut off.
const NORMALISED_BYTES_MAX: usize = 1024;

/// The normalised text, written token by token.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
}

impl Text {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn cut(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Words stand apart; signs stand as in prose.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.bytes.len() >= NORMALISED_BYTES_MAX {
            return;
        }
        let tight_after = matches!(self.bytes.last(), None | Some(b'(' | b'.'));
        let tight_before = matches!(bytes, b")" | b"," | b"." | b";");
        let operator = |byte: u8| b"<>=!:|&-+@#".contains(&byte);
        let one_operator = matches!((self.bytes.last(), bytes), (Some(&last), [next])
            if operator(last) && operator(*next));
        if !tight_after && !tight_before && !one_operator {
            self.bytes.push(b' ');
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn into_boxed_str(self) -> Box<str> {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.truncate(text.floor_char_boundary(NORMALISED_BYTES_MAX));
        text.into()
    }
}

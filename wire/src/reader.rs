use crate::Malformed;

/// A cursor over one message: every read is checked and none panics.
///
/// Integers are little-endian, but for those whose name ends in `_be`. A failed read does not move the cursor.
/// (materialize:src/pgwire-common/src/codec.rs `Cursor` is the model.)
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    message: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`; `message` names what is read in every error.
    pub const fn new(message: &'static str, bytes: &'a [u8]) -> Self {
        Self { message, bytes, at: 0 }
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a 2-byte integer.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Reads a 2-byte integer in network order.
    pub fn u16_be(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a 4-byte integer in network order.
    pub fn u32_be(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a signed 4-byte integer in network order.
    pub fn i32_be(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads a 3-byte integer.
    pub fn u24(&mut self) -> Result<u32, Malformed> {
        self.array::<3>().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    /// Reads a 4-byte integer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads an 8-byte integer.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads a length-encoded integer. `0xFB` (NULL) and `0xFF` are not integers: both are errors.
    pub fn lenenc(&mut self) -> Result<u64, Malformed> {
        let mut ahead = *self;
        let value = match ahead.u8()? {
            0xFC => ahead.u16()?.into(),
            0xFD => ahead.u24()?.into(),
            0xFE => ahead.u64()?,
            0xFB | 0xFF => return Err(self.err("not a length-encoded integer")),
            small => small.into(),
        };
        *self = ahead;
        Ok(value)
    }

    /// Reads a length-encoded string.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let mut ahead = *self;
        let len = ahead.lenenc()?;
        let len = usize::try_from(len).map_err(|_| self.err("longer than memory"))?;
        let bytes = ahead.bytes(len)?;
        *self = ahead;
        Ok(bytes)
    }

    /// Reads up to the next NUL, which is consumed and not returned.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let len =
            rest.iter().position(|&byte| byte == 0).ok_or(self.err("no NUL ends the string"))?;
        self.at += len + 1;
        Ok(&rest[..len])
    }

    /// Reads `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        if len > self.remaining() {
            return Err(self.err("ends too early"));
        }
        let start = self.at;
        self.at += len;
        Ok(&self.bytes[start..self.at])
    }

    /// Reads `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes[self.at..].first_chunk::<N>().ok_or(self.err("ends too early"))?;
        self.at += N;
        Ok(*bytes)
    }

    /// Skips `len` bytes.
    pub fn skip(&mut self, len: usize) -> Result<(), Malformed> {
        self.bytes(len).map(drop)
    }

    /// Reads all that is left, perhaps nothing.
    pub fn rest(&mut self) -> &'a [u8] {
        let start = self.at;
        self.at = self.bytes.len();
        &self.bytes[start..]
    }

    /// The next byte, which stays unread; `None` at the end.
    pub fn peek_u8(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Checks that everything has been read.
    pub const fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.err("bytes after the end")) }
    }

    /// How many bytes are unread.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// How many bytes have been read.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The error that says what is wrong at the cursor.
    pub const fn err(&self, why: &'static str) -> Malformed {
        Malformed { message: self.message, at: self.at, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_little_endian() {
        let mut reader =
            Reader::new("test", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0302));
        assert_eq!(reader.u24(), Ok(0x06_05_04));
        assert_eq!(reader.u32(), Ok(0x0A_09_08_07));
        assert_eq!(reader.u64(), Ok(1 << 56));
        assert!(reader.is_empty());
    }

    #[test]
    fn integers_in_network_order_are_big_endian() {
        let mut reader = Reader::new("test", &[1, 2, 3, 4, 5, 6, 0xFF, 0xFF, 0xFF, 0xFE]);
        assert_eq!(reader.u16_be(), Ok(0x0102));
        assert_eq!(reader.u32_be(), Ok(0x0304_0506));
        assert!(reader.end().is_err());
        assert_eq!(reader.i32_be(), Ok(-2));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn length_encoded_integers_have_four_widths() {
        let check =
            |bytes: &[u8], expect| assert_eq!(Reader::new("test", bytes).lenenc(), Ok(expect));
        check(&[0xFA], 250);
        check(&[0xFC, 0xFB, 0], 251);
        check(&[0xFD, 0, 0, 1], 1 << 16);
        check(&[0xFE, 0, 0, 0, 0, 0, 0, 0, 1], 1 << 56);
    }

    #[test]
    fn a_failed_read_says_where_and_moves_nothing() {
        let mut reader = Reader::new("test", &[9, 0xFC, 1]);
        assert_eq!(reader.u8(), Ok(9));
        assert!(reader.lenenc().is_err());
        assert!(reader.lenenc_bytes().is_err());
        assert!(reader.nul_bytes().is_err());
        assert!(reader.u24().is_err());
        assert_eq!(reader.err("x"), Malformed { message: "test", at: 1, why: "x" });
        assert_eq!(reader.rest(), [0xFC, 1]);
    }

    #[test]
    fn null_and_0xff_are_not_integers() {
        assert!(Reader::new("test", &[0xFB]).lenenc().is_err());
        assert!(Reader::new("test", &[0xFF]).lenenc().is_err());
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let huge = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2];
        assert!(Reader::new("test", &huge).lenenc_bytes().is_err());
    }

    #[test]
    fn strings_end_at_their_nul() {
        let mut reader = Reader::new("test", b"ab\0\0c");
        assert_eq!(reader.nul_bytes(), Ok(&b"ab"[..]));
        assert_eq!(reader.nul_bytes(), Ok(&b""[..]));
        assert!(reader.nul_bytes().is_err());
        assert_eq!(reader.peek_u8(), Some(b'c'));
    }
}

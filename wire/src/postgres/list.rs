//! Lists that several messages share: a 2-byte count, and as many entries.

use bytes::{BufMut, BytesMut};

use super::frame::put_count;
use crate::{Malformed, Reader};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// As text.
    Text,
    /// In the binary form of its type.
    Binary,
}

impl TryFrom<u16> for Format {
    type Error = Malformed;

    fn try_from(code: u16) -> Result<Self, Malformed> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(Malformed { message: "format", at: 0, why: "neither text nor binary" }),
        }
    }
}

impl Format {
    /// The code on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// The OIDs of types: an iterator. 0 leaves it to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Types<'a> {
    bytes: &'a [u8],
}

impl<'a> Types<'a> {
    /// All that is left of the list as it is on the wire: equal bytes are equal types.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = reader.u16_be()?;
        Ok(Self { bytes: reader.bytes(usize::from(count) * 4)? })
    }
}

impl Iterator for Types<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (first, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.bytes.len() / 4, Some(self.bytes.len() / 4))
    }
}

impl ExactSizeIterator for Types<'_> {}

/// Appends a list of at most 65,535 types.
pub(super) fn put_types(out: &mut BytesMut, types: &[u32]) {
    put_count(out, types.len());
    types.iter().for_each(|&oid| out.put_u32(oid));
}

/// Formats of values: an iterator. None means text for all, one stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Formats<'a> {
    bytes: &'a [u8],
}

impl<'a> Formats<'a> {
    /// The format of the value at `index`. `None` if the list is too short for it.
    pub fn of(&self, index: usize) -> Option<Format> {
        let mut formats = *self;
        match self.len() {
            0 => Some(Format::Text),
            1 => formats.next(),
            _ => formats.nth(index),
        }
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = reader.u16_be()?;
        let wrong = reader.err("a format that is neither text nor binary");
        let bytes = reader.bytes(usize::from(count) * 2)?;
        let known = bytes.chunks_exact(2).all(|code| matches!(code, [0, 0 | 1]));
        if known { Ok(Self { bytes }) } else { Err(wrong) }
    }
}

impl Iterator for Formats<'_> {
    type Item = Format;

    fn next(&mut self) -> Option<Format> {
        let (first, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        u16::from_be_bytes(*first).try_into().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.bytes.len() / 2, Some(self.bytes.len() / 2))
    }
}

impl ExactSizeIterator for Formats<'_> {}

/// Appends a list of at most 65,535 formats.
pub(super) fn put_formats(out: &mut BytesMut, formats: &[Format]) {
    put_count(out, formats.len());
    formats.iter().for_each(|format| out.put_u16(format.code()));
}

/// Values: an iterator. `None` is NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Values<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Values<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = usize::from(reader.u16_be()?);
        let mut ahead = *reader;
        for _ in 0..count {
            value(&mut ahead)?;
        }
        let bytes = reader.bytes(ahead.position() - reader.position())?;
        Ok(Self { bytes, count })
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let mut reader = Reader::new("value", self.bytes);
        let value = value(&mut reader).ok()?;
        self.bytes = reader.rest();
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Values<'_> {}

/// Reads one value: its length, or -1 for NULL, and its bytes.
pub(super) fn value<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let wrong = reader.err("a value of negative length");
    match reader.i32_be()? {
        -1 => Ok(None),
        len => reader.bytes(usize::try_from(len).map_err(|_| wrong)?).map(Some),
    }
}

/// Appends a list of at most 65,535 values.
pub(super) fn put_values(out: &mut BytesMut, values: &[Option<&[u8]>]) {
    put_count(out, values.len());
    values.iter().for_each(|value| put_value(out, *value));
}

/// Appends one value of at most 1 GiB.
pub(super) fn put_value(out: &mut BytesMut, value: Option<&[u8]>) {
    let Some(bytes) = value else {
        out.put_i32(-1);
        return;
    };
    let [.., a, b, c, d] = (bytes.len() as u64).to_be_bytes();
    out.put_slice(&[a, b, c, d]);
    out.put_slice(bytes);
}

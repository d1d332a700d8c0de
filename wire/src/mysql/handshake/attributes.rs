use super::{BytesMut, Malformed, Reader, put_lenenc, put_lenenc_bytes};

/// Connection attributes: what a client says about itself, such as `program_name`.
///
/// Borrowed and already checked: iterating gives whole pairs only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectAttributes<'a>(&'a [u8]);

impl<'a> ConnectAttributes<'a> {
    /// Takes the block behind its length, which must hold whole pairs.
    pub fn parse(block: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("connection attributes", block);
        while !reader.is_empty() {
            pair(&mut reader)?;
        }
        Ok(Self(block))
    }

    /// The pairs, in the client's order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut reader = Reader::new("connection attributes", self.0);
        std::iter::from_fn(move || pair(&mut reader).ok())
    }

    /// Reads the length-encoded block at the cursor.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Self::parse(reader.lenenc_bytes()?)
    }

    /// Makes the block of `pairs` that [`ConnectAttributes::parse`] takes.
    pub fn block<'p>(pairs: impl IntoIterator<Item = (&'p [u8], &'p [u8])>) -> BytesMut {
        let mut block = BytesMut::new();
        for (name, value) in pairs {
            put_lenenc_bytes(&mut block, name);
            put_lenenc_bytes(&mut block, value);
        }
        block
    }

    pub(super) fn put(self, out: &mut BytesMut) {
        put_lenenc(out, self.0.len() as u64);
        out.extend_from_slice(self.0);
    }
}

fn pair<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    Ok((reader.lenenc_bytes()?, reader.lenenc_bytes()?))
}

use bytes::{BufMut, BytesMut};
use subtle::ConstantTimeEq;

use super::{CANCEL_REQUEST, put_packet};
use crate::{Malformed, Reader};

/// The shortest key of a connection, in bytes; in version 3.0 all have this length.
pub const CANCEL_KEY_MIN: usize = 4;

/// The longest key of a connection, in bytes, since version 3.2.
pub const CANCEL_KEY_MAX: usize = 256;

/// What proves that a connection may be cancelled. It does not show itself in logs.
#[derive(Clone, Copy)]
pub struct CancelKey<'a>(&'a [u8]);

impl<'a> CancelKey<'a> {
    /// Takes `bytes` for a key. `None` if they are too many or too few.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (CANCEL_KEY_MIN..=CANCEL_KEY_MAX).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The bytes of the key.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Reads a key, which takes all that is left.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let wrong = reader.err("no length of a cancel key");
        Self::new(reader.rest()).ok_or(wrong)
    }
}

/// In the same time whatever differs. Lengths are no secret.
impl PartialEq for CancelKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0).into()
    }
}

impl Eq for CancelKey<'_> {}

impl std::fmt::Debug for CancelKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({} bytes)", self.0.len())
    }
}

/// Asks to stop what runs on another connection.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-CANCELREQUEST>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest<'a> {
    /// The number of that connection's backend, from its BackendKeyData.
    pub process: u32,
    /// The key from there.
    pub key: CancelKey<'a>,
}

impl<'a> CancelRequest<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { process: reader.u32_be()?, key: CancelKey::read(reader)? })
    }
}

/// Appends a CancelRequest.
pub fn put_cancel_request(out: &mut BytesMut, process: u32, key: CancelKey<'_>) {
    put_packet(out, CANCEL_REQUEST, |out| {
        out.put_u32(process);
        out.put_slice(key.as_bytes());
    });
}

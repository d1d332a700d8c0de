use bytes::BytesMut;

use super::super::frame::put_message;
use super::Kind;
use crate::{Malformed, Reader};

/// In which state a ReadyForQuery leaves the session's transaction.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-READYFORQUERY>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TransactionStatus {
    /// There is none.
    Idle = b'I',
    /// One is open.
    Open = b'T',
    /// One has failed: all but its end is refused.
    Failed = b'E',
}

impl TransactionStatus {
    /// Reads the body of a ReadyForQuery.
    ///
    /// # Errors
    /// When it is not one byte that says a state.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("ReadyForQuery", body);
        let wrong = reader.err("no state of a transaction");
        let status = match reader.u8()? {
            b'I' => Self::Idle,
            b'T' => Self::Open,
            b'E' => Self::Failed,
            _ => return Err(wrong),
        };
        reader.end()?;
        Ok(status)
    }
}

/// Appends a ReadyForQuery.
pub fn put_ready_for_query(out: &mut BytesMut, status: TransactionStatus) {
    put_message(out, Kind::ReadyForQuery.byte(), &[status as u8]);
}

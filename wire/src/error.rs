use thiserror::Error;

/// Bytes that do not form the message they should.
///
/// Who is to blame depends on whose bytes they were, which only the caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed {message} at byte {at}: {why}")]
pub struct Malformed {
    /// The message that was being read, in the words of the protocol's manual.
    pub message: &'static str,
    /// Where reading stopped: bytes from the start of that message's payload.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

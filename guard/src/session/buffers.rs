//! Buffers that sessions lend each other.

use bytes::BytesMut;
use parking_lot::Mutex;

/// What one read from a client asks for, and the size of a pooled buffer. Most statements fit.
pub const READ_LEN: usize = 16 * 1024;

/// How many empty buffers are kept for the next client that speaks. 128 clients that speak
/// at once find two; more allocate.
const BUFFERS_MAX: usize = 256;

/// Buffers that nobody uses, shared by all sessions.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<BytesMut>>);

impl Buffers {
    /// A buffer with room for one read.
    pub fn take(&self) -> BytesMut {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        // A buffer whose front was consumed has room behind it again; nothing is copied.
        buffer.reserve(READ_LEN);
        buffer
    }

    /// Keeps a buffer for the next; one that grew goes back to the allocator.
    pub fn put(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut buffers = self.0.lock();
        if buffers.len() < BUFFERS_MAX && (1..=2 * READ_LEN).contains(&buffer.capacity()) {
            buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let buffers = Buffers::default();
        buffers.put(BytesMut::with_capacity(READ_LEN));
        buffers.put(BytesMut::with_capacity(64 * READ_LEN));
        assert_eq!(buffers.0.lock().len(), 1);
    }
}

//! Buffers that sessions lend each other.
//!
//! A statement borrows two, one for what its client says and one for what it is told, so that a client that is
//! silent has none. Each thread keeps its own: there is no lock, and the next session of the thread finds the one
//! that was touched last.

use std::cell::RefCell;

use bytes::BytesMut;

/// What one read from a client asks for, and the size of a pooled buffer. Most statements fit.
pub const READ_LEN: usize = 16 * 1024;

/// How many empty buffers a thread keeps for the next client that speaks. 128 clients that speak
/// at once find two; more allocate.
const BUFFERS_MAX: usize = 256;

thread_local! {
    /// Those that nobody uses.
    static FREE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// A buffer with room for one read.
pub fn take() -> BytesMut {
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    // A buffer whose front was consumed has room behind it again; nothing is copied.
    buffer.reserve(READ_LEN);
    buffer
}

/// Keeps a buffer for the next; one that grew goes back to the allocator.
pub fn put(mut buffer: BytesMut) {
    buffer.clear();
    FREE.with_borrow_mut(|free| {
        if free.len() < BUFFERS_MAX && (1..=2 * READ_LEN).contains(&buffer.capacity()) {
            free.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let kept = || FREE.with_borrow(Vec::len);
        put(BytesMut::with_capacity(READ_LEN));
        put(BytesMut::with_capacity(64 * READ_LEN));
        assert_eq!(kept(), 1);
        assert!(take().capacity() >= READ_LEN && kept() == 0);
        assert!(take().capacity() >= READ_LEN, "there was none");
    }
}

//! Bad input in PostgreSQL's protocol.

#[path = "postgres/login.rs"]
mod login;
#[path = "postgres/messages.rs"]
mod messages;

use bytes::BytesMut;

/// What `put` appends.
fn bytes(put: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(&mut out);
    out.to_vec()
}

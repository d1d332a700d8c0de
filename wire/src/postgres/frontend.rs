//! What a client sends once it is logged in.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

mod call;
mod copy;
mod kind;
mod portal;
mod rename;
mod statement;

pub use call::{FunctionCall, put_function_call};
pub use copy::{copy_fail_reason, put_copy_data, put_copy_done, put_copy_fail};
pub use kind::Kind;
pub use portal::{Bind, Execute, put_bind, put_execute};
pub use rename::{NAMES_MAX, Names, rename};
pub use statement::{
    ParseMessage, Target, put_close, put_describe, put_parse, put_query, query_text,
};

use bytes::BytesMut;

use super::frame::put_message;

/// Appends a Flush: the server sends what it has.
pub fn put_flush(out: &mut BytesMut) {
    put_message(out, Kind::Flush.byte(), b"");
}

/// Appends a Sync: ends the implicit transaction and the skipping after an error.
pub fn put_sync(out: &mut BytesMut) {
    put_message(out, Kind::Sync.byte(), b"");
}

/// Appends a Terminate: the server closes the connection.
pub fn put_terminate(out: &mut BytesMut) {
    put_message(out, Kind::Terminate.byte(), b"");
}

#[cfg(test)]
mod tests;

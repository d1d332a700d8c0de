//! What a server sends once the client is logged in.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

mod complete;
mod copy;
mod error;
mod kind;
mod notification;
mod row;
mod session;
mod status;

pub use complete::{CommandTag, put_command_complete};
pub use copy::{CopyResponse, put_copy_response};
pub use error::{Fields, Notice, Severity, put_error, put_notice};
pub use kind::Kind;
pub use notification::{NotificationResponse, put_notification};
pub use row::{
    Column, Columns, FunctionCallResponse, data_row, parameter_types, put_data_row,
    put_parameter_description, put_row_description,
};
pub use session::{BackendKeyData, ParameterStatus, put_backend_key_data, put_parameter_status};
pub use status::{TransactionStatus, put_ready_for_query};

use bytes::BytesMut;

use super::frame::put_message;

/// Appends one of the messages that say all by their kind: ParseComplete, BindComplete,
/// CloseComplete, NoData, PortalSuspended, EmptyQueryResponse, CopyDone. Others would be malformed.
pub fn put_bare(out: &mut BytesMut, kind: Kind) {
    debug_assert!(*kind.body_len().start() == 0, "this message has a body");
    put_message(out, kind.byte(), b"");
}

#[cfg(test)]
mod tests;

//! The connection phase: who speaks, with what abilities, and how the client is to prove itself.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html> and
//! <https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection>
//!
//! ```text
//! server  Greeting            its id, its scramble, what it can do
//! client  SslRequest          only if it wants TLS, which starts right behind
//! client  HandshakeResponse   who it is, what both can do, a first proof
//! server  AuthSwitch          only if another plugin is needed; the client answers it
//!         AuthMoreData        only if the plugin has more to say; the client may answer it
//!         OK or ERR
//! ```
//!
//! Every `parse` takes the payload of one packet; every `put` appends one packet.

use bytes::{BufMut, BytesMut};

use super::Capabilities;
use super::auth::{SCRAMBLE_LEN, Scramble};
use super::frame::{put_lenenc, put_lenenc_bytes, write_packet};
use crate::{Malformed, Reader};

mod attributes;
mod change_user;
mod greeting;
mod reply;
mod response;

pub use attributes::ConnectAttributes;
pub use change_user::ChangeUser;
pub use greeting::Greeting;
pub use reply::{AuthMoreData, AuthReply, AuthSwitch};
pub use response::{HandshakeResponse, Opening, SslRequest};

/// Splits capabilities into the field that all know and MariaDB's extension.
fn halves(capabilities: Capabilities) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = capabilities.0.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn joined(common: u32, extended: u32) -> Capabilities {
    Capabilities(u64::from(extended) << 32 | u64::from(common))
}

/// Appends a NUL-terminated string. What stands behind a NUL in `bytes` is left out, for no reader
/// would find it.
fn put_nul_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(bytes.split(|&byte| byte == 0).next().unwrap_or_default());
    out.put_u8(0);
}

#[cfg(test)]
mod tests;

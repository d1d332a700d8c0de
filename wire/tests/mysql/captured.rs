//! Replies of MariaDB 10.11.19, as they came from the socket. Each file is one kind of client.

mod extended;
mod legacy;
mod modern;

use wire::mysql::Capabilities;
use wire::mysql::command::Command;

/// One reply. Its packets stand one to a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capture {
    pub(crate) name: &'static str,
    pub(crate) caps: Capabilities,
    pub(crate) command: Command,
    pub(crate) bytes: &'static [u8],
}

/// All of them, in the order in which each client got them.
pub(crate) fn captures() -> impl Iterator<Item = Capture> {
    [legacy::REPLIES, modern::REPLIES, extended::REPLIES].into_iter().flatten().copied()
}

/// A client of 2005: EOF packets, no session tracking.
const LEGACY: Capabilities = Capabilities::PROTOCOL_41;
/// What drivers ask for today.
const MODERN: Capabilities =
    Capabilities(LEGACY.0 | Capabilities::DEPRECATE_EOF.0 | Capabilities::SESSION_TRACK.0);
/// With MariaDB's extensions.
const EXTENDED: Capabilities =
    Capabilities(MODERN.0 | Capabilities::CACHE_METADATA.0 | Capabilities::STMT_BULK_OPERATIONS.0);
/// With MariaDB's extensions, and with EOF packets.
const EXTENDED_LEGACY: Capabilities = Capabilities(EXTENDED.0 & !Capabilities::DEPRECATE_EOF.0);
/// With progress reports.
const PROGRESS: Capabilities = Capabilities(MODERN.0 | Capabilities::PROGRESS.0);

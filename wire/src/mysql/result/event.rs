use super::super::response::Status;

/// What [`super::Tracker::scan`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Bytes at the front that can be forwarded as they are.
    pub len: usize,
    /// What lies right after those bytes, whole; `None` when more bytes are needed.
    pub event: Option<Event>,
}

/// A packet that decides something. `packet` counts its bytes, header included; `last` says that
/// the reply is over with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An OK packet, with header 0x00 or, at the end of rows, 0xFE.
    Ok {
        /// Its length with header, in bytes.
        packet: usize,
        /// Whether the reply is over.
        last: bool,
    },
    /// An EOF packet, after definitions or after rows.
    Eof {
        /// Its length with header, in bytes.
        packet: usize,
        /// Whether the reply is over.
        last: bool,
        /// The session's status.
        status: Status,
        /// How many warnings SHOW WARNINGS would list.
        warnings: u16,
    },
    /// An ERR packet. The reply is over with it.
    Err {
        /// Its length with header, in bytes.
        packet: usize,
    },
    /// The head of a prepared statement.
    PrepareOk {
        /// Its length with header, in bytes.
        packet: usize,
        /// Whether the reply is over, because no definitions follow.
        last: bool,
    },
    /// The server asks for a file of the client; see [`super::Tracker::infile_sent`].
    LocalInfile {
        /// Its length with header, in bytes.
        packet: usize,
    },
    /// The reply is over without an OK, EOF or ERR: with this packet (COM_STATISTICS), or with the
    /// bytes before it (the last definition of a prepared statement; `packet` is 0).
    Done {
        /// Its length with header, in bytes.
        packet: usize,
    },
}

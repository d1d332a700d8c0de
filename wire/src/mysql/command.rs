//! What a client asks for: one byte says which command, the rest of the payload is its argument.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>
//!
//! The `put_…` functions append whole packets with sequence id 0, as each command starts anew.

mod execute;
mod parameter;
mod query;

pub use execute::{StmtBulkExecute, StmtExecute};
pub use parameter::Parameter;
pub use query::{Attributes, QueryText, query_text};

use bytes::{BufMut, BytesMut};

use super::capability::Capabilities;
use super::frame::{put_lenenc, write_packet};
use crate::{Malformed, Reader};

/// The first byte of a client's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    /// Internal to the server; refused by it.
    Sleep = 0x00,
    /// Ends the connection; has no reply.
    Quit = 0x01,
    /// Selects a database.
    InitDb = 0x02,
    /// Runs the text of one or more statements.
    Query = 0x03,
    /// Lists a table's columns; deprecated.
    FieldList = 0x04,
    /// Creates a database; long gone from servers.
    CreateDb = 0x05,
    /// Drops a database; long gone from servers.
    DropDb = 0x06,
    /// Flushes what its argument says; deprecated.
    Refresh = 0x07,
    /// Stops the server.
    Shutdown = 0x08,
    /// Asks for a line of statistics: the reply is that text, without a header byte.
    Statistics = 0x09,
    /// The process list as a result set; deprecated.
    ProcessInfo = 0x0A,
    /// Internal to the server; refused by it.
    Connect = 0x0B,
    /// Kills a connection, named by 4 bytes; deprecated.
    ProcessKill = 0x0C,
    /// Makes the server write debug information to its log.
    Debug = 0x0D,
    /// Asks whether the server lives; the reply carries the session's status.
    Ping = 0x0E,
    /// Internal to the server; refused by it.
    Time = 0x0F,
    /// Internal to the server; refused by it.
    DelayedInsert = 0x10,
    /// Authenticates anew on the same connection.
    ChangeUser = 0x11,
    /// Streams the binary log to a replica.
    BinlogDump = 0x12,
    /// Streams a table to a replica; long gone from servers.
    TableDump = 0x13,
    /// Internal to the server; refused by it.
    ConnectOut = 0x14,
    /// Announces a replica to its primary.
    RegisterSlave = 0x15,
    /// Prepares a statement.
    StmtPrepare = 0x16,
    /// Runs a prepared statement.
    StmtExecute = 0x17,
    /// Sends a parameter of a prepared statement in pieces; has no reply.
    StmtSendLongData = 0x18,
    /// Forgets a prepared statement; has no reply.
    StmtClose = 0x19,
    /// Drops the long data and the cursor of a prepared statement.
    StmtReset = 0x1A,
    /// Turns multi-statements on or off.
    SetOption = 0x1B,
    /// Fetches rows from the cursor of a prepared statement.
    StmtFetch = 0x1C,
    /// Internal to the server; refused by it.
    Daemon = 0x1D,
    /// Streams the binary log from a GTID (MySQL; unimplemented in MariaDB).
    BinlogDumpGtid = 0x1E,
    /// Resets the session without authenticating anew.
    ResetConnection = 0x1F,
    /// Clones the server's data (MySQL).
    Clone = 0x20,
    /// Streams to a member of a replication group (MySQL).
    SubscribeGroupReplicationStream = 0x21,
    /// Runs a prepared statement over many sets of parameters (MariaDB).
    StmtBulkExecute = 0xFA,
    /// Several commands in one (MariaDB 10.2 only; refused since).
    Multi = 0xFE,
}

impl Command {
    /// Reads the command of a payload.
    ///
    /// # Errors
    /// When the payload is empty or its first byte is no command.
    pub fn of(payload: &[u8]) -> Result<Self, Malformed> {
        Reader::new("command", payload).u8()?.try_into()
    }
}

impl TryFrom<u8> for Command {
    type Error = Malformed;

    fn try_from(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            0x00 => Self::Sleep,
            0x01 => Self::Quit,
            0x02 => Self::InitDb,
            0x03 => Self::Query,
            0x04 => Self::FieldList,
            0x05 => Self::CreateDb,
            0x06 => Self::DropDb,
            0x07 => Self::Refresh,
            0x08 => Self::Shutdown,
            0x09 => Self::Statistics,
            0x0A => Self::ProcessInfo,
            0x0B => Self::Connect,
            0x0C => Self::ProcessKill,
            0x0D => Self::Debug,
            0x0E => Self::Ping,
            0x0F => Self::Time,
            0x10 => Self::DelayedInsert,
            0x11 => Self::ChangeUser,
            0x12 => Self::BinlogDump,
            0x13 => Self::TableDump,
            0x14 => Self::ConnectOut,
            0x15 => Self::RegisterSlave,
            0x16 => Self::StmtPrepare,
            0x17 => Self::StmtExecute,
            0x18 => Self::StmtSendLongData,
            0x19 => Self::StmtClose,
            0x1A => Self::StmtReset,
            0x1B => Self::SetOption,
            0x1C => Self::StmtFetch,
            0x1D => Self::Daemon,
            0x1E => Self::BinlogDumpGtid,
            0x1F => Self::ResetConnection,
            0x20 => Self::Clone,
            0x21 => Self::SubscribeGroupReplicationStream,
            0xFA => Self::StmtBulkExecute,
            0xFE => Self::Multi,
            _ => return Err(Malformed { message: "command", at: 0, why: "unknown command byte" }),
        })
    }
}

/// The id that means "the statement prepared last on this connection" (MariaDB 10.2 and up), so that
/// a client may send EXECUTE before it has seen the reply to PREPARE.
pub const LAST_PREPARED: u32 = 0xFFFF_FFFF;

/// The statement that a payload of STMT_EXECUTE, FETCH, RESET, CLOSE, SEND_LONG_DATA or BULK_EXECUTE
/// is about.
///
/// # Errors
/// When the payload is too short, or of another command.
pub fn statement_id(payload: &[u8]) -> Result<u32, Malformed> {
    let mut reader = Reader::new("prepared statement command", payload);
    match Command::try_from(reader.u8()?)? {
        Command::StmtExecute
        | Command::StmtFetch
        | Command::StmtReset
        | Command::StmtClose
        | Command::StmtSendLongData
        | Command::StmtBulkExecute => reader.u32(),
        _ => Err(reader.err("not about a prepared statement")),
    }
}

/// The parameter of which a payload of STMT_SEND_LONG_DATA brings a part.
///
/// # Errors
/// When the payload is too short, or of another command.
pub fn long_data_param(payload: &[u8]) -> Result<u16, Malformed> {
    let mut reader = Reader::new("COM_STMT_SEND_LONG_DATA", payload);
    if reader.u8()? != Command::StmtSendLongData as u8 {
        return Err(reader.err("another command"));
    }
    reader.skip(4)?;
    reader.u16()
}

/// Puts another statement's id into such a payload.
///
/// # Errors
/// As [`statement_id`]; the payload is unchanged then.
pub fn set_statement_id(payload: &mut [u8], id: u32) -> Result<(), Malformed> {
    statement_id(payload)?;
    payload[1..5].copy_from_slice(&id.to_le_bytes());
    Ok(())
}

/// Appends a command without an argument, such as PING or RESET_CONNECTION.
pub fn put_simple(out: &mut BytesMut, command: Command) {
    put_with(out, command, &[]);
}

/// Appends COM_QUERY to a server without `QUERY_ATTRIBUTES`.
pub fn put_query(out: &mut BytesMut, sql: &[u8]) {
    put_with(out, Command::Query, sql);
}

/// Appends COM_QUERY in the layout that `caps` demand: with `QUERY_ATTRIBUTES`, an empty list of
/// attributes stands before the text.
pub fn put_query_with(out: &mut BytesMut, caps: Capabilities, sql: &[u8]) {
    write_packet(out, 0, |out| {
        out.put_u8(Command::Query as u8);
        if caps.contains(Capabilities::QUERY_ATTRIBUTES) {
            let (attributes, sets) = (0, 1);
            put_lenenc(out, attributes);
            put_lenenc(out, sets);
        }
        out.put_slice(sql);
    });
}

/// Appends COM_INIT_DB.
pub fn put_init_db(out: &mut BytesMut, database: &[u8]) {
    put_with(out, Command::InitDb, database);
}

/// Appends COM_STMT_PREPARE.
pub fn put_stmt_prepare(out: &mut BytesMut, sql: &[u8]) {
    put_with(out, Command::StmtPrepare, sql);
}

/// Appends COM_STMT_RESET.
pub fn put_stmt_reset(out: &mut BytesMut, statement: u32) {
    put_with(out, Command::StmtReset, &statement.to_le_bytes());
}

/// Appends COM_STMT_CLOSE. It has no reply.
pub fn put_stmt_close(out: &mut BytesMut, statement: u32) {
    put_with(out, Command::StmtClose, &statement.to_le_bytes());
}

/// What COM_SET_OPTION can change.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_set_option.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum SetOption {
    /// One COM_QUERY may hold several statements from now on.
    MultiStatementsOn = 0,
    /// One COM_QUERY may hold only one statement from now on.
    MultiStatementsOff = 1,
}

impl SetOption {
    /// The option that turns multi-statements on or off.
    #[must_use]
    pub const fn multi_statements(are_on: bool) -> Self {
        if are_on { Self::MultiStatementsOn } else { Self::MultiStatementsOff }
    }

    /// Reads the payload of a COM_SET_OPTION.
    ///
    /// # Errors
    /// When the payload is short, long, of another command, or names an unknown option.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_SET_OPTION", payload);
        if reader.u8()? != Command::SetOption as u8 {
            return Err(reader.err("another command"));
        }
        let option = match reader.u16()? {
            0 => Self::MultiStatementsOn,
            1 => Self::MultiStatementsOff,
            _ => return Err(reader.err("unknown option")),
        };
        if reader.is_empty() { Ok(option) } else { Err(reader.err("bytes after the end")) }
    }
}

/// Appends COM_SET_OPTION.
pub fn put_set_option(out: &mut BytesMut, option: SetOption) {
    put_with(out, Command::SetOption, &(option as u16).to_le_bytes());
}

fn put_with(out: &mut BytesMut, command: Command, argument: &[u8]) {
    write_packet(out, 0, |out| {
        out.put_u8(command as u8);
        out.put_slice(argument);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_byte_is_itself_or_malformed() {
        let known = (0..=0xFF).filter(|&byte: &u8| match Command::try_from(byte) {
            Ok(command) => {
                assert_eq!(command as u8, byte);
                true
            }
            Err(_) => false,
        });
        assert_eq!(known.count(), 36);
        assert!(Command::of(b"").is_err());
        assert_eq!(Command::of(b"\x03SELECT 1"), Ok(Command::Query));
    }

    #[test]
    fn a_statement_id_is_read_and_replaced_in_place() {
        for byte in [0x17, 0x18, 0x19, 0x1A, 0x1C, 0xFA] {
            let mut payload = [byte, 1, 2, 0, 0, 9];
            assert_eq!(statement_id(&payload), Ok(0x0201));
            assert_eq!(set_statement_id(&mut payload, LAST_PREPARED), Ok(()));
            assert_eq!(payload, [byte, 0xFF, 0xFF, 0xFF, 0xFF, 9]);
        }
    }

    #[test]
    fn a_payload_without_a_statement_id_is_left_alone() {
        for payload in [&b"\x03SELECT 1"[..], b"\x17\x01\x02\x03", b"", b"\x16SELECT 1"] {
            let mut changed = payload.to_vec();
            assert!(set_statement_id(&mut changed, 7).is_err());
            assert_eq!(changed, payload);
        }
    }

    #[test]
    fn commands_are_whole_packets_that_start_an_exchange() {
        let check = |put: &dyn Fn(&mut BytesMut), expect: &[u8]| {
            let mut out = BytesMut::new();
            put(&mut out);
            assert_eq!(&out[..], expect);
        };
        check(&|out| put_simple(out, Command::Ping), b"\x01\0\0\0\x0E");
        check(&|out| put_query(out, b"DO 1"), b"\x05\0\0\0\x03DO 1");
        check(&|out| put_init_db(out, b"app"), b"\x04\0\0\0\x02app");
        check(&|out| put_stmt_prepare(out, b"DO ?"), b"\x05\0\0\0\x16DO ?");
        check(&|out| put_stmt_reset(out, 7), b"\x05\0\0\0\x1A\x07\0\0\0");
        check(&|out| put_stmt_close(out, 7), b"\x05\0\0\0\x19\x07\0\0\0");
        check(&|out| put_set_option(out, SetOption::MultiStatementsOff), b"\x03\0\0\0\x1B\x01\0");
        let attributes = Capabilities::QUERY_ATTRIBUTES;
        check(&|out| put_query_with(out, attributes, b"DO 1"), b"\x07\0\0\0\x03\0\x01DO 1");
        check(&|out| put_query_with(out, Capabilities(0), b"DO 1"), b"\x05\0\0\0\x03DO 1");
    }

    #[test]
    fn set_option_reads_back() {
        assert_eq!(SetOption::parse(b"\x1B\0\0"), Ok(SetOption::MultiStatementsOn));
        assert_eq!(SetOption::parse(b"\x1B\x01\0"), Ok(SetOption::MultiStatementsOff));
        for odd in [&b"\x1B\x02\0"[..], b"\x1B\0", b"\x1B\0\0\0", b"\x03\0\0", b""] {
            assert!(SetOption::parse(odd).is_err());
        }
    }
}

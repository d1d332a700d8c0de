//! What a client is told when the guard says no.
//!
//! The codes are chosen so that no common driver retries at once (`overload.md` §3.10): 1040 and
//! 1226 make drivers reconnect, 1213 and SQLSTATE 40001 make frameworks run the transaction again
//! immediately. 3168 does neither, and its text carries when to come back.

use std::time::Duration;

use policy::{
    class::Policy,
    deadline::{Deadline, TimeLimit},
    refusal::{Reason, Refusal},
};

use crate::{
    engine::OpenError,
    mysql::{LeaseError, connect::ServerError},
};

/// `ER_SERVER_ISNT_AVAILABLE`: the guard sheds.
const SHED: u16 = 3168;
/// `ER_STATEMENT_TIMEOUT` of MariaDB.
const TIMEOUT_MARIADB: (u16, [u8; 5]) = (1969, *b"70100");
/// `ER_QUERY_TIMEOUT` of MySQL.
const TIMEOUT_MYSQL: (u16, [u8; 5]) = (3024, *b"HY000");
/// `ER_QUERY_INTERRUPTED`.
const INTERRUPTED: (u16, [u8; 5]) = (1317, *b"70100");
/// `ER_NET_READ_ERROR`. Not 2013, which clients report of their own connection: MariaDB's client
/// takes no code of its own from a server.
const LOST: (u16, [u8; 5]) = (1158, *b"08S01");
/// `ER_UNKNOWN_COM_ERROR`.
const UNKNOWN_COMMAND: (u16, [u8; 5]) = (1047, *b"08S01");
/// `ER_UNKNOWN_STMT_HANDLER`.
const UNKNOWN_STATEMENT: u16 = 1243;
/// `ER_STMT_HAS_NO_OPEN_CURSOR`.
const NO_OPEN_CURSOR: u16 = 1421;
/// `ER_MAX_PREPARED_STMT_COUNT_REACHED`.
const TOO_MANY_STATEMENTS: (u16, [u8; 5]) = (1461, *b"42000");
/// `ER_NO_SUCH_THREAD`.
const NO_SUCH_THREAD: u16 = 1094;
/// `ER_UNKNOWN_ERROR`.
const GENERAL: u16 = 1105;

/// An error of the guard's own, for a client.
#[derive(Debug, Clone)]
pub struct Error {
    /// Its number.
    pub code: u16,
    /// Its SQLSTATE.
    pub sqlstate: [u8; 5],
    /// Its text.
    pub message: String,
}

impl Error {
    /// Whether it is about a command that the server does not know, or an option of one.
    pub fn is_about_command(&self) -> bool {
        self.code == UNKNOWN_COMMAND.0
    }
}

fn error(code: u16, sqlstate: [u8; 5], message: impl Into<String>) -> Error {
    Error { code, sqlstate, message: message.into() }
}

/// A refusal of the gate or a switch.
pub fn shed(refusal: &Refusal) -> Error {
    error(SHED, *b"HY000", refusal.to_string())
}

/// A time limit that passed, in the words of the server's own.
pub fn time_limit(
    mariadb: bool,
    policy: &Policy,
    class: policy::class::ClassId,
    deadline: &Deadline,
    measured: Duration,
) -> Error {
    let (code, sqlstate) = if mariadb { TIMEOUT_MARIADB } else { TIMEOUT_MYSQL };
    let class = &policy.class(class).name;
    let reason = deadline.limit.as_str();
    let words = match deadline.limit {
        TimeLimit::Statement => "query execution was interrupted",
        TimeLimit::Transaction | TimeLimit::IdleInTransaction => "the transaction was rolled back",
    };
    let (limit, measured) = (deadline.allowed.as_millis(), measured.as_millis());
    let message = format!(
        "{words} (tidegate: class={class} reason={reason} limit_ms={limit} measured_ms={measured} \
         retry_after_ms={limit} changed_by=class.{class}.{reason})"
    );
    error(code, sqlstate, message)
}

/// A statement that others waited for, as its `note` says.
pub fn melted(mariadb: bool, note: &str) -> Error {
    let (code, sqlstate) = if mariadb { TIMEOUT_MARIADB } else { TIMEOUT_MYSQL };
    error(code, sqlstate, format!("query execution was interrupted: others wait for it ({note})"))
}

/// Every statement of a transaction that the guard has rolled back.
pub fn aborted(mariadb: bool, why: &str) -> Error {
    let (code, sqlstate) = if mariadb { TIMEOUT_MARIADB } else { TIMEOUT_MYSQL };
    error(code, sqlstate, format!("the transaction was rolled back, end it with ROLLBACK: {why}"))
}

/// A statement that another client killed while it waited in the gate.
pub fn interrupted() -> Error {
    error(INTERRUPTED.0, INTERRUPTED.1, "Query execution was interrupted")
}

/// The database went away in the middle of a statement. Whether it was carried out is not known.
pub fn lost(why: &str) -> Error {
    error(LOST.0, LOST.1, format!("lost connection to the database during query ({why})"))
}

/// No connection to the database can be had.
pub fn unavailable(why: &str) -> Error {
    error(SHED, *b"HY000", format!("tidegate: shed reason={} {why}", Reason::Upstream.as_str()))
}

/// No connection could be lent.
pub fn not_leased(error: &LeaseError) -> Error {
    match error {
        LeaseError::Open(OpenError::Connect(connect)) => match connect.server_error() {
            Some(server) => passed_on(server),
            None => unavailable(&error.to_string()),
        },
        _ => unavailable(&error.to_string()),
    }
}

/// What the database itself said.
pub fn passed_on(server: &ServerError) -> Error {
    error(server.code, server.sqlstate, String::from_utf8_lossy(&server.message))
}

/// A command that the guard does not carry, such as those of replication.
pub fn unknown_command(byte: u8) -> Error {
    let message = format!("Unknown command 0x{byte:02X} (tidegate does not carry it)");
    error(UNKNOWN_COMMAND.0, UNKNOWN_COMMAND.1, message)
}

/// One `COM_CHANGE_USER` more after as many as may fail.
pub fn too_many_changes() -> Error {
    error(UNKNOWN_COMMAND.0, UNKNOWN_COMMAND.1, "Unknown command")
}

/// What no server of this kind knows, such as an option of `COM_SET_OPTION` that does not exist, in
/// the servers' words.
pub fn unknown_option() -> Error {
    error(UNKNOWN_COMMAND.0, UNKNOWN_COMMAND.1, "Unknown command")
}

/// The server asks for a file that the client shall not send, in the servers' words.
pub fn no_local_files(mariadb: bool) -> Error {
    if mariadb {
        let message = "The used command is not allowed because the MariaDB server or client has \
                       disabled the local infile capability";
        error(4166, *b"HY000", message)
    } else {
        let message = "Loading local data is disabled; this must be enabled on both the client and \
                       server sides";
        error(3948, *b"42000", message)
    }
}

/// A prepared statement that the client has not got.
pub fn unknown_statement(id: u32, command: &str) -> Error {
    let message = format!("Unknown prepared statement handler ({id}) given to {command}");
    error(UNKNOWN_STATEMENT, *b"HY000", message)
}

/// A fetch from a prepared statement that has no cursor, in the servers' words.
pub fn no_open_cursor(id: u32, mariadb: bool) -> Error {
    let end = if mariadb { "" } else { "." };
    error(NO_OPEN_CURSOR, *b"HY000", format!("The statement ({id}) has no open cursor{end}"))
}

/// One prepared statement more than `statements_per_client`.
pub fn too_many_statements(max: usize) -> Error {
    let message =
        format!("Can't create more than statements_per_client statements (current value: {max})");
    error(TOO_MANY_STATEMENTS.0, TOO_MANY_STATEMENTS.1, message)
}

/// `KILL` of a session that is not there, or is somebody else's.
pub fn no_such_thread(id: u32) -> Error {
    error(NO_SUCH_THREAD, *b"HY000", format!("Unknown thread id: {id}"))
}

/// A command that cannot be read.
pub fn malformed(why: impl std::fmt::Display) -> Error {
    error(1835, *b"HY000", format!("Malformed communication packet ({why})"))
}

/// A question about the statement before, whose connection has gone to another session.
pub fn looked_back_too_late(what: &str) -> Error {
    let message = format!(
        "tidegate: {what} of the statement before is no longer at hand; from now on this account's \
         connections are kept for it. Try again, or set upstream.pooling = \"session\""
    );
    error(GENERAL, *b"HY000", message)
}

//! What a client is told when the guard says no.
//!
//! The codes are chosen so that no common driver retries at once (`overload.md` §3.10): class 08 and
//! 57P01 make drivers reconnect, 40001 and 40P01 make frameworks run the transaction again
//! immediately. 53400 does neither, and its text carries when to come back.

use std::time::Duration;

use bytes::BytesMut;
use policy::{
    class::{ClassId, Policy},
    deadline::{Deadline, TimeLimit},
    refusal::{Reason, Refusal},
};
use wire::postgres::{
    backend::{Kind, Notice, Severity, put_error},
    frame::put_message,
};

use super::{LeaseError, connect::ServerError};
use crate::engine::OpenError;

/// `configuration_limit_exceeded`: the guard sheds.
const SHED: [u8; 5] = *b"53400";
/// `query_canceled`.
const CANCELED: [u8; 5] = *b"57014";
/// `in_failed_sql_transaction`.
const FAILED_TRANSACTION: [u8; 5] = *b"25P02";
/// `idle_in_transaction_session_timeout`.
const IDLE_IN_TRANSACTION: [u8; 5] = *b"25P03";
/// `object_not_in_prerequisite_state`.
const PREREQUISITE: [u8; 5] = *b"55000";
/// `invalid_cursor_name`, which portals have as well.
const CURSOR_NAME: [u8; 5] = *b"34000";
/// `connection_failure`.
const LOST: [u8; 5] = *b"08006";

/// An error for a client.
#[derive(Debug, Clone)]
pub enum Error {
    /// One of the guard's own.
    Own {
        /// Its SQLSTATE.
        code: [u8; 5],
        /// Its text.
        message: String,
    },
    /// What the database itself said.
    Server(ServerError),
}

impl Error {
    /// Appends it as an ErrorResponse.
    pub fn put(&self, out: &mut BytesMut, severity: Severity) {
        match self {
            Self::Own { code, message } => {
                let message = message.as_bytes();
                let notice = Notice { severity, code: *code, message, detail: None, hint: None };
                put_error(out, &notice);
            }
            Self::Server(error) => put_message(out, Kind::ErrorResponse.byte(), &error.body),
        }
    }
}

fn error(code: [u8; 5], message: impl Into<String>) -> Error {
    Error::Own { code, message: message.into() }
}

/// A refusal of the gate or a switch.
pub fn shed(refusal: &Refusal) -> Error {
    error(SHED, refusal.to_string())
}

/// A time limit that passed, in the words of the server's own.
pub fn time_limit(
    policy: &Policy,
    class: ClassId,
    deadline: &Deadline,
    measured: Duration,
) -> Error {
    let class = &policy.class(class).name;
    let reason = deadline.limit.as_str();
    let words = match deadline.limit {
        TimeLimit::Statement => "canceling statement due to statement timeout",
        TimeLimit::Transaction | TimeLimit::IdleInTransaction => {
            "canceling statement due to transaction timeout"
        }
    };
    let (limit, measured) = (deadline.allowed.as_millis(), measured.as_millis());
    let message = format!(
        "{words} (tidegate: class={class} reason={reason} limit_ms={limit} measured_ms={measured} \
         retry_after_ms={limit} changed_by=class.{class}.{reason})"
    );
    error(CANCELED, message)
}

/// A statement that others waited for, as its `note` says.
pub fn melted(note: &str) -> Error {
    error(CANCELED, format!("canceling statement because others wait for it ({note})"))
}

/// The first statement behind the end of a transaction that others waited for.
pub fn melted_idle(note: &str) -> Error {
    error(IDLE_IN_TRANSACTION, format!("the transaction was rolled back: {note}"))
}

/// The first statement behind the end of a transaction that the guard has rolled back.
pub fn rolled_back(limit: TimeLimit, why: &str) -> Error {
    let code = if limit == TimeLimit::IdleInTransaction { IDLE_IN_TRANSACTION } else { CANCELED };
    error(code, format!("the transaction was rolled back: {why}"))
}

/// Every further statement of a transaction that has failed, in the server's words.
pub fn in_failed_transaction() -> Error {
    error(
        FAILED_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Of the portal without a name, whose statement has run, in the server's words.
pub fn portal_has_run() -> Error {
    error(PREREQUISITE, "portal \"\" cannot be run")
}

/// Of a portal without a name that its transaction has taken with it, in the server's words.
pub fn no_portal() -> Error {
    error(CURSOR_NAME, "portal \"\" does not exist")
}

/// A statement that its client cancelled while it waited in the gate, in the server's words.
pub fn interrupted() -> Error {
    error(CANCELED, "canceling statement due to user request")
}

/// The database went away in the middle of a statement. Whether it was carried out is not known.
pub fn lost(why: &str) -> Error {
    error(LOST, format!("lost the connection to the database during a statement ({why})"))
}

/// No connection to the database can be had.
pub fn unavailable(why: &str) -> Error {
    error(SHED, format!("tidegate: shed reason={} {why}", Reason::Upstream.as_str()))
}

/// No connection could be lent.
pub fn not_leased(error: &LeaseError) -> Error {
    match error {
        LeaseError::Open(OpenError::Connect(connect)) => match connect.server_error() {
            Some(server) => Error::Server(server.clone()),
            None => unavailable(&error.to_string()),
        },
        _ => unavailable(&error.to_string()),
    }
}

/// A sequence's value of before is asked for on another connection than it was drawn on.
pub fn sequence_elsewhere() -> Error {
    error(
        *b"55000",
        "tidegate: currval() and lastval() need the transaction or connection that drew the value; \
         use RETURNING, or ask in the same transaction",
    )
}

/// The client has more prepared statements than it may.
pub fn too_many_statements(max: usize) -> Error {
    error(
        *b"53400",
        format!("tidegate: more than {max} prepared statements (upstream.statements_per_client)"),
    )
}

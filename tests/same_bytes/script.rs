//! What a session says, in words that mean the same on every connection: statements are prepared
//! into slots, because each side gives them ids of its own.

use std::collections::HashMap;
use std::fmt;

use harness::Account;
use wire::mysql::Capabilities;
use wire::mysql::command::{Command, LAST_PREPARED};

/// One thing a client sends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The text of a statement.
    Query(String),
    /// Any other command: its byte, and what follows it.
    Command(Vec<u8>),
    /// Prepares a statement into a slot.
    Prepare(usize, String),
    /// Executes what is in a slot.
    Execute(Execution),
    /// Fetches rows of a slot's cursor.
    Fetch(usize, u32),
    /// Ends a slot's cursor and drops its long data.
    Reset(usize),
    /// Closes a slot's statement. It has no reply.
    Close(usize),
    /// Sends a part of a parameter's value ahead. It has no reply.
    LongData(usize, u16, Vec<u8>),
    /// Executes what is in a slot for several rows of parameters at once (MariaDB).
    Bulk(usize, Vec<Vec<Value>>),
    /// The text of a LOAD DATA LOCAL INFILE, and the file.
    Load(String, Vec<u8>),
    /// Logs in again as this account.
    ChangeUser(Account),
    /// Steps that are sent in one write, before the first reply is read. A statement prepared here
    /// is known as the last prepared one.
    Pipelined(Vec<Self>),
}

/// One COM_STMT_EXECUTE.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Execution {
    /// Which statement.
    pub(crate) slot: usize,
    /// Its parameters.
    pub(crate) values: Vec<Value>,
    /// Whether the types of the parameters come with them.
    pub(crate) types: bool,
    /// 1 opens a read-only cursor.
    pub(crate) flags: u8,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// SQL NULL.
    Null,
    /// A whole number.
    Number(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(String),
    /// A value that was sent ahead with [`Step::LongData`].
    SentAhead,
}

impl Value {
    /// Type and flags, as the type block has them.
    fn kind(&self) -> [u8; 2] {
        const DOUBLE: u8 = 5;
        const NULL: u8 = 6;
        const LONGLONG: u8 = 8;
        const BLOB: u8 = 252;
        const STRING: u8 = 254;
        match self {
            Self::Null => [NULL, 0],
            Self::Number(_) => [LONGLONG, 0],
            Self::Double(_) => [DOUBLE, 0],
            Self::Text(_) => [STRING, 0],
            Self::SentAhead => [BLOB, 0],
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null | Self::SentAhead => {}
            Self::Number(number) => out.extend(number.to_le_bytes()),
            Self::Double(number) => out.extend(number.to_le_bytes()),
            Self::Text(text) => {
                let len = u16::try_from(text.len()).expect("parameters of tests are short");
                out.push(0xFC);
                out.extend(len.to_le_bytes());
                out.extend(text.as_bytes());
            }
        }
    }
}

/// The ids of one side's statements.
#[derive(Debug, Default)]
pub(crate) struct Slots(HashMap<usize, u32>);

impl Slots {
    /// No statement has it, on either side.
    const UNKNOWN: u32 = 4_000_000;

    /// Takes over what a PREPARE returned; a refused one leaves the slot empty.
    pub(crate) fn set(&mut self, slot: usize, id: Option<u32>) {
        match id {
            Some(id) => _ = self.0.insert(slot, id),
            None => _ = self.0.remove(&slot),
        }
    }

    /// Forgets all: the session was reset.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn id(&self, slot: usize) -> [u8; 4] {
        self.0.get(&slot).copied().unwrap_or(Self::UNKNOWN).to_le_bytes()
    }
}

/// The other schema of a session, as commands have it.
const OTHER_SCHEMA: &[u8] = b"$schema_b";

impl Step {
    /// The step of a session in this schema, by whose name it calls its XA transactions, and its other schema: such
    /// names are known to the whole server.
    pub(crate) fn within(&self, schema: &str) -> Self {
        match self {
            Self::Query(sql) => Self::Query(sql.replace("$schema", schema)),
            Self::Command(payload) if payload.ends_with(OTHER_SCHEMA) => {
                let command = &payload[..payload.len() - OTHER_SCHEMA.len()];
                Self::Command([command, schema.as_bytes(), b"_b"].concat())
            }
            other => other.clone(),
        }
    }

    /// As the bytes of its command, on the side whose ids are in `slots`.
    pub(crate) fn payload(&self, slots: &Slots, capabilities: Capabilities) -> Vec<u8> {
        match self {
            Self::Query(sql) => {
                let attributes: &[u8] = if capabilities.contains(Capabilities::QUERY_ATTRIBUTES) {
                    &[0, 1]
                } else {
                    &[]
                };
                [&[Command::Query as u8], attributes, sql.as_bytes()].concat()
            }
            Self::Command(payload) => payload.clone(),
            Self::Prepare(_, sql) => [&[Command::StmtPrepare as u8], sql.as_bytes()].concat(),
            Self::Execute(execution) => execution.payload(slots.id(execution.slot), capabilities),
            Self::Bulk(slot, rows) => bulk_payload(slots.id(*slot), rows),
            Self::Load(sql, _) => Self::Query(sql.clone()).payload(slots, capabilities),
            Self::Fetch(slot, rows) => {
                [&[Command::StmtFetch as u8][..], &slots.id(*slot), &rows.to_le_bytes()].concat()
            }
            Self::Reset(slot) => [&[Command::StmtReset as u8][..], &slots.id(*slot)].concat(),
            Self::Close(slot) => [&[Command::StmtClose as u8][..], &slots.id(*slot)].concat(),
            Self::LongData(slot, param, bytes) => {
                let command = [Command::StmtSendLongData as u8];
                [&command[..], &slots.id(*slot), &param.to_le_bytes(), bytes].concat()
            }
            Self::Pipelined(_) | Self::ChangeUser(_) => Vec::new(),
        }
    }

    /// Marks the statement that a pipelined PREPARE makes, whose id nobody knows yet.
    pub(crate) fn note_sent(&self, slots: &mut Slots) {
        match self {
            Self::Prepare(slot, _) => slots.set(*slot, Some(LAST_PREPARED)),
            Self::Close(slot) => slots.set(*slot, None),
            Self::Command(payload) if payload == &[Command::ResetConnection as u8] => slots.clear(),
            Self::ChangeUser(_) => slots.clear(),
            _ => {}
        }
    }
}

impl Execution {
    fn payload(&self, id: [u8; 4], capabilities: Capabilities) -> Vec<u8> {
        const ITERATIONS: [u8; 4] = [1, 0, 0, 0];
        let mut out = vec![Command::StmtExecute as u8];
        out.extend(id);
        out.push(self.flags);
        out.extend(ITERATIONS);
        if self.values.is_empty() {
            return out;
        }
        let has_names = capabilities.contains(Capabilities::QUERY_ATTRIBUTES);
        if has_names {
            out.push(u8::try_from(self.values.len()).expect("tests have few parameters"));
        }
        let mut nulls = vec![0_u8; self.values.len().div_ceil(8)];
        for (index, _) in self.values.iter().enumerate().filter(|(_, v)| **v == Value::Null) {
            nulls[index / 8] |= 1 << (index % 8);
        }
        out.extend(nulls);
        out.push(u8::from(self.types));
        if self.types {
            for value in &self.values {
                out.extend(value.kind());
                // Parameters have no names, attributes would.
                out.extend(has_names.then_some(0));
            }
        }
        for value in &self.values {
            value.put(&mut out);
        }
        out
    }
}

/// COM_STMT_BULK_EXECUTE, with the types of the first row.
fn bulk_payload(id: [u8; 4], rows: &[Vec<Value>]) -> Vec<u8> {
    const SEND_TYPES: [u8; 2] = [128, 0];
    const VALUE: u8 = 0;
    const NULL: u8 = 1;
    let mut out = vec![Command::StmtBulkExecute as u8];
    out.extend(id);
    out.extend(SEND_TYPES);
    out.extend(rows.iter().take(1).flatten().flat_map(Value::kind));
    for value in rows.iter().flatten() {
        out.push(if *value == Value::Null { NULL } else { VALUE });
        value.put(&mut out);
    }
    out
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(sql) => f.write_str(sql),
            Self::Command(payload) => match Command::of(payload) {
                Ok(command) => {
                    write!(f, "COM {command:?} {:?}", String::from_utf8_lossy(&payload[1..]))
                }
                Err(_) => write!(f, "COM {payload:?}"),
            },
            other => write!(f, "{other:?}"),
        }
    }
}

//! What a session says, message by message.

use std::fmt;

use bytes::BytesMut;
use wire::postgres::frontend::{
    Target, put_bind, put_close, put_copy_data, put_copy_done, put_copy_fail, put_describe,
    put_execute, put_flush, put_function_call, put_parse, put_query, put_sync,
};
use wire::postgres::list::Format;

/// One message of a client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// The text of statements.
    Query(String),
    /// Prepares a statement: its name, its text, and the types of its parameters.
    Parse(String, String, Vec<u32>),
    /// Binds a statement to a portal.
    Bind(Bind),
    /// Describes a statement (`S`) or portal (`P`).
    Describe(char, String),
    /// Runs a portal for that many rows, all if 0.
    Execute(String, i32),
    /// Closes a statement (`S`) or portal (`P`).
    Close(char, String),
    Sync,
    Flush,
    CopyData(Vec<u8>),
    CopyDone,
    CopyFail(String),
    /// Calls a function by its OID, with arguments as text.
    Call(u32, Vec<String>),
}

/// A Bind. Parameters are text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    pub(crate) values: Vec<Option<String>>,
    /// How the result is wanted.
    pub(crate) result: Format,
}

/// One thing that happens in a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Messages that are sent in one write, and what they are answered with.
    Say(Vec<Message>),
    /// As [`Step::Say`], answered with that many ReadyForQuery: a query that is skipped has none.
    SayFor(usize, Vec<Message>),
    /// Another client runs this directly on the database, as root.
    Elsewhere(String),
    /// One message comes unasked.
    Hear,
}

impl Message {
    /// The message in this schema.
    fn within(&self, schema: &str) -> Self {
        let text = |text: &String| text.replace("$schema", schema);
        match self {
            Self::Query(sql) => Self::Query(text(sql)),
            Self::Parse(name, sql, types) => Self::Parse(name.clone(), text(sql), types.clone()),
            Self::Bind(bind) => {
                let values = bind.values.iter().map(|value| value.as_ref().map(text)).collect();
                Self::Bind(Bind { values, ..bind.clone() })
            }
            other => other.clone(),
        }
    }

    /// Appends it as bytes.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Query(sql) => put_query(out, sql.as_bytes()),
            Self::Parse(name, sql, types) => {
                put_parse(out, name.as_bytes(), sql.as_bytes(), types);
            }
            Self::Bind(Bind { portal, statement, values, result }) => {
                let values: Vec<_> =
                    values.iter().map(|value| value.as_ref().map(String::as_bytes)).collect();
                put_bind(out, portal.as_bytes(), statement.as_bytes(), &values, *result);
            }
            Self::Describe(kind, name) => put_describe(out, target(*kind, name)),
            Self::Execute(portal, rows) => put_execute(out, portal.as_bytes(), *rows),
            Self::Close(kind, name) => put_close(out, target(*kind, name)),
            Self::Sync => put_sync(out),
            Self::Flush => put_flush(out),
            Self::CopyData(data) => put_copy_data(out, data),
            Self::CopyDone => put_copy_done(out),
            Self::CopyFail(reason) => put_copy_fail(out, reason.as_bytes()),
            Self::Call(function, values) => {
                let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
                put_function_call(out, *function, &values, Format::Text);
            }
        }
    }

    /// How many messages tell that a message before a Flush was answered; a failure answers all up
    /// to the next Sync.
    pub(crate) fn answers(&self) -> usize {
        match self {
            Self::Describe('S', _) => 2,
            Self::Parse(..)
            | Self::Bind(_)
            | Self::Describe(..)
            | Self::Close(..)
            | Self::Execute(..) => 1,
            _ => 0,
        }
    }
}

fn target(kind: char, name: &str) -> Target<'_> {
    match kind {
        'S' => Target::Statement(name.as_bytes()),
        _ => Target::Portal(name.as_bytes()),
    }
}

impl Step {
    /// The step of a session in this schema, by whose name it calls what the whole server knows.
    pub(crate) fn within(&self, schema: &str) -> Self {
        match self {
            Self::Say(messages) => {
                Self::Say(messages.iter().map(|message| message.within(schema)).collect())
            }
            Self::SayFor(ready, messages) => {
                let messages = messages.iter().map(|message| message.within(schema)).collect();
                Self::SayFor(*ready, messages)
            }
            Self::Elsewhere(sql) => Self::Elsewhere(sql.replace("$schema", schema)),
            Self::Hear => Self::Hear,
        }
    }
}

/// A simple query alone.
pub(crate) fn q(sql: &str) -> Step {
    Step::Say(vec![query(sql)])
}

/// A series of the extended protocol up to its Sync.
pub(crate) fn series(messages: impl IntoIterator<Item = Message>) -> Step {
    Step::Say(messages.into_iter().chain([Message::Sync]).collect())
}

/// Messages as they are, in one write.
pub(crate) fn say(messages: impl IntoIterator<Item = Message>) -> Step {
    Step::Say(messages.into_iter().collect())
}

/// Prepares, binds and runs by the unnamed statement, as drivers do.
pub(crate) fn run(sql: &str, values: &[&str]) -> Step {
    series([parse("", sql), bind("", values), describe('P', ""), execute("")])
}

pub(crate) fn elsewhere(sql: &str) -> Step {
    Step::Elsewhere(sql.to_owned())
}

pub(crate) fn query(sql: &str) -> Message {
    Message::Query(sql.to_owned())
}

pub(crate) fn parse(name: &str, sql: &str) -> Message {
    Message::Parse(name.to_owned(), sql.to_owned(), Vec::new())
}

/// Binds to the unnamed portal.
pub(crate) fn bind(statement: &str, values: &[&str]) -> Message {
    bind_to("", statement, values)
}

pub(crate) fn bind_to(portal: &str, statement: &str, values: &[&str]) -> Message {
    Message::Bind(Bind {
        portal: portal.to_owned(),
        statement: statement.to_owned(),
        values: values.iter().map(|&value| Some(value.to_owned())).collect(),
        result: Format::Text,
    })
}

pub(crate) fn describe(kind: char, name: &str) -> Message {
    Message::Describe(kind, name.to_owned())
}

pub(crate) fn execute(portal: &str) -> Message {
    Message::Execute(portal.to_owned(), 0)
}

pub(crate) fn fetch(portal: &str, rows: i32) -> Message {
    Message::Execute(portal.to_owned(), rows)
}

pub(crate) fn close(kind: char, name: &str) -> Message {
    Message::Close(kind, name.to_owned())
}

pub(crate) fn copy_data(data: &str) -> Message {
    Message::CopyData(data.as_bytes().to_vec())
}

/// Characters of a text that a report shows.
const SHOWN_LEN: usize = 300;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match self {
            Self::Say(messages) | Self::SayFor(_, messages) => match messages.as_slice() {
                [Message::Query(sql)] => sql.clone(),
                messages => format!("{messages:?}"),
            },
            Self::Elsewhere(sql) => format!("elsewhere: {sql}"),
            Self::Hear => "one message comes unasked".to_owned(),
        };
        if let Some((end, _)) = text.char_indices().nth(SHOWN_LEN) {
            text.truncate(end);
        }
        f.write_str(&text)
    }
}

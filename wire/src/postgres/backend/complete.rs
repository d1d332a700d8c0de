use bytes::BytesMut;

use super::super::frame::{only_string, put_nul_bytes, write_message};
use super::Kind;
use crate::Malformed;

/// What a CommandComplete says was done.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COMMANDCOMPLETE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandTag<'a> {
    /// The command in capitals: `SELECT`, `CREATE TABLE`, `SET`.
    pub command: &'a [u8],
    /// How many rows it concerned, for commands that count them.
    pub rows: Option<u64>,
}

impl<'a> CommandTag<'a> {
    /// Reads the body of a CommandComplete.
    ///
    /// # Errors
    /// When the tag does not end with the message, or its count is beyond 64 bits.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let tag = only_string("CommandComplete", body)?;
        let Some((command, rows)) = split_number(tag)? else {
            return Ok(Self { command: tag, rows: None });
        };
        // Between INSERT and its count stands an OID, which is 0 since PostgreSQL 12.
        let command = match (command, split_number(command)?) {
            (_, Some((insert @ b"INSERT", _))) => insert,
            _ => command,
        };
        Ok(Self { command, rows: Some(rows) })
    }
}

/// Splits a number off the end.
fn split_number(tag: &[u8]) -> Result<Option<(&[u8], u64)>, Malformed> {
    let Some(space) = tag.iter().rposition(|&byte| byte == b' ') else { return Ok(None) };
    let digits = &tag[space + 1..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    match number {
        Some(number) => Ok(Some((&tag[..space], number))),
        None => Err(Malformed { message: "CommandComplete", at: space, why: "an endless count" }),
    }
}

/// Appends a CommandComplete with that tag as it is: `INSERT 0 1`.
pub fn put_command_complete(out: &mut BytesMut, tag: &[u8]) {
    write_message(out, Kind::CommandComplete.byte(), |out| put_nul_bytes(out, tag));
}

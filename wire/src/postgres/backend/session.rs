//! What a session is like: its settings, and how it is cancelled.

use bytes::{BufMut, BytesMut};

use super::super::frame::{put_nul_bytes, write_message};
use super::super::startup::CancelKey;
use super::Kind;
use crate::{Malformed, Reader};

/// The value of a setting: after the login of each that the server reports, later of each that
/// changes.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting's name, in the case that the server gives it: `TimeZone`.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads the body of a ParameterStatus.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("ParameterStatus", body);
        let status = Self { name: reader.nul_bytes()?, value: reader.nul_bytes()? };
        reader.end()?;
        Ok(status)
    }
}

/// Appends a ParameterStatus.
pub fn put_parameter_status(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    write_message(out, Kind::ParameterStatus.byte(), |out| {
        put_nul_bytes(out, name);
        put_nul_bytes(out, value);
    });
}

/// What cancels this connection. Some servers behind proxies send none.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-BACKENDKEYDATA>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    /// The number of the backend; a process id, unless a proxy made it up.
    pub process: u32,
    /// The key: 4 bytes in version 3.0 of the protocol, up to 256 since 3.2.
    pub key: CancelKey<'a>,
}

impl<'a> BackendKeyData<'a> {
    /// Reads the body of a BackendKeyData.
    ///
    /// # Errors
    /// When it is cut short or its key is too long.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("BackendKeyData", body);
        Ok(Self { process: reader.u32_be()?, key: CancelKey::read(&mut reader)? })
    }
}

/// Appends a BackendKeyData. Clients of version 3.0 take keys of 4 bytes only.
pub fn put_backend_key_data(out: &mut BytesMut, process: u32, key: CancelKey<'_>) {
    write_message(out, Kind::BackendKeyData.byte(), |out| {
        out.put_u32(process);
        out.put_slice(key.as_bytes());
    });
}

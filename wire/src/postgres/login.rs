//! How a client proves who it is: what the server asks, and what the client says.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>
//!
//! ```text
//! server  (NegotiateProtocolVersion)
//!         Authentication…    what it asks: a password, its md5 hash, a SASL mechanism
//! client  PasswordMessage    or SASLInitialResponse
//! server  SASLContinue       and the client's SASLResponse, as often as the mechanism wants
//!         SASLFinal, AuthenticationOk
//!         ParameterStatus… BackendKeyData ReadyForQuery
//!         or an ErrorResponse, at any time
//! ```
//!
//! All that the client says has the kind `p`: only who knows what was asked can read it. The
//! proofs themselves are computed in [`super::auth`].

use bytes::{BufMut, BytesMut};

use super::backend;
use super::frame::{only_string, put_message, put_nul_bytes, write_message};
use super::frontend;
use super::list::{put_value, value};
use crate::{Malformed, Reader};

/// What the server asks, or that it is satisfied.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-AUTHENTICATIONOK>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// The client is who it says.
    Ok,
    /// The password as it is, please.
    CleartextPassword,
    /// The password's md5 hash, with this salt.
    Md5Password {
        /// Random bytes.
        salt: [u8; 4],
    },
    /// A SASL exchange by one of these mechanisms, the server's favourite first.
    Sasl(Mechanisms<'a>),
    /// The mechanism goes on with this.
    SaslContinue(&'a [u8]),
    /// The mechanism ends with this; Ok follows.
    SaslFinal(&'a [u8]),
    /// Something that we do not speak: Kerberos, GSSAPI, SSPI.
    Other {
        /// Its number.
        code: u32,
        /// What follows the number.
        data: &'a [u8],
    },
}

impl<'a> Authentication<'a> {
    /// Reads the body of an `R`.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("Authentication", body);
        let authentication = match reader.u32_be()? {
            0 => Self::Ok,
            3 => Self::CleartextPassword,
            5 => Self::Md5Password { salt: reader.array()? },
            10 => Self::Sasl(Mechanisms::read(&mut reader)?),
            11 => Self::SaslContinue(reader.rest()),
            12 => Self::SaslFinal(reader.rest()),
            code => Self::Other { code, data: reader.rest() },
        };
        reader.end()?;
        Ok(authentication)
    }

    /// Appends it as a message.
    pub fn put(&self, out: &mut BytesMut) {
        write_message(out, backend::Kind::Authentication.byte(), |out| match *self {
            Self::Ok => out.put_u32(0),
            Self::CleartextPassword => out.put_u32(3),
            Self::Md5Password { salt } => {
                out.put_u32(5);
                out.put_slice(&salt);
            }
            Self::Sasl(mechanisms) => put_mechanisms(out, mechanisms),
            Self::SaslContinue(data) => {
                out.put_u32(11);
                out.put_slice(data);
            }
            Self::SaslFinal(data) => {
                out.put_u32(12);
                out.put_slice(data);
            }
            Self::Other { code, data } => {
                out.put_u32(code);
                out.put_slice(data);
            }
        });
    }
}

/// Appends an AuthenticationSASL that offers `mechanisms`, the favourite first.
pub fn put_sasl(out: &mut BytesMut, mechanisms: &[&str]) {
    write_message(out, backend::Kind::Authentication.byte(), |out| {
        put_mechanisms(out, mechanisms.iter().map(|name| name.as_bytes()));
    });
}

fn put_mechanisms<'m>(out: &mut BytesMut, mechanisms: impl Iterator<Item = &'m [u8]>) {
    out.put_u32(10);
    mechanisms.for_each(|name| put_nul_bytes(out, name));
    out.put_u8(0);
}

/// Names of SASL mechanisms: an iterator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms<'a> {
    names: &'a [u8],
}

impl<'a> Mechanisms<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut ahead = *reader;
        while !ahead.nul_bytes()?.is_empty() {}
        let names = reader.bytes(ahead.position() - reader.position())?;
        Ok(Self { names })
    }
}

impl<'a> Iterator for Mechanisms<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut reader = Reader::new("mechanism", self.names);
        let name = reader.nul_bytes().ok().filter(|name| !name.is_empty())?;
        self.names = reader.rest();
        Some(name)
    }
}

/// Reads the body of a PasswordMessage: a password, or its md5 hash.
///
/// # Errors
/// When the password does not end with the message.
pub fn password(body: &[u8]) -> Result<&[u8], Malformed> {
    only_string("PasswordMessage", body)
}

/// Appends a PasswordMessage.
pub fn put_password(out: &mut BytesMut, password: &[u8]) {
    write_message(out, frontend::Kind::Password.byte(), |out| put_nul_bytes(out, password));
}

/// The client chooses a SASL mechanism, and begins.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SASLINITIALRESPONSE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaslInitialResponse<'a> {
    /// The mechanism's name.
    pub mechanism: &'a [u8],
    /// What the mechanism begins with; `None` if the server is to begin.
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitialResponse<'a> {
    /// Reads the body of a SASLInitialResponse.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("SASLInitialResponse", body);
        let response = Self { mechanism: reader.nul_bytes()?, data: value(&mut reader)? };
        reader.end()?;
        Ok(response)
    }

    /// Appends it as a message.
    pub fn put(&self, out: &mut BytesMut) {
        write_message(out, frontend::Kind::Password.byte(), |out| {
            put_nul_bytes(out, self.mechanism);
            put_value(out, self.data);
        });
    }
}

/// Appends a SASLResponse. Its body is all `data`.
pub fn put_sasl_response(out: &mut BytesMut, data: &[u8]) {
    put_message(out, frontend::Kind::Password.byte(), data);
}

#[cfg(test)]
mod tests;

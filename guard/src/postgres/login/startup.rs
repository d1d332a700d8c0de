//! What a client says of itself and of the session it wants.

use std::sync::Arc;

use wire::postgres::startup::{Parameters, StartupMessage, Version};

use super::{Login, LoginError};
use crate::account::Account;
use crate::postgres::connect::Parameter;
use crate::postgres::messages::Messages;
use crate::stream::Stream;

/// A StartupMessage, kept.
pub(super) struct Startup {
    pub(super) user: Arc<str>,
    /// Options of the protocol. None is known here.
    pub(super) unknown: Vec<Box<[u8]>>,
    database: Box<[u8]>,
    parameters: Vec<Parameter>,
    asked: Version,
    is_replication: bool,
}

impl Startup {
    pub(super) fn of(message: &StartupMessage<'_>) -> Result<Self, LoginError> {
        let parameters = &message.parameters;
        let user = parameters.get(b"user").filter(|user| !user.is_empty());
        let user = str::from_utf8(user.ok_or(LoginError::NoUser)?);
        let user: Arc<str> = user.map_err(|_| LoginError::UserNotUtf8)?.into();
        let database = parameters.get(b"database").filter(|name| !name.is_empty());
        let is_replication = match parameters.get(b"replication") {
            Some(value) => is_replication(value)
                .ok_or_else(|| LoginError::Replication(String::from_utf8_lossy(value).into()))?,
            None => false,
        };
        let kept = |name: &[u8]| match name {
            b"user" | b"database" => false,
            b"replication" => is_replication,
            _ => !name.starts_with(Parameters::PROTOCOL_PREFIX),
        };
        Ok(Self {
            unknown: parameters.protocol_options().map(Box::from).collect(),
            database: database.unwrap_or(user.as_bytes()).into(),
            parameters: parameters
                .clone()
                .filter(|(name, _)| kept(name))
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            user,
            asked: message.version,
            is_replication,
        })
    }

    /// What is spoken. Version 3.1 does not exist; who asks for it can do no more than 3.0.
    pub(super) fn version(&self) -> Version {
        if self.asked < Version::V3_2 { Version::V3_0 } else { Version::V3_2 }
    }

    /// Whether the client asked for more than there is.
    pub(super) fn is_to_be_negotiated(&self) -> bool {
        self.asked > Version::V3_2 || !self.unknown.is_empty()
    }

    pub(super) fn into_login(self, messages: Messages<Stream>, account: Arc<Account>) -> Login {
        let version = self.version();
        let Messages { stream, buffer: leftover } = messages;
        let Self { user, database, parameters, is_replication, .. } = self;
        Login { stream, leftover, user, account, database, parameters, version, is_replication }
    }
}

/// Reads `replication`: `database`, or what PostgreSQL takes for a boolean, of which a beginning
/// is enough that only one of them has. `None` if it is neither.
/// (postgres:src/backend/utils/adt/bool.c `parse_bool_with_len`)
fn is_replication(value: &[u8]) -> Option<bool> {
    const WORDS: [(&[u8], usize, bool); 6] = [
        (b"true", 1, true),
        (b"false", 1, false),
        (b"yes", 1, true),
        (b"no", 1, false),
        (b"on", 2, true),
        (b"off", 2, false),
    ];
    match value {
        b"database" | b"1" => return Some(true),
        b"0" => return Some(false),
        _ => {}
    }
    let value = value.to_ascii_lowercase();
    let word = WORDS.iter().find(|(word, min, _)| value.len() >= *min && word.starts_with(&value));
    word.map(|(.., meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_read_as_servers_read_it() {
        let yes: [&[u8]; 8] = [b"database", b"1", b"t", b"TRUE", b"tru", b"y", b"yes", b"on"];
        let no: [&[u8]; 6] = [b"0", b"f", b"False", b"n", b"of", b"off"];
        let neither: [&[u8]; 6] = [b"", b"o", b"Database", b"truer", b"2", b"maybe"];
        assert!(yes.iter().all(|value| is_replication(value) == Some(true)));
        assert!(no.iter().all(|value| is_replication(value) == Some(false)));
        assert!(neither.iter().all(|value| is_replication(value).is_none()));
    }
}

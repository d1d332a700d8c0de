//! From the response to a client that has proved who it is.

use std::net::IpAddr;
use std::sync::Arc;

use wire::mysql::Capabilities;
use wire::mysql::auth::Scramble;
use wire::mysql::handshake::{ConnectAttributes, HandshakeResponse, Opening};
use wire::mysql::response::Status;

use super::prove::{Challenge, Prover};
use super::{LastWord, Login, LoginContext, LoginError, Welcome, offered};
use crate::account::Account;
use crate::mysql::connect::Attribute;
use crate::stream::Stream;
use crate::stream::packets::Packets;
use crate::tls::Demand;

/// How many bytes of connection attributes are kept for each client; further ones are dropped, as
/// servers drop what exceeds their `performance_schema_session_connect_attrs_size`.
const ATTRIBUTES_LEN_MAX: usize = 2048;

/// The longest name of a user, in bytes; the longest that a server has is MariaDB's 128 characters.
const USER_LEN_MAX: usize = 512;

/// What is known of a client when its response comes.
pub(super) struct Entrance<'a> {
    pub(super) from: IpAddr,
    pub(super) scramble: Scramble,
    /// Whether a password may be sent as it is: TLS, or a Unix socket.
    pub(super) is_private: bool,
    pub(super) welcome: &'a Welcome,
    pub(super) context: &'a LoginContext,
}

/// A client that proved who it is.
pub(super) struct Entered {
    account: Arc<Account>,
    database: Option<Vec<u8>>,
    capabilities: Capabilities,
    charset: u8,
    attributes: Vec<Attribute>,
    challenge: Challenge,
    info: Vec<u8>,
}

impl Entrance<'_> {
    /// Reads the response and has the client prove what it says.
    pub(super) async fn enter(
        &self,
        packets: &mut Packets<Stream>,
        payload: &[u8],
    ) -> Result<Entered, LoginError> {
        let response = self.read(payload)?;
        let capabilities =
            Capabilities(response.capabilities.0 & offered(self.welcome, self.context).0);
        if !capabilities.contains(Capabilities::SECURE_CONNECTION) {
            return Err(LoginError::OldPassword);
        }
        let prover = Prover {
            context: self.context,
            user: user(response.user, self.from)?,
            from: self.from,
            is_private: self.is_private,
            can_switch: capabilities.contains(Capabilities::PLUGIN_AUTH),
        };
        let proved = prover.prove(packets, response.plugin, response.auth, self.scramble).await?;
        let is_mariadb_client =
            self.welcome.mariadb && !response.capabilities.contains(Capabilities::LONG_PASSWORD);
        let info = match (&self.context.tls, self.is_private && is_mariadb_client) {
            (Some(tls), true) => proved.vouch(&tls.fingerprint),
            _ => Vec::new(),
        };
        Ok(Entered {
            account: proved.account,
            database: response.database.filter(|name| !name.is_empty()).map(<[u8]>::to_vec),
            capabilities: capabilities.without(Capabilities::SSL),
            charset: response.charset,
            attributes: keep(response.attributes),
            challenge: proved.challenge,
            info,
        })
    }

    fn read<'p>(&self, payload: &'p [u8]) -> Result<HandshakeResponse<'p>, LoginError> {
        match Opening::parse(payload)? {
            Opening::Ssl(_) => Err(LoginError::TlsNotOffered),
            Opening::Response(response) => match &self.context.tls {
                Some(tls) if tls.demand == Demand::Required && !self.is_private => {
                    Err(LoginError::TlsRequired)
                }
                _ => Ok(response),
            },
        }
    }
}

impl Entered {
    pub(super) fn into_login(self, packets: Packets<Stream>, welcome: &Welcome) -> Login {
        let Self { account, database, capabilities, charset, attributes, challenge, info } = self;
        Login {
            stream: packets.stream,
            leftover: packets.buffer,
            user: Arc::clone(&account.user),
            account,
            database,
            capabilities,
            charset,
            attributes,
            mariadb: welcome.mariadb,
            challenge,
            last: LastWord { seq: packets.seq, status: Status(welcome.status), info },
        }
    }
}

/// The name of a user, which no account has unless it is UTF-8 and short.
pub(super) fn user(bytes: &[u8], from: IpAddr) -> Result<&str, LoginError> {
    match str::from_utf8(bytes) {
        Ok(user) if user.len() <= USER_LEN_MAX => Ok(user),
        _ => {
            let user = String::from_utf8_lossy(&bytes[..bytes.len().min(USER_LEN_MAX)]).into();
            Err(LoginError::Denied { user, from, using_password: true })
        }
    }
}

/// The attributes that are kept.
pub(super) fn keep(attributes: ConnectAttributes<'_>) -> Vec<Attribute> {
    let mut room = ATTRIBUTES_LEN_MAX;
    attributes
        .iter()
        .map_while(|(name, value)| {
            room = room.checked_sub(name.len() + value.len())?;
            Some((name.into(), value.into()))
        })
        .collect()
}

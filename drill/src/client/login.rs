//! The handshake, from the client's side.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use bytes::BytesMut;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use wire::mysql::Capabilities;
use wire::mysql::auth::{Plugin, SCRAMBLE_LEN, Scramble, caching_sha2, ed25519, native};
use wire::mysql::command::Command;
use wire::mysql::handshake::{AuthReply, ConnectAttributes, Greeting, HandshakeResponse};
use wire::mysql::response::{self, ErrPacket};

use super::{Client, ClientError, Failure, Packet};
use crate::server::account::{Account, SCHEMA};

/// The longest packet this client says it takes, in bytes: servers' own bound.
const MAX_PACKET: u32 = 1 << 30;
/// `utf8mb4_general_ci`, which all servers know.
const CHARSET: u8 = 45;

/// Who logs in, and what is asked for.
#[derive(Debug, Clone)]
pub struct Login {
    /// User name.
    pub user: Vec<u8>,
    /// Password in plain text.
    pub password: Vec<u8>,
    /// The schema to begin in. Default: `app`.
    pub schema: Option<Vec<u8>>,
    /// What is asked for; the server's own set bounds it. Default: what common drivers ask for, with
    /// `DEPRECATE_EOF`, `SESSION_TRACK` and `MULTI_STATEMENTS`.
    pub capabilities: Capabilities,
    /// The plugin proposed in the first answer. Default: the one of the greeting.
    pub plugin: Option<Plugin>,
}

impl Login {
    /// With the defaults above.
    #[must_use]
    pub fn new(account: &Account) -> Self {
        Self {
            user: account.name.into(),
            password: account.password.into(),
            schema: Some(SCHEMA.into()),
            capabilities: Capabilities::LONG_PASSWORD
                | Capabilities::LONG_FLAG
                | Capabilities::LOCAL_FILES
                | Capabilities::PROTOCOL_41
                | Capabilities::TRANSACTIONS
                | Capabilities::SECURE_CONNECTION
                | Capabilities::MULTI_STATEMENTS
                | Capabilities::MULTI_RESULTS
                | Capabilities::PS_MULTI_RESULTS
                | Capabilities::PLUGIN_AUTH
                | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA
                | Capabilities::SESSION_TRACK
                | Capabilities::DEPRECATE_EOF,
            plugin: None,
        }
    }

    /// Runs the handshake on a fresh connection.
    pub(super) async fn run(&self, client: &mut Client) -> Result<(), ClientError> {
        let first = client.packet().await?;
        if first.payload.first() == Some(&response::ERR) {
            return Err(refused(&first.payload));
        }
        let greeting = Greeting::parse(&first.payload)?;
        client.connection_id = greeting.connection_id;
        client.capabilities = self.agree(greeting.capabilities);
        let offered = Plugin::from_name(greeting.plugin).unwrap_or(Plugin::NativePassword);
        let plugin = self.plugin.unwrap_or(offered);
        let scramble = greeting.scramble;
        let auth = self.proof(plugin, &scramble)?;
        let mut out = BytesMut::new();
        HandshakeResponse {
            capabilities: client.capabilities,
            max_packet: MAX_PACKET,
            charset: CHARSET,
            user: &self.user,
            auth: &auth,
            database: self.schema.as_deref(),
            plugin: Some(plugin.name().as_bytes()),
            attributes: ConnectAttributes::default(),
        }
        .put(&mut out, first.seq.wrapping_add(1));
        client.send(&out).await?;
        let end = self.prove(client, plugin, scramble).await?;
        if end.payload.first() == Some(&response::ERR) {
            return Err(refused(&end.payload));
        }
        client.welcome = Some(end);
        Ok(())
    }

    /// Runs COM_CHANGE_USER.
    pub(super) async fn run_again(&self, client: &mut Client) -> Result<Packet, ClientError> {
        let Some((plugin, scramble)) = client.challenge else {
            return Err(ClientError::Login("not logged in".into()));
        };
        let auth = self.proof(plugin, &scramble)?;
        let len = u8::try_from(auth.len()).map_err(|_| ClientError::Login("long".into()))?;
        let schema = self.schema.as_deref().unwrap_or_default();
        let charset = [CHARSET, 0];
        let command = [Command::ChangeUser as u8];
        let payload = [
            &command[..],
            &self.user,
            &[0, len],
            &auth,
            schema,
            &[0],
            &charset,
            plugin.name().as_bytes(),
            &[0],
        ]
        .concat();
        client.send_packet(0, &payload).await?;
        self.prove(client, plugin, scramble).await
    }

    /// Answers what the server asks until it says OK or ERR.
    async fn prove(
        &self,
        client: &mut Client,
        mut plugin: Plugin,
        mut scramble: Scramble,
    ) -> Result<Packet, ClientError> {
        loop {
            client.challenge = Some((plugin, scramble));
            let packet = client.packet().await?;
            let seq = packet.seq.wrapping_add(1);
            match AuthReply::parse(&packet.payload)? {
                AuthReply::Ok | AuthReply::Err => return Ok(packet),
                AuthReply::Switch(switch) => {
                    let name = String::from_utf8_lossy(switch.plugin).into_owned();
                    plugin = Plugin::from_name(switch.plugin).ok_or(ClientError::Login(name))?;
                    let answer = if plugin == Plugin::Ed25519 {
                        self.ed25519(switch.data)?
                    } else {
                        scramble = challenge(switch.data)?;
                        self.proof(plugin, &scramble)?
                    };
                    client.send_packet(seq, &answer).await?;
                }
                AuthReply::More(&[caching_sha2::FAST_AUTH_SUCCESS]) => {}
                AuthReply::More(&[caching_sha2::PERFORM_FULL_AUTHENTICATION]) => {
                    self.full(client, seq, &scramble).await?;
                }
                other => return Err(ClientError::Login(format!("{other:?}"))),
            }
        }
    }

    /// What both sides can do. MariaDB's bits are only asked for on a MariaDB server, which shows
    /// itself, as the client then must, by leaving `LONG_PASSWORD` out.
    fn agree(&self, offered: Capabilities) -> Capabilities {
        let mut agreed = Capabilities(self.capabilities.0 & offered.0);
        if offered.contains(Capabilities::LONG_PASSWORD) {
            agreed = Capabilities(agreed.0 & u64::from(u32::MAX));
        }
        if self.schema.is_some() { agreed.with(Capabilities::CONNECT_WITH_DB) } else { agreed }
    }

    fn proof(&self, plugin: Plugin, scramble: &Scramble) -> Result<Vec<u8>, ClientError> {
        Ok(match plugin {
            _ if self.password.is_empty() => Vec::new(),
            Plugin::NativePassword => {
                native::reply(&native::stage1(&self.password), scramble).to_vec()
            }
            Plugin::CachingSha2Password => caching_sha2::reply(&self.password, scramble).to_vec(),
            other => return Err(ClientError::Login(other.name().into())),
        })
    }

    fn ed25519(&self, data: &[u8]) -> Result<Vec<u8>, ClientError> {
        let scramble = data.first_chunk().ok_or(ClientError::Login("short challenge".into()))?;
        Ok(ed25519::sign(&self.password, scramble).to_vec())
    }

    /// caching_sha2's full path over plain text: the password, hidden from listeners by the server's
    /// RSA key.
    async fn full(
        &self,
        client: &mut Client,
        seq: u8,
        scramble: &Scramble,
    ) -> Result<(), ClientError> {
        client.send_packet(seq, &[caching_sha2::REQUEST_PUBLIC_KEY]).await?;
        let packet = client.packet().await?;
        let AuthReply::More(pem) = AuthReply::parse(&packet.payload)? else {
            return Err(refused(&packet.payload));
        };
        let mut password = [&self.password[..], &[0]].concat();
        caching_sha2::obscure(&mut password, scramble);
        let hidden = encrypt(pem, &password)
            .ok_or_else(|| ClientError::Login("the server's RSA key does not work".into()))?;
        client.send_packet(packet.seq.wrapping_add(1), &hidden).await
    }
}

fn challenge(data: &[u8]) -> Result<Scramble, ClientError> {
    let short = || ClientError::Login("short challenge".into());
    data.first_chunk::<SCRAMBLE_LEN>().copied().ok_or_else(short)
}

fn encrypt(pem: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&der).ok()?).ok()?;
    let mut out = vec![0; key.ciphertext_size()];
    let len = key.encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut out, None).ok()?.len();
    out.truncate(len);
    Some(out)
}

/// The server's reason, or that there was none.
fn refused(payload: &[u8]) -> ClientError {
    match ErrPacket::parse(payload, Capabilities::PROTOCOL_41) {
        Ok(packet) => ClientError::Refused(Failure::from(packet)),
        Err(malformed) => ClientError::Malformed(malformed),
    }
}

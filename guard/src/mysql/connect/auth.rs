//! How the guard proves an account to a server.
//!
//! ```text
//! Proof::new ── first proof ──► complete ──► OK
//!                                 ▲   │  AuthSwitch, at most SWITCHES_MAX times
//!                                 └───┤  AuthMoreData: fast enough, or full authentication
//!                                     └─ ERR
//! ```

use bytes::BytesMut;
use wire::mysql::auth::{Plugin, Scramble, caching_sha2, ed25519, native};
use wire::mysql::frame::put_packet;
use wire::mysql::handshake::AuthReply;
use zeroize::Zeroizing;

use super::{ClearPassword, ConnectError, Greeting, ServerError, Target};
use crate::account::Account;
use crate::secret::{Secret, rsa};
use crate::stream::Stream;
use crate::stream::packets::Packets;

/// How often a server may ask for another plugin. One switch is what servers need.
const SWITCHES_MAX: u32 = 2;

/// How much a server may say before it has made up its mind. Two switches and a full authentication
/// take five.
const REPLIES_MAX: u32 = 6;

/// What may be said over the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Plain,
    Tls(ClearPassword),
}

/// A proof under way.
pub(super) struct Proof<'a> {
    account: &'a Account,
    line: Line,
    plugin: Plugin,
    scramble: Scramble,
    /// What `plugin` answers to its challenge.
    answer: Zeroizing<Vec<u8>>,
}

impl<'a> Proof<'a> {
    /// Begins with the server's plugin, or with native if that is none of ours: the server will
    /// switch then.
    pub(super) fn new(
        account: &'a Account,
        greeting: &Greeting,
        is_private: bool,
        target: &Target,
    ) -> Result<Self, ConnectError> {
        let line = if is_private { Line::Tls(target.clear_password) } else { Line::Plain };
        let plugin = match greeting.plugin {
            Some(Plugin::CachingSha2Password) if account.password().is_some() => {
                Plugin::CachingSha2Password
            }
            _ => Plugin::NativePassword,
        };
        let scramble = greeting.scramble;
        let answer = answer(account, line, plugin, &scramble)?;
        Ok(Self { account, line, plugin, scramble, answer })
    }

    /// The plugin of the first proof.
    pub(super) const fn plugin(&self) -> Plugin {
        self.plugin
    }

    /// The first proof.
    pub(super) fn first(&self) -> &[u8] {
        &self.answer
    }

    /// Answers the server until it has made up its mind. Returns the payload of its OK packet.
    pub(super) async fn complete(
        mut self,
        packets: &mut Packets<Stream>,
    ) -> Result<BytesMut, ConnectError> {
        let mut switches = 0;
        for _ in 0..REPLIES_MAX {
            let payload = packets.read().await?;
            match AuthReply::parse(&payload)? {
                AuthReply::Ok => return Ok(payload),
                AuthReply::Err => return Err(ConnectError::Refused(ServerError::parse(&payload)?)),
                AuthReply::Switch(switch) => {
                    switches += 1;
                    if switches > SWITCHES_MAX {
                        return Err(ConnectError::Switches(switches));
                    }
                    self.switch(switch.plugin, switch.data)?;
                    packets.write(|out, seq| put_packet(out, seq, &self.answer)).await?;
                }
                AuthReply::More(data) => self.go_on(packets, data).await?,
                AuthReply::SwitchToOldPassword => {
                    return Err(ConnectError::Plugin("mysql_old_password".into()));
                }
                AuthReply::NextFactor => return Err(ConnectError::Plugin("second factor".into())),
            }
        }
        Err(ConnectError::Exchange(self.plugin.name()))
    }

    fn switch(&mut self, name: &[u8], challenge: &[u8]) -> Result<(), ConnectError> {
        let unknown = || ConnectError::Plugin(String::from_utf8_lossy(name).into_owned());
        self.plugin = Plugin::from_name(name).ok_or_else(unknown)?;
        if let Ok(scramble) = challenge.try_into() {
            self.scramble = scramble;
        }
        self.answer = answer(self.account, self.line, self.plugin, challenge)?;
        Ok(())
    }

    /// Does what `caching_sha2_password` asks for beyond its first proof; the other plugins ask for
    /// nothing.
    async fn go_on(&self, packets: &mut Packets<Stream>, data: &[u8]) -> Result<(), ConnectError> {
        let odd = ConnectError::Exchange(self.plugin.name());
        if self.plugin != Plugin::CachingSha2Password {
            return Err(odd);
        }
        match data {
            [caching_sha2::FAST_AUTH_SUCCESS] => Ok(()),
            [caching_sha2::PERFORM_FULL_AUTHENTICATION] => {
                let mut password = terminated(password(self.account, self.plugin)?);
                if self.line != Line::Plain {
                    packets.write(|out, seq| put_packet(out, seq, &password)).await?;
                    return Ok(());
                }
                let request = [caching_sha2::REQUEST_PUBLIC_KEY];
                packets.write(|out, seq| put_packet(out, seq, &request)).await?;
                let payload = packets.read().await?;
                let AuthReply::More(pem) = AuthReply::parse(&payload)? else { return Err(odd) };
                caching_sha2::obscure(&mut password, &self.scramble);
                let encrypted = rsa::encrypt(pem, &password)?;
                Ok(packets.write(|out, seq| put_packet(out, seq, &encrypted)).await?)
            }
            _ => Err(odd),
        }
    }
}

/// What `plugin` says to `challenge`.
fn answer(
    account: &Account,
    line: Line,
    plugin: Plugin,
    challenge: &[u8],
) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    let odd = |_| ConnectError::Exchange(plugin.name());
    let bytes = match plugin {
        _ if account.has_no_password() && plugin != Plugin::Ed25519 => match plugin {
            Plugin::CachingSha2Password | Plugin::ClearPassword => vec![0],
            _ => Vec::new(),
        },
        Plugin::NativePassword => {
            let scramble = challenge.try_into().map_err(odd)?;
            let stage1 = account.native_stage1();
            let stage1 = stage1.ok_or(ConnectError::NeedsPassword(plugin.name()))?;
            native::reply(&stage1, scramble).to_vec()
        }
        Plugin::CachingSha2Password => {
            let scramble = challenge.try_into().map_err(odd)?;
            caching_sha2::reply(password(account, plugin)?.expose(), scramble).to_vec()
        }
        Plugin::Ed25519 => {
            let scramble = challenge.try_into().map_err(odd)?;
            ed25519::sign(password(account, plugin)?.expose(), scramble).to_vec()
        }
        Plugin::ClearPassword if line == Line::Tls(ClearPassword::OverTls) => {
            return Ok(terminated(password(account, plugin)?));
        }
        Plugin::ClearPassword => return Err(ConnectError::ClearPassword),
    };
    Ok(Zeroizing::new(bytes))
}

fn password(account: &Account, plugin: Plugin) -> Result<&Secret, ConnectError> {
    account.password().ok_or(ConnectError::NeedsPassword(plugin.name()))
}

fn terminated(password: &Secret) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.expose().len() + 1));
    bytes.extend_from_slice(password.expose());
    bytes.push(0);
    bytes
}

//! Has a client prove that it knows the password.
//!
//! ```text
//!               our plugin                    right
//! first reply ─────────────► Users::judge ──────────────────────────► in
//!     │ another's                  │ unclear          Users::verify ──► in
//!     └──► AuthSwitch ──► reply ──►│ └─► full authentication ─┘
//!                                  └ wrong ──► 1045
//! ```
//!
//! No client is asked for more than two switches and one full authentication.

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use wire::mysql::auth::{Plugin, Scramble, caching_sha2, native};
use wire::mysql::handshake::{AuthMoreData, AuthSwitch};
use zeroize::{Zeroize, Zeroizing};

use super::{LoginContext, LoginError, random_scramble};
use crate::account::Account;
use crate::mysql::users::{Denial, Verdict};
use crate::secret::Secret;
use crate::stream::packets::Packets;

/// Who is to prove what, and how.
pub(super) struct Prover<'a> {
    pub(super) context: &'a LoginContext,
    pub(super) user: &'a str,
    pub(super) from: IpAddr,
    /// Whether a password may be sent as it is.
    pub(super) is_private: bool,
    /// Whether the client knows of plugins.
    pub(super) can_switch: bool,
}

/// What a client was asked, and by which plugin it answered.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    pub(super) plugin: Plugin,
    pub(super) scramble: Scramble,
}

/// A reply to a challenge.
struct Reply {
    challenge: Challenge,
    bytes: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// Whether it says that the password is empty.
    fn is_empty(&self) -> bool {
        matches!(self.bytes.as_slice(), [] | [0])
    }
}

/// An account, and the exchange that proved it.
pub(super) struct Proved {
    pub(super) account: Arc<Account>,
    pub(super) challenge: Challenge,
}

impl Proved {
    /// By what MariaDB's client (11.4 and up) recognises us: only who knows the password can make
    /// this, and it names the certificate, so nobody sits between. Empty where the client would not
    /// look: it does so for `mysql_native_password`, and not without a password.
    ///
    /// (mariadb-connector-c:plugins/auth/my_auth.c `run_plugin_auth`)
    pub(super) fn vouch(&self, fingerprint: &[u8; 32]) -> Vec<u8> {
        if self.challenge.plugin != Plugin::NativePassword || self.account.has_no_password() {
            return Vec::new();
        }
        let Some(stage1) = self.account.native_stage1() else { return Vec::new() };
        let digest = Sha256::new()
            .chain_update(native::stage2(&stage1))
            .chain_update(self.challenge.scramble)
            .chain_update(fingerprint)
            .finalize();
        let hex = digest.iter().flat_map(|byte| format!("{byte:02X}").into_bytes());
        std::iter::once(1).chain(hex).collect()
    }
}

impl<'a> Prover<'a> {
    /// Judges the client's first reply to `scramble`, and asks for more if that does not settle it.
    /// `plugin` is `None` for clients that know of no plugins.
    pub(super) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        plugin: Option<&[u8]>,
        reply: &[u8],
        scramble: Scramble,
    ) -> Result<Proved, LoginError> {
        let spoken = spoken(plugin);
        // A client that prefers another plugin than the greeting's knows no challenge for it, so it
        // sends nothing and waits to be asked.
        let waits = reply.is_empty() && spoken != Some(self.context.plugin) && self.can_switch;
        let reply = match spoken {
            Some(plugin) if !waits => {
                Reply { challenge: Challenge { plugin, scramble }, bytes: reply.to_vec().into() }
            }
            _ => self.switch(packets, spoken.unwrap_or(self.context.plugin)).await?,
        };
        self.settle(packets, reply).await
    }

    /// Judges a reply to the challenge of the login before. Unless it is right, the client is asked
    /// once more by the plugin it answered by then, with the same scramble: servers do so, and some
    /// clients do not look for another.
    ///
    /// (mariadb-connector-c:plugins/auth/my_auth.c `native_password_auth_client`)
    pub(super) async fn prove_again<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        plugin: Option<&[u8]>,
        reply: &[u8],
        before: Challenge,
    ) -> Result<Proved, LoginError> {
        let scramble = before.scramble;
        let is_right = |plugin: &Plugin| {
            let verdict = self.context.users.judge(self.user, *plugin, reply, &scramble);
            !reply.is_empty() && matches!(verdict, Verdict::Right(_))
        };
        let reply = match spoken(plugin).filter(is_right) {
            Some(plugin) => {
                Reply { challenge: Challenge { plugin, scramble }, bytes: reply.to_vec().into() }
            }
            None => self.challenge(packets, before).await?,
        };
        self.settle(packets, reply).await
    }

    async fn settle<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        mut reply: Reply,
    ) -> Result<Proved, LoginError> {
        let users = &self.context.users;
        let Challenge { plugin, scramble } = reply.challenge;
        let account = match users.judge(self.user, plugin, &reply.bytes, &scramble) {
            Verdict::Right(account) => {
                if plugin == Plugin::CachingSha2Password && !reply.is_empty() {
                    let right = AuthMoreData(&[caching_sha2::FAST_AUTH_SUCCESS]);
                    packets.write(|out, seq| right.put(out, seq)).await?;
                }
                account
            }
            Verdict::Wrong => return Err(self.denied(&reply)),
            Verdict::Unclear => {
                users.admit(self.from).map_err(|denial| self.explain(denial, &reply))?;
                if plugin != Plugin::CachingSha2Password {
                    reply = self.switch(packets, Plugin::CachingSha2Password).await?;
                }
                let password = match reply.is_empty() {
                    true => Secret::default(),
                    false => self.ask_password(packets, &reply).await?,
                };
                users
                    .verify(self.user, password, self.from)
                    .await
                    .map_err(|denial| self.explain(denial, &reply))?
            }
        };
        Ok(Proved { account, challenge: reply.challenge })
    }

    /// Asks for a reply by `plugin` to a new challenge.
    async fn switch<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        plugin: Plugin,
    ) -> Result<Reply, LoginError> {
        self.challenge(packets, Challenge { plugin, scramble: random_scramble() }).await
    }

    async fn challenge<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        challenge: Challenge,
    ) -> Result<Reply, LoginError> {
        if !self.can_switch {
            return Err(LoginError::OldPassword);
        }
        let Challenge { plugin, scramble } = &challenge;
        let switch = AuthSwitch { plugin: plugin.name().as_bytes(), data: scramble };
        packets.write(|out, seq| switch.put(out, seq)).await?;
        let payload = packets.read().await?;
        Ok(Reply { challenge, bytes: payload.to_vec().into() })
    }

    /// Full authentication: the password itself, by TLS or encrypted for our key.
    async fn ask_password<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        reply: &Reply,
    ) -> Result<Secret, LoginError> {
        let ask = AuthMoreData(&[caching_sha2::PERFORM_FULL_AUTHENTICATION]);
        packets.write(|out, seq| ask.put(out, seq)).await?;
        let mut payload = packets.read().await?;
        let mut password = Zeroizing::new(payload.to_vec());
        payload.zeroize();
        if !self.is_private {
            if *password != [caching_sha2::REQUEST_PUBLIC_KEY] {
                return Err(LoginError::BarePassword(Box::new(self.denied(reply))));
            }
            let key = AuthMoreData(self.context.rsa.public_pem().as_bytes());
            packets.write(|out, seq| key.put(out, seq)).await?;
            let encrypted = packets.read().await?;
            let place = self.context.pacing.acquire().await.expect("the semaphore is never closed");
            let decrypted = self.context.rsa.decrypt(&encrypted);
            drop(place);
            password = decrypted.map_err(|_| LoginError::Exchange("no password for our key"))?;
            caching_sha2::obscure(&mut password, &reply.challenge.scramble);
        }
        match password.pop() {
            Some(0) => Ok(password.into()),
            // Obscured with another challenge, or no password at all: wrong, as servers say.
            _ => Err(self.denied(reply)),
        }
    }

    fn explain(&self, denial: Denial, reply: &Reply) -> LoginError {
        match denial {
            Denial::Wrong => self.denied(reply),
            Denial::TooMany { retry_after } => LoginError::TooMany { retry_after },
            Denial::Refused(error) => LoginError::Refused(error),
            Denial::Unverifiable(error) => LoginError::Unverifiable(error),
        }
    }

    fn denied(&self, reply: &Reply) -> LoginError {
        LoginError::Denied {
            user: self.user.into(),
            from: self.from,
            using_password: !reply.is_empty(),
        }
    }
}

/// The plugin that a client names, if it is one that is spoken here; a client that names none knows
/// only the oldest.
fn spoken(plugin: Option<&[u8]>) -> Option<Plugin> {
    let named = plugin.map_or(Some(Plugin::NativePassword), Plugin::from_name);
    named.filter(|plugin| matches!(plugin, Plugin::NativePassword | Plugin::CachingSha2Password))
}

//! Has a client prove who it is.
//!
//! ```text
//! from a trusted network ─────────────────────────────────────────────► Ok
//! by TLS, where that is wanted ──► the password ──────────────────────► Ok
//! what is kept is md5 ──► its hash with a salt ───────────────────────► Ok
//! all others, nobody too ──► SCRAM: first ──► proof ──► our signature, Ok
//! ```
//!
//! Whoever fails is told the same, whether or not there is such a user; and waits for it, if many
//! from there have failed.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use wire::postgres::auth::scram::{Failure, Mechanism, Server, Start};
use wire::postgres::frontend::Kind;
use wire::postgres::login::{Authentication, SaslInitialResponse, password, put_sasl};
use zeroize::{Zeroize, Zeroizing};

use super::{LoginContext, LoginError};
use crate::account::Account;
use crate::postgres::messages::Messages;
use crate::postgres::stored::{Known, Stored};
use crate::postgres::users::Unknown;
use crate::secret::Secret;
use crate::stream::Stream;
use crate::upstream::target::ClearPassword;

/// Who is to prove what.
pub(super) struct Prover<'a> {
    pub(super) context: &'a LoginContext,
    pub(super) user: &'a Arc<str>,
    pub(super) from: IpAddr,
}

impl Prover<'_> {
    /// Asks, and tells the client when it is satisfied.
    pub(super) async fn prove(
        &self,
        messages: &mut Messages<Stream>,
    ) -> Result<Arc<Account>, LoginError> {
        let from = self.from.to_canonical();
        if self.context.trusted.iter().any(|network| network.contains(&from)) {
            let account = self.context.users.trusted(self.user);
            messages.write(|out| Authentication::Ok.put(out)).await?;
            return Ok(account);
        }
        let known = self.context.users.find(self.user, self.from).await.map_err(unknown)?;
        let clear = self.context.clear_password == ClearPassword::OverTls;
        let proved = if clear && messages.stream.is_private() {
            self.by_password(messages, &known).await?
        } else if let Stored::Md5(_) = known.stored() {
            by_md5(messages, &known).await?
        } else {
            self.by_scram(messages, &known).await?
        };
        match proved {
            Some(account) => Ok(account),
            None => {
                let pause = self.context.users.failed(self.user, self.from);
                tokio::time::sleep(pause).await;
                Err(LoginError::Denied { user: Arc::clone(self.user) })
            }
        }
    }

    async fn by_password(
        &self,
        messages: &mut Messages<Stream>,
        known: &Known,
    ) -> Result<Option<Arc<Account>>, LoginError> {
        messages.write(|out| Authentication::CleartextPassword.put(out)).await?;
        let body = answer(messages).await?;
        let password = Secret::from(password(&body)?);
        let users = &self.context.users;
        let account = match known.recall(&password) {
            Some(account) => Some(account),
            None => {
                users.admit(self.from).map_err(unknown)?;
                known.proved_by_password(password, &users.seed, &self.context.pacing).await
            }
        };
        told_ok(messages, account).await
    }

    async fn by_scram(
        &self,
        messages: &mut Messages<Stream>,
        known: &Known,
    ) -> Result<Option<Arc<Account>>, LoginError> {
        let secret = known.secret(&self.context.users.seed, &self.context.pacing).await;
        let end_point = match (&messages.stream, &self.context.tls) {
            (Stream::Tls(_), Some(tls)) => tls.end_point.as_deref(),
            _ => None,
        };
        let plus = end_point.map(|_| Mechanism::ScramSha256Plus);
        let offer: Vec<_> =
            plus.into_iter().chain([Mechanism::ScramSha256]).map(Mechanism::name).collect();
        messages.write(|out| put_sasl(out, &offer)).await?;
        let (mechanism, first) = choice(messages).await?;
        let start = Start { mechanism, message: &first };
        let exchange = Server::new(start, &secret, end_point, random())?;
        messages.write(|out| Authentication::SaslContinue(exchange.message()).put(out)).await?;
        let proven = match exchange.verify(&answer(messages).await?) {
            Ok(proven) => proven,
            Err(Failure::Proof) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let Some(account) = known.proved_by_scram(&proven) else { return Ok(None) };
        messages
            .write(|out| {
                Authentication::SaslFinal(&proven.message).put(out);
                Authentication::Ok.put(out);
            })
            .await?;
        Ok(Some(account))
    }
}

async fn by_md5(
    messages: &mut Messages<Stream>,
    known: &Known,
) -> Result<Option<Arc<Account>>, LoginError> {
    let salt = random();
    messages.write(|out| Authentication::Md5Password { salt }.put(out)).await?;
    let body = answer(messages).await?;
    told_ok(messages, known.proved_by_md5(password(&body)?, salt)).await
}

/// Tells the client that its proof was right, if it was.
async fn told_ok(
    messages: &mut Messages<Stream>,
    account: Option<Arc<Account>>,
) -> Result<Option<Arc<Account>>, LoginError> {
    if account.is_some() {
        messages.write(|out| Authentication::Ok.put(out)).await?;
    }
    Ok(account)
}

/// The mechanism that the client chooses, and its first message.
async fn choice(messages: &mut Messages<Stream>) -> Result<(Mechanism, BytesMut), LoginError> {
    let body = answer(messages).await?;
    let response = SaslInitialResponse::parse(&body)?;
    let mechanism = Mechanism::from_name(response.mechanism);
    let mechanism = mechanism.ok_or(LoginError::Exchange("an invalid SASL mechanism"))?;
    if let Some(first) = response.data {
        return Ok((mechanism, first.into()));
    }
    messages.write(|out| Authentication::SaslContinue(b"").put(out)).await?;
    Ok((mechanism, BytesMut::from(&answer(messages).await?[..])))
}

/// What the client answers. It may be a password.
async fn answer(messages: &mut Messages<Stream>) -> Result<Zeroizing<Vec<u8>>, LoginError> {
    let (kind, mut body) = messages.read(Kind::of).await?;
    let kept = Zeroizing::new(body.to_vec());
    body.zeroize();
    match kind {
        Kind::Password => Ok(kept),
        _ => Err(LoginError::Exchange("another message than its password")),
    }
}

fn unknown(unknown: Unknown) -> LoginError {
    match unknown {
        Unknown::TooMany { retry_after } => LoginError::TooMany { retry_after },
        Unknown::Unasked(error) => LoginError::Unverifiable(error),
    }
}

fn random<const LEN: usize>() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    aws_lc_rs::rand::fill(&mut bytes).expect("aws-lc aborts rather than run out of randomness");
    bytes
}

//! How the guard proves an account to a server.
//!
//! ```text
//! StartupMessage ──► NegotiateProtocolVersion, at most once
//!                ──► nothing asked ─────────────────────────────────────► Ok
//!                ──► password, or its md5 hash ─────────────────────────► Ok
//!                ──► SASL ──► first ──► SASLContinue ──► proof ──► SASLFinal ──► Ok
//! ```
//!
//! A server asks once, and one that has begun SCRAM must prove itself before its Ok is believed.

use wire::postgres::auth::md5;
use wire::postgres::auth::scram::{self, Binding, Client, Credential as Proof, Mechanism};
use wire::postgres::backend::Kind;
use wire::postgres::login::{
    Authentication, Mechanisms, SaslInitialResponse, put_password, put_sasl_response,
};
use wire::postgres::startup::{NegotiateProtocolVersion, Version};

use super::{ConnectError, ServerError};
use crate::account::{Account, Credential};
use crate::postgres::messages::Messages;
use crate::stream::Stream;
use crate::tls::end_point;
use crate::upstream::target::ClearPassword;

/// How many notices a server may send before it has made up its mind.
const NOTICES_MAX: usize = 16;

/// Proves `account`, up to the server's Ok. Returns the version that is spoken, where `asked` was
/// asked for.
pub(super) async fn prove(
    messages: &mut Messages<Stream>,
    account: &Account,
    clear_password: ClearPassword,
    asked: Version,
) -> Result<Version, ConnectError> {
    let mut version = asked;
    let (mut kind, mut body) = next(messages).await?;
    if kind == Kind::NegotiateProtocolVersion {
        version = negotiated(NegotiateProtocolVersion::parse(&body)?, asked)?;
        (kind, body) = next(messages).await?;
    }
    match question(kind, &body)? {
        Authentication::Ok => return Ok(version),
        Authentication::CleartextPassword => {
            if !messages.stream.is_private() || clear_password == ClearPassword::Refused {
                return Err(ConnectError::ClearPassword);
            }
            let needed = ConnectError::NeedsPassword("the password in the clear");
            let password = account.password().filter(|password| !password.is_empty());
            let password = password.ok_or(needed)?;
            messages.write(|out| put_password(out, password.expose())).await?;
        }
        Authentication::Md5Password { salt } => {
            let reply = md5::reply(&stored_md5(account)?, salt);
            messages.write(|out| put_password(out, &reply)).await?;
        }
        Authentication::Sasl(mechanisms) => scram(messages, account, mechanisms).await?,
        Authentication::Other { code, .. } => {
            return Err(ConnectError::Method(format!("authentication method {code}")));
        }
        Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => return Err(NOT_DUE),
    }
    let (kind, body) = next(messages).await?;
    match question(kind, &body)? {
        Authentication::Ok => Ok(version),
        _ => Err(NOT_DUE),
    }
}

const NOT_DUE: ConnectError = ConnectError::Exchange("another question than is due");

/// The lower of the two that are spoken here.
fn negotiated(
    answer: NegotiateProtocolVersion<'_>,
    asked: Version,
) -> Result<Version, ConnectError> {
    match answer.newest {
        Version { major: 3, minor } if minor < Version::V3_2.minor => Ok(Version::V3_0),
        Version { major: 3, .. } => Ok(asked),
        _ => Err(ConnectError::Exchange("a version that nobody asked for")),
    }
}

/// The hash that the server stores.
fn stored_md5(account: &Account) -> Result<[u8; md5::LEN], ConnectError> {
    match account.credential() {
        Credential::Password(password) if !password.is_empty() => {
            Ok(md5::stored(password.expose(), account.user.as_bytes()))
        }
        Credential::Md5(stored) => Ok(**stored),
        _ => Err(ConnectError::NeedsPassword("md5")),
    }
}

/// Proves the account by SCRAM, bound to TLS if both sides can, and has the server prove itself.
async fn scram(
    messages: &mut Messages<Stream>,
    account: &Account,
    mut mechanisms: Mechanisms<'_>,
) -> Result<(), ConnectError> {
    let offers = |mechanism: Mechanism| {
        mechanisms.clone().any(|name| Mechanism::from_name(name) == Some(mechanism))
    };
    let end_point = end_point_of(&messages.stream);
    let binding = match &end_point {
        Some(hash) if offers(Mechanism::ScramSha256Plus) => Binding::EndPoint(hash),
        Some(_) => Binding::NotOffered,
        None => Binding::Unsupported,
    };
    let mut random = [0; scram::NONCE_LEN];
    aws_lc_rs::rand::fill(&mut random).expect("aws-lc aborts rather than run out of randomness");
    let client = Client::new(binding, random);
    if !offers(client.mechanism()) {
        let name = mechanisms.next().unwrap_or_default();
        return Err(ConnectError::Method(String::from_utf8_lossy(name).into_owned()));
    }
    let first = SaslInitialResponse {
        mechanism: client.mechanism().name().as_bytes(),
        data: Some(client.message()),
    };
    messages.write(|out| first.put(out)).await?;

    let (kind, body) = next(messages).await?;
    let Authentication::SaslContinue(challenge) = question(kind, &body)? else {
        return Err(NOT_DUE);
    };
    let keys = account.scram_keys(client.derivation(challenge)?).await;
    let keys = keys.ok_or(ConnectError::NeedsPassword("SCRAM-SHA-256"))?;
    let answer = client.answer(challenge, Proof::Keys(&keys))?;
    messages.write(|out| put_sasl_response(out, answer.message())).await?;

    let (kind, body) = next(messages).await?;
    let Authentication::SaslFinal(signature) = question(kind, &body)? else {
        return Err(NOT_DUE);
    };
    Ok(answer.verify(signature)?)
}

/// The hash of the server's certificate, if there is TLS and it can be bound to.
fn end_point_of(stream: &Stream) -> Option<Vec<u8>> {
    match stream {
        Stream::Plain(_) => None,
        Stream::Tls(tls) => tls.get_ref().1.peer_certificates()?.first().and_then(end_point),
    }
}

/// The next message that is no notice.
async fn next(messages: &mut Messages<Stream>) -> Result<(Kind, bytes::BytesMut), ConnectError> {
    for _ in 0..=NOTICES_MAX {
        let (kind, body) = messages.read(Kind::of).await?;
        if kind != Kind::NoticeResponse {
            return Ok((kind, body));
        }
    }
    Err(ConnectError::Exchange("notices without end"))
}

fn question(kind: Kind, body: &[u8]) -> Result<Authentication<'_>, ConnectError> {
    match kind {
        Kind::Authentication => Ok(Authentication::parse(body)?),
        Kind::ErrorResponse => Err(ConnectError::Refused(ServerError::parse(body)?)),
        _ => Err(ConnectError::Exchange("what is not due before it lets us in")),
    }
}

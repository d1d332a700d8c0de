use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::{Instant, timeout, timeout_at};
use wire::mysql::Capabilities;
use wire::mysql::handshake::ChangeUser;
use wire::mysql::response::put_err;

use super::enter::{keep, user};
use super::prove::{Challenge, Prover};
use super::{LAST_WORD, LoginContext, LoginError};
use crate::account::Account;
use crate::mysql::connect::Attribute;
use crate::stream::Stream;
use crate::stream::packets::{PacketError, Packets};

/// A client that proved, on a connection that it has already, who it is now. It waits for an OK
/// packet with the sequence id `seq`, or an ERR.
#[derive(Debug)]
pub struct Changed {
    /// Who it is.
    pub user: Arc<str>,
    /// What proves it to the database.
    pub account: Arc<Account>,
    /// The database it wants to begin in; `None` if it does not say.
    pub database: Option<Vec<u8>>,
    /// Its collation, if it says one that the handshake can express.
    pub charset: Option<u8>,
    /// What it says about itself, 2 KiB of it at most.
    pub attributes: Vec<Attribute>,
    /// What it answered.
    pub challenge: Challenge,
    /// The sequence id of the answer.
    pub seq: u8,
    /// The info of the OK packet: why MariaDB's client may trust our certificate; else empty.
    pub info: Vec<u8>,
}

/// Has a client prove anew who it is: COM_CHANGE_USER. `payload` is the command's, `buffer` holds
/// what was read behind it.
///
/// `before` is the challenge of its last login, which the client's first reply answers.
///
/// # Errors
/// When it is not let in. It has been told then, if it can be; unless [`LoginError::is_refusal`],
/// nothing more is understood from it.
pub async fn change_user(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    payload: &[u8],
    capabilities: Capabilities,
    before: Challenge,
    context: &LoginContext,
) -> Result<Changed, LoginError> {
    let deadline = Instant::now() + context.timeout;
    let mut packets = Packets { stream, buffer: std::mem::take(buffer), seq: 1 };
    let attempt = attempt(&mut packets, payload, capabilities, before, context);
    let result =
        timeout_at(deadline, attempt).await.unwrap_or(Err(LoginError::TimedOut(context.timeout)));
    if let Some((code, sqlstate, message)) = result.as_ref().err().and_then(LoginError::reply) {
        let told = packets
            .write(|out, seq| put_err(out, seq, capabilities, code, &sqlstate, message.as_bytes()));
        timeout(LAST_WORD, told).await.unwrap_or(Err(PacketError::Closed))?;
    }
    *buffer = packets.buffer;
    result
}

async fn attempt(
    packets: &mut Packets<&mut Stream>,
    payload: &[u8],
    capabilities: Capabilities,
    before: Challenge,
    context: &LoginContext,
) -> Result<Changed, LoginError> {
    let from = packets.stream.socket().peer().map_err(PacketError::Io)?.ip();
    let command = ChangeUser::parse(payload, capabilities)?;
    let is_private = packets.stream.is_private();
    let prover = Prover {
        context,
        user: user(command.user, from)?,
        from,
        is_private,
        can_switch: capabilities.contains(Capabilities::PLUGIN_AUTH),
    };
    let proved = prover.prove_again(packets, command.plugin, command.auth, before).await?;
    let is_mariadb_client = !capabilities.contains(Capabilities::LONG_PASSWORD);
    let info = match (&context.tls, is_private && is_mariadb_client) {
        (Some(tls), true) => proved.vouch(&tls.fingerprint),
        _ => Vec::new(),
    };
    Ok(Changed {
        user: Arc::clone(&proved.account.user),
        account: proved.account,
        database: Some(command.database.to_vec()).filter(|name| !name.is_empty()),
        charset: command.charset.and_then(|charset| charset.try_into().ok()),
        attributes: keep(command.attributes),
        challenge: proved.challenge,
        seq: packets.seq,
        info,
    })
}

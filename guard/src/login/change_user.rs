use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::{Instant, timeout, timeout_at};
use wire::mysql::Capabilities;
use wire::mysql::handshake::ChangeUser;
use wire::mysql::response::put_err;

use super::enter::{keep, user};
use super::prove::Prover;
use super::{LAST_WORD, LoginContext, LoginError};
use crate::stream::Stream;
use crate::stream::packets::{PacketError, Packets};
use crate::upstream::connect::Attribute;
use crate::users::Account;

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
    /// The sequence id of the answer.
    pub seq: u8,
    /// The info of the OK packet: why MariaDB's client may trust our certificate; else empty.
    pub info: Vec<u8>,
}

/// Has a client prove anew who it is: COM_CHANGE_USER. `payload` is the command's, `buffer` holds
/// what was read behind it.
///
/// The client's first reply is not looked at: it answers the challenge of its last login, which
/// nobody kept. It is asked anew instead, as every client with plugins can be.
///
/// # Errors
/// When it is not let in. It has been told then, and the session should end: it is nobody's now.
pub async fn change_user(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    payload: &[u8],
    capabilities: Capabilities,
    context: &LoginContext,
) -> Result<Changed, LoginError> {
    let deadline = Instant::now() + context.timeout;
    let from = stream.tcp().peer_addr().map_err(PacketError::Io)?.ip();
    let mut packets = Packets { stream, buffer: std::mem::take(buffer), seq: 1 };
    let attempt = attempt(&mut packets, payload, capabilities, from, context);
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
    from: IpAddr,
    context: &LoginContext,
) -> Result<Changed, LoginError> {
    let command = ChangeUser::parse(payload, capabilities)?;
    let is_tls = packets.stream.is_tls();
    let prover = Prover {
        context,
        user: user(command.user, from)?,
        from,
        is_tls,
        can_switch: capabilities.contains(Capabilities::PLUGIN_AUTH),
    };
    let proved = prover.ask(packets, command.plugin).await?;
    let is_mariadb_client = !capabilities.contains(Capabilities::LONG_PASSWORD);
    let info = match (&context.tls, is_tls && is_mariadb_client) {
        (Some(tls), true) => proved.vouch(&tls.fingerprint),
        _ => Vec::new(),
    };
    Ok(Changed {
        user: Arc::clone(&proved.account.user),
        account: proved.account,
        database: Some(command.database.to_vec()).filter(|name| !name.is_empty()),
        charset: command.charset.and_then(|charset| charset.try_into().ok()),
        attributes: keep(command.attributes),
        seq: packets.seq,
        info,
    })
}

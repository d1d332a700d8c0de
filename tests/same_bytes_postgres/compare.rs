//! What is the same, but for what two servers cannot have in common.

use std::fmt::Write as _;

use bytes::{Buf, BufMut, BytesMut};
use wire::postgres::backend::Kind;

use super::client::Reply;
use super::lanes::Finding;
use super::play::Exchange;
use super::script::Step;

/// What may differ, all of it because there are two servers and many connections.
#[derive(Debug, Clone, Copy)]
enum Tolerated {
    /// The process and the key by which a session is cancelled.
    Key,
    /// The process that a notification is from.
    Notifier,
    /// The OIDs of tables and of types that sessions have made: each server counts by itself.
    Oids,
    /// Where in its source the server says that there is no transaction to end, or that the portal of a
    /// BEGIN has run already. With no room for a COMMIT that does nothing, or where it has answered
    /// that BEGIN, the guard says it, and has no such line.
    Source,
}

/// The notice that there is no transaction in progress.
const NO_TRANSACTION: &[u8] = b"\0C25P01\0";

/// The error that a portal has run already.
const HAS_RUN: &[u8] = b"\0C55000\0Mportal \"\" cannot be run\0";

/// The first OID of what is not the server's own. (postgres:src/include/access/transam.h)
const OWN_OIDS: u32 = 16384;

impl Tolerated {
    fn of(kind: Kind, body: &[u8]) -> Option<Self> {
        let says = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
        match kind {
            Kind::NoticeResponse if says(NO_TRANSACTION) => Some(Self::Source),
            Kind::ErrorResponse if says(HAS_RUN) => Some(Self::Source),
            Kind::BackendKeyData => Some(Self::Key),
            Kind::NotificationResponse => Some(Self::Notifier),
            Kind::RowDescription => Some(Self::Oids),
            _ => None,
        }
    }

    /// Blanks what may differ in one message.
    fn blank(self, body: &mut BytesMut) {
        match self {
            Self::Key => body.fill(0),
            Self::Notifier => body[..4].fill(0),
            Self::Oids => *body = without_oids(body),
            Self::Source => *body = without_source(body),
        }
    }
}

/// A notice or an error without file, line and routine.
fn without_source(body: &[u8]) -> BytesMut {
    let fields = body.split(|&byte| byte == 0);
    let kept = fields.filter(|field| !matches!(field.first(), Some(b'F' | b'L' | b'R')));
    BytesMut::from(&kept.collect::<Vec<_>>().join(&0)[..])
}

/// A RowDescription with zeros in place of OIDs of what sessions have made.
fn without_oids(body: &[u8]) -> BytesMut {
    let mut out = BytesMut::from(&body[..2]);
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|&byte| byte == 0) {
        out.put_slice(&rest[..=end]);
        rest.advance(end + 1);
        let own = |oid: u32| if oid < OWN_OIDS { oid } else { u32::MAX };
        out.put_u32(own(rest.get_u32()));
        out.put_u16(rest.get_u16());
        out.put_u32(own(rest.get_u32()));
        // Length, modifier and format.
        out.put_slice(&rest[..8]);
        rest.advance(8);
    }
    out
}

/// The messages with what is tolerated blanked out.
fn comparable(exchange: &Exchange) -> Vec<Reply> {
    let blank = |reply: &Reply| {
        let mut reply = reply.clone();
        if let Some(tolerated) = Tolerated::of(reply.kind, &reply.body) {
            tolerated.blank(&mut reply.body);
        }
        reply
    };
    let is_reset = exchange.step.as_ref().is_some_and(resets);
    let kept = |reply: &&Reply| !(is_reset && tells_path(reply));
    exchange.replies.iter().filter(kept).map(blank).collect()
}

/// Whether a step resets what the start-up packet has set. PostgreSQL 18 reports `search_path`, which
/// the sessions set so; behind the guard it is told with the guard's own value then
/// (docs/ARCHITECTURE.md, "What is open").
fn resets(step: &Step) -> bool {
    let text = step.to_string();
    ["RESET ALL", "RESET search_path", "DISCARD ALL"].iter().any(|reset| text.contains(reset))
}

fn tells_path(reply: &Reply) -> bool {
    reply.kind == Kind::ParameterStatus && reply.body.starts_with(b"search_path\0")
}

/// How many steps before a difference are shown with it.
const CONTEXT: usize = 60;
/// Messages of a reply that are shown.
const SHOWN_MAX: usize = 4;
/// Bytes of a message that are shown.
const SHOWN_LEN: usize = 600;

/// What the guard's errors say about a question for a sequence's last value, which only a connection
/// knows that others have used since.
const DECLINED: [&[u8]; 2] = [
    b"need the transaction or connection that drew the value",
    b"what this transaction has drawn cannot be told",
];

fn is_declined(exchange: &Exchange) -> bool {
    let has = |body: &[u8], text: &[u8]| body.windows(text.len()).any(|window| window == text);
    let says = |body: &[u8]| DECLINED.iter().any(|text| has(body, text));
    exchange.replies.iter().any(|reply| reply.kind == Kind::ErrorResponse && says(&reply.body))
}

/// What the server says where a statement has to be prepared anew on another connection, and the
/// transaction has failed: on its own connection the error may be another one, or come later.
const ABORTED: &[u8] = b"C25P02\0";
/// The function that says so.
const IN_PARSE: &[u8] = b"Rexec_parse_message\0";

fn is_of_another_connection(guarded: &[Reply], equal: usize) -> bool {
    let has = |body: &[u8], text: &[u8]| body.windows(text.len()).any(|window| window == text);
    guarded.get(equal).is_some_and(|reply| has(&reply.body, ABORTED) && has(&reply.body, IN_PARSE))
}

/// Whether it asks in a transaction for channels that the shared connection listens to
/// (docs/ARCHITECTURE.md, "What is open").
fn is_of_channels(exchange: &Exchange) -> bool {
    let is_open = |reply: &Reply| reply.kind == Kind::ReadyForQuery && *reply.body != *b"I";
    exchange.step.as_ref().is_some_and(|step| step.to_string().contains("pg_listening_channels"))
        && exchange.replies.iter().any(is_open)
}

/// What PostgreSQL 18 itself answers to a Parse now and then, with and without a guard, while others
/// change definitions.
const OWN_FAULT: &[u8] = b"MStartTransactionCommand: unexpected state STARTED\0";

fn is_own_fault(replies: &[Reply], equal: usize) -> bool {
    let says = |body: &[u8]| body.windows(OWN_FAULT.len()).any(|window| window == OWN_FAULT);
    replies.get(equal).is_some_and(|reply| says(&reply.body))
}

/// Whether the same came both ways. A server that hangs up while something is on its way to it resets the connection,
/// and its last words may be lost by that: they need have come one way only.
fn is_same((direct, guarded): (&Exchange, &Exchange)) -> bool {
    let mut both = [direct, guarded].map(comparable);
    let told = [direct, guarded].map(is_told_of_its_end);
    if direct.end.is_some() && told[0] != told[1] {
        both[usize::from(told[1])].pop();
    }
    direct.end == guarded.end && both[0] == both[1]
}

/// Compares the replies to the same steps.
pub(crate) fn compare(direct: &[Exchange], guarded: &[Exchange]) -> Finding {
    if let Some(last @ Exchange { end: Some(end), .. }) = direct.last()
        && ![direct, guarded].into_iter().filter_map(<[_]>::last).any(is_told_of_its_end)
    {
        let text = format!("    no end on the database: {end}\n  > {}\n", name(last));
        return Finding::Differs(text);
    }
    let common = direct.len().min(guarded.len());
    let at = match direct.iter().zip(guarded).position(|pair| !is_same(pair)) {
        Some(at) => at,
        None if direct.len() == guarded.len() => return Finding::Same,
        None => common - 1,
    };
    let (expected, got) = (comparable(&direct[at]), comparable(&guarded[at]));
    let equal = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let is_servers = is_own_fault(&expected, equal) || is_own_fault(&got, equal);
    let why = [
        (is_declined(&guarded[at]), "what was drawn is not known here"),
        (is_of_another_connection(&got, equal), "prepared anew in a failed transaction"),
        (is_of_channels(&guarded[at]), "the channels of the shared connection"),
        (is_servers, "a fault of the server's own"),
    ];
    if let Some((_, why)) = why.into_iter().find(|(is_so, _)| *is_so) {
        println!("declined: {why}: {}", name(&direct[at]));
        return Finding::Declined;
    }
    let mut text = String::new();
    for exchange in &direct[at.saturating_sub(CONTEXT)..at] {
        let _infallible = writeln!(text, "    {}", name(exchange));
    }
    let _infallible = writeln!(text, "  > {}", name(&direct[at]));
    show(&mut text, "direct ", &direct[at], equal);
    show(&mut text, "guarded", &guarded[at], equal);
    Finding::Differs(text)
}

/// Whether the server itself has ended the session, and said so: it does on what is out of place.
fn is_told_of_its_end(last: &Exchange) -> bool {
    last.replies.last().is_some_and(|reply| {
        reply.kind == Kind::ErrorResponse && reply.body.starts_with(b"SFATAL\0")
    })
}

fn name(exchange: &Exchange) -> String {
    exchange.step.as_ref().map_or("login".to_owned(), ToString::to_string)
}

/// Shows a reply from the first message on that differs.
fn show(text: &mut String, who: &str, exchange: &Exchange, equal: usize) {
    for reply in exchange.replies.iter().skip(equal).take(SHOWN_MAX) {
        let readable: String = reply
            .body
            .iter()
            .take(SHOWN_LEN)
            .map(|&byte| if (32..127).contains(&byte) { char::from(byte) } else { '.' })
            .collect();
        let _infallible = writeln!(text, "    {who} {:?} {readable}", reply.kind);
    }
    if let Some(end) = &exchange.end {
        let _infallible = writeln!(text, "    {who} ended: {end}");
    }
}

//! Packet by packet, byte by byte, but for a named list.

use std::fmt::Write;

use bytes::Bytes;
use harness::{Engine, Packet};
use wire::mysql::command::Command;
use wire::mysql::response::{self, OkPacket, StateChange, Status};

use super::lanes::Finding;
use super::play::Exchange;
use super::script::Step;

/// What may differ, and why. Everything else is a bug of the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerated {
    /// The id in the reply to COM_STMT_PREPARE, and in the text of an error about a statement. The
    /// guard gives clients ids of its own, because a statement lives on several connections of the
    /// database; a client may not read anything into an id.
    StatementId,
    /// The same id where SHOW WARNINGS repeats such an error.
    StatementIdInWarnings,
    /// The row in MariaDB's error 1366 about a parameter of a procedure. No row is meant: it is the
    /// number that the server's thread was at in whatever it did before.
    RowOfParameter,
    /// How many rows MySQL says that a procedure has changed which ran no statement that counts: as
    /// many as the statement before, on that connection, whosever it was.
    CountOfCall,
    /// The text of COM_STATISTICS: uptime and counters of the server.
    Statistics,
    /// `SESSION_STATE_CHANGED` in an EOF packet. It announces what only an OK packet can carry, and
    /// the guard's own trackers set it, so the guard clears it.
    ChangeInEof,
    /// A schema in the OK of a statement that selects none. After a prepared statement ran in the
    /// schema of its PREPARE, the server tells the session's schema, unchanged, together with the
    /// next change that it tracks, and for the guard it tracks more.
    LateSchema,
    /// The order in which one OK packet lists the variables that changed. It is that of a hash in
    /// the server, which has more in it when more is tracked.
    VariableOrder,
    /// How the transaction stands, in MySQL's OK packets. MySQL tells it without being asked, for
    /// whoever spreads statements over servers. Here that is the guard, which answers BEGIN without
    /// the server.
    TransactionState,
    /// What MariaDB 11.8 tells of variables in the OK of a login, which those before tell only when they
    /// change: the guard gives that OK before the session has a connection. And the text there that
    /// proves the server's certificate, which hashes what is new with each login.
    ToldAtLogin,
}

/// The texts of both, before the id.
const TEXTS_ABOUT_STATEMENTS: [&[u8]; 2] =
    [b"Unknown prepared statement handler (", b"The statement ("];

/// `ER_TRUNCATED_WRONG_VALUE_FOR_FIELD`, and how MariaDB names the field that is a parameter.
const WRONG_VALUE: u16 = 1366;
const OF_PARAMETER: &[u8] = b"for column ``.``.";

/// `ER_UNKNOWN_STMT_HANDLER` and `ER_STMT_HAS_NO_OPEN_CURSOR`: their texts name an id.
const ABOUT_STATEMENTS: [u16; 2] = [1243, 1421];

impl Tolerated {
    fn of(engine: Engine, exchange: &Exchange, payload: &[u8]) -> Option<Self> {
        match (exchange.command, payload) {
            (Command::ChangeUser, [response::OK, ..]) if engine == Engine::MariaDb118 => {
                Some(Self::ToldAtLogin)
            }
            (Command::Statistics, _) => Some(Self::Statistics),
            (_, [response::ERR, low, high, ..])
                if ABOUT_STATEMENTS.contains(&u16::from_le_bytes([*low, *high])) =>
            {
                Some(Self::StatementId)
            }
            (Command::StmtExecute, [response::ERR, low, high, ..])
                if u16::from_le_bytes([*low, *high]) == WRONG_VALUE
                    && contains(payload, OF_PARAMETER) =>
            {
                Some(Self::RowOfParameter)
            }
            (Command::Query, _)
                if TEXTS_ABOUT_STATEMENTS.iter().any(|text| contains(payload, text)) =>
            {
                Some(Self::StatementIdInWarnings)
            }
            (Command::StmtExecute, [response::OK, ..])
                if engine == Engine::MySql && ends_call(exchange, payload) =>
            {
                Some(Self::CountOfCall)
            }
            (Command::StmtPrepare, [response::OK, ..]) => Some(Self::StatementId),
            (_, [response::EOF, _, _, _, _]) => Some(Self::ChangeInEof),
            (_, [response::OK | response::EOF, ..]) => Some(Self::VariableOrder),
            _ => None,
        }
    }

    /// Of one change that an OK packet tells of.
    fn of_change(engine: Engine, step: &Step, change: &StateChange<'_>) -> Option<Self> {
        match change {
            StateChange::Schema(_) if !may_select_schema(step) => Some(Self::LateSchema),
            StateChange::TransactionState(_) if engine == Engine::MySql => {
                Some(Self::TransactionState)
            }
            _ => None,
        }
    }

    /// Blanks what may differ in one packet of a reply.
    fn blank(self, payload: &mut Vec<u8>, exchange: &Exchange, engine: Engine) {
        match self {
            Self::StatementId if payload[0] == response::OK => payload[1..5].fill(0),
            Self::StatementId => payload.retain(|byte| !byte.is_ascii_digit()),
            // The text is the last value of its row, behind a length of one byte.
            Self::StatementIdInWarnings => {
                let starts = |text: &&[u8]| payload.windows(text.len()).position(|w| w == *text);
                let at = TEXTS_ABOUT_STATEMENTS.iter().find_map(starts).unwrap_or(1);
                payload[at - 1] = 0;
                let text = payload.split_off(at);
                payload.extend(text.into_iter().filter(|byte| !byte.is_ascii_digit()));
            }
            Self::RowOfParameter => {
                while payload.last().is_some_and(u8::is_ascii_digit) {
                    payload.pop();
                }
            }
            Self::Statistics => payload.clear(),
            Self::ChangeInEof => payload[4] &= 0xBF,
            Self::ToldAtLogin => {
                let status = OkPacket::parse(payload, exchange.capabilities).map(|ok| ok.status);
                let status = status.map(|told| told.without(Status::SESSION_STATE_CHANGED));
                *payload = format!("{status:?}").into_bytes();
            }
            Self::CountOfCall => blank_changes(payload, exchange, engine, true),
            Self::LateSchema | Self::VariableOrder | Self::TransactionState => {
                let is_call = engine == Engine::MySql && counts_nothing(&exchange.step);
                blank_changes(payload, exchange, engine, is_call);
            }
        }
    }
}

/// Puts the changes of an OK packet in order, without those that may differ, and without the number of rows where
/// it is that of a call.
fn blank_changes(payload: &mut Vec<u8>, exchange: &Exchange, engine: Engine, is_call: bool) {
    let Ok(ok) = OkPacket::parse(payload, exchange.capabilities) else { return };
    let is_told =
        |change: &StateChange<'_>| Tolerated::of_change(engine, &exchange.step, change).is_none();
    let changes = ok.state.filter_map(Result::ok).filter(is_told);
    let mut changes: Vec<_> = changes.map(|change| format!("{change:?}")).collect();
    changes.sort();
    let flag = Status::SESSION_STATE_CHANGED;
    let status = match changes.is_empty() {
        true => ok.status.without(flag),
        false => ok.status,
    };
    let OkPacket { mut affected_rows, last_insert_id, warnings, info, .. } = ok;
    if is_call {
        affected_rows = 0;
    }
    let head = (payload[0], affected_rows, last_insert_id, status, warnings, info);
    let text = format!("{head:?} {changes:?}");
    *payload = text.into_bytes();
}

/// Whether it is the OK at the end of a call with results. A row begins as an OK does, but what ends rows does not.
fn ends_call(exchange: &Exchange, payload: &[u8]) -> bool {
    exchange.packets.len() > 1
        && exchange.packets.last().is_some_and(|packet| *packet.payload == *payload)
}

/// Whether it is the call, by its text, of a procedure that runs no statement that counts.
fn counts_nothing(step: &Step) -> bool {
    matches!(step, Step::Query(sql) if sql.starts_with("CALL outs("))
}

fn contains(payload: &[u8], text: &[u8]) -> bool {
    payload.windows(text.len()).any(|window| window == text)
}

/// Whether the OK of a step may tell of a schema that was selected.
fn may_select_schema(step: &Step) -> bool {
    match step {
        Step::Query(sql) => sql.contains("USE "),
        Step::Command(payload) => payload.first() == Some(&(Command::InitDb as u8)),
        // None of the prepared statements does.
        Step::Execute(_) => false,
        _ => true,
    }
}

/// The packets with what is tolerated blanked out.
fn comparable(engine: Engine, exchange: &Exchange) -> Vec<Packet> {
    let blank = |packet: &Packet| {
        let mut payload = packet.payload.to_vec();
        if let Some(tolerated) = Tolerated::of(engine, exchange, &payload) {
            tolerated.blank(&mut payload, exchange, engine);
        }
        Packet { seq: packet.seq, payload: Bytes::from(payload) }
    };
    exchange.packets.iter().map(blank).collect()
}

/// How many statements before a difference are shown with it.
const CONTEXT: usize = 60;
/// Packets of a reply that are shown.
const SHOWN_MAX: usize = 4;

/// What the guard's error says about a question that it declined to answer: it had given the
/// connection to others who had waited for it (docs/operations.md).
const DECLINED: &[u8] = b"of the statement before is no longer at hand";

/// Compares the replies to the same steps.
pub(crate) fn compare(engine: Engine, direct: &[Exchange], guarded: &[Exchange]) -> Finding {
    let comparable = |exchange: &Exchange| comparable(engine, exchange);
    let is_same = |(a, b): (&Exchange, &Exchange)| a.end == b.end && comparable(a) == comparable(b);
    let common = direct.len().min(guarded.len());
    let at = match direct.iter().zip(guarded).position(|pair| !is_same(pair)) {
        Some(at) => at,
        None if direct.len() == guarded.len() => return Finding::Same,
        None => common - 1,
    };
    if guarded[at].packets.iter().any(|packet| contains(&packet.payload, DECLINED)) {
        return Finding::Declined;
    }
    let mut text = String::new();
    for exchange in &direct[at.saturating_sub(CONTEXT)..at] {
        let _infallible = writeln!(text, "    {}", exchange.step);
    }
    let _infallible = writeln!(text, "  > {}", direct[at].step);
    let (expected, got) = (comparable(&direct[at]), comparable(&guarded[at]));
    let equal = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    show(&mut text, "direct ", &direct[at], equal);
    show(&mut text, "guarded", &guarded[at], equal);
    Finding::Differs(text)
}

/// Shows a reply from the first packet on that differs.
fn show(text: &mut String, who: &str, exchange: &Exchange, equal: usize) {
    for packet in exchange.packets.iter().skip(equal).take(SHOWN_MAX) {
        let hex: String = packet.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        let readable: String = packet
            .payload
            .iter()
            .map(|&byte| if (32..127).contains(&byte) { char::from(byte) } else { '.' })
            .collect();
        let _infallible = writeln!(text, "    {who} {:3} {hex}  {readable}", packet.seq);
    }
    if let Some(end) = &exchange.end {
        let _infallible = writeln!(text, "    {who} ended: {end}");
    }
}

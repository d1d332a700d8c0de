//! What came back, packet by packet.

use std::fmt;

use bytes::Bytes;
use wire::Reader;
use wire::mysql::Capabilities;
use wire::mysql::command::Command;
use wire::mysql::response::{ErrPacket, OkPacket, PrepareOk, Status};
use wire::mysql::result::Event;

/// One packet of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its sequence id.
    pub seq: u8,
    /// What follows the header.
    pub payload: Bytes,
}

/// An OK packet's values; also those of the EOF that ends a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Success {
    /// Rows changed.
    pub affected_rows: u64,
    /// The first id generated, else 0.
    pub last_insert_id: u64,
    /// The session's status.
    pub status: Status,
    /// Number of warnings.
    pub warnings: u16,
}

/// An ERR packet's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Error number.
    pub code: u16,
    /// SQL state.
    pub sqlstate: String,
    /// Text.
    pub message: String,
}

impl From<ErrPacket<'_>> for Failure {
    fn from(packet: ErrPacket<'_>) -> Self {
        Self {
            code: packet.code,
            sqlstate: String::from_utf8_lossy(&packet.sqlstate).into_owned(),
            message: String::from_utf8_lossy(packet.message).into_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.sqlstate, self.message)
    }
}

/// A value of the text protocol; `None` is NULL.
pub type Value = Option<Bytes>;

/// The whole reply to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    packets: Vec<(Packet, Option<Event>)>,
    command: Command,
    capabilities: Capabilities,
}

impl Reply {
    pub(super) fn new(command: Command, capabilities: Capabilities) -> Self {
        Self { packets: Vec::new(), command, capabilities }
    }

    pub(super) fn push(&mut self, packet: Packet, event: Option<Event>) {
        self.packets.push((packet, event));
    }

    /// Every packet, in order.
    pub fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.packets.iter().map(|(packet, _)| packet)
    }

    /// The error, if the reply ended with one.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let (packet, Some(Event::Err { .. })) = self.packets.last()? else { return None };
        ErrPacket::parse(&packet.payload, self.capabilities).ok().map(Failure::from)
    }

    /// The values of the last OK or EOF packet, unless the reply ended with an error.
    #[must_use]
    pub fn success(&self) -> Option<Success> {
        match self.packets.last()? {
            (packet, Some(Event::Ok { .. })) => {
                let ok = OkPacket::parse(&packet.payload, self.capabilities).ok()?;
                Some(Success {
                    affected_rows: ok.affected_rows,
                    last_insert_id: ok.last_insert_id,
                    status: ok.status,
                    warnings: ok.warnings,
                })
            }
            (_, Some(Event::Eof { status, warnings, .. })) => {
                Some(Success { status: *status, warnings: *warnings, ..Success::default() })
            }
            _ => None,
        }
    }

    /// The head of a prepared statement.
    #[must_use]
    pub fn prepared(&self) -> Option<PrepareOk> {
        let (packet, _) = self.packets.first()?;
        match self.command {
            Command::StmtPrepare => PrepareOk::parse(&packet.payload, self.capabilities).ok(),
            _ => None,
        }
    }

    /// The rows of the first result of the text protocol; none when it has no rows. Rows of 16 MiB
    /// and more, which come in several packets, are not put together.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<Value>> {
        let Some((first, None)) = self.packets.first() else { return Vec::new() };
        let mut reader = Reader::new("column count", &first.payload);
        let Some(columns) = reader.lenenc().ok().and_then(|count| usize::try_from(count).ok())
        else {
            return Vec::new();
        };
        let body = self.packets.iter().skip(1 + columns);
        let eof_after_columns = !self.capabilities.contains(Capabilities::DEPRECATE_EOF);
        body.skip(usize::from(eof_after_columns))
            .take_while(|(_, event)| event.is_none())
            .map(|(packet, _)| values(&packet.payload))
            .collect()
    }

    /// The first value of the first row as text, for statements that give one; `None` for NULL too.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        let row = self.rows().into_iter().next()?;
        let value = row.into_iter().next()??;
        Some(String::from_utf8_lossy(&value).into_owned())
    }
}

fn values(payload: &[u8]) -> Vec<Value> {
    const NULL: u8 = 0xFB;
    let mut reader = Reader::new("row", payload);
    let mut values = Vec::new();
    while let Some(first) = reader.peek_u8() {
        if first == NULL {
            let _null = reader.skip(1);
            values.push(None);
            continue;
        }
        let Ok(bytes) = reader.lenenc_bytes() else { break };
        values.push(Some(Bytes::copy_from_slice(bytes)));
    }
    values
}

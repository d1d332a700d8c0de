//! Where does this reply end?
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html>
//!
//! ```text
//!                    ┌──────────────── MORE_RESULTS ───────────────┐
//!                    ▼                                             │
//!  Query, Execute: Response ─ count ─▶ Definitions ─(EOF)─▶ Rows ─ OK/EOF ─▶ Over
//!                    │ ├─ OK, ERR ─────────────────────────────────────────▶ Over
//!                    │ └─ LOCAL INFILE ─▶ File ─ infile_sent ─▶ Response
//!  Prepare:        Response ─ OK ─▶ Definitions ─(EOF)─▶ Definitions ─(EOF)─▶ Over
//!  Fetch, FieldList: Rows          others: Response ─▶ Over
//! ```
//!
//! A [`Tracker`] reads four bytes of each packet and, mostly, one more. Rows and definitions are
//! passed by their length: they may be larger than any buffer. Only the packets that decide
//! something must be whole. Deliberately absent: COM_CHANGE_USER, whose reply is a dialogue, and
//! the replication streams, which do not end.

mod event;

pub use event::{Event, Scan};

use super::capability::Capabilities;
use super::code;
use super::command::Command;
use super::frame::{HEADER_LEN, Header, MAX_PAYLOAD};
use super::response::{EOF, ERR, EofPacket, LOCAL_INFILE, Metadata, OK, PrepareOk, Status};
use crate::{Malformed, Reader};

/// The longest packet, header included, that must be whole before it is understood, in bytes.
/// Servers keep to it (`ER_NET_OK_PACKET_TOO_LARGE`); what is longer is malformed.
pub const CONTROL_PACKET_MAX: usize = HEADER_LEN + MAX_PAYLOAD - 1;

/// Follows the reply to one command, and tells when it is over.
#[derive(Debug, Clone)]
pub struct Tracker {
    command: Command,
    caps: Capabilities,
    state: State,
    /// Bytes of the packet being passed on that have not come yet.
    passing: usize,
    /// Whether the packet being passed on goes on in the next one.
    continues: bool,
    rows: u64,
    needs: usize,
    /// The result at hand is the OUT values of a procedure, behind which comes its OK. Only the EOF
    /// before them says so on MySQL, and that more follows.
    out_params: bool,
}

/// What the next packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first of a result.
    Response,
    /// One of `left` definitions of parameters or columns.
    Definitions { left: u64, next: Next },
    /// The EOF after them.
    DefinitionsEnd { next: Next },
    /// A row, or what ends them.
    Rows,
    /// None, until the client has sent its file; except for an error.
    File,
    /// None: the last one is being passed on.
    Last,
    /// None: the reply is over.
    Over,
}

/// What follows definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Rows,
    Columns { count: u16, metadata: Metadata },
    Nothing,
}

impl Tracker {
    /// Starts before the first byte of the reply to `command`. `caps` are those negotiated with the
    /// server that sends it.
    pub fn new(command: Command, caps: Capabilities) -> Self {
        let state = match command {
            Command::Quit | Command::StmtClose | Command::StmtSendLongData => State::Over,
            Command::StmtFetch | Command::FieldList => State::Rows,
            _ => State::Response,
        };
        let needs = HEADER_LEN + 1;
        let out_params = false;
        Self { command, caps, state, passing: 0, continues: false, rows: 0, needs, out_params }
    }

    /// Walks the packets in `buf`, which starts where the previous scan stopped: after its `len`
    /// bytes and the packet of its event. It may start or end inside of a packet.
    ///
    /// Once the reply is over nothing more is consumed: what follows belongs to the next reply.
    ///
    /// # Errors
    /// When a packet is not one that can stand where it stands, or the command is one whose reply
    /// cannot be tracked. The end of the reply is unknowable then.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Scan, Malformed> {
        let mut at = 0;
        loop {
            let came = self.passing.min(buf.len() - at);
            at += came;
            self.passing -= came;
            if self.passing > 0 {
                return Ok(self.wait(at, 1));
            }
            if self.state == State::Last && !self.continues {
                self.state = State::Over;
                return Ok(Scan { len: at, event: Some(Event::Done { packet: 0 }) });
            }
            if self.state == State::Over {
                return Ok(Scan { len: at, event: None });
            }
            let rest = &buf[at..];
            let Some(header) = Header::peek(rest) else { return Ok(self.wait(at, HEADER_LEN)) };
            let step = if self.continues { Step::Pass } else { self.step(header, rest)? };
            match step {
                Step::Pass => {
                    self.passing = header.packet_len();
                    self.continues = header.continues();
                }
                Step::Wait(needs) => return Ok(self.wait(at, needs)),
                Step::Stop(event) => return Ok(Scan { len: at, event: Some(event) }),
            }
        }
    }

    /// Says that the client's last packet of LOCAL INFILE, the empty one, went to the server: the
    /// result of the statement is next.
    pub fn infile_sent(&mut self) {
        if self.state == State::File {
            self.state = State::Response;
        }
    }

    /// Whether the server has asked for a file, and [`Self::infile_sent`] was not called yet.
    pub fn awaits_file(&self) -> bool {
        self.state == State::File
    }

    /// How many rows have begun so far, over all results. For COM_FIELD_LIST: definitions.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the command has a reply at all: QUIT, STMT_CLOSE and STMT_SEND_LONG_DATA have none.
    pub const fn expects_reply(&self) -> bool {
        !matches!(self.command, Command::Quit | Command::StmtClose | Command::StmtSendLongData)
    }

    /// Whether the reply is over.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// After a scan without an event: how many bytes there must be, from where it stopped on,
    /// before another scan can get further. At least 1, at most [`CONTROL_PACKET_MAX`].
    pub const fn needs(&self) -> usize {
        self.needs
    }

    fn wait(&mut self, len: usize, needs: usize) -> Scan {
        self.needs = needs;
        Scan { len, event: None }
    }

    /// Decides about the packet at the front of `rest`.
    #[inline]
    fn step(&mut self, header: Header, rest: &[u8]) -> Result<Step, Malformed> {
        if header.len == 0 {
            return Err(malformed("empty packet"));
        }
        let Some(&first) = rest.get(HEADER_LEN) else { return Ok(Step::Wait(HEADER_LEN + 1)) };
        match self.state {
            State::Rows if !self.ends_rows(first, header) => {
                self.rows += 1;
                return Ok(Step::Pass);
            }
            State::Definitions { left, next } if first != ERR => {
                self.state = match left - 1 {
                    0 => self.defined(next),
                    left => State::Definitions { left, next },
                };
                return Ok(Step::Pass);
            }
            _ => {}
        }
        let packet = header.packet_len();
        if packet > CONTROL_PACKET_MAX {
            return Err(malformed("longer than any such packet"));
        }
        match rest.get(HEADER_LEN..packet) {
            Some(payload) => self.decide(first, packet, payload),
            None => Ok(Step::Wait(packet)),
        }
    }

    /// Whether a packet in the place of a row is not one. A row may start with 0xFE as well, if its
    /// first value is of 16 MiB or more: then it is longer than what ends rows.
    #[inline]
    fn ends_rows(&self, first: u8, header: Header) -> bool {
        match first {
            ERR => true,
            EOF if self.caps.contains(Capabilities::DEPRECATE_EOF) => !header.continues(),
            EOF => header.len <= EofPacket::LEN_MAX,
            _ => false,
        }
    }

    /// Decides about a whole packet that is neither a row nor a definition.
    fn decide(&mut self, first: u8, packet: usize, payload: &[u8]) -> Result<Step, Malformed> {
        if first == ERR {
            return self.failed(packet, payload);
        }
        match self.state {
            State::Response => self.respond(first, packet, payload),
            State::Rows => self.end_result(packet, payload),
            State::DefinitionsEnd { next } => self.end_definitions(next, packet, payload),
            State::File => Err(malformed("reply to a file that is not sent yet")),
            State::Definitions { .. } | State::Last | State::Over => {
                Err(malformed("packet after the end"))
            }
        }
    }

    /// An ERR packet ends any reply; MariaDB's progress reports only look like one.
    fn failed(&mut self, packet: usize, payload: &[u8]) -> Result<Step, Malformed> {
        let mut reader = Reader::new("ERR packet", payload);
        reader.skip(1)?;
        if reader.u16()? == code::PROGRESS && self.caps.contains(Capabilities::PROGRESS) {
            return Ok(Step::Pass);
        }
        self.state = State::Over;
        Ok(Step::Stop(Event::Err { packet }))
    }

    /// The first packet of a result.
    fn respond(&mut self, first: u8, packet: usize, payload: &[u8]) -> Result<Step, Malformed> {
        match (self.command, first) {
            (Command::Statistics, _) => {
                self.state = State::Over;
                Ok(Step::Stop(Event::Done { packet }))
            }
            (
                Command::ChangeUser
                | Command::BinlogDump
                | Command::BinlogDumpGtid
                | Command::TableDump
                | Command::Clone
                | Command::SubscribeGroupReplicationStream,
                _,
            ) => Err(malformed("reply of a command that is not tracked")),
            (Command::StmtPrepare, OK) => self.prepared(packet, payload),
            (_, OK | EOF) => self.end_result(packet, payload),
            (Command::Query | Command::StmtExecute, LOCAL_INFILE) => {
                self.state = State::File;
                Ok(Step::Stop(Event::LocalInfile { packet }))
            }
            (
                Command::Query
                | Command::StmtExecute
                | Command::StmtBulkExecute
                | Command::ProcessInfo,
                _,
            ) => self.count(payload),
            _ => Err(malformed("neither OK nor an error")),
        }
    }

    /// The count of columns that opens a result set.
    fn count(&mut self, payload: &[u8]) -> Result<Step, Malformed> {
        let mut reader = Reader::new("column count", payload);
        let count = reader.lenenc()?;
        let says_metadata = self.caps.contains(Capabilities::OPTIONAL_RESULTSET_METADATA)
            || self.caps.contains(Capabilities::CACHE_METADATA);
        let metadata = if says_metadata { Metadata::read(&mut reader)? } else { Metadata::Full };
        if !reader.is_empty() {
            return Err(reader.err("bytes after the end"));
        }
        self.state = self.define(count, metadata, Next::Rows);
        Ok(Step::Pass)
    }

    /// The head of a prepared statement, which says what follows.
    fn prepared(&mut self, packet: usize, payload: &[u8]) -> Result<Step, Malformed> {
        let PrepareOk { columns, params, metadata, .. } = PrepareOk::parse(payload, self.caps)?;
        let next = Next::Columns { count: columns, metadata };
        self.state = match params {
            0 => self.enter(next),
            count => self.define(count.into(), metadata, next),
        };
        let last = self.close_if_last();
        Ok(Step::Stop(Event::PrepareOk { packet, last }))
    }

    /// The EOF after definitions. With a cursor it ends the reply: the rows are fetched later.
    fn end_definitions(
        &mut self,
        next: Next,
        packet: usize,
        payload: &[u8],
    ) -> Result<Step, Malformed> {
        let EofPacket { status, warnings } = EofPacket::parse(payload)?;
        let cursor = self.command == Command::StmtExecute && status.contains(Status::CURSOR_EXISTS);
        self.out_params = status.contains(Status::PS_OUT_PARAMS);
        self.state = if cursor { State::Last } else { self.enter(next) };
        let last = self.close_if_last();
        Ok(Step::Stop(Event::Eof { packet, last, status, warnings }))
    }

    /// The OK or EOF that ends a result, and says whether another follows.
    fn end_result(&mut self, packet: usize, payload: &[u8]) -> Result<Step, Malformed> {
        let is_eof =
            payload.first() == Some(&EOF) && !self.caps.contains(Capabilities::DEPRECATE_EOF);
        if is_eof {
            let EofPacket { status, warnings } = EofPacket::parse(payload)?;
            let is_out = std::mem::take(&mut self.out_params);
            let last =
                self.end_with(if is_out { status.with(Status::MORE_RESULTS) } else { status });
            return Ok(Step::Stop(Event::Eof { packet, last, status, warnings }));
        }
        let mut reader = Reader::new("OK packet", payload);
        reader.skip(1)?;
        reader.lenenc()?;
        reader.lenenc()?;
        let last = self.end_with(Status(reader.u16()?));
        Ok(Step::Stop(Event::Ok { packet, last }))
    }

    /// Only commands that run statements can have more than one result.
    fn end_with(&mut self, status: Status) -> bool {
        let more = status.contains(Status::MORE_RESULTS)
            && matches!(
                self.command,
                Command::Query | Command::StmtExecute | Command::StmtBulkExecute
            );
        self.state = if more { State::Response } else { State::Over };
        !more
    }

    fn define(&self, count: u64, metadata: Metadata, next: Next) -> State {
        match (metadata, count) {
            (Metadata::Full, 1..) => State::Definitions { left: count, next },
            _ => self.defined(next),
        }
    }

    fn defined(&self, next: Next) -> State {
        if self.caps.contains(Capabilities::DEPRECATE_EOF) {
            self.enter(next)
        } else {
            State::DefinitionsEnd { next }
        }
    }

    fn enter(&self, next: Next) -> State {
        match next {
            Next::Rows => State::Rows,
            Next::Columns { count: 0, .. } | Next::Nothing => State::Last,
            Next::Columns { count, metadata } => self.define(count.into(), metadata, Next::Nothing),
        }
    }

    /// For events: their packet is the last one itself, not the bytes before it.
    fn close_if_last(&mut self) -> bool {
        let last = self.state == State::Last;
        if last {
            self.state = State::Over;
        }
        last
    }
}

/// What to do about one packet.
enum Step {
    Pass,
    Wait(usize),
    Stop(Event),
}

const fn malformed(why: &'static str) -> Malformed {
    Malformed { message: "reply", at: 0, why }
}

#[cfg(test)]
mod tests;

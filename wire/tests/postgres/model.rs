//! A small model of the server: it reads messages in order, as PostgresMain and CopyGetData do, and
//! answers as scripted.

use std::collections::VecDeque;

use bytes::BytesMut;
use wire::postgres::backend::{
    Kind, Notice, Severity, TransactionStatus, put_command_complete, put_copy_response,
    put_data_row, put_error, put_notice, put_ready_for_query,
};
use wire::postgres::frame::put_message;
use wire::postgres::list::Format;
use wire::postgres::result::Request;

/// What a client sends, and how it will end.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// Flush or CopyData; `fails` the COPY that it is a part of.
    Unanswered { fails: bool },
    /// A Query with its statements, or an Execute with the first of them.
    Run { request: Request, statements: Vec<Statement> },
    /// All others.
    Plain { request: Request, fails: bool },
}

impl Message {
    /// What it is pushed as.
    pub(crate) fn request(&self) -> Option<Request> {
        match self {
            Self::Unanswered { .. } => None,
            Self::Run { request, .. } | Self::Plain { request, .. } => Some(*request),
        }
    }
}

/// What a statement does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Statement {
    Rows(u8),
    Suspends(u8),
    Empty,
    Fails,
    /// `fails` before it reads anything.
    CopiesIn {
        fails: bool,
    },
    CopiesOut {
        rows: u8,
        fails: bool,
    },
}

/// A COPY FROM STDIN that is under way.
#[derive(Debug, Clone)]
struct Copy {
    number: u64,
    extended: bool,
    /// The statements of the same Query that follow.
    later: Vec<Statement>,
}

/// One backend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    inbox: VecDeque<(u64, Message)>,
    /// What it sent and was not taken yet.
    pub(crate) out: BytesMut,
    /// Each message that it ever sent, and which request it answers.
    pub(crate) sent: Vec<(Kind, u64)>,
    copy: Option<Copy>,
    /// Whether an Execute did something since the last ReadyForQuery: else a Sync cannot fail.
    executed: bool,
    pub(crate) skipping: bool,
    pub(crate) dead: bool,
    /// Whether a COPY failed: who only sees the bytes may not know which Syncs it took.
    pub(crate) copy_failed: bool,
}

impl Server {
    pub(crate) fn receive(&mut self, number: u64, message: Message) {
        self.inbox.push_back((number, message));
    }

    pub(crate) fn has_nothing_to_read(&self) -> bool {
        self.inbox.is_empty()
    }

    pub(crate) fn is_copying_in(&self) -> bool {
        self.copy.is_some()
    }

    /// Sends a notice, in the middle of anything.
    pub(crate) fn notice(&mut self) {
        if !self.dead {
            put_notice(&mut self.out, &text(Severity::Notice));
            self.sent.push((Kind::NoticeResponse, u64::MAX));
        }
    }

    /// Reads one message, if there is one.
    pub(crate) fn serve(&mut self) -> bool {
        if self.dead {
            return false;
        }
        let Some((number, message)) = self.inbox.pop_front() else { return false };
        match self.copy.take() {
            Some(copy) => self.read_in_copy(copy, message),
            None if self.skipping && message.request() != Some(Request::Sync) => {}
            None => self.read(number, message),
        }
        true
    }

    fn read(&mut self, number: u64, message: Message) {
        match message {
            Message::Unanswered { .. } => {}
            Message::Run { request, statements } => {
                self.run(number, request == Request::Execute, statements);
            }
            Message::Plain { request, fails } => self.answer(number, request, fails),
        }
    }

    fn answer(&mut self, number: u64, request: Request, fails: bool) {
        self.skipping = false;
        let kinds: &[Kind] = match request {
            Request::CopyEnd => return,
            Request::Sync if !self.executed => &[Kind::ReadyForQuery],
            _ if fails => {
                let simple = matches!(request, Request::Sync | Request::FunctionCall);
                return self.fail(number, !simple);
            }
            Request::Parse => &[Kind::ParseComplete],
            Request::Bind => &[Kind::BindComplete],
            Request::Close => &[Kind::CloseComplete],
            Request::DescribeStatement => &[Kind::ParameterDescription, Kind::NoData],
            Request::DescribePortal => &[Kind::RowDescription],
            Request::FunctionCall => &[Kind::FunctionCallResponse, Kind::ReadyForQuery],
            _ => &[Kind::ReadyForQuery],
        };
        kinds.iter().for_each(|kind| self.send(*kind, number));
    }

    /// Runs what a Query has, or an Execute.
    fn run(&mut self, number: u64, extended: bool, statements: Vec<Statement>) {
        let mut left = statements.into_iter();
        while let Some(statement) = left.next() {
            match statement {
                Statement::Rows(rows) => {
                    if !extended {
                        self.send(Kind::RowDescription, number);
                    }
                    self.rows(number, rows, Kind::CommandComplete);
                }
                Statement::Suspends(rows) if extended => {
                    self.rows(number, rows, Kind::PortalSuspended);
                }
                Statement::Suspends(_) => self.send(Kind::CommandComplete, number),
                Statement::Empty => self.send(Kind::EmptyQueryResponse, number),
                Statement::Fails => return self.fail(number, extended),
                Statement::CopiesOut { rows, fails } => {
                    self.send(Kind::CopyOutResponse, number);
                    (0..rows).for_each(|_| self.send(Kind::CopyData, number));
                    if fails {
                        return self.fail(number, extended);
                    }
                    self.send(Kind::CopyDone, number);
                    self.send(Kind::CommandComplete, number);
                }
                Statement::CopiesIn { fails } => {
                    self.send(Kind::CopyInResponse, number);
                    if fails {
                        self.copy_failed = true;
                        return self.fail(number, extended);
                    }
                    self.copy = Some(Copy { number, extended, later: left.collect() });
                    return;
                }
            }
            if extended {
                self.executed = true;
                return;
            }
        }
        self.send(Kind::ReadyForQuery, number);
    }

    fn read_in_copy(&mut self, copy: Copy, message: Message) {
        let Copy { number, extended, later } = copy.clone();
        match message {
            Message::Unanswered { fails: false }
            | Message::Plain { request: Request::Sync, .. } => self.copy = Some(copy),
            Message::Plain { request: Request::CopyEnd, fails: false } => {
                self.send(Kind::CommandComplete, number);
                if extended {
                    self.executed = true;
                } else {
                    self.run(number, false, later);
                }
            }
            Message::Unanswered { fails: true }
            | Message::Plain { request: Request::CopyEnd, fails: true } => {
                self.copy_failed = true;
                self.fail(number, extended);
            }
            Message::Run { .. } | Message::Plain { .. } => {
                put_error(&mut self.out, &text(Severity::Error));
                put_error(&mut self.out, &text(Severity::Fatal));
                self.sent.extend([(Kind::ErrorResponse, number), (Kind::ErrorResponse, u64::MAX)]);
                self.dead = true;
            }
        }
    }

    fn rows(&mut self, number: u64, rows: u8, end: Kind) {
        (0..rows).for_each(|_| self.send(Kind::DataRow, number));
        self.send(end, number);
    }

    fn fail(&mut self, number: u64, extended: bool) {
        self.send(Kind::ErrorResponse, number);
        self.executed = false;
        if extended {
            self.skipping = true;
        } else {
            self.send(Kind::ReadyForQuery, number);
        }
    }

    fn send(&mut self, kind: Kind, number: u64) {
        self.executed &= kind != Kind::ReadyForQuery;
        let out = &mut self.out;
        match kind {
            Kind::ReadyForQuery => put_ready_for_query(out, TransactionStatus::Idle),
            Kind::ErrorResponse => put_error(out, &text(Severity::Error)),
            Kind::CommandComplete => put_command_complete(out, b"SELECT 1"),
            Kind::CopyInResponse | Kind::CopyOutResponse => {
                put_copy_response(out, kind, Format::Text, 2);
            }
            Kind::DataRow => put_data_row(out, &[None, Some(b"Z\0\0\0\x05I")]),
            _ => put_message(out, kind.byte(), &vec![0; *kind.body_len().start()]),
        }
        self.sent.push((kind, number));
    }
}

fn text(severity: Severity) -> Notice<'static> {
    Notice { severity, code: *b"XX000", message: b"as scripted", detail: None, hint: None }
}

//! Where does each reply end?
//! <https://www.postgresql.org/docs/current/protocol-flow.html>
//!
//! A client need not wait: it may send many requests before the first reply comes, its own and the
//! guard's between them. Replies come in the order of requests, so a [`Tracker`] is a queue of
//! what has been sent and is not answered, and the state of the reply that is coming:
//!
//! ```text
//!                push                                          scan
//!  Query         ─────▶ (T D… C │ C │ I │ G C │ H d… c C │ W d… c …)… Z
//!  FunctionCall         V Z
//!  Parse, Bind, Close   1, 2, 3
//!  Describe             (t) T │ n
//!  Execute              D… C │ D… s │ I │ G C │ H d… c C
//!  Sync                 Z
//!  Flush, CopyData      nothing; they need not be pushed
//!
//!  E instead of any of these ends a simple request once Z comes; of an extended one, all that was
//!  sent up to the next Sync is skipped, and has no reply. N, A and S may come at any time.
//! ```
//!
//! How it decides: five bytes of each message say what it is and how long. Whether it may come now
//! is a pure function of the reply's state (`reply.rs`); what may not is malformed, for then the
//! connection is out of step and nobody may be given its bytes. Messages that decide nothing are
//! passed by their length, many in one call. Those that do are events, and so is every message of
//! a reply to the guard's own requests, which no client must see.
//!
//! COPY FROM STDIN reverses the order: from CopyInResponse to the client's CopyDone or CopyFail the
//! server reads all that comes as part of the COPY, and *ignores* Sync. So Syncs behind such a
//! request have no reply, those that were sent before anybody knew included. But if the COPY fails,
//! nobody can tell whether it did so before the server read a certain Sync, which then is answered
//! after all. Such a Sync is a *doubt*: one more ReadyForQuery may come. The doubt ends with it, or
//! with any other message that a later request is answered by. Where a client has sent more than
//! the COPY's end without waiting for the next Sync to be answered, that more may have been skipped
//! or not; then the connection is lost, for no later reply could be told from another.
//!
//! What the guard answers itself (a Parse of what the server has already, a Close of what others
//! need) is pushed as *given*: when its turn comes between the replies of the server, an event
//! without bytes says so, and the answer can be put there.
//!
//! Deliberately absent: the login, which is a dialogue, and the client's side of COPY BOTH. The
//! tracker starts behind the first ReadyForQuery.

mod event;
mod reply;
mod request;
mod turn;

pub use event::{Answer, Event, Part, Scan};
pub use request::{Asker, Full, Request};

use std::collections::VecDeque;

use super::backend::{Fields, Kind, Severity};
use super::frame::{BACKEND_SHORT_MAX, HEADER_LEN, Header};
use crate::Malformed;
use reply::Reply;
use request::Expected;
use turn::What;

/// How many requests may be without an answer. A client that sends more has to wait; a server
/// answers, or skips, without needing more of them, so it never waits for ever.
pub const QUEUE_MAX: usize = 1 << 16;

/// How many bytes of an event's message, header included, are there with it. Only messages that
/// may be long have more: their rest comes in later scans.
pub const HEAD_MAX: usize = HEADER_LEN + BACKEND_SHORT_MAX;

/// Follows the replies on one connection to a server, and tells where each is over.
///
/// It keeps the room that its queue once needed, two bytes for each request, and allocates no more.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    queue: VecDeque<Expected>,
    state: State,
    /// The number of the request whose reply is coming or, between replies, of the queue's first.
    current: u64,
    /// Requests behind that one which a COPY took, so that they have no answer.
    taken: u64,
    /// Those of them that are Syncs of a COPY which has not ended yet.
    ignored: u32,
    /// Syncs that a failed COPY took, or did not.
    doubts: u32,
    /// Bytes of the message being passed on that have not come yet.
    passing: usize,
    /// Of which event they are the rest, if they are to be shown.
    showing: Option<Event>,
    rows: u64,
    needs: usize,
}

/// What the next message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The first of the reply to the queue's first request.
    #[default]
    Between,
    /// One more of this reply.
    Within(Reply, Asker),
    /// None, until a Sync is sent: all else is skipped.
    Skipping,
    /// Nobody can tell: see the module's doc on COPY.
    Lost,
    /// None: the server said that it closes the connection.
    Ended,
}

impl Tracker {
    /// Starts behind the ReadyForQuery that ends a login.
    pub fn new() -> Self {
        Self { needs: HEADER_LEN, ..Self::default() }
    }

    /// Notes that `request` goes to the server next. Returns its number: requests are counted from
    /// 0, those included that will be skipped.
    ///
    /// # Errors
    /// When [`QUEUE_MAX`] requests have no answer yet. It must not be sent then.
    pub fn push(&mut self, request: Request, asker: Asker) -> Result<u64, Full> {
        if self.queue.len() >= QUEUE_MAX {
            return Err(Full);
        }
        let number = self.next_number();
        match (&mut self.state, request) {
            (State::Skipping, Request::Sync) => self.state = State::Between,
            (State::Skipping, _) => {
                if self.doubts > 0 && !request.is_answerless() {
                    self.state = State::Lost;
                }
                self.current += 1;
                return Ok(number);
            }
            (_, request) if request.given().is_some() => {}
            (State::Within(Reply::CopyIn { open, .. }, _), Request::Sync) if *open => {
                self.ignored += 1;
                self.taken += 1;
                return Ok(number);
            }
            (State::Within(Reply::CopyIn { open, .. }, _), _) if *open => {
                *open = false;
                if request == Request::CopyEnd {
                    self.taken += 1;
                    return Ok(number);
                }
            }
            _ => {}
        }
        self.queue.push_back(Expected { request, asker });
        self.drop_answerless();
        Ok(number)
    }

    /// Walks the messages in `buf`, which starts where the previous scan stopped: after its `len`
    /// bytes and those of its event. It may start or end inside of a message.
    ///
    /// # Errors
    /// When a message is not one that can stand where it stands, or has an impossible length. The
    /// connection is out of step then.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Scan, Malformed> {
        let mut at = 0;
        loop {
            let came = self.passing.min(buf.len() - at);
            self.passing -= came;
            if came > 0
                && let Some(event) = self.show_rest(came)
            {
                return Ok(Scan { len: at, event: Some(event) });
            }
            at += came;
            if self.passing > 0 {
                return Ok(self.wait(at, 1));
            }
            if let Some(event) = self.give() {
                return Ok(Scan { len: at, event: Some(event) });
            }
            let rest = &buf[at..];
            let Some(header) = Header::peek(rest)? else { return Ok(self.wait(at, HEADER_LEN)) };
            if self.is_one_more(header) {
                self.rows += u64::from(header.kind == Kind::DataRow.byte());
                self.passing = header.message_len();
                continue;
            }
            match self.step(header, rest)? {
                Step::Pass => self.passing = header.message_len(),
                Step::Wait(needs) => return Ok(self.wait(at, needs)),
                Step::Stop(event) => return Ok(Scan { len: at, event: Some(event) }),
            }
        }
    }

    /// Whether all requests are answered, and no message is half passed on.
    pub fn is_over(&self) -> bool {
        self.state == State::Between && self.queue.is_empty() && self.passing == 0
    }

    /// How many ReadyForQuery may come unasked, because a COPY failed and took a Sync or did not.
    /// Others may have the connection only when [`Tracker::is_over`] and this is 0: an answer to
    /// whatever is sent next, but for an error, makes it so.
    pub const fn doubts(&self) -> u32 {
        self.doubts
    }

    /// Whether an error has made the server skip all that comes, until a Sync is sent.
    pub fn is_skipping(&self) -> bool {
        self.state == State::Skipping
    }

    /// Whether the server said that it closes the connection. Nothing more is answered.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Whether a COPY FROM STDIN waits for the client's data: its CopyDone or CopyFail has not been
    /// pushed.
    pub const fn awaits_copy_data(&self) -> bool {
        matches!(self.state, State::Within(Reply::CopyIn { open: true, .. }, _))
    }

    /// How many requests wait for an answer, the one being answered included.
    pub fn outstanding(&self) -> usize {
        self.queue.len() + usize::from(matches!(self.state, State::Within(..)))
    }

    /// How many rows have begun so far, in all replies.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// After a scan without an event: how many bytes there must be, from where it stopped on,
    /// before another scan can get further. At least 1, at most [`HEAD_MAX`].
    pub const fn needs(&self) -> usize {
        self.needs
    }

    /// Takes a request off the queue that the guard answers itself, if it is its turn.
    #[inline]
    fn give(&mut self) -> Option<Event> {
        if self.state != State::Between {
            return None;
        }
        let kind = self.queue.front()?.request.given()?;
        let answers = Some(Answer { request: self.current, asker: Asker::Guard });
        self.queue.pop_front();
        self.current += 1;
        self.drop_answerless();
        Some(Event { kind, part: Part::Head, bytes: 0, rest: 0, answers })
    }

    fn next_number(&self) -> u64 {
        self.current + self.taken + self.outstanding() as u64
    }

    fn wait(&mut self, len: usize, needs: usize) -> Scan {
        self.needs = needs;
        Scan { len, event: None }
    }

    /// Whether a message is one more row or piece of a COPY for the client, which changes nothing.
    /// [`Tracker::step`] says the same; but these are most of what comes, and take 6 ns so instead
    /// of 15.
    #[inline]
    fn is_one_more(&self, header: Header) -> bool {
        let kind = match self.state {
            State::Within(Reply::Rows | Reply::Execute, Asker::Client) => Kind::DataRow,
            State::Within(Reply::CopyOut { .. } | Reply::CopyBoth, Asker::Client) => Kind::CopyData,
            _ => return false,
        };
        header.kind == kind.byte() && kind.body_len().contains(&header.len)
    }

    /// Decides about the message at the front of `rest`. Nothing changes before its head is there.
    #[inline]
    fn step(&mut self, header: Header, rest: &[u8]) -> Result<Step, Malformed> {
        let kind = Kind::of(header)?;
        let turn = self.turn(kind)?;
        let shows = turn.answers.is_some_and(|answer| answer.asker == Asker::Guard);
        if !shows && !decides(kind) {
            self.take(turn, kind);
            return Ok(Step::Pass);
        }
        let bytes = header.message_len().min(HEAD_MAX);
        let Some(head) = rest.get(HEADER_LEN..bytes) else { return Ok(Step::Wait(bytes)) };
        if kind == Kind::ErrorResponse && ends_connection(head) {
            self.state = State::Ended;
        } else if matches!(turn.what, What::Stray) {
            return Err(malformed("error that answers nothing"));
        } else {
            self.take(turn, kind);
        }
        let (part, rest) = (Part::Head, header.message_len() - bytes);
        let event = Event { kind, part, bytes, rest, answers: turn.answers };
        self.passing = rest;
        self.showing = Some(event).filter(|_| shows && rest > 0);
        Ok(Step::Stop(event))
    }

    /// More of a long message that is shown.
    fn show_rest(&mut self, came: usize) -> Option<Event> {
        let head = self.showing?;
        let event = Event { part: Part::Rest, bytes: came, rest: self.passing, ..head };
        self.showing = Some(event).filter(|event| event.rest > 0);
        Some(event)
    }
}

/// What to do about one message.
enum Step {
    Pass,
    Wait(usize),
    Stop(Event),
}

/// Whether messages of that kind are events for clients' requests, too.
#[inline]
const fn decides(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ReadyForQuery
            | Kind::ErrorResponse
            | Kind::CommandComplete
            | Kind::CopyInResponse
            | Kind::CopyOutResponse
            | Kind::CopyBothResponse
    ) || kind.is_asynchronous()
}

/// Whether the server closes the connection behind an error that begins so.
fn ends_connection(head: &[u8]) -> bool {
    Fields::of_head(head).severity().is_some_and(Severity::ends_connection)
}

const fn malformed(why: &'static str) -> Malformed {
    Malformed { message: "reply", at: 0, why }
}

#[cfg(test)]
mod tests;

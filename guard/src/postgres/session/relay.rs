//! Both directions of a connection while a unit is under way.
//!
//! ```text
//! client ──► inbuf ──forward──► outbuf ──► server
//! client ◄── outbuf ◄──scan──── inbuf ◄─── server
//! ```
//!
//! Neither direction waits for the other: a client may send thousands of messages before it reads
//! a reply, and a server that cannot write its replies stops reading. So all four steps are tried in
//! turn until none gets further. Replies are held until the server pauses, so that a short one is one
//! write; every buffer has a bound, past which its source is not read.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use policy::sql::{Effects, Scratch, Shape};
use wire::postgres::{
    backend::{CommandTag, Fields, Kind, TransactionStatus, put_bare},
    frame::{HEADER_LEN, write_message},
    frontend::put_sync,
    result::{Asker, Event, Part, Request},
};

use super::{
    Lost, Shared,
    away::{HELD_MAX, Held},
    listen::{Due, is_shared},
};
use crate::{
    postgres::{
        Postgres,
        client::{Client, ClientError, poll_read, poll_write},
        connection::{Connection, body},
        holdings::Suspicion,
        listeners::Subscription,
        refuse::Error,
        settings::Settings,
        statements::{ClientStatements, PREFIX},
    },
    replica::{Replica, silenced},
    session::{pins::Pins, timer::Timer, verdict::Call},
};
use wire::postgres::backend::Severity;

/// How much of a reply may wait for its client before the server is not read any more.
const REPLY_LEN_MAX: usize = 64 * 1024;

/// How much of a client's messages may wait for the server before the client is not read any more.
pub(super) const SEND_LEN_MAX: usize = 64 * 1024;

/// What is known of a unit so far.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// Whether it began: its first message was taken.
    pub has_begun: bool,
    /// Whether it is a series whose Sync has not come.
    pub is_open: bool,
    /// Whether it is of the extended protocol.
    pub is_extended: bool,
    /// Bytes of the client's message that is being passed on which were not yet taken.
    pub passing: usize,
    /// What all its statements do together.
    pub effects: Effects,
    /// What it may have left in the server's session.
    pub suspicion: Suspicion,
    /// Names of parameters that the server does not list, as it has set them.
    pub customs: Vec<Box<str>>,
    /// The code of its last error.
    pub error: Option<[u8; 5]>,
    /// Whether a transaction was rolled back by a statement of its own.
    pub rolled_back: bool,
    /// Whether its series was ended in the client's place, whose own Sync is still to come.
    pub was_sealed: bool,
    /// What was withheld of its end: notifications come before it.
    pub due: Due,
    /// Whether it may leave something that its session must find again.
    pub may_write: bool,
    /// What a replica has answered that the client was not told: up to its first row, while its bytes can be carried
    /// elsewhere.
    pub held: Option<Box<Held>>,
    /// Where it waits for its client since when.
    stalled_since: Option<Instant>,
}

impl Unit {
    /// One that has not begun; `held` where what is answered is to be held back.
    pub(super) fn new(held: Option<Box<Held>>) -> Self {
        Self { held, ..Self::default() }
    }

    /// Whether the server has done all that it was told, or was told only half of something: it
    /// waits for the client, and looks up for no cancel.
    pub(super) fn waits_for_client(&self, connection: &Connection) -> bool {
        self.passing > 0 || (self.is_open && connection.tracker.outstanding() == 0)
    }

    /// Whether part of a message is with the client, and not its end.
    pub(super) fn has_partial_reply(&self, connection: Option<&Connection>) -> bool {
        connection.is_some_and(|connection| connection.tracker.is_passing())
    }
}

/// Why the relay stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The unit is over.
    End,
    /// The time limit passed.
    Deadline,
    /// Somebody called the session away.
    Killed,
    /// The client went away, or takes nothing any more.
    ClientGone(ClientError),
    /// The database broke off.
    Lost(Lost),
    /// The client asks for more than it may have; its connection ends with this.
    Refused(Error),
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::ClientGone(error)
    }
}

/// One unit on its way.
pub(super) struct Relay<'a> {
    /// `None` once it is gone: replies are then read and dropped.
    pub client: Option<&'a mut Client>,
    pub connection: &'a mut Connection,
    pub statements: &'a mut ClientStatements,
    pub shared: &'a Shared,
    pub scratch: &'a mut Scratch,
    pub settings: &'a Settings,
    pub pins: &'a Pins,
    /// What the session listens to over a shared connection.
    pub subscription: Option<&'a Subscription>,
    pub unit: &'a mut Unit,
    /// What the text of the first message does, until that is taken.
    pub text: Option<Arc<Shape>>,
    /// What the client is told instead of the server's error about a statement that was stopped.
    pub substitute: Option<Error>,
    /// How long the client may take nothing of a reply that waits for it.
    pub write_timeout: Duration,
    /// The replica that answers, if one does.
    pub replica: Option<&'a Replica<Postgres>>,
    /// Whether the unit is being stopped: a series that an error has ended is then not left open for
    /// its client to end.
    pub is_ending: bool,
}

impl Relay<'_> {
    /// Carries the unit on until it is over or something else stops it. Not over, it can be carried
    /// on by another call.
    pub(super) async fn run(
        &mut self,
        timer: &mut Timer,
        until: Option<Instant>,
        call: &Call<'_>,
    ) -> Stop {
        loop {
            let patience = self.unit.stalled_since.map(|since| since + self.write_timeout);
            let (is_stall, until) = match (patience, until) {
                (Some(patience), Some(until)) if patience < until => (true, Some(patience)),
                (Some(patience), None) => (true, Some(patience)),
                (_, until) => (false, until),
            };
            // Nothing is with the client: it is better answered elsewhere.
            let replica = self.replica.filter(|_| self.unit.held.is_some());
            let stop = tokio::select! {
                biased;
                // Before the client's next message is read: what is to be stopped came before that.
                () = call.wait(), if self.unit.has_begun => Some(Stop::Killed),
                stop = poll_fn(|context| self.poll_run(context)) => stop,
                () = timer.until(until) => match is_stall {
                    false => Some(Stop::Deadline),
                    true if self.has_stalled() => {
                        Some(Stop::ClientGone(io::Error::from(io::ErrorKind::TimedOut).into()))
                    }
                    true => None,
                },
                () = call.wait() => Some(Stop::Killed),
                () = silenced(replica) => Some(Stop::Lost(Lost::Closed)),
            };
            // Without one, the client has begun or ceased to be slow: there is another deadline.
            if let Some(stop) = stop {
                return stop;
            }
        }
    }

    /// See [`Unit::waits_for_client`].
    pub(super) fn waits_for_client(&self) -> bool {
        self.unit.waits_for_client(self.connection)
    }

    fn has_stalled(&self) -> bool {
        self.unit.stalled_since.is_some_and(|since| since.elapsed() >= self.write_timeout)
    }

    fn poll_run(&mut self, context: &mut Context<'_>) -> Poll<Option<Stop>> {
        match self.poll_steps(context) {
            Poll::Ready(Ok(stop)) => Poll::Ready(stop),
            Poll::Ready(Err(stop)) => Poll::Ready(Some(stop)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_steps(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Stop>, Stop>> {
        loop {
            self.seal()?;
            self.take_messages()?;
            let mut has_moved = self.poll_send(context)?;
            has_moved |= self.poll_receive(context)?;
            if self.is_over() {
                return Poll::Ready(Ok(Some(Stop::End)));
            }
            let was_stalled = self.unit.stalled_since.is_some();
            has_moved |= self.poll_deliver(context)?;
            has_moved |= self.poll_hear(context)?;
            if was_stalled != self.unit.stalled_since.is_some() {
                return Poll::Ready(Ok(None));
            }
            if !has_moved {
                return Poll::Pending;
            }
        }
    }

    /// Whether the server has answered all, and the client has nothing to add.
    fn is_over(&self) -> bool {
        self.unit.has_begun
            && !self.unit.is_open
            && self.unit.passing == 0
            && self.connection.outbuf.is_empty()
            && self.connection.tracker.is_over()
    }

    /// Whether an open series is to be ended in its client's place: an error has ended it already,
    /// and nobody waits for more.
    fn seal(&mut self) -> Result<(), Lost> {
        if self.is_ending && self.unit.is_open && self.connection.tracker.is_skipping() {
            self.connection.tracker.push(Request::Sync, Asker::Guard)?;
            put_sync(&mut self.connection.outbuf);
            self.unit.is_open = false;
            self.unit.was_sealed = true;
        }
        Ok(())
    }

    /// Writes to the server. Returns whether there may be more to write: what is written makes no other
    /// step possible, but where there was no room for the client's messages.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Result<bool, Stop> {
        let Connection { stream, outbuf, .. } = &mut *self.connection;
        let was_full = outbuf.len() >= SEND_LEN_MAX;
        match poll_write(stream, outbuf, context) {
            Poll::Ready(sent) => Ok(sent.map_err(Lost::Io)? && (was_full || !outbuf.is_empty())),
            Poll::Pending => Ok(false),
        }
    }

    /// Reads from the server and brings what came to the client's buffer.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Result<bool, Stop> {
        let mut has_moved = self.scan()?;
        while self.client.as_ref().is_none_or(|client| client.outbuf.len() < REPLY_LEN_MAX) {
            let connection = &mut *self.connection;
            match poll_read(&mut connection.stream, &mut connection.inbuf, context) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(Lost::Closed.into()),
                Poll::Ready(Ok(_)) => has_moved |= self.scan()?,
                Poll::Ready(Err(error)) => return Err(Lost::Io(error).into()),
            }
            if self.is_over() {
                break;
            }
        }
        Ok(has_moved)
    }

    /// Walks what the server has sent.
    fn scan(&mut self) -> Result<bool, Stop> {
        // Taken out, so that what it says can change the connection.
        let mut inbuf = std::mem::take(&mut self.connection.inbuf);
        let walked = self.walk(&mut inbuf);
        self.connection.inbuf = inbuf;
        walked
    }

    fn walk(&mut self, inbuf: &mut BytesMut) -> Result<bool, Stop> {
        let mut has_moved = false;
        loop {
            let was_over = self.is_over();
            let scan = match self.connection.tracker.scan(inbuf) {
                // What nobody asked for stays, for whoever looks at the connection next.
                Err(_) if was_over => return Err(Stop::End),
                scan => scan.map_err(Lost::from)?,
            };
            if scan.len > 0 {
                self.tell(&inbuf[..scan.len]);
                inbuf.advance(scan.len);
                has_moved = true;
            }
            let Some(event) = scan.event else { return Ok(has_moved) };
            has_moved = true;
            match self.on_event(event, &inbuf[..event.bytes]) {
                // The server says goodbye behind the end: that is for whoever asks it next.
                Err(Stop::Lost(_)) if was_over => return Err(Stop::End),
                noted => noted?,
            }
            inbuf.advance(event.bytes);
        }
    }

    fn on_event(&mut self, event: Event, message: &[u8]) -> Result<(), Stop> {
        self.connection.note(&event, message)?;
        let is_guards = event.answers.is_some_and(|answer| answer.asker == Asker::Guard);
        match event.kind {
            _ if event.part == Part::Rest => {}
            // Given: it has no bytes.
            Kind::ParseComplete | Kind::CloseComplete if event.bytes == 0 => {
                if let Some(out) = self.out() {
                    put_bare(out, event.kind);
                }
            }
            // Also where the guard asked: it did so for the client's message behind.
            Kind::ErrorResponse => self.on_error(event, message),
            kind if is_guards && !kind.is_asynchronous() => {}
            // What a read does not change is the server's own.
            Kind::ParameterStatus if self.replica.is_some() => {}
            Kind::NotificationResponse if is_shared(self.subscription, body(message)) => {}
            Kind::ReadyForQuery if self.subscription.is_some() && self.is_idle() => {
                self.unit.due.ready += 1;
            }
            kind => {
                self.on_news(kind, event.answers.map_or(0, |answer| answer.request), message);
                match kind {
                    Kind::ParameterStatus if self.subscription.is_some() => {
                        self.unit.due.statuses.extend_from_slice(message);
                    }
                    _ => self.tell(message),
                }
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.connection.status == TransactionStatus::Idle
    }

    /// What other messages tell of the session.
    fn on_news(&mut self, kind: Kind, request: u64, message: &[u8]) {
        match kind {
            Kind::ParameterStatus => {
                self.unit.suspicion = self.unit.suspicion.and(Suspicion::SETTINGS)
            }
            // It takes the Sync that came before; another one is due, however the COPY ends.
            Kind::CopyInResponse if self.connection.tracker.awaits_copy_data() => {
                self.unit.is_open = self.unit.is_extended;
            }
            Kind::CommandComplete => {
                let Ok(tag) = CommandTag::parse(body(message)) else { return };
                match tag.command {
                    b"DISCARD ALL" | b"DEALLOCATE ALL" => {
                        self.connection.statements.doubt_all();
                        self.statements.clear();
                        self.keep_later(request);
                    }
                    b"ROLLBACK" => self.unit.rolled_back = true,
                    tag if changes_definitions(tag) => {
                        self.shared.engine.statements.note_definition();
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, message: &[u8]) {
        if let Some(out) = self.out() {
            out.extend_from_slice(message);
        }
        let rows = self.connection.tracker.rows();
        let is_told = |held: &Held| held.rows != rows || held.bytes.len() > HELD_MAX;
        if self.unit.held.as_deref().is_some_and(is_told) {
            self.unit.let_go(self.client.as_deref_mut());
        }
    }

    /// Where the client finds what it is told; `None` once it is gone.
    #[inline]
    fn out(&mut self) -> Option<&mut BytesMut> {
        let client = self.client.as_deref_mut()?;
        let out = match &mut self.unit.held {
            Some(held) => &mut held.bytes,
            None => client.out(),
        };
        if !self.unit.due.statuses.is_empty() {
            self.unit.due.put_statuses(out);
        }
        Some(out)
    }

    fn on_error(&mut self, event: Event, message: &[u8]) {
        let fields = Fields::of_head(body(message));
        let code = fields.code();
        self.unit.error = code.or(Some(*b"XX000"));
        if let Some(answer) = event.answers {
            self.undo_from(answer.request);
        }
        match code.as_ref() {
            // Somebody's code has dropped what the guard relied on; the next use prepares anew.
            Some(b"26000") if names_ours(message) => self.connection.statements.doubt_all(),
            // Its plan does not fit what the tables are now: who prepares it anew gets a new one.
            Some(b"0A000") => self.shared.engine.statements.note_definition(),
            _ => {}
        }
        let is_stop = code.as_ref() == Some(b"57014");
        match self.substitute.take_if(|_| is_stop && event.rest == 0) {
            Some(error) => {
                if let Some(out) = self.out() {
                    error.put(out, Severity::Error);
                }
            }
            None if event.rest == 0 && names_ours(message) => self.tell_renamed(message),
            None => self.tell(message),
        }
    }

    /// Passes an error on with the client's names of statements in the place of the guard's.
    fn tell_renamed(&mut self, message: &[u8]) {
        let statements = &*self.statements;
        let mut renamed = BytesMut::new();
        write_message(&mut renamed, Kind::ErrorResponse.byte(), |out| {
            let mut rest = &message[HEADER_LEN..];
            while let Some(at) = rest.windows(PREFIX.len()).position(|window| window == PREFIX) {
                let digits =
                    rest[at + PREFIX.len()..].iter().take_while(|byte| byte.is_ascii_digit());
                let end = at + PREFIX.len() + digits.count();
                out.extend_from_slice(&rest[..at]);
                let ours = &rest[at..end];
                out.extend_from_slice(statements.name_of(ours).unwrap_or(ours));
                rest = &rest[end..];
            }
            out.extend_from_slice(rest);
        });
        self.tell(&renamed);
    }

    /// Writes to the client what waits for it, once the server pauses or much has come.
    fn poll_deliver(&mut self, context: &mut Context<'_>) -> Result<bool, Stop> {
        let Some(client) = &mut self.client else { return Ok(false) };
        let mut has_moved = false;
        while let Poll::Ready(delivered) = client.poll_deliver(context) {
            if !delivered.map_err(ClientError::Io)? {
                self.unit.stalled_since = None;
                return Ok(has_moved);
            }
            has_moved = true;
        }
        if has_moved || self.unit.stalled_since.is_none() {
            self.unit.stalled_since = Some(Instant::now());
        }
        Ok(has_moved)
    }

    /// Reads what the client sends.
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Result<bool, Stop> {
        let Some(client) = &mut self.client else { return Ok(false) };
        match client.poll_fill(context) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Pending => Ok(false),
        }
    }
}

/// Whether a command of that tag may change what others' statements mean.
fn changes_definitions(tag: &[u8]) -> bool {
    [&b"ALTER "[..], b"CREATE ", b"DROP "].iter().any(|verb| tag.starts_with(verb))
}

fn names_ours(message: &[u8]) -> bool {
    message.windows(PREFIX.len()).any(|window| window == PREFIX)
}

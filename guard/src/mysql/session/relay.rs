//! The reply of one statement, from the database to the client.
//!
//! Bytes pass as they are; the tracker of `wire` says where the reply ends and which packets carry
//! news of the session. Only these are read, and rewritten where the client must not see what the
//! guard asked for itself (its session trackers). Each turn of the loop is one read from the
//! database and one write to the client.
//!
//! A relay can be stopped and run on: when a limit passes, the session cancels the statement and
//! lets the same relay bring the reply to its end.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Buf;
use tokio::io::AsyncWriteExt;
use wire::{
    Malformed,
    mysql::{
        frame::{HEADER_LEN, Header},
        response::{
            EofPacket, ErrPacket, OkPacket, PrepareOk, SessionState, StateChange, Status, put_err,
            put_ok_filtered,
        },
        result::{Event, Tracker},
    },
};

use super::{
    client::Client,
    file::Files,
    owed::Owed,
    refuse,
    settings::{Replay, Settings},
    timer::Timer,
    verdict::Call,
    view::View,
};
use crate::{
    mysql::{
        MySql,
        connection::{Connection, Lost},
        shadows::{Shadows, Told},
    },
    replica::{Replica, silenced},
};

/// Why a relay came to rest.
#[derive(Debug)]
pub enum Stop {
    /// The reply is over, and with the client.
    End,
    /// The deadline passed; the reply is not over.
    Deadline,
    /// Another client asked to kill this statement; the reply is not over.
    Killed,
    /// The client is gone, or takes nothing any more; the reply is not over.
    ClientGone,
    /// The database is gone, or does not speak the protocol.
    Lost(Lost),
}

/// What a reply told about the session.
#[derive(Debug, Default, Clone)]
pub struct Reply {
    /// The flags of the last packet that carried any.
    pub status: Option<Status>,
    /// The code of the error that ended the reply.
    pub error: Option<u16>,
    /// Warnings of the last statement.
    pub warnings: u16,
    /// The last insert id that was not 0.
    pub last_insert_id: Option<u64>,
    /// Rows affected, summed over the statements of the reply.
    pub affected_rows: u64,
    /// Whether there was a result set.
    pub has_rows: bool,
    /// The client was told an error in place of the reply, and sees no more of it.
    pub is_told: bool,
    /// What `PREPARE` returned.
    pub prepared: Option<PrepareOk>,
    /// The server said that session state changed.
    pub has_changed: bool,
    /// The server said so in a packet that cannot tell what changed.
    pub has_untold: bool,
    /// What its last packet told of that, on MySQL.
    pub telling: Telling,
    /// A schema or a variable was reported: that explains the change.
    pub is_explained: bool,
    /// A variable that cannot be replayed changed.
    pub has_unreplayable: bool,
    /// The character set of the connection changed, and the collation was not reported.
    pub needs_collation: bool,
    /// Variables that may have been told of under others' names.
    pub shadowed: Told,
}

/// What a packet that ends a result, or stands for one, tells of what changed before.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// It is no such packet, or MariaDB's, which tells some of it later.
    #[default]
    Nothing,
    /// MySQL's OK: all of it.
    All,
    /// MySQL's EOF, which does not even say that there is something.
    Silence,
}

impl Telling {
    fn of(connection: &Connection, on_mysql: Self) -> Self {
        if connection.mariadb { Self::Nothing } else { on_mysql }
    }
}

/// One reply on its way.
#[derive(Debug)]
pub struct Relay<'a> {
    /// To whom; `None` drops the reply.
    pub client: Option<&'a mut Client>,
    /// From where.
    pub connection: &'a mut Connection,
    /// The session's settings, which the reply may change.
    pub settings: &'a mut Arc<Settings>,
    /// Where the reply ends.
    pub tracker: Tracker,
    /// What the client may see.
    pub view: &'a View,
    /// What it is still to be told.
    pub owed: &'a mut Owed,
    /// The id the client will know a prepared statement by.
    pub prepare_as: u32,
    /// Replaces the server's error, once the statement is cancelled.
    pub substitute: Option<refuse::Error>,
    /// What to do when the server asks for a file.
    pub files: Files,
    /// How many warnings an OK tells, where it is not what the connection has.
    pub warnings: Option<u16>,
    /// How long the client may leave the guard unable to write.
    pub write_timeout: Duration,
    /// The replica that it comes from: where that falls silent before a byte is with the client, the reply is lost.
    pub replica: Option<&'a Replica<MySql>>,
    /// What has been learnt so far.
    pub reply: Reply,
}

/// What one walk over the bytes at hand found.
struct Walk {
    /// Bytes of `inbuf` that are done with.
    len: usize,
    /// From here on they have not been copied to the client's `outbuf`.
    copied: usize,
    found: Found,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    More,
    End,
    /// The server asks for a file, by the packet of this sequence id.
    LocalInfile(u8),
}

impl Relay<'_> {
    /// Carries the reply on until it is over or something stops it.
    ///
    /// May be called again after [`Stop::Deadline`], [`Stop::Killed`] and, without a client,
    /// [`Stop::ClientGone`]. Not cancel-safe.
    pub async fn run(
        &mut self,
        timer: &mut Timer,
        mut until: Option<Instant>,
        call: &Call<'_>,
    ) -> Stop {
        loop {
            let walk = match self.walk() {
                Ok(walk) => walk,
                Err(malformed) => return Stop::Lost(malformed.into()),
            };
            if self.deliver(&walk, timer).await.is_err() {
                return Stop::ClientGone;
            }
            self.connection.inbuf.advance(walk.len);
            match walk.found {
                Found::End => return Stop::End,
                Found::LocalInfile(asked) => {
                    match self.answer_with_file(asked, timer, call).await {
                        Ok(due) => until = due.or(until),
                        Err(stop) => return stop,
                    }
                }
                Found::More => {}
            }
            if let Some(stop) = self.wait(timer, until, call).await {
                return stop;
            }
        }
    }

    /// Waits until the database has said more. Whatever else happens first stops the relay.
    async fn wait(
        &mut self,
        timer: &mut Timer,
        until: Option<Instant>,
        call: &Call<'_>,
    ) -> Option<Stop> {
        let connection = &mut *self.connection;
        let client = self.client.as_deref_mut();
        let has_begun = client.as_ref().is_none_or(|client| client.has_partial_reply);
        let replica = self.replica.filter(|_| !has_begun);
        let watch = async {
            match client {
                Some(client) => loop {
                    if client.watch().await.is_err() {
                        return;
                    }
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            filled = connection.fill() => filled.err().map(Stop::Lost),
            () = timer.until(until) => Some(Stop::Deadline),
            () = watch => Some(Stop::ClientGone),
            () = call.wait() => Some(Stop::Killed),
            () = silenced(replica) => Some(Stop::Lost(Lost::Closed)),
        }
    }

    /// Writes to the client what a walk has passed: in one piece from where it lies, unless a
    /// packet had to be rewritten.
    async fn deliver(&mut self, walk: &Walk, timer: &mut Timer) -> io::Result<()> {
        let Some(client) = self.client.as_deref_mut() else { return Ok(()) };
        let rest = &self.connection.inbuf[walk.copied..walk.len];
        if rest.is_empty() && client.outbuf.is_empty() {
            return Ok(());
        }
        client.has_partial_reply = walk.found != Found::End;
        let write = async {
            if client.outbuf.is_empty() {
                client.stream.write_all(rest).await
            } else {
                client.outbuf.extend_from_slice(rest);
                client.flush().await
            }
        };
        let patience = async { timer.until(Some(Instant::now() + self.write_timeout)).await };
        tokio::select! {
            biased;
            written = write => written,
            () = patience => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Walks over all packets at hand.
    fn walk(&mut self) -> Result<Walk, Malformed> {
        let mut walk = Walk { len: 0, copied: 0, found: Found::More };
        while walk.len < self.connection.inbuf.len() {
            let scan = self.tracker.scan(&self.connection.inbuf[walk.len..])?;
            walk.len += scan.len;
            let Some(event) = scan.event else { break };
            walk.found = self.take(event, &mut walk)?;
            if walk.found != Found::More {
                break;
            }
        }
        Ok(walk)
    }

    /// Takes one control packet in, at `walk.len`.
    fn take(&mut self, event: Event, walk: &mut Walk) -> Result<Found, Malformed> {
        let over = |last| if last { Found::End } else { Found::More };
        match event {
            Event::Ok { packet, last } => {
                self.take_ok(packet, walk)?;
                Ok(over(last))
            }
            Event::Eof { packet, last, status, warnings } => {
                self.reply.telling = Telling::of(self.connection, Telling::Silence);
                if status.contains(Status::SESSION_STATE_CHANGED) {
                    // What changed is told in OK packets alone, and this client asked for less.
                    let payload = walk.len + HEADER_LEN..walk.len + packet;
                    let shown = status.without(Status::SESSION_STATE_CHANGED);
                    EofPacket::set_status(&mut self.connection.inbuf[payload], shown)?;
                    self.reply.has_untold = true;
                }
                walk.len += packet;
                self.note_status(status);
                self.reply.warnings = warnings;
                self.reply.has_rows = true;
                Ok(over(last))
            }
            Event::Err { packet } => {
                self.take_err(packet, walk)?;
                Ok(Found::End)
            }
            Event::PrepareOk { packet, last } => {
                let payload = walk.len + HEADER_LEN..walk.len + packet;
                let payload = &mut self.connection.inbuf[payload];
                self.reply.prepared =
                    Some(PrepareOk::parse(payload, self.connection.capabilities)?);
                PrepareOk::set_statement(payload, self.prepare_as)?;
                walk.len += packet;
                Ok(over(last))
            }
            Event::Done { packet } => {
                walk.len += packet;
                Ok(Found::End)
            }
            Event::LocalInfile { packet } => {
                let start = walk.len;
                walk.len += packet;
                let asked = sequence_of(&self.connection.inbuf[start..walk.len]);
                if self.files == Files::Refuse {
                    if let Some(client) = self.client.as_deref_mut() {
                        let passed = &self.connection.inbuf[walk.copied..start];
                        client.outbuf.extend_from_slice(passed);
                    }
                    walk.copied = walk.len;
                    self.decline_file(asked);
                }
                Ok(Found::LocalInfile(asked))
            }
        }
    }

    /// Reads an OK packet, and hides from the client what it did not ask for.
    fn take_ok(&mut self, packet: usize, walk: &mut Walk) -> Result<(), Malformed> {
        let start = walk.len;
        walk.len += packet;
        let bytes = &self.connection.inbuf[start..walk.len];
        let capabilities = self.connection.capabilities;
        let mut ok = OkPacket::parse(&bytes[HEADER_LEN..], capabilities)?;
        ok.warnings = self.warnings.unwrap_or(ok.warnings);
        // 0xFE is the OK that ends a result set.
        let header = bytes[HEADER_LEN];
        self.reply.has_rows |= header != 0;
        self.reply.warnings = ok.warnings;
        self.reply.affected_rows = self.reply.affected_rows.saturating_add(ok.affected_rows);
        if ok.last_insert_id != 0 {
            self.reply.last_insert_id = Some(ok.last_insert_id);
        }
        let status = ok.status;
        self.reply.telling = Telling::of(self.connection, Telling::All);
        let is_rewritten = self.warnings.is_some() || !self.owed.is_nothing();
        if status.contains(Status::SESSION_STATE_CHANGED) || is_rewritten {
            for change in ok.state {
                note_change(change?, &self.connection.shadows, self.settings, &mut self.reply);
            }
            let paid;
            if !self.owed.is_nothing() {
                paid = self.owed.pay(ok.state);
                ok.state = SessionState::new(&paid);
            }
            if let Some(client) = self.client.as_deref_mut() {
                let passed = &self.connection.inbuf[walk.copied..start];
                client.out().extend_from_slice(passed);
                let view = self.view;
                let seq = sequence_of(bytes);
                let capabilities = client.capabilities;
                put_ok_filtered(client.out(), seq, capabilities, &ok, header, |c| view.shows(c))?;
                walk.copied = walk.len;
            }
        }
        self.note_status(status);
        Ok(())
    }

    /// Reads an error, and puts the guard's own in its place where the guard is its cause.
    fn take_err(&mut self, packet: usize, walk: &mut Walk) -> Result<(), Malformed> {
        let start = walk.len;
        walk.len += packet;
        let bytes = &self.connection.inbuf[start..walk.len];
        let err = ErrPacket::parse(&bytes[HEADER_LEN..], self.connection.capabilities)?;
        self.reply.error = Some(err.code);
        let Some(substitute) = &self.substitute else { return Ok(()) };
        if !is_interruption(err.code) {
            return Ok(());
        }
        if let Some(client) = self.client.as_deref_mut() {
            client.out().extend_from_slice(&self.connection.inbuf[walk.copied..start]);
            let message = substitute.message.as_bytes();
            let (seq, capabilities) = (sequence_of(bytes), client.capabilities);
            let (code, state) = (substitute.code, &substitute.sqlstate);
            put_err(client.out(), seq, capabilities, code, state, message);
            walk.copied = walk.len;
        }
        Ok(())
    }

    fn note_status(&mut self, status: Status) {
        let status = status.without(Status::SESSION_STATE_CHANGED);
        self.connection.status = status;
        self.reply.status = Some(status);
    }
}

fn sequence_of(packet: &[u8]) -> u8 {
    Header::peek(packet).map_or(0, |header| header.seq)
}

/// Whether an error says that a statement was stopped from outside: `ER_QUERY_INTERRUPTED`,
/// MariaDB's `ER_STATEMENT_TIMEOUT`, MySQL's `ER_QUERY_TIMEOUT`, `ER_CONNECTION_KILLED`.
pub fn is_interruption(code: u16) -> bool {
    matches!(code, 1317 | 1927 | 1969 | 3024)
}

/// Takes over one change that an OK packet tells of the session.
pub fn note_change(
    change: StateChange<'_>,
    shadows: &Shadows,
    settings: &mut Arc<Settings>,
    reply: &mut Reply,
) {
    match change {
        StateChange::SystemVariable { name, value } => {
            // MySQL reports the number of each statement.
            reply.is_explained |= name != b"statement_id";
            match name {
                b"character_set_connection" => reply.needs_collation = true,
                b"collation_connection" => reply.needs_collation = false,
                _ => {}
            }
            if shadows.note(name, &mut reply.shadowed) {
                // Whose value it is, if anybody's has changed, is still to be asked.
                return;
            }
            if settings.variable(name) != Some(value) || settings.forgets_with(name) {
                let replay = Arc::make_mut(settings).set_variable(name, value);
                reply.has_unreplayable |= replay == Replay::Pins;
            }
        }
        StateChange::Schema(name) => {
            reply.is_explained = true;
            if settings.schema.as_deref().unwrap_or_default() != name {
                Arc::make_mut(settings).schema = (!name.is_empty()).then(|| name.into());
            }
        }
        StateChange::Changed(true) => reply.has_changed = true,
        _ => {}
    }
}

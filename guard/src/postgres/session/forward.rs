//! A client's messages on their way to the server.
//!
//! Each is noted with the tracker before it goes out. Prepared statements have other names there,
//! and what the connection lacks is prepared ahead; see [`statements`](crate::postgres::statements).

use std::sync::Arc;

use bytes::Buf;
use policy::sql::{Dialect, Effects, Scratch, Shape, customs_set};
use wire::postgres::{
    backend::TransactionStatus,
    frame::HEADER_LEN,
    frontend::{Bind, Kind, Names, Target, rename},
    result::{Asker, Request},
};

use super::{
    ahead::is_of_data,
    answer::take_name,
    dialect,
    reading::may_write,
    relay::{Relay, SEND_LEN_MAX, Stop, Unit},
};
use crate::postgres::{
    client::{Client, ClientError, Message},
    connection::Lost,
    holdings::Suspicion,
    refuse,
    sequences::{Draws, asks},
    statements::{ClientStatements, Statement, Undo, Unnamed},
    traffic::Count,
};

/// A longer value is not taken for the name of a parameter.
const NAME_LEN_MAX: usize = 128;

impl Relay<'_> {
    /// Takes the client's messages as far as they belong to this unit, are there, and the server's
    /// side has room.
    pub(super) fn take_messages(&mut self) -> Result<(), Stop> {
        while self.connection.outbuf.len() < SEND_LEN_MAX {
            if self.unit.passing > 0 {
                if !self.pass() {
                    break;
                }
                continue;
            }
            let is_copying = self.connection.tracker.awaits_copy_data();
            if self.unit.has_begun && !self.unit.is_open && !is_copying {
                break;
            }
            let Some(client) = &mut self.client else { break };
            let Some(message) = client.peek()? else { break };
            if !self.take(message)? {
                break;
            }
        }
        Ok(())
    }

    /// Passes on more of a message whose head has gone.
    fn pass(&mut self) -> bool {
        let Some(client) = &mut self.client else { return false };
        let len = self.unit.passing.min(client.inbuf.len()).min(SEND_LEN_MAX);
        self.connection.outbuf.extend_from_slice(&client.inbuf[..len]);
        client.inbuf.advance(len);
        self.unit.passing -= len;
        len > 0
    }

    /// Takes one message. Returns false if it has to wait.
    fn take(&mut self, message: Message) -> Result<bool, Stop> {
        let is_copying = self.connection.tracker.awaits_copy_data();
        match message.kind {
            Kind::Terminate => return Err(ClientError::Closed.into()),
            Kind::CopyData | Kind::CopyDone | Kind::CopyFail if !is_copying => {
                // Perhaps the server has not said yet that it wants them.
                if self.connection.tracker.outstanding() > 0 {
                    return Ok(false);
                }
                self.drop_message(message);
                return Ok(true);
            }
            // As on the server, up to the next Sync.
            kind if kind != Kind::Sync && self.connection.tracker.is_skipping() => {
                self.drop_message(message);
                return Ok(true);
            }
            Kind::Query => self.take_query(message)?,
            Kind::Parse => self.take_parse(message)?,
            Kind::Bind => self.take_bind(message)?,
            Kind::Describe => self.take_describe(message)?,
            Kind::Close => self.take_close(message)?,
            kind => {
                self.unit.may_write |= kind == Kind::FunctionCall;
                self.send(message, None)?;
            }
        }
        self.note(message.kind, is_copying);
        Ok(true)
    }

    /// Notes what a message means for the unit.
    fn note(&mut self, kind: Kind, is_copying: bool) {
        self.unit.has_begun = true;
        match kind {
            Kind::Sync if !is_copying => self.unit.is_open = false,
            kind if kind.is_extended() || kind == Kind::Execute => {
                self.unit.is_open = true;
                self.unit.is_extended = true;
            }
            _ => {}
        }
    }

    fn take_query(&mut self, message: Message) -> Result<(), Stop> {
        let body = body_of(&self.client, message);
        let sql = body.strip_suffix(&[0]).unwrap_or(body);
        let shape = match self.text.take() {
            Some(shape) => shape,
            None => self.shared.statements.judge(sql, dialect(self.settings), self.scratch),
        };
        note_customs(self.unit, &shape, sql, dialect(self.settings), self.scratch);
        self.suspect(&shape);
        // As on the server.
        let before = take_unnamed(self.unit, self.statements);
        self.statements.unnamed.forget();
        self.connection.statements.unnamed = 0;
        let request = self.send_numbered(message, None)?;
        self.statements.undo.push(Undo::Unnamed { request, before });
        Ok(())
    }

    fn take_parse(&mut self, message: Message) -> Result<(), Stop> {
        let mut rest = body_of(&self.client, message);
        let Some(name) = take_name(&mut rest) else { return self.send(message, None) };
        let mut text = rest;
        let Some(sql) = take_name(&mut text) else { return self.send(message, None) };
        let dialect = dialect(self.settings);
        let shape = match self.text.take() {
            Some(shape) => shape,
            None => self.shared.statements.judge_template(sql, dialect, self.scratch),
        };
        note_customs(self.unit, &shape, sql, dialect, self.scratch);
        if name.is_empty() {
            let serial = self.shared.engine.statements.next_serial();
            let before = take_unnamed(self.unit, self.statements);
            let judged = (shape, &*self.scratch, dialect);
            self.statements.unnamed.set(rest, judged, serial);
            self.connection.statements.unnamed = serial;
            let request = self.send_numbered(message, None)?;
            self.statements.undo.push(Undo::Unnamed { request, before });
            return Ok(());
        }
        if let Some(known) = self.statements.get(name).cloned() {
            self.count(Count::ClientParses);
            // The server refuses the name, as it would refuse the client's.
            self.prepare_ahead(&known)?;
            return self.send(message, Some(&known));
        }
        let max = self.shared.options.statements_per_client;
        if self.statements.is_full(max) {
            return Err(Stop::Refused(refuse::too_many_statements(max)));
        }
        let statements = &self.shared.engine.statements;
        let (statement, definitions) =
            (statements.intern(rest, &shape, self.scratch), statements.definitions());
        let name = Box::from(name);
        self.prepare(message, name, statement, definitions)
    }

    /// Prepares a new statement of the client's, unless the connection has it.
    fn prepare(
        &mut self,
        message: Message,
        name: Box<[u8]>,
        statement: Arc<Statement>,
        definitions: u64,
    ) -> Result<(), Stop> {
        self.count(Count::ClientParses);
        let has_failed = self.connection.status == TransactionStatus::Failed;
        let held = &mut self.connection.statements;
        let request = if held.is_fresh(&statement, definitions) && !has_failed {
            held.uses(&statement);
            self.drop_message(message);
            self.push(Request::GivenParse, Asker::Guard)?
        } else {
            if held.may_hold(&statement) {
                self.close(&statement)?;
            }
            let request = self.send_numbered(message, Some(&statement))?;
            self.count(Count::ServerParses);
            self.hold(&statement, definitions)?;
            request
        };
        self.statements.insert(&name, Arc::clone(&statement));
        self.statements.undo.push(Undo::Prepared { request, name, statement });
        Ok(())
    }

    fn take_bind(&mut self, message: Message) -> Result<(), Stop> {
        let body = body_of(&self.client, message);
        let mut names = body;
        let name = take_name(&mut names).and_then(|_| take_name(&mut names));
        let shape = name.and_then(|name| self.statements.shape(name));
        if shape.is_some_and(|shape| shape.effects.contains(Effects::SETS_SESSION)) {
            note_bound_customs(self.unit, body);
        }
        let asks = shape.is_some_and(|shape| asks(shape));
        let may_stand_in = self.connection.status == TransactionStatus::Failed
            && shape.is_some_and(|shape| is_of_data(shape.kind));
        let name: Option<Box<[u8]>> = name.map(Box::from);
        if name.as_ref().is_some_and(|name| !name.is_empty()) {
            self.count(Count::Binds);
        }
        if asks && self.connection.draws != Draws::Own {
            self.forget_draws(name.as_deref().unwrap_or_default())?;
            self.connection.draws = Draws::Others;
        }
        if let Some(name) = name.as_ref().filter(|_| may_stand_in)
            && self.stand_in(name)?
        {
            let statement = self.statements.get(name).cloned();
            return self.send(message, statement.as_deref());
        }
        self.take_use(message, name)
    }

    fn take_describe(&mut self, message: Message) -> Result<(), Stop> {
        match Target::parse(body_of(&self.client, message)) {
            Ok(Target::Statement(name)) => {
                let name = Box::from(name);
                self.take_use(message, Some(name))
            }
            _ => self.send(message, None),
        }
    }

    /// Takes a message that uses a prepared statement.
    fn take_use(&mut self, message: Message, name: Option<Box<[u8]>>) -> Result<(), Stop> {
        let Some(name) = name else { return self.send(message, None) };
        if name.is_empty() {
            if let Some(shape) = self.statements.unnamed.shape.clone() {
                self.suspect(&shape);
            }
            self.bring_unnamed()?;
            return self.send(message, None);
        }
        // One that is not known may have been prepared with SQL.
        let Some(statement) = self.statements.get(&name).cloned() else {
            self.unit.may_write = true;
            return self.send(message, None);
        };
        self.suspect(&statement.shape);
        self.prepare_ahead(&statement)?;
        self.send(message, Some(&statement))
    }

    fn take_close(&mut self, message: Message) -> Result<(), Stop> {
        let name = match Target::parse(body_of(&self.client, message)) {
            Ok(Target::Statement(b"")) => {
                let before = take_unnamed(self.unit, self.statements);
                self.statements.unnamed.forget();
                self.connection.statements.unnamed = 0;
                let request = self.send_numbered(message, None)?;
                self.statements.undo.push(Undo::Unnamed { request, before });
                return Ok(());
            }
            Ok(Target::Statement(name)) => Box::from(name),
            _ => return self.send(message, None),
        };
        // Others may use it: only its client forgets it.
        let Some(statement) = self.statements.remove(&name) else {
            return self.send(message, None);
        };
        self.drop_message(message);
        let request = self.push(Request::GivenClose, Asker::Guard)?;
        self.statements.undo.push(Undo::Closed { request, name, statement });
        Ok(())
    }

    /// Counts one, for the client's database.
    pub(super) fn count(&mut self, count: Count) {
        if let Some(client) = &mut self.client {
            client.traffic.add(count, 1);
        }
    }

    /// What a statement may do to its session is suspected until the server is asked.
    fn suspect(&mut self, shape: &Shape) {
        self.unit.effects |= shape.effects;
        self.unit.may_write |= may_write(shape);
        self.connection.draws.run(shape);
        self.unit.suspicion = self.unit.suspicion.and(Suspicion::of(shape, self.pins));
    }

    pub(super) fn push(&mut self, request: Request, asker: Asker) -> Result<u64, Stop> {
        Ok(self.connection.tracker.push(request, asker).map_err(Lost::from)?)
    }

    /// Sends a message on, for a statement by its name on the server.
    fn send(&mut self, message: Message, statement: Option<&Statement>) -> Result<(), Stop> {
        self.send_numbered(message, statement).map(drop)
    }

    fn send_numbered(
        &mut self,
        message: Message,
        statement: Option<&Statement>,
    ) -> Result<u64, Stop> {
        let first = body_of(&self.client, message).first().copied();
        let number = match Request::of(message.kind, first) {
            Some(request) => self.push(request, Asker::Client)?,
            None => 0,
        };
        let Some(client) = &mut self.client else { return Ok(number) };
        let here = &client.inbuf[..message.here];
        let out = &mut self.connection.outbuf;
        let names = Names { statement: statement.map(|statement| &*statement.name), portal: None };
        let replaced = match statement {
            Some(_) => rename(out, here, names).map_err(ClientError::from)?.unwrap_or_default(),
            None => 0,
        };
        out.extend_from_slice(&here[replaced..]);
        client.inbuf.advance(message.here);
        self.unit.take(message.here);
        self.unit.passing = message.len - message.here;
        Ok(number)
    }

    fn drop_message(&mut self, message: Message) {
        if let Some(client) = &mut self.client {
            client.drop_message(message);
            self.unit.take(message.here);
        }
    }
}

/// The body of a message, as far as it is there.
fn body_of<'a>(client: &'a Option<&mut Client>, message: Message) -> &'a [u8] {
    let inbuf = client.as_deref().map(|client| &client.inbuf[..]).unwrap_or_default();
    inbuf.get(HEADER_LEN..message.here).unwrap_or_default()
}

/// Notes the names of parameters that are set and that the server does not list: those with a dot.
fn note_customs(unit: &mut Unit, shape: &Shape, sql: &[u8], dialect: Dialect, scratch: &Scratch) {
    if !shape.effects.contains(Effects::SETS_SESSION) {
        return;
    }
    match shape.subject(sql, scratch) {
        Some(name) if name.contains(&b'.') => {
            unit.customs.push(String::from_utf8_lossy(name).to_lowercase().into());
        }
        Some(_) => {}
        // Several statements, or what sets more than one.
        None => unit.customs.extend(customs_set(sql, dialect).into_iter().map(Box::from)),
    }
}

/// Takes out the client's unnamed statement, which is about to be replaced, for the case that an
/// error before skips that. Nothing can be before the first message of a series.
fn take_unnamed(unit: &Unit, statements: &mut ClientStatements) -> Option<Box<Unnamed>> {
    unit.has_begun.then(|| Box::new(std::mem::take(&mut statements.unnamed)))
}

/// Notes values that may be such a name: `set_config($1, $2, false)`.
fn note_bound_customs(unit: &mut Unit, body: &[u8]) {
    let Ok(bind) = Bind::parse(body) else { return };
    for value in bind.values.flatten().filter(|value| is_custom_name(value)) {
        unit.customs.push(String::from_utf8_lossy(value).to_lowercase().into());
    }
}

/// Whether it is an identifier, a dot, and another one.
/// (postgres:src/backend/utils/misc/guc.c `valid_custom_variable_name`)
fn is_custom_name(value: &[u8]) -> bool {
    let is_part = |part: &[u8]| {
        let mut bytes = part.iter().copied();
        let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80;
        bytes.next().is_some_and(is_start)
            && bytes.all(|byte| is_start(byte) || byte.is_ascii_digit() || byte == b'$')
    };
    value.len() < NAME_LEN_MAX && value.contains(&b'.') && value.split(|&b| b == b'.').all(is_part)
}

//! What the guard answers itself: BEGIN, the end of a transaction that the database knows nothing of,
//! and whatever concerns the client's side alone.
//!
//! In the extended protocol such a statement comes in pieces: its Parse, Bind, Describe and Execute
//! are each answered as the server would. As soon as something else comes, the rest of the series goes
//! to the server.

use std::sync::Arc;

use bytes::Buf;
use policy::sql::{Begin, Effects, Kind as StatementKind, Shape};
use wire::postgres::{
    backend::{Kind as Reply, Severity, put_bare, put_command_complete, put_parameter_description},
    frame::HEADER_LEN,
    frontend::{Bind, Execute, Kind, Target},
};

use super::{End, Series, Session, Transaction, dialect};
use crate::postgres::{
    client::Message,
    refuse::{self, Error},
};

/// A portal of a statement that the guard answers: the one without a name. Where something else of its series goes
/// to the server before it has run, it is bound there. That of a BEGIN is of the transaction that it begins, and
/// stays behind it.
#[derive(Debug)]
pub(super) struct Local {
    portal: Box<[u8]>,
    /// The statement, by its client's name.
    pub statement: Box<[u8]>,
    shape: Arc<Shape>,
    has_run: bool,
}

/// What a statement does that the guard can answer.
enum Act {
    Begin(&'static [u8]),
    Commit,
    Rollback,
    /// COMMIT or ROLLBACK where nothing is open.
    EndNothing(StatementKind),
}

impl Session {
    /// Carries out one message, which lies at the front of the client's buffer, and consumes it.
    pub(super) async fn obey(&mut self, message: Message) -> Result<(), End> {
        let shape = self.judge(message);
        if self.answer(message, shape.as_ref())? {
            return Ok(());
        }
        let is_of_series = message.kind != Kind::Query;
        self.local.take_if(|local| local.has_run || !is_of_series);
        let carried = self.unit(message, shape).await;
        self.local = None;
        carried
    }

    /// What the text of a message does, if it has one. The only time that it is read.
    fn judge(&mut self, message: Message) -> Option<Arc<Shape>> {
        let mut body = &self.client.inbuf[HEADER_LEN..message.here];
        let (statements, scratch) = (&self.shared.statements, &mut self.scratch);
        let dialect = dialect(&self.settings);
        match message.kind {
            Kind::Query => {
                // A long text need not be there to its end.
                let sql = body.strip_suffix(&[0]).unwrap_or(body);
                Some(statements.judge(sql, dialect, scratch))
            }
            Kind::Parse => {
                let sql = take_name(&mut body).and_then(|_| take_name(&mut body))?;
                // Many a client says the same again and again.
                if let Some((shape, read)) = self.statements.unnamed.judged(sql, dialect) {
                    scratch.clone_from(read);
                    return Some(Arc::clone(shape));
                }
                Some(statements.judge_template(sql, dialect, scratch))
            }
            _ => None,
        }
    }

    /// Answers a message that needs no server. Returns whether it did, and has consumed it.
    fn answer(&mut self, message: Message, shape: Option<&Arc<Shape>>) -> Result<bool, End> {
        match message.kind {
            Kind::Terminate => return Err(End::Quit),
            // A series that the server knows of is over once this is read: its Sync went there.
            Kind::Sync => {
                self.series = Series::Served;
                self.local.take_if(|local| !local.has_run);
                self.say_ready();
            }
            // What a COPY sent that is over.
            Kind::CopyData | Kind::CopyDone | Kind::CopyFail => {}
            _ if self.series == Series::Skipped => {}
            // What was answered so far goes out before the next wait for the client.
            Kind::Flush => {}
            Kind::Query => return Ok(shape.is_some_and(|shape| self.answer_query(message, shape))),
            Kind::Parse | Kind::Bind | Kind::Describe | Kind::Execute | Kind::Close
                if !self.is_in_transaction() =>
            {
                return Ok(self.answer_extended(message, shape));
            }
            _ => return Ok(false),
        }
        self.client.drop_message(message);
        Ok(true)
    }

    fn answer_query(&mut self, message: Message, shape: &Shape) -> bool {
        self.local = None;
        if shape.kind == StatementKind::Deallocate {
            return self.deallocate(shape, message);
        }
        match self.act_of(shape) {
            Some(Ok(act)) => self.act(act),
            Some(Err(error)) => error.put(self.client.out(), Severity::Error),
            None => return false,
        }
        // As on the server, whatever became of the query.
        self.statements.unnamed.forget();
        self.say_ready();
        self.client.drop_message(message);
        true
    }

    /// What the guard does about a statement: act, refuse it, or (`None`) leave it to the server.
    fn act_of(&mut self, shape: &Shape) -> Option<Result<Act, Error>> {
        let is_alone = !shape.effects.intersects(Effects::MULTI | Effects::CHAINS);
        match (&mut self.transaction, shape.kind) {
            (Transaction::Idle, kind @ (StatementKind::Commit | StatementKind::Rollback))
                if is_alone && self.series == Series::Unadmitted =>
            {
                Some(Ok(Act::EndNothing(kind)))
            }
            (Transaction::Idle, _) if self.lease.is_none() => {
                // The server answers in the client's words. An empty statement may stand before them.
                let is_start = shape.text.trim_start_matches([';', ' ']).starts_with("START");
                let begin = match shape.begin? {
                    Begin::Plain if is_start => b"START TRANSACTION".as_slice(),
                    Begin::Plain => b"BEGIN",
                    Begin::ReadOnly if is_start => b"START TRANSACTION READ ONLY",
                    Begin::ReadOnly => b"BEGIN READ ONLY",
                    Begin::ReadWrite => b"BEGIN READ WRITE",
                    // The server has to read them before anything runs under them.
                    Begin::Modes => return None,
                };
                Some(Ok(Act::Begin(begin)))
            }
            (Transaction::Begun(_), StatementKind::Commit) if is_alone => Some(Ok(Act::Commit)),
            (Transaction::Begun(_), StatementKind::Rollback) if is_alone => Some(Ok(Act::Rollback)),
            (Transaction::Failed { .. }, StatementKind::Commit | StatementKind::Rollback)
                if is_alone =>
            {
                Some(Ok(Act::Rollback))
            }
            (Transaction::Failed { why }, _) => {
                Some(Err(why.take().unwrap_or_else(refuse::in_failed_transaction)))
            }
            _ => None,
        }
    }

    fn act(&mut self, act: Act) {
        let (transaction, tag) = match act {
            Act::Begin(sql) if sql.starts_with(b"START") => {
                (Transaction::Begun(sql), &b"START TRANSACTION"[..])
            }
            Act::Begin(sql) => (Transaction::Begun(sql), &b"BEGIN"[..]),
            Act::Commit => (Transaction::Idle, &b"COMMIT"[..]),
            Act::Rollback => (Transaction::Idle, &b"ROLLBACK"[..]),
            Act::EndNothing(kind) => return self.say_nothing_ended(kind),
        };
        self.transaction = transaction;
        put_command_complete(self.client.out(), tag);
    }

    /// Forgets a statement that was prepared with Parse: the server knows it by another name.
    fn deallocate(&mut self, shape: &Shape, message: Message) -> bool {
        let body = &self.client.inbuf[HEADER_LEN..message.here];
        let is_alone = !shape.effects.contains(Effects::MULTI);
        let has_failed = matches!(self.transaction, Transaction::Failed { .. })
            || self.told_status() == wire::postgres::backend::TransactionStatus::Failed;
        let Some(name) = shape.subject(body, &self.scratch).filter(|_| is_alone && !has_failed)
        else {
            return false;
        };
        if self.statements.remove(name).is_none() {
            return false;
        }
        self.statements.unnamed.forget();
        put_command_complete(self.client.out(), b"DEALLOCATE");
        self.say_ready();
        self.client.drop_message(message);
        true
    }

    fn answer_extended(&mut self, message: Message, shape: Option<&Arc<Shape>>) -> bool {
        // From the first message that the server has seen on, all of a series is its.
        if self.lease.is_some() && self.series != Series::Unadmitted {
            return false;
        }
        // Taken out, so that the session can be changed by what it says.
        let inbuf = std::mem::take(&mut self.client.inbuf);
        let body = &inbuf[HEADER_LEN..message.here];
        let is_answered = match (message.kind, shape) {
            (Kind::Parse, Some(shape)) => self.answer_parse(body, shape),
            (Kind::Bind, _) => self.answer_bind(body),
            (Kind::Describe, _) => self.answer_describe(body),
            (Kind::Execute, _) => self.answer_execute(body),
            (Kind::Close, _) => self.answer_close(body),
            _ => false,
        };
        self.client.inbuf = inbuf;
        if is_answered {
            self.client.drop_message(message);
        }
        is_answered
    }

    fn answer_parse(&mut self, mut body: &[u8], shape: &Arc<Shape>) -> bool {
        let Some(name) = take_name(&mut body) else { return false };
        match self.act_of(shape) {
            // Only its Execute acts; what it would be refused for now, it is.
            Some(Ok(_)) if self.statements.get(name).is_none() => {
                self.keep_statement(name, body, shape);
                put_bare(self.client.out(), Reply::ParseComplete);
                true
            }
            Some(Err(error)) => self.fail(&error),
            _ => false,
        }
    }

    /// Keeps a statement that the server has not been told of; it is, when it has to know.
    fn keep_statement(&mut self, name: &[u8], rest: &[u8], shape: &Arc<Shape>) {
        if name.is_empty() {
            let serial = self.shared.engine.statements.next_serial();
            let judged = (Arc::clone(shape), &self.scratch, dialect(&self.settings));
            self.statements.unnamed.set(rest, judged, serial);
        } else {
            let statement = self.shared.engine.statements.intern(rest, shape, &self.scratch);
            self.statements.insert(name, statement);
        }
    }

    fn answer_bind(&mut self, body: &[u8]) -> bool {
        let Ok(bind) = Bind::parse(body) else { return false };
        let Some(shape) = self.statements.shape(bind.statement).cloned() else {
            return self.refuse_if_failed();
        };
        // It has no parameters and no columns: the server will say so.
        let has_more =
            bind.values.len() > 0 || bind.formats.len().max(bind.result_formats.len()) > 1;
        // One that may be there already, and stays to the end of its transaction.
        let has_name = !bind.portal.is_empty();
        let is_only_here = matches!(self.transaction, Transaction::Failed { .. });
        match self.act_of(&shape) {
            Some(Ok(_)) if has_more || (has_name && !is_only_here) => false,
            Some(Ok(_)) => {
                let (portal, statement) = (bind.portal.into(), bind.statement.into());
                self.local = Some(Local { portal, statement, shape, has_run: false });
                put_bare(self.client.out(), Reply::BindComplete);
                true
            }
            Some(Err(error)) => self.fail(&error),
            None => false,
        }
    }

    fn answer_describe(&mut self, body: &[u8]) -> bool {
        let is_local = match Target::parse(body) {
            Ok(Target::Portal(name)) => self.is_local(name),
            Ok(Target::Statement(name)) => {
                let shape = self.statements.shape(name).cloned();
                shape.is_some_and(|shape| matches!(self.act_of(&shape), Some(Ok(_))))
            }
            Err(_) => false,
        };
        if !is_local {
            return self.refuse_if_failed();
        }
        if body.first() == Some(&b'S') {
            put_parameter_description(self.client.out(), &[]);
        }
        put_bare(self.client.out(), Reply::NoData);
        true
    }

    fn answer_execute(&mut self, body: &[u8]) -> bool {
        let is_local = Execute::parse(body).is_ok_and(|execute| self.is_local(execute.portal));
        let Some(mut local) = self.local.take_if(|_| is_local) else {
            return self.refuse_if_failed();
        };
        if local.has_run {
            self.transaction = Transaction::Failed { why: None };
            return self.fail(&refuse::portal_has_run());
        }
        match self.act_of(&local.shape) {
            Some(Ok(act)) => {
                local.has_run = true;
                self.local = Some(local).filter(|_| matches!(act, Act::Begin(_)));
                self.act(act);
                true
            }
            Some(Err(error)) => self.fail(&error),
            // The transaction is another one since: a portal does not outlive its own.
            None => self.fail(&refuse::no_portal()),
        }
    }

    /// Forgetting a statement or a portal concerns the server only while it has a transaction.
    fn answer_close(&mut self, body: &[u8]) -> bool {
        match Target::parse(body) {
            Ok(Target::Statement(name)) if !name.is_empty() => {
                // One that was prepared with SQL is closed the same way.
                if self.statements.remove(name).is_none() && !self.pins.is_empty() {
                    return false;
                }
            }
            Ok(Target::Statement(_)) => self.statements.unnamed.forget(),
            Ok(Target::Portal(name)) if self.pins.is_empty() => {
                self.local.take_if(|local| *local.portal == *name);
            }
            _ => return false,
        }
        put_bare(self.client.out(), Reply::CloseComplete);
        true
    }

    fn is_local(&self, portal: &[u8]) -> bool {
        self.local.as_ref().is_some_and(|local| *local.portal == *portal)
    }

    fn refuse_if_failed(&mut self) -> bool {
        let Transaction::Failed { why } = &mut self.transaction else { return false };
        let error = why.take().unwrap_or_else(refuse::in_failed_transaction);
        self.fail(&error)
    }

    /// Answers a message of the extended protocol with an error: all up to the next Sync is dropped.
    fn fail(&mut self, error: &Error) -> bool {
        error.put(self.client.out(), Severity::Error);
        self.series = Series::Skipped;
        self.local = None;
        true
    }

    /// Refuses the unit that begins with `message`. A transaction that it is in has failed.
    pub(super) fn decline(&mut self, message: Message, error: &Error) {
        if matches!(self.transaction, Transaction::Begun(_)) {
            self.transaction = Transaction::Failed { why: None };
        }
        if matches!(message.kind, Kind::Query | Kind::FunctionCall) {
            error.put(self.client.out(), Severity::Error);
            self.say_ready();
        } else {
            self.fail(error);
        }
        self.client.drop_message(message);
    }
}

/// Takes a NUL-terminated string off the front.
pub(super) fn take_name<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = body.iter().position(|&byte| byte == 0)?;
    let name = &body[..end];
    body.advance(end + 1);
    Some(name)
}

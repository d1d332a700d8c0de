//! Which command goes where.
//!
//! Every command of the protocol is answered here, sent down the path of a statement, or refused.
//! What is answered here concerns the session alone and holds nothing on the database.

use std::sync::Arc;

use policy::{
    admission::About,
    class::{ClassId, Mode},
    refusal::Refusal,
    rule::Facts,
    sql::{Dialect, Dynamic, Effects, Kind, Scratch, Shape},
};
use wire::mysql::{
    Capabilities,
    command::{self, Command, SetOption, StmtExecute},
    frame::HEADER_LEN,
    response::{EOF, Status, put_eof},
};

use super::{
    End, Session,
    client::First,
    is_silent,
    pins::Pin,
    refuse,
    settings::Settings,
    task::{Carried, Execution, Task},
    view::View,
};
use crate::mysql::{chosen::is_forgotten_by_reset, texts::Text};

/// Where the values of an execution begin: behind the command and the statement's id.
const EXECUTE_VALUES: usize = 5;

impl Session {
    /// Carries out one command, whose first packet lies whole at the front of the client's buffer,
    /// and consumes it.
    pub(super) async fn obey(&mut self, first: First) -> Result<(), End> {
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let byte = payload.first().copied().unwrap_or_default();
        let Ok(command) = Command::try_from(byte) else {
            return self.decline(first, refuse::unknown_command(byte)).await;
        };
        match command {
            Command::Quit => Err(End::Quit),
            Command::Ping => {
                self.client.consume(first.packet);
                let warnings = self.look_back.warnings_to_tell();
                self.look_back.answered.command(command);
                self.say_ok_with(warnings);
                Ok(())
            }
            Command::Query => self.query(first).await,
            Command::StmtPrepare => self.prepare(first).await,
            // What MariaDB alone has, MySQL does not know.
            Command::StmtBulkExecute if !self.mariadb => {
                self.decline(first, refuse::unknown_option()).await
            }
            Command::StmtExecute | Command::StmtBulkExecute => self.execute(first, command).await,
            Command::StmtFetch | Command::StmtReset | Command::StmtSendLongData => {
                self.follow_up(first, command).await
            }
            Command::StmtClose => self.close_statement(first).await,
            Command::ResetConnection => self.reset(first).await,
            // Boxed: as large as a login, and rare.
            Command::ChangeUser => Box::pin(self.change_user(first)).await,
            Command::SetOption => self.set_option(first),
            Command::ProcessKill => self.process_kill(first).await,
            Command::InitDb
            | Command::FieldList
            | Command::CreateDb
            | Command::DropDb
            | Command::Refresh
            | Command::Statistics
            | Command::ProcessInfo
            | Command::Debug => {
                let kind = if command == Command::InitDb { Kind::Use } else { Kind::Admin };
                self.statement(Task::plain(command, first, plain_shape(kind))).await
            }
            _ => self.decline(first, refuse::unknown_command(byte)).await,
        }
    }

    /// Refuses a command, whose further packets are read and dropped.
    pub(super) async fn decline(&mut self, first: First, error: refuse::Error) -> Result<(), End> {
        self.skip(first).await?;
        self.say_error(error);
        Ok(())
    }

    /// Drops a command with all its packets.
    pub(super) async fn skip(&mut self, first: First) -> Result<(), End> {
        let mut part = first;
        let mut seq = 0_u8;
        loop {
            self.client.consume(part.packet);
            if !part.continues {
                return Ok(());
            }
            seq = seq.wrapping_add(1);
            part = self.client.next_part(seq).await?;
        }
    }

    async fn query(&mut self, first: First) -> Result<(), End> {
        let dialect = self.dialect();
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let text = match command::query_text(payload, self.client.capabilities) {
            Ok(text) => text,
            Err(malformed) => return self.decline(first, refuse::malformed(malformed)).await,
        };
        let shape = self.shared.statements.judge(text.sql, dialect, &mut self.scratch);
        if shape.kind == Kind::Kill
            && let Some((id, is_query)) = kill_target(text.sql)
            && let Some(card) = self.shared.sessions.find(id)
        {
            self.client.consume(first.packet);
            self.kill(&card, is_query);
            return Ok(());
        }
        let attributes: Vec<_> = text.attributes.collect();
        let read = Read { sql: text.sql, shape: &shape, scratch: &self.scratch };
        let (class, about, switch) = self.judge(read, &attributes, &[]);
        let subject = subject_of(&shape, text.sql, &self.scratch);
        self.entry.card.set_row(self.row_of_text(&shape, text.sql));
        self.entry.card.set_statement(shape.digest);
        let carried = self.carried(&shape, text.sql, dialect);
        let plain = Task::plain(Command::Query, first, shape);
        let task = Task { class, about, switch, subject, carried, ..plain };
        self.statement(task).await
    }

    /// What SQL does that a statement carries as a value.
    fn carried(&self, shape: &Shape, sql: &[u8], dialect: Dialect) -> Carried {
        if !shape.effects.contains(Effects::DYNAMIC) {
            return Carried::Nothing;
        }
        match shape.dynamic(sql, &self.scratch) {
            Dynamic::Nothing => Carried::Nothing,
            Dynamic::Hidden => Carried::Hidden,
            Dynamic::Text(inner) => {
                let statements = &self.shared.statements;
                Carried::Text(statements.judge(inner, dialect, &mut Scratch::default()))
            }
        }
    }

    async fn prepare(&mut self, first: First) -> Result<(), End> {
        let max = self.shared.options.statements_per_client;
        if self.statements.is_full(max) {
            return self.decline(first, refuse::too_many_statements(max)).await;
        }
        let dialect = self.dialect();
        let sql = &self.client.inbuf[HEADER_LEN + 1..first.packet];
        let shape = self.shared.statements.judge_template(sql, dialect, &mut self.scratch);
        let text = self.shared.engine.texts.intern(sql, dialect, shape, &self.scratch);
        let (class, about, switch) = self.judge(Read::from(&*text), &[], &[]);
        // What a statement does to its session happens when it is executed.
        let task = Task {
            class,
            about,
            switch,
            execution: Execution::Prepare { text },
            ..Task::plain(Command::StmtPrepare, first, plain_shape(Kind::Select))
        };
        self.statement(task).await
    }

    async fn execute(&mut self, first: First, command: Command) -> Result<(), End> {
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let id = match command::statement_id(payload) {
            Ok(id) => self.resolve(id),
            Err(malformed) => return self.decline(first, refuse::malformed(malformed)).await,
        };
        let Some(statement) = self.statements.find(id) else {
            let error = self.unknown_statement(id, "mysqld_stmt_execute");
            return self.decline(first, error).await;
        };
        let (text, params) = (Arc::clone(&statement.text), statement.params);
        // That of one that cannot be read, for the server to refuse, has none either.
        let execute = (command == Command::StmtExecute)
            .then(|| StmtExecute::parse(payload, params, self.client.capabilities).ok())
            .flatten();
        let opens_cursor = execute.as_ref().is_some_and(StmtExecute::opens_cursor);
        let attributes: Vec<_> =
            execute.iter().flat_map(|execute| execute.attributes(params)).collect();
        let values = payload.get(EXECUTE_VALUES..).unwrap_or_default();
        let (class, about, switch) = self.judge(Read::from(&*text), &attributes, values);
        let row = self.row_of_execution(first, command, id);
        self.entry.card.set_row(row);
        self.entry.card.set_statement(text.shape.digest);
        let plain = Task::plain(command, first, Arc::clone(&text.shape));
        let task = Task {
            class,
            about,
            switch,
            execution: Execution::Prepared { id, text, opens_cursor },
            ..plain
        };
        self.statement(task).await
    }

    /// `FETCH`, `RESET` and `SEND_LONG_DATA` belong to the connection where the statement is.
    async fn follow_up(&mut self, first: First, command: Command) -> Result<(), End> {
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let id = match command::statement_id(payload) {
            Ok(id) => self.resolve(id),
            Err(malformed) => return self.decline(first, refuse::malformed(malformed)).await,
        };
        let Some(statement) = self.statements.find(id) else {
            if is_silent(command) {
                return self.skip(first).await;
            }
            let name = if command == Command::StmtReset {
                "mysqld_stmt_reset"
            } else {
                "mysqld_stmt_fetch"
            };
            let error = self.unknown_statement(id, name);
            return self.decline(first, error).await;
        };
        let name = id.to_le_bytes();
        let has_cursor = self.pins.may_have(Pin::Cursor, &name);
        if command == Command::StmtFetch && !has_cursor {
            return self.decline(first, refuse::no_open_cursor(id, self.mariadb)).await;
        }
        if command == Command::StmtReset && !has_cursor && !self.pins.may_have(Pin::LongData, &name)
        {
            self.client.consume(first.packet);
            self.look_back.reset_statement();
            self.say_ok();
            return Ok(());
        }
        let text = Arc::clone(&statement.text);
        let (class, about, _) = self.judge(Read::from(&*text), &[], &[]);
        let execution = Execution::Prepared { id, text, opens_cursor: false };
        let task = Task {
            class,
            about,
            execution,
            ..Task::plain(command, first, plain_shape(Kind::Select))
        };
        self.statement(task).await
    }

    /// The statement that a client means; "the last prepared" is known to MariaDB's alone.
    fn resolve(&self, id: u32) -> u32 {
        if self.mariadb { self.statements.resolve(id) } else { id }
    }

    /// The error about a statement that does not exist. MySQL names one place for all commands.
    fn unknown_statement(&self, id: u32, mariadb_name: &str) -> refuse::Error {
        let name = if self.mariadb { mariadb_name } else { "mysql_stmt_precheck" };
        refuse::unknown_statement(id, name)
    }

    /// Forgets a statement. The server's stays on its connection for whoever prepares the same.
    async fn close_statement(&mut self, first: First) -> Result<(), End> {
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let id = command::statement_id(payload).map(|id| self.resolve(id));
        let closed = id.as_ref().ok().and_then(|id| self.statements.remove(*id));
        self.client.consume(first.packet);
        if let (Ok(id), Some(_), Some(lease)) = (id, closed, &mut self.lease) {
            // Its cursor or its long data end with it on the server.
            if let Some(server) = lease.statements.remove_held(id) {
                command::put_stmt_close(&mut lease.outbuf, server);
                if lease.flush().await.is_err() {
                    return Err(End::UpstreamLost);
                }
            }
            if !self.pins.has(Pin::Cursor) && !self.pins.has(Pin::LongData) {
                return Ok(());
            }
            let name = id.to_le_bytes();
            self.pins.remove_named(Pin::Cursor, Some(&name));
            self.pins.remove_named(Pin::LongData, Some(&name));
            let has_begun = matches!(self.transaction, super::state::Transaction::Begun(_));
            if !self.is_in_transaction() && !has_begun {
                self.release().await;
            }
        }
        Ok(())
    }

    /// `COM_RESET_CONNECTION`: everything is as it was at login, but for the schema and the option
    /// of `COM_SET_OPTION`.
    async fn reset(&mut self, first: First) -> Result<(), End> {
        self.client.consume(first.packet);
        self.forget_state().await;
        Arc::make_mut(&mut self.settings).is_reset =
            is_forgotten_by_reset(self.mariadb, self.client.capabilities);
        self.say_ok();
        Ok(())
    }

    /// Ends what the session holds and forgets what it changed; its schema stays.
    pub(super) async fn forget_state(&mut self) {
        self.leave_slot();
        if self.lease.is_some() {
            self.clean_up().await;
        }
        self.pins.clear();
        if self.shared.options.session_pooling {
            self.pins.add(Pin::Session);
        }
        let mut settings = Settings::clone(&self.initial);
        settings.schema.clone_from(&self.settings.schema);
        settings.multi_statements = self.settings.multi_statements;
        self.settings = Arc::new(settings);
        self.transaction = super::state::Transaction::Idle;
        self.statements.clear();
        self.look_back.clear();
        self.owed.clear();
        self.collation = None;
        self.resets = self.resets.wrapping_add(1);
        self.status = Status::AUTOCOMMIT;
        self.view = View::new(self.client.capabilities);
        self.pinned = None;
        self.entry.card.show_pins(&self.pins, self.now, None);
    }

    fn set_option(&mut self, first: First) -> Result<(), End> {
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let option = SetOption::parse(payload);
        self.client.consume(first.packet);
        match option {
            Ok(option) => {
                let is_on = option == SetOption::MultiStatementsOn;
                Arc::make_mut(&mut self.settings).multi_statements = is_on;
                self.look_back.answered.command(Command::SetOption);
                self.say_eof();
            }
            // As servers do.
            Err(_) => self.say_error(refuse::unknown_option()),
        }
        Ok(())
    }

    /// The ids that the guard gave are its own to end; those that `CONNECTION_ID()` and the process
    /// list show are the server's.
    async fn process_kill(&mut self, first: First) -> Result<(), End> {
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let id = payload.get(1..5).and_then(|id| id.try_into().ok()).map(u32::from_le_bytes);
        let card = id.and_then(|id| self.shared.sessions.find(id));
        let Some(card) = card else {
            let task = Task::plain(Command::ProcessKill, first, plain_shape(Kind::Kill));
            return self.statement(task).await;
        };
        self.client.consume(first.packet);
        self.kill(&card, false);
        Ok(())
    }

    /// Answers with an EOF of the guard's own, or the OK that stands for it.
    fn say_eof(&mut self) {
        let warnings = self.look_back.warnings_to_tell();
        if self.client.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            return self.say_ok_as(EOF, warnings);
        }
        let (status, capabilities) = (self.status_to_tell(), self.client.capabilities);
        put_eof(self.client.out(), 1, capabilities, status, warnings);
    }

    /// Kills another session of the same account, or this one.
    fn kill(&mut self, card: &super::registry::Card, is_query: bool) {
        if card.user != self.user {
            self.say_error(refuse::no_such_thread(card.id));
        } else if is_query {
            card.kill_query();
            self.say_ok();
        } else {
            card.kill_connection();
            self.say_ok();
        }
    }

    /// Of a statement its class, its work with these `values`, and the switch that turns it off.
    fn judge(
        &self,
        text: Read<'_>,
        attributes: &[(&[u8], &[u8])],
        values: &[u8],
    ) -> (ClassId, About, Option<Box<(Mode, Refusal)>>) {
        let policy = &self.orders.policy;
        let facts = Facts {
            shape: text.shape,
            sql: text.sql,
            scratch: text.scratch,
            attributes,
            user: &self.user,
            database: self.database(),
            client: self.entry.card.peer.ip(),
        };
        let (class, _) = policy.classify(&facts);
        let about = self.shared.about(self.now, policy, &facts, values);
        (class, about, self.orders.switched_off(self.now, &facts, class))
    }

    /// The session's schema as rules read it; "" when none is selected or it is not UTF-8.
    pub(super) fn database(&self) -> &str {
        let schema = self.settings.schema.as_deref().unwrap_or_default();
        std::str::from_utf8(schema).unwrap_or_default()
    }
}

/// A text, and what reading it told.
#[derive(Clone, Copy)]
struct Read<'a> {
    sql: &'a [u8],
    shape: &'a Shape,
    scratch: &'a Scratch,
}

impl<'a> From<&'a Text> for Read<'a> {
    fn from(text: &'a Text) -> Self {
        Self { sql: &text.sql, shape: &text.shape, scratch: &text.scratch }
    }
}

/// The literal name a statement is about, kept only where pins need it.
fn subject_of(shape: &Shape, sql: &[u8], scratch: &Scratch) -> Option<Box<[u8]>> {
    let named = Effects::CREATES_TEMPORARY
        | Effects::DROPS_TEMPORARY
        | Effects::GET_LOCK
        | Effects::RELEASE_LOCK;
    let has_name = shape.effects.intersects(named)
        || matches!(shape.kind, Kind::Prepare | Kind::Deallocate | Kind::Handler);
    if has_name { shape.subject(sql, scratch).map(Into::into) } else { None }
}

/// `KILL [CONNECTION | QUERY] id`: the id, and whether only the statement is meant.
fn kill_target(sql: &[u8]) -> Option<(u32, bool)> {
    let text = std::str::from_utf8(sql).ok()?;
    let mut words = text.trim_matches(|c: char| c.is_whitespace() || c == ';').split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("kill"))?;
    let word = words.next()?;
    let (is_query, id) = match word {
        _ if word.eq_ignore_ascii_case("query") => (true, words.next()?),
        _ if word.eq_ignore_ascii_case("connection") => (false, words.next()?),
        id => (false, id),
    };
    let id = id.parse().ok()?;
    words.next().is_none().then_some((id, is_query))
}

/// The shape of a command that is not SQL.
fn plain_shape(kind: Kind) -> Arc<Shape> {
    Arc::new(Shape::of_command(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kill_is_understood_in_its_forms() {
        assert_eq!(kill_target(b"KILL 7"), Some((7, false)));
        assert_eq!(kill_target(b"kill query 7;"), Some((7, true)));
        assert_eq!(kill_target(b" Kill CONNECTION  7 "), Some((7, false)));
        assert_eq!(kill_target(b"KILL SOFT QUERY ID 7"), None);
        assert_eq!(kill_target(b"KILL USER bob"), None);
    }
}

//! One client of the console: the simple protocol, and so much of the extended one that drivers
//! work. Statements have no parameters.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;
use tracing::{debug, info};
use wire::postgres::backend::{
    Kind as Reply, Notice, Severity, TransactionStatus, put_bare, put_command_complete, put_error,
    put_notice, put_parameter_description, put_ready_for_query,
};
use wire::postgres::frame::HEADER_LEN;
use wire::postgres::frontend::{Bind, Execute, Kind, ParseMessage, Target, query_text};
use wire::postgres::list::Format;

use super::command::{self, Command};
use super::table::{Row, put_columns, put_row};
use super::{Guest, Refused, show};
use crate::metrics::Disconnect;
use crate::postgres::client::{Client, ClientError, Message};
use crate::postgres::login::Login;
use crate::postgres::traffic::Own;
use crate::postgres::{Door, Shared};
use crate::session::registry::Entry;

/// Statements, and portals, that one client may have.
const NAMES_MAX: usize = 64;

/// How long a client may take to hear the last word.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A client of the console.
pub(super) struct Talk {
    shared: Arc<Shared>,
    door: Arc<Door>,
    entry: Entry,
    client: Client,
    guest: Guest,
    statements: HashMap<Box<[u8]>, Option<Command>>,
    portals: HashMap<Box<[u8]>, Portal>,
    /// Whether an error was told, so that all up to the next Sync is dropped.
    is_skipping: bool,
}

/// A statement that is bound.
struct Portal {
    command: Option<Command>,
    /// One for each column; one for all; or none, which is text.
    formats: Vec<Format>,
    /// What is left to be fetched, once it was executed.
    rows: Option<VecDeque<Row>>,
}

/// Why it is over.
enum End {
    Quit,
    Client(ClientError),
    Idle,
    /// By an operator, or as the guard shuts down.
    Ended(Disconnect),
}

impl<E: Into<ClientError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Client(error.into())
    }
}

impl Talk {
    pub(super) fn new(
        shared: Arc<Shared>,
        door: Arc<Door>,
        (entry, traffic): (Entry, Own),
        login: Login,
        guest: Guest,
    ) -> Self {
        let most = shared.options.max_packet;
        let client = Client::new(login.stream, login.leftover, most, traffic);
        Self {
            shared,
            door,
            entry,
            client,
            guest,
            statements: HashMap::new(),
            portals: HashMap::new(),
            is_skipping: false,
        }
    }

    /// Serves it until either side ends it. Not cancel-safe: it runs in a task of its own.
    pub(super) async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let (cause, code, why) = match &end {
            End::Quit => (Disconnect::Quit, None, String::new()),
            End::Client(error @ (ClientError::Malformed(_) | ClientError::TooLarge { .. })) => {
                (Disconnect::Malformed, Some(*b"08P01"), error.to_string())
            }
            End::Client(_) => (Disconnect::Gone, None, String::new()),
            End::Idle => (Disconnect::IdleTimeout, Some(*b"57P05"), "idle for too long".to_owned()),
            End::Ended(cause) => (
                *cause,
                Some(*b"57P01"),
                "terminating connection due to administrator command".to_owned(),
            ),
        };
        debug!(session = self.entry.card.id, ?cause, "a client of the console left");
        self.shared.metrics.clients.disconnects.of(cause).increment(1);
        if let Some(code) = code {
            let refused = Refused { code, why, hint: None };
            put_refused(self.client.out(), Severity::Fatal, &refused);
            // A client that does not listen any more misses it.
            let _missed = timeout(LAST_WORD, self.client.flush()).await;
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let message = self.listen().await?;
            if message.here < message.len {
                let why = "a command of the console is not that long";
                self.fail(&Refused { code: *b"54000", why: why.into(), hint: None });
                if message.kind == Kind::Query {
                    self.ready();
                }
            } else {
                let body = self.client.inbuf[HEADER_LEN..message.len].to_vec();
                self.obey(message.kind, &body).await?;
            }
            self.client.drop_message(message);
        }
    }

    /// Waits for the next message, after what was said so far is on its way.
    async fn listen(&mut self) -> Result<Message, End> {
        if let Some(message) = self.client.peek()? {
            return Ok(message);
        }
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        timeout(self.door.write_timeout, self.client.flush()).await.map_err(|_| late())??;
        loop {
            if self.entry.card.is_ended() {
                return Err(End::Ended(Disconnect::Killed));
            }
            if self.shared.is_draining() {
                return Err(End::Ended(Disconnect::Drain));
            }
            tokio::select! {
                message = self.client.next() => return Ok(message?),
                () = self.entry.card.interrupt.wait() => {}
                () = tokio::time::sleep(self.door.idle_timeout) => return Err(End::Idle),
            }
        }
    }

    async fn obey(&mut self, kind: Kind, body: &[u8]) -> Result<(), End> {
        match kind {
            Kind::Terminate => return Err(End::Quit),
            Kind::Sync => {
                self.is_skipping = false;
                self.portals.clear();
                self.ready();
            }
            Kind::Query => {
                let text = query_text(body).map_err(ClientError::from)?;
                self.query(text).await;
                self.ready();
            }
            // What was said goes out before the next wait anyway.
            Kind::Flush => {}
            _ if self.is_skipping => {}
            _ => {
                if let Err(refused) = self.extended(kind, body).await? {
                    self.fail(&refused);
                    self.is_skipping = true;
                }
            }
        }
        Ok(())
    }

    /// Carries out what one Query holds, up to the first that fails.
    async fn query(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let mut is_empty = true;
        for part in text.split(';') {
            let done = match Command::parse(part) {
                Ok(None) => continue,
                Ok(Some(command)) => {
                    self.carry_out(command.clone()).await.map(|rows| (command, rows))
                }
                Err(refused) => Err(refused),
            };
            is_empty = false;
            let (command, rows) = match done {
                Ok(done) => done,
                Err(refused) => return self.fail(&refused),
            };
            let out = self.client.out();
            if let Some(columns) = command.columns() {
                put_columns(out, columns, |_| Format::Text);
                rows.iter().for_each(|row| put_row(out, row, |_| Format::Text));
            }
            put_command_complete(out, command.tag());
        }
        if is_empty {
            put_bare(self.client.out(), Reply::EmptyQueryResponse);
        }
    }

    /// One message of the extended protocol. The outer error ends the session.
    async fn extended(&mut self, kind: Kind, body: &[u8]) -> Result<Result<(), Refused>, End> {
        match kind {
            Kind::Parse => {
                let parse = ParseMessage::parse(body).map_err(ClientError::from)?;
                Ok(self.prepare(&parse))
            }
            Kind::Bind => {
                let bind = Bind::parse(body).map_err(ClientError::from)?;
                Ok(self.bind(&bind))
            }
            Kind::Describe => {
                let target = Target::parse(body).map_err(ClientError::from)?;
                Ok(self.describe(target))
            }
            Kind::Execute => {
                let execute = Execute::parse(body).map_err(ClientError::from)?;
                Ok(self.execute(&execute).await)
            }
            Kind::Close => {
                match Target::parse(body).map_err(ClientError::from)? {
                    Target::Statement(name) => drop(self.statements.remove(name)),
                    Target::Portal(name) => drop(self.portals.remove(name)),
                }
                put_bare(self.client.out(), Reply::CloseComplete);
                Ok(Ok(()))
            }
            _ => Ok(Err(refused(*b"0A000", "the console does not take this message"))),
        }
    }

    fn prepare(&mut self, parse: &ParseMessage<'_>) -> Result<(), Refused> {
        let text = String::from_utf8_lossy(parse.sql);
        let text = text.trim().trim_end_matches(';');
        let command = Command::parse(text)?;
        if self.statements.len() >= NAMES_MAX && !self.statements.contains_key(parse.name) {
            return Err(refused(*b"53400", "too many prepared statements for the console"));
        }
        self.statements.insert(parse.name.into(), command);
        put_bare(self.client.out(), Reply::ParseComplete);
        Ok(())
    }

    fn bind(&mut self, bind: &Bind<'_>) -> Result<(), Refused> {
        let Some(command) = self.statements.get(bind.statement).cloned() else {
            return Err(refused(*b"26000", "prepared statement does not exist"));
        };
        if bind.values.len() > 0 {
            return Err(refused(*b"08P01", "commands of the console take no parameters"));
        }
        if self.portals.len() >= NAMES_MAX && !self.portals.contains_key(bind.portal) {
            return Err(refused(*b"53400", "too many portals for the console"));
        }
        let columns = command.as_ref().and_then(Command::columns).map_or(0, <[_]>::len);
        let formats =
            (0..columns).map(|index| bind.result_formats.of(index).unwrap_or(Format::Text));
        let portal = Portal { command, formats: formats.collect(), rows: None };
        self.portals.insert(bind.portal.into(), portal);
        put_bare(self.client.out(), Reply::BindComplete);
        Ok(())
    }

    fn describe(&mut self, target: Target<'_>) -> Result<(), Refused> {
        let text: &[Format] = &[];
        let (command, formats) = match target {
            Target::Statement(name) => {
                let found = self.statements.get(name);
                let found = found.ok_or_else(|| refused(*b"26000", "no such statement"))?;
                put_parameter_description(self.client.out(), &[]);
                (found.as_ref(), text)
            }
            Target::Portal(name) => {
                let found = self.portals.get(name);
                let found = found.ok_or_else(|| refused(*b"34000", "no such portal"))?;
                (found.command.as_ref(), &*found.formats)
            }
        };
        match command.and_then(Command::columns) {
            Some(columns) => put_columns(self.client.out(), columns, of(formats)),
            None => put_bare(self.client.out(), Reply::NoData),
        }
        Ok(())
    }

    async fn execute(&mut self, execute: &Execute<'_>) -> Result<(), Refused> {
        let no_portal = || refused(*b"34000", "no such portal");
        let mut portal = self.portals.remove(execute.portal).ok_or_else(no_portal)?;
        let Some(command) = portal.command.clone() else {
            put_bare(self.client.out(), Reply::EmptyQueryResponse);
            return Ok(());
        };
        let mut rows = match portal.rows.take() {
            Some(rows) => rows,
            None => self.carry_out(command.clone()).await?.into(),
        };
        let most = usize::try_from(execute.rows_max).ok().filter(|most| *most > 0);
        let count = most.unwrap_or(rows.len()).min(rows.len());
        let out = self.client.out();
        rows.drain(..count).for_each(|row| put_row(out, &row, of(&portal.formats)));
        if rows.is_empty() {
            put_command_complete(out, command.tag());
        } else {
            put_bare(out, Reply::PortalSuspended);
        }
        portal.rows = Some(rows);
        self.portals.insert(execute.portal.into(), portal);
        Ok(())
    }

    /// Carries out a command. Returns its rows; other results are told as notices.
    async fn carry_out(&mut self, command: Command) -> Result<Vec<Row>, Refused> {
        match command {
            Command::Show(topic) => Ok(show::rows(topic, &self.shared, &*self.guest.operations)),
            Command::Help => {
                self.notice("console usage", Some(&command::help()));
                Ok(Vec::new())
            }
            Command::Nothing(_) => Ok(Vec::new()),
            Command::Act(act) => {
                let user = &self.entry.card.user;
                info!(user = %user, ?act, "an order over the console");
                for warning in self.guest.act(&self.shared, act).await? {
                    self.notice(&warning, None);
                }
                Ok(Vec::new())
            }
        }
    }

    fn notice(&mut self, message: &str, detail: Option<&str>) {
        let notice = Notice {
            severity: Severity::Notice,
            code: *b"00000",
            message: message.as_bytes(),
            detail: detail.map(str::as_bytes),
            hint: None,
        };
        put_notice(self.client.out(), &notice);
    }

    fn fail(&mut self, refused: &Refused) {
        put_refused(self.client.out(), Severity::Error, refused);
    }

    fn ready(&mut self) {
        put_ready_for_query(self.client.out(), TransactionStatus::Idle);
    }
}

/// How the columns are written.
fn of(formats: &[Format]) -> impl Fn(usize) -> Format {
    |index| formats.get(index).copied().unwrap_or(Format::Text)
}

fn refused(code: [u8; 5], why: &str) -> Refused {
    Refused { code, why: why.into(), hint: None }
}

fn put_refused(out: &mut BytesMut, severity: Severity, Refused { code, why, hint }: &Refused) {
    let message = format!("tidegate: {why}");
    let hint = hint.map(str::as_bytes);
    let message = message.as_bytes();
    put_error(out, &Notice { severity, code: *code, message, detail: None, hint });
}

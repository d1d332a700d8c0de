//! One client, from login to disconnect.
//!
//! The session owns the order of things and nothing else: it reads a command, asks the gate, leases
//! a connection, lets the relay carry the reply, and settles the permit. Each of these is a call
//! that returns a value; nothing calls the session back. It waits in three places: for the client,
//! for the gate, for the database.
//!
//! | file | what |
//! |---|---|
//! | `client` | the client's socket and its commands |
//! | `command` | which command goes where |
//! | `task` | a command, and what was found out about it |
//! | `statement` | the path of one statement: `admit`, `send`, `relay`, `conclude` |
//! | `row` | which row a statement is about |
//! | `turn` | waiting for that row, and at the gate |
//! | `file` | `LOAD DATA LOCAL` |
//! | `away` | reads that a replica answers |
//! | `part` | what becomes of the connection after a transaction |
//! | `change_user` | logging in again |
//! | `cancel` | ending what must not go on |
//! | `answered` | what the guard answered in the server's place |
//! | `look_back`, `warnings` | what a statement may ask about those before it |
//! | `collation` | asking which one came with a character set |
//! | `untold`, `owed` | asking for changes that no reply has told, and telling them |
//! | `state`, `pins`, `settings`, `prepared`, `read_as` | what a session is, beside its sockets |

mod admit;
mod answered;
mod away;
pub mod cancel;
mod change_user;
pub mod client;
mod collation;
pub mod command;
mod conclude;
pub mod effect;
pub mod file;
pub mod look_back;
pub mod owed;
mod part;
pub mod prepared;
pub mod read_as;
pub mod refuse;
pub mod relay;
mod row;
mod send;
pub mod settings;
mod shadowed;
pub mod state;
pub mod statement;
pub mod task;
mod untold;
pub mod view;
pub mod warnings;

use std::{sync::Arc, time::Instant};

use policy::{
    admission::Outcome,
    class::{ClassId, TimeLimits},
    deadline::{Deadline, Since},
    sql::{Dialect, LexMode, Scratch},
};
use tracing::debug;
use wire::mysql::{
    command::Command,
    response::{OK, OkPacket, SessionState, Status, put_err, put_ok_as},
};

use crate::session::{pins, registry, timer, turn, verdict};

use self::{
    away::Away,
    client::{Client, ClientError},
    look_back::LookBack,
    owed::Owed,
    pins::{Pin, Pins},
    prepared::ClientStatements,
    registry::Entry,
    settings::Settings,
    state::Transaction,
    timer::Timer,
    verdict::Call,
    view::View,
};
use crate::{
    gate::{Permit, Pinned},
    metrics::{ClientState, Disconnect},
    mysql::{
        Door, Lease, Pool, Shared, Slot,
        login::{Challenge, Login},
    },
    replica::Written,
    shared::Orders,
};

/// Why a session is over.
#[derive(Debug)]
pub enum End {
    /// The client said goodbye or went away.
    Client(ClientError),
    /// `COM_QUIT`.
    Quit,
    /// The client was told an error after which nothing more can be understood.
    Told(&'static str),
    /// Somebody killed the session.
    Killed,
    /// The client was silent for longer than it may.
    Idle,
    /// The guard shuts down.
    Drained,
    /// The connection to the database broke inside a transaction or with pinned state: what the
    /// client relies on is gone.
    UpstreamLost,
}

impl End {
    /// The cause in the metrics.
    fn label(&self) -> Disconnect {
        match self {
            Self::Quit => Disconnect::Quit,
            Self::Client(ClientError::OutOfOrder { .. } | ClientError::TooLarge { .. }) => {
                Disconnect::Malformed
            }
            Self::Client(_) => Disconnect::Gone,
            Self::Told(_) => Disconnect::Malformed,
            Self::Killed => Disconnect::Killed,
            Self::Idle => Disconnect::IdleTimeout,
            Self::Drained => Disconnect::Drain,
            Self::UpstreamLost => Disconnect::UpstreamLost,
        }
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Client(error.into())
    }
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    orders: Orders,
    /// Of the listener that the client came in by.
    door: Arc<Door>,
    entry: Entry,
    client: Client,
    user: Arc<str>,
    mariadb: bool,
    pool: Arc<Pool>,
    /// What the session's state is: the label of its connection, or of the one it leases next.
    settings: Arc<Settings>,
    /// What it was at login, and is after a reset.
    initial: Arc<Settings>,
    view: View,
    owed: Owed,
    charset: u8,
    /// The flags that the client was told last, but for those of a transaction.
    status: Status,
    transaction: Transaction,
    /// The limits of the open transaction, and its class.
    times: TimeLimits,
    /// Those that would hold if the mode of its class, observe, were enforce.
    observed: Option<Box<TimeLimits>>,
    class: ClassId,
    lease: Option<Lease>,
    /// Where the connection lingers between transactions.
    slot: Arc<Slot>,
    permit: Option<Permit>,
    pinned: Option<Pinned>,
    /// Where it works, unless at the primary.
    away: Option<Box<Away>>,
    written: Written,
    pins: Pins,
    /// How a collation was chosen that has not been asked for.
    collation: Option<collation::Chosen>,
    look_back: LookBack,
    statements: ClientStatements,
    /// What the client answered at its last login.
    challenge: Challenge,
    /// How often it was reset.
    resets: u32,
    /// How often `COM_CHANGE_USER` was refused.
    failed_changes: u8,
    /// When the last reply ended, inside a transaction.
    idle_since: Option<Instant>,
    timer: Timer,
    /// The clock, read when a command comes in, after each wait and when its reply is over.
    now: Instant,
    scratch: Scratch,
}

/// What ended the wait for a command.
enum Heard {
    Command(client::First),
    /// A time limit of the open transaction passed.
    Limit(Deadline),
    /// The connection has lingered for long enough.
    LingerOver,
    Idle,
    Killed,
}

impl Session {
    /// A session for a client that has logged in and been told so.
    pub fn new(shared: Arc<Shared>, door: Arc<Door>, login: Login, entry: Entry) -> Self {
        let settings = Arc::new(Settings::new(
            login.database.as_deref(),
            login.capabilities.contains(wire::mysql::Capabilities::MULTI_STATEMENTS),
        ));
        let pool = shared.pool_of(&login.account, login.capabilities, login.charset);
        let mut pins = Pins::default();
        if shared.options.session_pooling {
            pins.add(Pin::Session);
        }
        let client = Client::new(
            login.stream,
            login.leftover,
            login.capabilities,
            shared.options.max_packet,
        );
        Self {
            view: View::new(login.capabilities),
            owed: Owed::default(),
            charset: login.charset,
            initial: Arc::clone(&settings),
            settings,
            client,
            user: login.user,
            mariadb: login.mariadb,
            pool,
            status: Status::AUTOCOMMIT,
            transaction: Transaction::Idle,
            times: TimeLimits::default(),
            observed: None,
            class: ClassId::DEFAULT,
            lease: None,
            slot: Arc::default(),
            permit: None,
            pinned: None,
            away: None,
            written: Written::default(),
            pins,
            collation: None,
            look_back: LookBack::new(login.mariadb),
            statements: ClientStatements::default(),
            challenge: login.challenge,
            resets: 0,
            failed_changes: 0,
            idle_since: None,
            timer: Timer::new(),
            now: Instant::now(),
            scratch: Scratch::default(),
            orders: Orders::of(&shared),
            shared,
            door,
            entry,
        }
    }

    /// Serves the client until either side ends it. Everything it held is settled on return, or
    /// handed to `upstream::reclaim`. Not cancel-safe: a session runs in a task of its own.
    pub async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        debug!(session = self.entry.card.id, user = %self.user, ?end, "session ended");
        self.shared.metrics.clients.disconnects.of(end.label()).increment(1);
        self.say_goodbye(&end).await;
        self.retire().await;
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            self.client.flush().await?;
            if self.shared.is_draining() && !self.transaction.is_open_to_client() {
                return Err(End::Drained);
            }
            let heard = self.listen().await?;
            self.now = Instant::now();
            match heard {
                Heard::Command(first) => {
                    self.orders.renew(&self.shared);
                    // A kill that came before was for the command before: whoever asks for one goes
                    // on once the guard has answered.
                    self.entry.card.begin();
                    if self.entry.card.is_ended() {
                        return Err(End::Killed);
                    }
                    if let Some(idle) = self.idle_since.take() {
                        let transaction = self.transaction.since();
                        self.observe(Since { statement: None, transaction, idle: Some(idle) });
                    }
                    self.obey(first).await?;
                }
                Heard::Limit(deadline) => self.abort_idle(deadline).await?,
                Heard::LingerOver => self.end_linger().await,
                Heard::Idle => return Err(End::Idle),
                Heard::Killed if self.entry.card.is_ended() => return Err(End::Killed),
                Heard::Killed => self.melt_idle().await?,
            }
        }
    }

    /// Waits for the next command, or for whatever must be done without one.
    async fn listen(&mut self) -> Result<Heard, End> {
        let deadline = self.times.next(Since {
            statement: None,
            transaction: self.transaction.since(),
            idle: self.transaction.since().and(self.idle_since),
        });
        let linger_until = self.look_back.held_until();
        let now_or_idle = match (&deadline, linger_until) {
            (Some(deadline), _) => Some(deadline.at),
            (None, Some(at)) => Some(at),
            (None, None) if self.client.has_pipelined() => None,
            (None, None) => Some(self.now + self.door.idle_timeout),
        };
        let call = Call { card: &self.entry.card, work: self.work(self.transaction.since()) };
        tokio::select! {
            biased;
            first = self.client.next() => Ok(Heard::Command(first?)),
            () = self.timer.until(now_or_idle) => Ok(match (deadline, linger_until) {
                (Some(deadline), _) => Heard::Limit(deadline),
                (None, Some(_)) => Heard::LingerOver,
                (None, None) => Heard::Idle,
            }),
            () = call.wait() => Ok(Heard::Killed),
        }
    }

    /// Tells the client why, where it can still be told.
    async fn say_goodbye(&mut self, end: &End) {
        let (code, message) = match end {
            End::Drained => (1053, "Server shutdown in progress"),
            End::Killed => (1927, "Connection was killed"),
            End::Idle => (4031, "The client was disconnected by the server because of inactivity"),
            End::Client(ClientError::OutOfOrder { .. }) => (1156, "Got packets out of order"),
            End::Client(ClientError::TooLarge { .. }) => {
                (1153, "Got a packet bigger than 'max_allowed_packet' bytes")
            }
            End::UpstreamLost => return,
            End::Client(_) | End::Quit | End::Told(_) => return,
        };
        let capabilities = self.client.capabilities;
        put_err(self.client.out(), 0, capabilities, code, b"08S01", message.as_bytes());
        let patience = std::time::Duration::from_secs(1);
        // A client that does not listen any more misses it.
        let _missed = tokio::time::timeout(patience, self.client.flush()).await;
    }

    /// Ends everything the session still holds on the database.
    async fn retire(&mut self) {
        self.entry.card.show_pins(&Pins::default(), Instant::now(), None);
        self.leave_slot();
        if self.lease.is_some() {
            self.clean_up().await;
        }
        self.permit = None;
        self.pinned = None;
    }

    /// How the server reads quotes and backslashes for this session.
    fn dialect(&self) -> Dialect {
        Dialect::MySql(LexMode {
            no_backslash_escapes: self.status.contains(Status::NO_BACKSLASH_ESCAPES),
            ansi_quotes: self.mariadb && self.status.contains(Status::ANSI_QUOTES)
                || self
                    .settings
                    .variable(b"sql_mode")
                    .is_some_and(|mode| mode.windows(11).any(|word| word == b"ANSI_QUOTES")),
        })
    }

    /// Answers with an OK of the guard's own.
    fn say_ok(&mut self) {
        self.say_ok_with(0);
    }

    /// As [`Self::say_ok`], with this many warnings.
    fn say_ok_with(&mut self, warnings: u16) {
        self.say_ok_as(OK, warnings);
    }

    /// Answers with an OK that begins with `header`, and tells with it what is owed.
    fn say_ok_as(&mut self, header: u8, warnings: u16) {
        let owed = self.owed.pay(SessionState::default());
        let state = SessionState::new(&owed);
        let ok = OkPacket { status: self.status_to_tell(), warnings, state, ..OkPacket::default() };
        let capabilities = self.client.capabilities;
        put_ok_as(self.client.out(), 1, capabilities, &ok, header);
    }

    /// The flags in an answer of the guard's own: the session's, and those of its transaction.
    fn status_to_tell(&self) -> Status {
        let status = self.status.without(Status::IN_TRANS).without(Status::IN_TRANS_READONLY);
        let read_only = Status(Status::IN_TRANS.0 | Status::IN_TRANS_READONLY.0);
        match &self.transaction {
            Transaction::Idle => status,
            Transaction::Begun(policy::sql::Begin::ReadOnly) => status.with(read_only),
            Transaction::Begun(_) | Transaction::Aborted { .. } => status.with(Status::IN_TRANS),
            Transaction::Open { .. } => {
                let told = self.lease.as_ref().map_or(Status::IN_TRANS, |lease| lease.status);
                status.with(Status(told.0 & read_only.0))
            }
        }
    }

    /// Answers with an error of the guard's own.
    fn say_error(&mut self, error: refuse::Error) {
        let capabilities = self.client.capabilities;
        let message = error.message.as_bytes();
        let (code, state) = (error.code, &error.sqlstate);
        put_err(self.client.out(), 1, capabilities, code, state, message);
        self.look_back.fail(error);
    }

    /// Gives the connection back, or keeps it where the session is pinned; settles the permit.
    /// The database has confirmed that no transaction is open.
    async fn release(&mut self) {
        self.written.settle(self.now);
        self.transaction = Transaction::Idle;
        self.times = TimeLimits::default();
        self.observed = None;
        self.idle_since = None;
        if self.pins.is_empty() {
            self.part().await;
        }
        self.drop_pinned_away();
        if self.pins.is_empty() {
            self.pinned = None;
        } else if self.pinned.is_none() {
            self.pinned = self.permit.as_mut().and_then(Permit::pin);
        }
        if let Some(permit) = self.permit.take() {
            permit.settle(self.now, self.look_back.outcome());
        }
        self.show();
    }

    /// Whose a value is that was left on a connection: a reset makes another session of this one.
    pub fn identity(&self) -> u64 {
        u64::from(self.entry.card.id) << 32 | u64::from(self.resets)
    }

    /// Shows others what the session is doing.
    fn show(&self) {
        self.entry.card.set_state(if self.permit.is_none() {
            ClientState::Idle
        } else if self.idle_since.is_some() {
            ClientState::IdleInTransaction
        } else {
            ClientState::Running
        });
    }

    /// Whether the database has a transaction of this session open.
    fn is_in_transaction(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.status.contains(Status::IN_TRANS))
    }
}

impl Drop for Session {
    /// A session that panicked has settled nothing: what it held is seen off, and its permit stays
    /// taken until the database has confirmed the end.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.metrics.guard.panics.increment(1);
            self.shared.metrics.clients.disconnects.of(Disconnect::Panic).increment(1);
        }
        self.reclaim_lease();
    }
}

/// How a transaction ended, for the limits that learn from it.
fn outcome_of(error: Option<u16>) -> Outcome {
    match error {
        None => Outcome::Success,
        // Lock wait timeout, deadlock, and statements stopped by a limit.
        Some(1205 | 1213 | 1317 | 1969 | 3024) => Outcome::Overload,
        Some(_) => Outcome::Ignored,
    }
}

/// Whether a command only ends something on the client's side and has no reply.
fn is_silent(command: Command) -> bool {
    matches!(command, Command::StmtClose | Command::StmtSendLongData | Command::Quit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle client costs its task, and that is mostly this future: what is large and rare is
    /// boxed where it is awaited. At 12 KiB for each client in all, half may be future.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of_future(Session::run) <= 6 * 1024, "{}", size_of_future(Session::run));
    }
}

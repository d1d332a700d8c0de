//! One client, from login to disconnect.
//!
//! The session owns the order of things: it reads a message, answers it or asks the gate, leases a
//! connection, lets the relay carry a *unit* and settles the permit. A unit is what the server
//! answers with one ReadyForQuery: a simple query, a function call, or a series of the extended
//! protocol up to its Sync. Units of one client are carried one after the other; what it sends ahead
//! waits in its buffer, so that no reply is ever taken for that to another unit.
//!
//! | file | what |
//! |---|---|
//! | `answer` | what the guard answers itself |
//! | `unit` | the path of one unit: `admit`, `borrow`, `exchange`, `conclude` |
//! | `row` | which row a unit is about |
//! | `reading` | whether a unit only reads |
//! | `away` | reads that a replica answers |
//! | `borrow` | the connection that it runs on |
//! | `relay` | both directions of a connection while a unit is under way |
//! | `forward` | a client's messages on their way to the server |
//! | `ahead` | what goes ahead of them |
//! | `conclude` | what a unit has left behind |
//! | `listen` | channels that are listened to over a shared connection |
//! | `cancel` | ending what must not go on |
//! | `end` | why a session is over, and what its client is told |

mod ahead;
mod answer;
mod away;
mod borrow;
mod cancel;
mod conclude;
mod end;
mod forward;
mod listen;
mod reading;
mod relay;
mod row;
mod undo;
mod unit;

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;
use policy::{
    admission::Outcome,
    class::{ClassId, TimeLimits},
    deadline::{Deadline, Since},
    sql::{Dialect, Scratch},
};
use tokio::time::timeout;
use tracing::debug;
use wire::postgres::backend::{Kind, TransactionStatus, put_ready_for_query};

pub use self::end::End;
use self::{answer::Local, away::Away};
use super::{
    Door, Lease, Pool, Shared, Slot,
    client::{Client, ClientError, Message},
    connection::{Lost, body},
    holdings::Suspicion,
    listeners::Subscription,
    refuse::Error,
    settings::Settings,
    statements::ClientStatements,
    traffic::Own,
};
use crate::{
    gate::{Permit, Pinned},
    metrics::{ClientState, Disconnect},
    replica::Written,
    session::{
        pins::{Pin, Pins},
        registry::Entry,
        timer::Timer,
        verdict::{Call, Work},
    },
    shared::Orders,
    stream::Stream,
};

/// Where a session stands in its transaction.
///
/// ```text
///            BEGIN (answered here)          first statement
///   Idle ───────────────────────────► Begun ───────────────┐
///    │ ▲                                │ COMMIT, ROLLBACK │
///    │ └────────────────────────────────┘ (answered here)  │
///    │ a unit leaves a transaction open                    ▼
///    └──────────────────────────────────────────────────► Open ──► Idle
///                                                           │ a limit passed: the guard rolled back
///                                                           ▼
///                                                        Failed ──ROLLBACK, COMMIT──► Idle
/// ```
#[derive(Debug, Default)]
enum Transaction {
    /// None is open.
    #[default]
    Idle,
    /// `BEGIN` was answered by the guard; the database knows nothing of it and nothing is held. The
    /// SQL that begins it.
    Begun(&'static [u8]),
    /// The database has it open.
    Open {
        /// When its first unit was sent.
        since: Instant,
    },
    /// The database has none, and the client one that has failed: the guard rolled it back, or
    /// refused to begin it.
    Failed {
        /// What the next statement is told, where the client was told nothing yet.
        why: Option<Error>,
    },
}

impl Transaction {
    fn since(&self) -> Option<Instant> {
        match self {
            Self::Open { since } => Some(*since),
            _ => None,
        }
    }
}

/// What becomes of the series of the extended protocol that comes next, or has begun, up to its Sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Series {
    /// What each of its messages asks for.
    #[default]
    Served,
    /// It has no room at the gate: a COMMIT or ROLLBACK of nothing is answered here.
    Unadmitted,
    /// An error was told, so all of it is dropped.
    Skipped,
}

/// What a client brings from its login.
#[derive(Debug)]
pub struct Entrance {
    /// Its bytes.
    pub stream: Stream,
    /// What it sent behind its login already.
    pub leftover: BytesMut,
    /// Its account's name.
    pub user: Arc<str>,
    /// Its database.
    pub database: Arc<str>,
    /// Connections for it.
    pub pool: Arc<Pool>,
    /// What its start-up packet asked for.
    pub settings: Arc<Settings>,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    orders: Orders,
    door: Arc<Door>,
    entry: Entry,
    client: Client,
    user: Arc<str>,
    database: Arc<str>,
    pool: Arc<Pool>,
    /// What the session's state is: the label of its connection, or of the one it leases next.
    settings: Arc<Settings>,
    /// What it was at login, and what RESET returns to.
    initial: Arc<Settings>,
    /// Names of its own parameters, which the server does not list.
    customs: Vec<Box<str>>,
    transaction: Transaction,
    /// The limits of the open transaction, and its class.
    times: TimeLimits,
    /// Those that would hold if the mode of its class, observe, were enforce.
    observed: Option<Box<TimeLimits>>,
    class: ClassId,
    lease: Option<Lease>,
    /// Where the connection lingers between transactions, and until when.
    slot: Arc<Slot>,
    linger_until: Option<Instant>,
    /// The replica that it works at; pool and slot are then that one's.
    away: Option<Box<Away>>,
    written: Written,
    permit: Option<Permit>,
    pinned: Option<Pinned>,
    pins: Pins,
    /// What the open transaction may have left in the server's session.
    suspicion: Suspicion,
    /// What it listens to over a shared connection.
    subscription: Option<Box<Subscription>>,
    statements: ClientStatements,
    /// A portal that the guard answers for.
    local: Option<Local>,
    series: Series,
    outcome: Outcome,
    /// When the last reply ended, inside a transaction.
    idle_since: Option<Instant>,
    timer: Timer,
    /// The clock, read when a message comes in, after each wait and when its unit is over.
    now: Instant,
    scratch: Scratch,
}

/// What ended the wait for a message.
enum Heard {
    Message(Message),
    /// The server says something unasked.
    Server(Result<(), Lost>),
    /// Notifications came over the shared connection.
    Notified,
    /// A time limit of the open transaction passed.
    Limit(Deadline),
    /// The connection has lingered for long enough.
    LingerOver,
    Idle,
    Killed,
}

impl Session {
    /// A session for a client that has logged in and been told so.
    pub fn new(
        shared: Arc<Shared>,
        door: Arc<Door>,
        entry: Entry,
        traffic: Own,
        entrance: Entrance,
    ) -> Self {
        let mut pins = Pins::default();
        if shared.options.session_pooling {
            pins.add(Pin::Session);
        }
        let client =
            Client::new(entrance.stream, entrance.leftover, shared.options.max_packet, traffic);
        Self {
            client,
            user: entrance.user,
            database: entrance.database,
            pool: entrance.pool,
            initial: Arc::clone(&entrance.settings),
            settings: entrance.settings,
            customs: Vec::new(),
            transaction: Transaction::Idle,
            times: TimeLimits::default(),
            observed: None,
            class: ClassId::DEFAULT,
            lease: None,
            slot: Arc::default(),
            linger_until: None,
            away: None,
            written: Written::default(),
            permit: None,
            pinned: None,
            pins,
            suspicion: Suspicion::default(),
            subscription: None,
            statements: ClientStatements::default(),
            local: None,
            series: Series::Served,
            outcome: Outcome::Success,
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
            let is_idle = matches!(self.transaction, Transaction::Idle);
            if self.shared.is_draining() && is_idle && !self.client.has_pipelined() {
                return Err(End::Drained);
            }
            let heard = self.listen().await?;
            self.now = Instant::now();
            match heard {
                Heard::Message(message) => {
                    self.orders.renew(&self.shared);
                    if let Some(idle) = self.idle_since.take() {
                        let transaction = self.transaction.since();
                        self.observe(Since { statement: None, transaction, idle: Some(idle) });
                    }
                    self.obey(message).await?;
                }
                Heard::Server(came) => self.pass_on_unasked(came).await?,
                Heard::Notified => self.hear_notifications()?,
                Heard::Limit(deadline) => self.abort_idle(&deadline).await?,
                Heard::LingerOver => self.leave_slot(),
                Heard::Idle => return Err(End::Idle),
                Heard::Killed if self.entry.card.is_ended() => return Err(End::Killed),
                Heard::Killed => self.melt_idle().await?,
            }
        }
    }

    /// Waits for the next message, or for whatever must be done without one.
    async fn listen(&mut self) -> Result<Heard, End> {
        if let Some(message) = self.client.peek()? {
            return Ok(Heard::Message(message));
        }
        match self.subscription {
            None => self.client.flush().await?,
            // It may be silent for ever, and has to read all the same.
            Some(_) => timeout(self.door.write_timeout, self.client.flush())
                .await
                .map_err(|_| ClientError::Io(std::io::ErrorKind::TimedOut.into()))??,
        }
        let deadline = self.times.next(Since {
            statement: None,
            transaction: self.transaction.since(),
            idle: self.transaction.since().and(self.idle_since),
        });
        let until = match (&deadline, self.linger_until) {
            (Some(deadline), _) => deadline.at,
            (None, Some(at)) => at,
            (None, None) => self.now + self.door.idle_timeout,
        };
        let call = Call { card: &self.entry.card, work: self.work(self.transaction.since()) };
        let notified = self.notified();
        let is_listening = self.pins.has(Pin::Listen);
        let lease = self.lease.as_mut().filter(|_| is_listening);
        tokio::select! {
            biased;
            message = self.client.next() => Ok(Heard::Message(message?)),
            () = self.timer.until(Some(until)) => Ok(match (deadline, self.linger_until) {
                (Some(deadline), _) => Heard::Limit(deadline),
                (None, Some(_)) => Heard::LingerOver,
                (None, None) => Heard::Idle,
            }),
            () = call.wait() => Ok(Heard::Killed),
            came = hear(lease) => Ok(Heard::Server(came)),
            () = notified => Ok(Heard::Notified),
        }
    }

    /// Passes on what a server says to a session that listens: notifications, notices, settings.
    async fn pass_on_unasked(&mut self, came: Result<(), Lost>) -> Result<(), End> {
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let passed = came.and_then(|()| {
            let shared = self.subscription.as_deref();
            while let Some((event, message)) = lease.next_event()? {
                let is_news = event.kind != Kind::NotificationResponse
                    || !listen::is_shared(shared, body(&message));
                if event.kind.is_asynchronous() && is_news {
                    self.client.out().extend_from_slice(&message);
                }
            }
            lease.notifications.clear();
            Ok(())
        });
        match passed {
            Ok(()) => Ok(()),
            Err(lost) => self.lose_quietly(&lost).await,
        }
    }

    /// How the client believes that its transaction stands.
    fn told_status(&self) -> TransactionStatus {
        match &self.transaction {
            Transaction::Idle => TransactionStatus::Idle,
            Transaction::Begun(_) => TransactionStatus::Open,
            Transaction::Open { .. } => {
                self.lease.as_ref().map_or(TransactionStatus::Failed, |lease| lease.status)
            }
            Transaction::Failed { .. } => TransactionStatus::Failed,
        }
    }

    /// Tells the client that it may go on.
    fn say_ready(&mut self) {
        let status = self.told_status();
        if status == TransactionStatus::Idle {
            self.tell_notifications();
        }
        put_ready_for_query(self.client.out(), status);
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
        self.client.hand_in();
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

    /// Which session this is, for connections that remember.
    fn identity(&self) -> u64 {
        u64::from(self.entry.card.id)
    }

    /// What the session is at, since the transaction or unit that it has on the database was sent.
    fn work(&self, since: Option<Instant>) -> Work {
        Work { backend: self.backend(), since, is_ending: false }
    }

    /// Its backend at the primary; 0 where it has none there.
    fn backend(&self) -> u32 {
        let lease = self.lease.as_ref().filter(|_| self.away.is_none());
        lease.map_or(0, |lease| lease.backend().id)
    }

    fn is_in_transaction(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_in_transaction())
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

/// How the server reads quotes and backslashes in a session with these settings.
fn dialect(settings: &Settings) -> Dialect {
    let conforming = settings.get("standard_conforming_strings") != Some("off");
    Dialect::Postgres { standard_conforming_strings: conforming }
}

/// Reads what the server says unasked; never returns where nobody listens.
async fn hear(lease: Option<&mut Lease>) -> Result<(), Lost> {
    match lease {
        Some(lease) => lease.fill().await,
        None => std::future::pending().await,
    }
}

/// A statement that failed, for the limits that learn from it.
fn outcome_of(code: Option<[u8; 5]>) -> Outcome {
    match code.as_ref() {
        None => Outcome::Success,
        // Lock timeout, deadlock, and statements stopped by a limit.
        Some(b"55P03" | b"40P01" | b"57014") => Outcome::Overload,
        Some(_) => Outcome::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle client costs its task, and that is mostly this future: what is large and rare is boxed
    /// where it is awaited. At 8 KiB for each client in all, half may be future.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of_future(Session::run) <= 4 * 1024, "{}", size_of_future(Session::run));
    }
}

//! The reserved connections: they stop what runs too long, and see off what was left behind.
//!
//! They are opened at start, before trouble, and lend themselves to nobody: a database at its
//! connection limit, or with every pooled connection stuck in a lock queue, can still be told to
//! kill a statement. All requests go through one bounded queue; each reserved connection takes
//! what is waiting and pipelines it in one write, so a storm of cancels costs a few packets and
//! never a new connection. (ProxySQL opens a thread and a connection per kill.)
//!
//! Invariant 6: nothing else in the guard cancels anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use wire::mysql::command::{self, Command};

use super::{
    connect::{self, ConnectError, Target, Wishes},
    connection::{Answer, Connection, Lost},
};
use crate::{herd::backoff, session::settings::Settings, users::Account};

/// Requests that may wait. At the bound, asking waits: the asker holds its permit meanwhile, so
/// nothing new is admitted in its place.
const QUEUE_LEN: usize = 4096;

/// Requests that one connection pipelines in one write.
const BATCH_LEN: usize = 64;

/// How long the database may take to answer a batch before the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Errors of the database that mean "no such thread": it has ended by itself.
const NO_SUCH_THREAD: u16 = 1094;

/// A thread of one run of the server. Ids begin anew when a server starts again: alone, one may
/// name somebody else's connection by the time it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub id: u32,
    /// When its server started, in Unix seconds.
    pub server_started: u64,
}

impl Thread {
    /// The thread that serves a connection.
    pub fn of(connection: &Connection) -> Self {
        Self { id: connection.thread_id, server_started: connection.server_started }
    }
}

/// What a reserved connection can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Stop the statement that this thread runs.
    KillQuery(Thread),
    /// End this thread.
    KillConnection(Thread),
    /// Is this thread still there?
    IsAlive(Thread),
}

impl Ask {
    fn thread(self) -> Thread {
        match self {
            Self::KillQuery(thread) | Self::KillConnection(thread) | Self::IsAlive(thread) => {
                thread
            }
        }
    }

    fn sql(self) -> String {
        match self {
            Self::KillQuery(Thread { id, .. }) => format!("KILL QUERY {id}"),
            Self::KillConnection(Thread { id, .. }) => format!("KILL CONNECTION {id}"),
            Self::IsAlive(Thread { id, .. }) => {
                format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID={id}")
            }
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The database took the order, or the thread is there.
    Done,
    /// There is no such thread.
    Gone,
}

/// The order could not be given, or what came of it is not known.
#[derive(Debug, Clone, Error)]
pub enum ControlError {
    /// The database refused it; usually a missing privilege.
    #[error("the database refused: {0}")]
    Refused(String),
    /// No reserved connection works at the moment.
    #[error("no control connection to the database works")]
    Unavailable,
}

type Reply = oneshot::Sender<Result<Told, ControlError>>;

/// The way to the reserved connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Control {
    requests: mpsc::Sender<(Ask, Reply)>,
    working: Arc<AtomicU32>,
}

impl Control {
    /// Opens `connections` reserved connections. They reconnect by themselves for as long as the
    /// returned value, or a clone, lives.
    ///
    /// # Errors
    /// When the first of them cannot be opened: the guard should not start without.
    pub async fn open(
        target: Arc<Target>,
        account: Arc<Account>,
        connections: u32,
    ) -> Result<(Self, Arc<str>), OpenError> {
        let (requests, queue) = mpsc::channel(QUEUE_LEN);
        let queue = Arc::new(tokio::sync::Mutex::new(queue));
        let first = connect_control(&target, &account).await?;
        let identity: Arc<str> = first.1.into();
        let working = Arc::new(AtomicU32::new(0));
        let mut opened = Some(first.0);
        for _ in 0..connections.max(1) {
            let worker = Worker {
                target: Arc::clone(&target),
                account: Arc::clone(&account),
                queue: Arc::clone(&queue),
                identity: Arc::clone(&identity),
                working: Arc::clone(&working),
            };
            tokio::spawn(worker.run(opened.take()));
        }
        Ok((Self { requests, working }, identity))
    }

    /// How many of the reserved connections work.
    pub fn working(&self) -> u32 {
        self.working.load(Ordering::Relaxed)
    }

    /// Asks, and waits for the database's answer.
    ///
    /// Dropping the future leaves the request standing: it is carried out all the same.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn ask(&self, ask: Ask) -> Result<Told, ControlError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((ask, reply)).await.map_err(|_| ControlError::Unavailable)?;
        answer.await.map_err(|_| ControlError::Unavailable)?
    }
}

/// Why the reserved connections could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The login failed.
    #[error("control connection: {0}")]
    Connect(#[from] ConnectError),
    /// The connection failed behind the login.
    #[error("control connection: {0}")]
    Lost(#[from] Lost),
}

/// What tells one server from another, and when it started, to be asked on every connection.
///
/// A name or an address may lead to several servers; a thread id means nothing on another one, nor
/// after a restart. The server counts its uptime from the start of the statement that asks, so the
/// difference is the same each time.
fn identity_sql(mariadb: bool) -> String {
    let status = match mariadb {
        true => "information_schema.GLOBAL_STATUS",
        false => "performance_schema.global_status",
    };
    format!(
        "SELECT CONCAT_WS('|',@@hostname,@@port,@@server_id,@@datadir,@@pid_file),\
         CAST(UNIX_TIMESTAMP()-(SELECT VARIABLE_VALUE FROM {status} \
         WHERE VARIABLE_NAME='UPTIME') AS UNSIGNED)"
    )
}

/// Logs in and asks which server this is.
async fn connect_control(
    target: &Target,
    account: &Account,
) -> Result<(Connection, String), OpenError> {
    let wishes = Wishes::control();
    let connected = connect::connect(target, account, &wishes).await?;
    let mut connection = Connection::new(connected, Arc::new(Settings::default()));
    let identity = read_identity(&mut connection).await?;
    Ok((connection, identity))
}

/// Reads which server a connection leads to, empty when the server does not tell, and notes when it
/// started.
///
/// # Errors
/// [`Lost`] when the connection failed.
pub async fn read_identity(connection: &mut Connection) -> Result<String, Lost> {
    let sql = identity_sql(connection.mariadb);
    let rows = connection.query(sql.as_bytes()).await?.unwrap_or_default();
    let text = |column: usize| {
        let value = rows.first().and_then(|row| row.get(column)).and_then(Option::as_ref);
        value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    connection.server_started = text(1).parse().unwrap_or_default();
    Ok(text(0))
}

/// One reserved connection and the task that serves it.
struct Worker {
    target: Arc<Target>,
    account: Arc<Account>,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<(Ask, Reply)>>>,
    identity: Arc<str>,
    working: Arc<AtomicU32>,
}

impl Worker {
    /// Serves requests until nobody can ask any more.
    async fn run(self, mut connection: Option<Connection>) {
        let mut failures = 0;
        let mut batch = Vec::with_capacity(BATCH_LEN);
        loop {
            let mut working = match connection.take() {
                Some(working) => working,
                None => match self.reconnect(&mut failures).await {
                    Some(working) => working,
                    None => return,
                },
            };
            // Only a worker whose connection works takes requests, so one that is broken does not
            // hold up those that are not.
            self.working.fetch_add(1, Ordering::Relaxed);
            let received = self.next_batch(&mut working, &mut batch).await;
            self.working.fetch_sub(1, Ordering::Relaxed);
            if !received {
                continue;
            }
            if batch.is_empty() {
                return;
            }
            let served = tokio::time::timeout(ANSWER_TIMEOUT, serve(&mut working, &mut batch));
            match served.await {
                Ok(Ok(())) => connection = Some(working),
                Ok(Err(lost)) => warn!(error = %lost, "control connection lost"),
                Err(_) => warn!("the database does not answer the control connection"),
            }
            for (_, reply) in batch.drain(..) {
                // The asker may have gone; then nobody wants to know.
                let _gone = reply.send(Err(ControlError::Unavailable));
            }
        }
    }

    /// Waits for requests. Returns false when the connection broke meanwhile; an empty batch when
    /// nobody can ask any more.
    async fn next_batch(&self, connection: &mut Connection, batch: &mut Vec<(Ask, Reply)>) -> bool {
        let receive = async { self.queue.lock().await.recv_many(batch, BATCH_LEN).await };
        tokio::select! {
            biased;
            _count = receive => true,
            // The server says nothing unasked, except that it ends.
            _ended = connection.fill() => {
                warn!("control connection lost");
                false
            }
        }
    }

    /// Logs in again, for as long as it takes; `None` when nobody can ask any more.
    async fn reconnect(&self, failures: &mut u32) -> Option<Connection> {
        loop {
            if self.queue.try_lock().is_ok_and(|queue| queue.is_closed() && queue.is_empty()) {
                return None;
            }
            match connect_control(&self.target, &self.account).await {
                Ok((connection, identity)) if *identity == *self.identity => {
                    if *failures > 0 {
                        info!("control connection restored");
                    }
                    *failures = 0;
                    return Some(connection);
                }
                Ok((_, identity)) => {
                    warn!(%identity, expected = %self.identity, "control connection leads to another server");
                }
                Err(error) => warn!(%error, "control connection cannot be opened"),
            }
            *failures += 1;
            tokio::time::sleep(backoff(*failures, fastrand::f64())).await;
        }
    }
}

/// Writes all requests at once and answers each as its reply comes.
async fn serve(connection: &mut Connection, batch: &mut Vec<(Ask, Reply)>) -> Result<(), Lost> {
    let started = connection.server_started;
    for (_, reply) in batch.extract_if(.., |(ask, _)| ask.thread().server_started < started) {
        // Its server has ended since, and all threads with it. The asker may have gone, too.
        let _gone = reply.send(Ok(Told::Gone));
    }
    for (ask, _) in batch.iter() {
        let sql = ask.sql();
        command::put_query_with(&mut connection.outbuf, connection.capabilities, sql.as_bytes());
    }
    connection.flush().await?;
    while let Some((ask, _)) = batch.first() {
        let told = match ask {
            Ask::IsAlive(_) => match connection.read_rows().await? {
                Ok(rows) => Ok(presence(&rows)),
                Err(error) => Err(ControlError::Refused(error.to_string())),
            },
            _ => match connection.read_answer(Command::Query).await? {
                Answer::Ok(_) => Ok(Told::Done),
                Answer::Err(error) if error.code == NO_SUCH_THREAD => Ok(Told::Gone),
                Answer::Err(error) => Err(ControlError::Refused(error.to_string())),
            },
        };
        let (_, reply) = batch.remove(0);
        // The asker may have gone; then nobody wants to know.
        let _gone = reply.send(told);
    }
    Ok(())
}

/// Reads the count of threads with the id that was asked for.
fn presence(rows: &super::connection::Rows) -> Told {
    let count = rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
    if count.is_some_and(|count| count.as_ref() != b"0") { Told::Done } else { Told::Gone }
}

//! The reserved connections: they stop what runs too long, and see off what was left behind.
//!
//! They are opened at start, before trouble, and lend themselves to nobody: a database at its
//! connection limit, or with every pooled connection stuck in a lock queue, can still be told to
//! kill a statement. All requests go through one bounded queue; each reserved connection takes
//! what is waiting and pipelines it in one write, so a storm of cancels costs a few packets and
//! never a new connection. (ProxySQL opens a thread and a connection per kill.)
//!
//! Invariant 6: nothing else in the guard cancels anything, but for what follows an order that did not get through
//! (`postgres/stop.rs`).

use std::{
    fmt::{Debug, Display},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use observe::{Rows, server::Server};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::herd::backoff;

/// Requests that may wait. At the bound, asking waits: the asker holds its permit meanwhile, so
/// nothing new is admitted in its place.
const QUEUE_LEN: usize = 4096;

/// Requests that one connection pipelines in one write.
const BATCH_LEN: usize = 64;

/// How long the database may take to answer a batch before the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What serves one connection at the database: a thread of MySQL, a process of PostgreSQL. Their
/// ids are used again: alone, one may name somebody else's connection by the time it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// Its id.
    pub id: u32,
    /// When it began, or the server that counts its threads: whatever the engine tells it by.
    pub since: u64,
}

/// What a reserved connection can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Stop the statement that this backend runs.
    Cancel(Backend),
    /// End this backend.
    End(Backend),
    /// Is this backend still there?
    IsAlive(Backend),
}

impl Ask {
    /// Whom it is about.
    pub fn backend(self) -> Backend {
        match self {
            Self::Cancel(backend) | Self::End(backend) | Self::IsAlive(backend) => backend,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The database took the order, or the backend is there.
    Done,
    /// There is no such backend.
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

/// One request, and who waits for what comes of it.
#[derive(Debug)]
pub struct Order {
    /// What is asked.
    pub ask: Ask,
    reply: oneshot::Sender<Result<Told, ControlError>>,
}

impl Order {
    /// Tells what came of it. The asker may have gone; then nobody wants to know.
    pub fn answer(self, told: Result<Told, ControlError>) {
        let _gone = self.reply.send(told);
    }
}

/// Opens reserved connections and carries orders to the database: what an engine brings.
pub trait Courier: Debug + Send + Sync + 'static {
    /// A reserved connection.
    type Link: Send + 'static;
    /// Why there is none, or none any more.
    type Error: Display + Send;

    /// Logs in, and asks which server this is: a text that differs between servers, empty when the
    /// server does not tell.
    fn connect(&self) -> impl Future<Output = Result<(Self::Link, String), Self::Error>> + Send;

    /// Writes all orders at once, and answers each as its reply comes: those that are answered are
    /// taken out of `batch`.
    fn carry(
        link: &mut Self::Link,
        batch: &mut Vec<Order>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Asks which version it is.
    const VERSION_SQL: &'static str;

    /// Which server such a version means.
    fn server(version: &str) -> Server;

    /// Whether a server may follow a primary, by what each says that it is: where positions of unrelated servers look
    /// alike, that has to tell.
    fn may_follow(_primary: &str, _replica: &str) -> bool {
        true
    }

    /// Asks something, and reads the rows of the answer; inside, why the database refused.
    fn query(
        link: &mut Self::Link,
        sql: &str,
    ) -> impl Future<Output = Result<Result<Rows, String>, Self::Error>> + Send;

    /// Returns when the server has ended a connection that waits. Cancel-safe.
    fn ended(link: &mut Self::Link) -> impl Future<Output = ()> + Send;
}

/// The way to the reserved connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Control {
    requests: mpsc::Sender<Order>,
    working: Arc<AtomicU32>,
}

impl Control {
    /// Opens `connections` reserved connections, and tells which server they lead to. They reconnect
    /// by themselves for as long as the returned value, or a clone, lives.
    ///
    /// # Errors
    /// When the first of them cannot be opened: the guard should not start without.
    pub async fn open<C: Courier>(
        courier: &Arc<C>,
        connections: u32,
    ) -> Result<(Self, Arc<str>), C::Error> {
        let (requests, queue) = mpsc::channel(QUEUE_LEN);
        let queue = Arc::new(tokio::sync::Mutex::new(queue));
        let (first, identity) = courier.connect().await?;
        let identity: Arc<str> = identity.into();
        let working = Arc::new(AtomicU32::new(0));
        let mut opened = Some(first);
        for _ in 0..connections.max(1) {
            let worker = Worker {
                courier: Arc::clone(courier),
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
        self.requests.send(Order { ask, reply }).await.map_err(|_| ControlError::Unavailable)?;
        answer.await.map_err(|_| ControlError::Unavailable)?
    }
}

/// One reserved connection and the task that serves it.
struct Worker<C: Courier> {
    courier: Arc<C>,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Order>>>,
    identity: Arc<str>,
    working: Arc<AtomicU32>,
}

impl<C: Courier> Worker<C> {
    /// Serves requests until nobody can ask any more.
    async fn run(self, mut link: Option<C::Link>) {
        let mut failures = 0;
        let mut batch = Vec::with_capacity(BATCH_LEN);
        loop {
            let mut working = match link.take() {
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
            let carried = C::carry(&mut working, &mut batch);
            match tokio::time::timeout(ANSWER_TIMEOUT, carried).await {
                Ok(Ok(())) => link = Some(working),
                Ok(Err(error)) => warn!(%error, "control connection lost"),
                Err(_) => warn!("the database does not answer the control connection"),
            }
            for order in batch.drain(..) {
                order.answer(Err(ControlError::Unavailable));
            }
        }
    }

    /// Waits for requests. Returns false when the connection broke meanwhile; an empty batch when
    /// nobody can ask any more.
    async fn next_batch(&self, link: &mut C::Link, batch: &mut Vec<Order>) -> bool {
        let receive = async { self.queue.lock().await.recv_many(batch, BATCH_LEN).await };
        tokio::select! {
            biased;
            _count = receive => true,
            // The server says nothing unasked, except that it ends.
            () = C::ended(link) => {
                warn!("control connection lost");
                false
            }
        }
    }

    /// Logs in again, for as long as it takes; `None` when nobody can ask any more.
    async fn reconnect(&self, failures: &mut u32) -> Option<C::Link> {
        loop {
            if self.queue.try_lock().is_ok_and(|queue| queue.is_closed() && queue.is_empty()) {
                return None;
            }
            match self.courier.connect().await {
                Ok((link, identity)) if *identity == *self.identity => {
                    if *failures > 0 {
                        info!("control connection restored");
                    }
                    *failures = 0;
                    return Some(link);
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

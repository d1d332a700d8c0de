//! Clients that want one row, again and again.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, Error, NoTls};

use super::habit::Habit;
use crate::server::account::APP;

/// How long a client waits before it connects again where it was not let in.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of the clients' attempts, each of which has a number of its own.
#[derive(Debug, Default)]
struct Told {
    /// An error came: it was not done.
    failed: HashSet<i64>,
    /// Nothing came until then, when the client hung up.
    given_up: Vec<(Instant, i64)>,
}

/// All clients, and what they share.
#[derive(Debug)]
pub(super) struct Storm {
    target: SocketAddr,
    habit: Habit,
    next: AtomicI64,
    failures: AtomicUsize,
    successes: AtomicUsize,
    first_success: Mutex<Option<Instant>>,
    is_over: AtomicBool,
    tasks: Mutex<JoinSet<Told>>,
}

impl Storm {
    /// Lets that many clients loose.
    pub(super) fn start(target: SocketAddr, clients: usize, habit: Habit) -> Arc<Self> {
        let storm = Arc::new(Self {
            target,
            habit,
            next: AtomicI64::new(1),
            failures: AtomicUsize::new(0),
            successes: AtomicUsize::new(0),
            first_success: Mutex::new(None),
            is_over: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        for _ in 0..clients {
            storm.tasks.lock().spawn(Arc::clone(&storm).retry());
        }
        storm
    }

    /// Attempts so far that failed or were given up.
    pub(super) fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Attempts that succeeded so far.
    pub(super) fn successes(&self) -> usize {
        self.successes.load(Ordering::Relaxed)
    }

    /// When the first attempt succeeded.
    pub(super) fn first_success(&self) -> Option<Instant> {
        *self.first_success.lock()
    }

    /// Lets each client finish its attempt. Yields what must not be in the database then: attempts that
    /// were told as failed, and those whose clients had hung up before `gone`.
    pub(super) async fn end(&self, gone: Instant) -> HashSet<i64> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let mut lost = HashSet::new();
        while let Some(told) = tasks.join_next().await {
            // A client that panicked was told nothing.
            let Told { failed, given_up } = told.unwrap_or_default();
            lost.extend(failed);
            let before = given_up.into_iter().filter(|(hung_up, _)| *hung_up < gone);
            lost.extend(before.map(|(_, attempt)| attempt));
        }
        lost
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// One client.
    async fn retry(self: Arc<Self>) -> Told {
        let mut told = Told::default();
        while !self.is_over() {
            match Connection::open(self.target).await {
                Ok(connection) => self.update(&connection.client, &mut told).await,
                Err(_) => sleep(PAUSE).await,
            }
        }
        told
    }

    /// Updates the row on one connection until that is over, or the client has had enough of waiting.
    async fn update(&self, client: &Client, told: &mut Told) {
        while !self.is_over() && !client.is_closed() {
            let attempt = self.next.fetch_add(1, Ordering::Relaxed);
            let done = run(client, self.habit.steps(attempt));
            let outcome = match self.habit.patience(attempt) {
                None => done.await,
                Some(patience) => match timeout(patience, done).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        told.given_up.push((Instant::now(), attempt));
                        self.failures.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                },
            };
            match outcome {
                Ok(()) => {
                    self.first_success.lock().get_or_insert_with(Instant::now);
                    self.successes.fetch_add(1, Ordering::Relaxed);
                }
                // Only the other side's own word is a failure; a connection that breaks off says
                // nothing.
                Err(error) if error.as_db_error().is_some() => {
                    told.failed.insert(attempt);
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    if self.habit.rolls_back() && client.batch_execute("ROLLBACK").await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

/// Runs statements, each by itself, until one fails.
async fn run(client: &Client, steps: Vec<String>) -> Result<(), Error> {
    for step in steps {
        client.batch_execute(&step).await?;
    }
    Ok(())
}

/// A client's connection. Dropping it hangs up, also in the middle of a statement.
struct Connection {
    client: Client,
    task: JoinHandle<()>,
}

impl Connection {
    async fn open(target: SocketAddr) -> Result<Self, Error> {
        let (client, connection) = APP.config(target).connect(NoTls).await?;
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, task })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects. How a connection ends is for the client's own calls to tell, and for nobody else.
pub(super) async fn connect(config: &Config) -> Result<Client, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

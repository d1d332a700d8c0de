//! Clients that want one row and never give up.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

use crate::server::account::APP;

/// How long a client waits before it connects again where it was not let in.
const PAUSE: Duration = Duration::from_millis(20);

/// What clients were told of their attempts, each of which has a number of its own.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// An error came: it was not done.
    pub(super) failed: HashSet<i64>,
}

/// All clients, and what they share.
#[derive(Debug)]
pub(super) struct Storm {
    target: SocketAddr,
    next: AtomicI64,
    failures: AtomicUsize,
    successes: AtomicUsize,
    first_success: Mutex<Option<Instant>>,
    is_over: AtomicBool,
    tasks: Mutex<JoinSet<Told>>,
}

impl Storm {
    /// Lets that many clients loose.
    pub(super) fn start(target: SocketAddr, clients: usize) -> Arc<Self> {
        let storm = Arc::new(Self {
            target,
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

    /// Attempts that failed so far.
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

    /// Lets each client finish its attempt, and collects what they were told.
    pub(super) async fn end(&self) -> Told {
        self.is_over.store(true, Ordering::Relaxed);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let mut all = Told::default();
        while let Some(told) = tasks.join_next().await {
            // A client that panicked was told nothing.
            all.failed.extend(told.unwrap_or_default().failed);
        }
        all
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// One client.
    async fn retry(self: Arc<Self>) -> Told {
        let mut told = Told::default();
        while !self.is_over() {
            match connect(&APP.config(self.target)).await {
                Ok(client) => self.update(&client, &mut told).await,
                Err(_) => sleep(PAUSE).await,
            }
        }
        told
    }

    /// Updates the row on one connection until that is over.
    async fn update(&self, client: &Client, told: &mut Told) {
        while !self.is_over() && !client.is_closed() {
            let attempt = self.next.fetch_add(1, Ordering::Relaxed);
            let sql = format!("UPDATE hot SET attempt = {attempt} WHERE id = 1");
            match client.simple_query(&sql).await {
                Ok(_) => {
                    self.first_success.lock().get_or_insert_with(Instant::now);
                    self.successes.fetch_add(1, Ordering::Relaxed);
                }
                // Only the other side's own word is a failure; a connection that breaks off says
                // nothing.
                Err(error) if error.as_db_error().is_some() => {
                    told.failed.insert(attempt);
                    self.failures.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => return,
            }
        }
    }
}

/// Connects. How a connection ends is for the client's own calls to tell, and for nobody else.
pub(super) async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

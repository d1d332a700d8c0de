//! The ledger: what is to be sent, who is at it, and what has become of it, in a database.
//!
//! What schedulers share is not items but *chunks* of up to 1,000 ([`body`]). A chunk is one small row with
//! a lease on it, and a body that is written once. What was sent of it is a bitmap ([`progress`]); only
//! items that have failed have rows. So a million items cost a database about a thousand inserts,
//! a thousand claims, and as many flushes as one likes, instead of millions of rows that come and go.
//!
//! ```text
//!  planner:    submit ─► add, add, … ─► seal
//!  dispatcher: claim ─► send, flush, send, flush, … ─► release          each chunk by one at a time
//!  anybody:    pause, resume, cancel, retry; report, audit; tidy, rotate, drop_old
//! ```
//!
//! - **Nothing is lost**: a chunk whose holder is gone is claimed by another when its lease is over.
//! - **Nothing is doubled** where the effect is stored together with the progress
//!   ([`Ledger::flush_with`]): a holder that was frozen and wakes is refused by its fence ([`lease`]).
//!   Elsewhere what may have been sent twice is listed item by item ([`Progress::offer`]).
//! - **What a planner does twice** does nothing ([`Ledger::submit`]).
//! - **The database's clock** is the only one, but for a holder's own count of what is left of its lease.
//!
//! It is kept in SQLite, PostgreSQL, MySQL or MariaDB: all statements are here once, and what the
//! three want said differently is in `dialect`. Several schedulers may share one; on SQLite those of
//! one machine. No order between chunks is kept but by their moments, and an item that takes longer
//! than a lease belongs into a queue of its own.

mod dialect;
mod schema;
mod store;
mod varint;

pub mod batch;

pub mod submit;

pub mod body;

pub mod lease;

pub mod claim;

pub mod bitmap;

pub mod lateness;

pub mod progress;

pub mod flush;

pub mod life;

pub mod control;

pub mod report;

pub mod schedules;

pub mod requests;

pub mod audit;

pub mod error;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::batch::{Batch, Terms};
pub use self::body::{Body, Cutter, Item, NewChunk};
pub use self::claim::{Claim, Wish};
pub use self::error::LedgerError;
pub use self::flush::{Effect, Parameter};
pub use self::lease::{Lease, LeaseTerms};
pub use self::life::BatchState;
pub use self::progress::{Fate, Progress, Standing, Tally};

use self::dialect::Dialect;
use self::store::{Answer, Row, Store, Value, Work};

/// Whether there are new volumes is looked for no more often by those who find enough in the old.
const VOLUMES_EVERY: Duration = Duration::from_secs(2);
/// What is busy is asked for again so many times before its caller is told.
const BUSY_RETRIES: u32 = 4;

/// Asks again for what was refused because others held it. What was refused was rolled back.
macro_rules! retrying {
    ($ask:expr) => {{
        let mut tries = 0;
        loop {
            match $ask.await {
                Err(error) if error.is_busy() && tries < super::BUSY_RETRIES => {
                    tries += 1;
                    super::pause_before(tries).await;
                }
                asked => break asked,
            }
        }
    }};
}
use retrying;

/// Waits a little, by chance more with each try, so that two do not meet again.
async fn pause_before(tries: u32) {
    let most = 5_u64 << tries.min(8);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
}

/// What a ledger has cost its database so far, by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Statements, with BEGIN and COMMIT.
    pub statements: u64,
    /// Changes that the database had to make durable.
    pub commits: u64,
    /// Chunks taken over from a holder whose lease was over.
    pub takeovers: u64,
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            statements: self.statements - before.statements,
            commits: self.commits - before.commits,
            takeovers: self.takeovers - before.takeovers,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    statements: AtomicU64,
    commits: AtomicU64,
    takeovers: AtomicU64,
}

/// An open ledger. For many tasks at once.
#[derive(Debug)]
pub struct Ledger {
    store: Box<dyn Store>,
    counters: Counters,
    volumes: Mutex<Vec<i64>>,
    looked: Mutex<Option<Instant>>,
    turn: AtomicUsize,
}

impl Ledger {
    /// Opens the ledger that a URL names, with up to so many connections, and creates its tables where
    /// there are none: `sqlite:FILE`, `postgres://USER:PASSWORD@HOST/DATABASE`, or
    /// `mysql://USER:PASSWORD@HOST/DATABASE`.
    ///
    /// # Errors
    /// [`LedgerError::Url`] for any other, [`LedgerError::Version`] where a newer program has been,
    /// [`LedgerError::Unavailable`] where nobody answers. None names the URL, which may hold a password.
    pub async fn open(url: &str, connections: u32) -> Result<Self, LedgerError> {
        let store = store::open(url, connections.max(1)).await?;
        let ledger = Self {
            store,
            counters: Counters::default(),
            volumes: Mutex::default(),
            looked: Mutex::default(),
            turn: AtomicUsize::default(),
        };
        let mut tries = 0;
        while let Err(error) = ledger.create().await {
            if !error.is_busy() || tries == BUSY_RETRIES {
                return Err(error);
            }
            tries += 1;
            pause_before(tries).await;
        }
        Ok(ledger)
    }

    /// Closes its connections in order.
    pub async fn close(&self) {
        // Closing cannot fail: pools only wait for what is under way.
        let _closed = self.store.close().await;
    }

    /// What it has cost so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            statements: self.counters.statements.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
            takeovers: self.counters.takeovers.load(Ordering::Relaxed),
        }
    }

    fn count_takeover(&self) {
        self.counters.takeovers.fetch_add(1, Ordering::Relaxed);
    }

    fn dialect(&self) -> Dialect {
        self.store.dialect()
    }

    async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, LedgerError> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.store.execute(sql, values).await
    }

    async fn returning(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, LedgerError> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.store.returning(sql, values).await
    }

    async fn read(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, LedgerError> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        self.store.read(sql, values).await
    }

    async fn begin(&self) -> Result<Box<dyn Work + '_>, LedgerError> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Counted { work: self.store.begin().await?, counters: &self.counters }))
    }

    async fn snapshot(&self) -> Result<Box<dyn Work + '_>, LedgerError> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Counted { work: self.store.snapshot().await?, counters: &self.counters }))
    }

    /// The volumes known, each time another first, so that none is behind the others for long.
    fn volumes_in_turn(&self) -> Vec<i64> {
        let mut volumes = self.volumes.lock().clone();
        if !volumes.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % volumes.len();
            volumes.rotate_left(first);
        }
        volumes
    }

    /// Whether it was not long ago that volumes were looked for.
    fn has_looked(&self) -> bool {
        self.looked.lock().is_some_and(|looked| looked.elapsed() < VOLUMES_EVERY)
    }

    async fn look_for_volumes(&self) -> Result<Vec<i64>, LedgerError> {
        let asked = Instant::now();
        let sql = "SELECT volume FROM tg_volume WHERE dropped = 0 ORDER BY volume";
        let rows = self.read(sql, &[]).await?;
        let volumes: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
        self.volumes.lock().clone_from(&volumes);
        *self.looked.lock() = Some(asked);
        Ok(volumes)
    }

    fn forget_volumes(&self) {
        self.volumes.lock().clear();
        *self.looked.lock() = None;
    }
}

/// A transaction whose statements are counted.
struct Counted<'a> {
    work: Box<dyn Work>,
    counters: &'a Counters,
}

impl Work for Counted<'_> {
    fn execute<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> Answer<'a, u64> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        self.work.execute(sql, values)
    }

    fn read<'a>(&'a mut self, sql: &'a str, values: &'a [Value]) -> Answer<'a, Vec<Row>> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        self.work.read(sql, values)
    }

    fn commit(self: Box<Self>) -> Answer<'static, ()> {
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.work.commit()
    }
}

//! Closed-loop load: a number of clients, each with one transaction at a time, that behave as
//! applications do. A client that waits longer than its deadline drops its socket, reconnects and
//! tries again at once, a few times; then it takes up the next transaction. That is the loop that
//! keeps a pile-up alive.
//!
//! With a pace, clients begin their transactions at random times instead, so many per second between
//! them: load that does not depend on how fast it is served, until all clients wait.
//!
//! An attempt is *good* when its commit is acknowledged within the deadline. Latency is that of a
//! transaction that was committed in the end, all its attempts together: what a user waits. Those
//! given up are counted beside it.

pub mod accounts;
mod dice;
pub mod hot_row;
pub mod jobs;
pub mod lookups;
pub mod mixed;
pub mod pages;
mod peer;
pub mod reminders;
pub mod rows;
mod tables;
mod timeline;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, sleep_until, timeout};

use self::dice::Dice;
pub use self::peer::{Fault, Peer, Target};
pub use self::timeline::{Counts, Rates, Second, Served, Timeline, back, rate, told_ms, whole_ms};
use crate::server::account::Account;

/// A client pauses this long after an answer that came at once and was a failure, so that a refusal
/// does not turn it into a busy loop.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a client of a drill waits before it drops its socket; a commit after that is not good.
const DEADLINE: Duration = Duration::from_secs(1);
/// Its further attempts before a transaction is given up.
const RETRIES: u32 = 3;

/// How a crowd of clients behaves.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Where they connect.
    pub target: Target,
    /// As whom.
    pub account: Account,
    /// How many there are.
    pub clients: usize,
    /// How long one attempt may take, connecting included, before its client drops the socket.
    pub deadline: Duration,
    /// Further attempts after a failed one, before the transaction is given up.
    pub retries: u32,
    /// Mean time from one transaction of a client to its next, at random. Zero: each begins as soon
    /// as the one before is over.
    pub pace: Duration,
    /// When they connect.
    pub connects: Connects,
    /// How long they go on.
    pub duration: Duration,
}

/// When a client that has no connection opens one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connects {
    /// With its next transaction.
    WhenDue,
    /// At once, and again until it is let in, as a pool of connections does in an application.
    AtOnce,
}

/// What a client runs, over and over.
pub trait Transaction: Send + Sync + 'static {
    /// Runs it once, from BEGIN to COMMIT. `number` differs from one call to the next. May be dropped
    /// at any await: the client's time was up.
    fn run(&self, peer: &mut Peer, number: u64) -> impl Future<Output = Result<(), Fault>> + Send;
}

impl Crowd {
    /// The clients of a drill: impatient, and as fast as they can.
    #[must_use]
    pub fn impatient(target: Target, clients: usize, duration: Duration) -> Self {
        Self {
            target,
            account: target.account(),
            clients,
            deadline: DEADLINE,
            retries: RETRIES,
            pace: Duration::ZERO,
            connects: Connects::WhenDue,
            duration,
        }
    }

    /// The same, which begin so many transactions a second together.
    #[must_use]
    pub fn paced(self, per_second: f64) -> Self {
        Self { pace: Duration::from_secs_f64(self.clients as f64 / per_second.max(1.0)), ..self }
    }

    /// Runs the crowd and records into `timeline`, until the duration is over. What is under way
    /// then is dropped.
    pub async fn run<T: Transaction>(self, transaction: Arc<T>, timeline: Arc<Timeline>) {
        let end = tokio::time::Instant::now() + self.duration;
        let mut clients = JoinSet::new();
        for client in 0..self.clients {
            let (transaction, timeline) = (transaction.clone(), timeline.clone());
            clients.spawn(async move {
                // Not all in the same instant: they were there before.
                let spread = u32::try_from(client % 100).unwrap_or(0);
                sleep(Duration::from_millis(spread.into())).await;
                let first = (client as u64) << 32;
                let dice = Dice::new(first);
                Loop { crowd: self, transaction, timeline, dice, conn: None }.run(first).await;
            });
        }
        sleep_until(end).await;
        // Dropping the set ends every client where it stands.
    }
}

/// What an attempt that succeeded has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    LoggedIn,
    Committed,
}

/// One client.
struct Loop<T> {
    crowd: Crowd,
    transaction: Arc<T>,
    timeline: Arc<Timeline>,
    dice: Dice,
    conn: Option<Peer>,
}

impl<T: Transaction> Loop<T> {
    async fn run(mut self, first: u64) {
        let mut due = tokio::time::Instant::now();
        for number in first.. {
            while self.conn.is_none() && self.crowd.connects == Connects::AtOnce {
                let began = Instant::now();
                let login = timeout(self.crowd.deadline, self.login()).await;
                let outcome = login.map(|login| login.map(|_| Did::LoggedIn));
                self.settle(began, outcome).await;
            }
            if !self.crowd.pace.is_zero() {
                // What has come due meanwhile is not made up for: users go away as well.
                due = (due + self.dice.gap(self.crowd.pace)).max(tokio::time::Instant::now());
                sleep_until(due).await;
            }
            let began = Instant::now();
            let mut committed = false;
            for _attempt in 0..=self.crowd.retries {
                committed = self.attempt(number).await;
                if committed {
                    break;
                }
            }
            self.timeline.record(|counts| match committed {
                true => counts.latencies.push(began.elapsed()),
                false => counts.given_up += 1,
            });
        }
    }

    /// Whether it committed in time.
    async fn attempt(&mut self, number: u64) -> bool {
        let began = Instant::now();
        let outcome = timeout(self.crowd.deadline, self.try_once(number)).await;
        self.settle(began, outcome.map(|outcome| outcome.map(|()| Did::Committed))).await
    }

    /// Counts what an attempt came to, and leaves behind what is left of it. Whether it succeeded.
    async fn settle(
        &mut self,
        began: Instant,
        outcome: Result<Result<Did, Fault>, Elapsed>,
    ) -> bool {
        match outcome {
            Ok(Ok(did)) => {
                if did == Did::Committed {
                    self.timeline.served(began.elapsed());
                }
                return true;
            }
            Ok(Err(Fault::Aborted(_))) => {
                // No pause: drivers and frameworks try again at once.
                self.timeline.record(|counts| counts.aborted += 1);
                self.leave_transaction().await;
            }
            Ok(Err(Fault::Refused(_))) => {
                self.timeline.record(|counts| counts.refused += 1);
                self.leave_transaction().await;
                sleep(PAUSE).await;
            }
            Ok(Err(Fault::TurnedAway(_))) => {
                self.timeline.record(|counts| counts.refused += 1);
                self.conn = None;
                sleep(PAUSE).await;
            }
            Ok(Err(Fault::Lost(_))) => {
                self.timeline.record(|counts| counts.lost += 1);
                self.conn = None;
                sleep(PAUSE).await;
            }
            Err(_deadline) => {
                self.timeline.record(|counts| counts.timed_out += 1);
                self.conn = None;
            }
        }
        false
    }

    async fn try_once(&mut self, number: u64) -> Result<(), Fault> {
        let transaction = Arc::clone(&self.transaction);
        transaction.run(self.login().await?, number).await
    }

    /// The connection, which is opened where there is none.
    async fn login(&mut self) -> Result<&mut Peer, Fault> {
        Ok(match &mut self.conn {
            Some(peer) => peer,
            empty => {
                self.timeline.record(|counts| counts.connects += 1);
                empty.insert(Peer::login(self.crowd.target, &self.crowd.account).await?)
            }
        })
    }

    /// After an error the connection is kept, as drivers do, and its transaction rolled back.
    async fn leave_transaction(&mut self) {
        if let Some(peer) = &mut self.conn {
            let rollback = timeout(self.crowd.deadline, peer.run("ROLLBACK")).await;
            if !matches!(rollback, Ok(Ok(()))) {
                self.conn = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! `tidegate drill stampede`: the top of the hour of 27 June 2022, in small.
//!
//! Users of an application begin transactions at a pace that the server takes with ease; a quarter of them move a counter
//! that all share. At the hour a batch is due, and hundreds of workers take its jobs as fast as they can, each over a
//! connection that it opens then. A job moves the same counter, and one transaction keeps that for two seconds. Whoever
//! has waited for a second drops its socket, connects again and tries again: users three times, workers until their job is
//! done. Somebody stops the batch when it is not done in time.
//!
//! The same goes three ways: to the server; through a guard that is a pool of a fixed size and no more, as a
//! conventional proxy is; and through one that finds its limit, melts pile-ups, and knows the batch by a comment in its
//! statements. Each way has a server of its own.

mod measure;
mod show;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::screen::Screen;
use crate::server::engine::Engine;
pub use crate::way::Way;

/// The scene: how many, how long.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Users, each with a connection.
    pub users: usize,
    /// Transactions that they begin together, a second.
    pub per_second: f64,
    /// Workers of the batch.
    pub workers: usize,
    /// Its jobs.
    pub jobs: u64,
    /// Connections that a guard may open to the server.
    pub pool: u32,
    /// Time before the hour. The first second is not counted.
    pub calm: Duration,
    /// For how long somebody keeps the counter at the hour.
    pub hold: Duration,
    /// When the batch is stopped, if it is not done.
    pub hour: Duration,
    /// How long users are watched after that.
    pub after: Duration,
}

impl Scene {
    /// A minute and a half, with as many workers as that server has connections for.
    #[must_use]
    pub fn of(engine: Engine) -> Self {
        Self {
            users: 60,
            per_second: 200.0,
            workers: if engine.is_postgres() { 200 } else { 400 },
            jobs: 1500,
            pool: 16,
            calm: Duration::from_secs(4),
            hold: Duration::from_secs(2),
            hour: Duration::from_secs(15),
            after: Duration::from_secs(5),
        }
    }

    /// Less time, and less to be believed: a minute.
    #[must_use]
    pub fn quick(self) -> Self {
        Self {
            jobs: 800,
            calm: Duration::from_secs(3),
            hour: Duration::from_secs(12),
            after: Duration::from_secs(3),
            ..self
        }
    }
}

/// What came of one way. Rates are the users' commits within the deadline, a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which way.
    pub way: Way,
    /// Before the hour.
    pub before_per_second: f64,
    /// From the hour until the batch was done, or stopped.
    pub during_per_second: f64,
    /// What 99 of 100 of those took at most; of the last attempt.
    pub during_p99_ms: Option<f64>,
    /// In the last three seconds.
    pub after_per_second: f64,
    /// When the hour struck, from the first user on.
    pub struck_ms: u64,
    /// How long the batch ran.
    pub batch_ms: u64,
    /// From its end until the begin of the first second with nine tenths of the goodput of before; none when that did
    /// not come.
    pub back_after_ms: Option<u64>,
    /// Jobs that workers were told to be done.
    pub done: u64,
    /// Jobs that the server has done and no worker was told so, who did them again.
    pub doubled: u64,
    /// Attempts of users and workers, since the hour, whose clients waited in vain and dropped their sockets.
    pub hung_up: u64,
    /// Attempts that the server or the guard refused.
    pub refused: u64,
    /// Connections that users and workers opened since the hour.
    pub connects: u64,
    /// Most connections seen on the server.
    pub connections_max: u32,
    /// Most transactions seen waiting for a lock on it.
    pub lock_waiters_max: u32,
    /// The users' commits within the deadline in each second.
    pub good_by_second: Vec<u64>,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// Workers.
    pub workers: usize,
    /// Jobs of the batch.
    pub jobs: u64,
    /// All ways.
    pub outcomes: Vec<Outcome>,
}

/// Users must keep this part of their goodput while the batch runs: the first two of its seconds, in which the counter
/// is kept, cost most of the rest.
const KEPT_MIN: f64 = 0.6;

impl Report {
    /// Whether the guard kept what it promises: users go on, and the batch does not pay for that.
    #[must_use]
    pub fn guard_keeps_its_word(&self) -> bool {
        let of = |way| self.outcomes.iter().find(|one| one.way == way);
        let (Some(direct), Some(one)) = (of(Way::Direct), of(Way::Guarded)) else { return false };
        // Directly a few more may be done than there are: in the same moment as the last.
        let is_done = one.done >= self.jobs.min(direct.done);
        one.during_per_second >= KEPT_MIN * one.before_per_second && is_done
    }
}

/// Runs the scene all three ways, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    show::begin(screen, engine, scene);
    let mut report =
        Report { engine, workers: scene.workers, jobs: scene.jobs, outcomes: Vec::new() };
    for way in Way::ALL {
        let outcome = measure::play(engine, way, scene).await?;
        screen.line(&show::outcome(&outcome));
        report.outcomes.push(outcome);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;

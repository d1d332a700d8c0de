//! `tidegate drill sicklag`: one of two replicas answers slowly.
//!
//! Clients read single rows at a pace that either replica takes with ease. Then one of the two answers a quarter of a
//! second late, and after a while it is well again. Nothing else is wrong with it: it lets everybody in,
//! replicates, and answers each ping, so that no check of whether it is there finds anything. The lateness comes from a
//! [fault proxy](crate::faults::FaultProxy) before it, through which all three ways go:
//!
//! directly, half of the clients at each replica, as a driver with a list of hosts has them; the same through a pool of
//! a fixed size before each replica, as a conventional proxy with a balancer over it; and through the guard, which
//! knows both as its replicas.

mod measure;
mod show;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::measure::Bench;
use crate::error::Error;
use crate::screen::Screen;
use crate::server::engine::Engine;
pub use crate::way::Way;

/// The scene: how many, how long.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Clients, each with a connection.
    pub clients: usize,
    /// Reads that they begin together, a second.
    pub per_second: f64,
    /// Connections that a pool, or the guard, may open to each replica.
    pub pool: u32,
    /// How much later the sick replica answers.
    pub delay: Duration,
    /// Time before it is sick. The first half, in which clients connect, is not counted.
    pub calm: Duration,
    /// How long it is sick.
    pub sick: Duration,
    /// How long clients go on once it is well.
    pub well: Duration,
}

impl Default for Scene {
    /// About a minute and a half.
    fn default() -> Self {
        Self {
            clients: 64,
            per_second: 400.0,
            pool: 16,
            delay: Duration::from_millis(250),
            calm: Duration::from_secs(6),
            sick: Duration::from_secs(12),
            well: Duration::from_secs(8),
        }
    }
}

impl Scene {
    /// Less time, and less to be believed: a minute.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            calm: Duration::from_secs(4),
            sick: Duration::from_secs(8),
            well: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// What takes longer is not in time: half of the delay, many times what a healthy replica needs.
    #[must_use]
    pub fn in_time(&self) -> Duration {
        self.delay / 2
    }
}

/// What came of one way. Rates are reads that were answered in time, a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which way.
    pub way: Way,
    /// Before the replica was sick.
    pub before_per_second: f64,
    /// In the last three seconds of its sickness.
    pub late_per_second: f64,
    /// In the last three seconds of all.
    pub after_per_second: f64,
    /// When it became sick, from the first client on.
    pub sick_ms: u64,
    /// When it was well again.
    pub well_ms: u64,
    /// From its sickness to the begin of the first second with nine tenths of the reads of before; none when that did
    /// not come while it lasted.
    pub back_after_ms: Option<u64>,
    /// Of the reads answered during the sickness, the part that was late.
    pub late_share: f64,
    /// What 99 of 100 of them took at most; of the last attempt.
    pub p99_ms: Option<f64>,
    /// The same in the last three seconds of it.
    pub late_p99_ms: Option<f64>,
    /// Since the sickness began: attempts whose clients waited for a second in vain and dropped their sockets.
    pub hung_up: u64,
    /// Attempts that were answered with an error, or whose connection broke off.
    pub failed: u64,
    /// Reads none of whose attempts was answered.
    pub given_up: u64,
    /// From its sickness until the guard read nothing from it any more.
    pub out_after_ms: Option<u64>,
    /// From its cure until the guard read from it again.
    pub returned_after_ms: Option<u64>,
    /// Reads answered in time in each second, from the first client on.
    pub good_by_second: Vec<u64>,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which servers.
    pub engine: Engine,
    /// Clients.
    pub clients: usize,
    /// Reads that they begin, a second.
    pub per_second: f64,
    /// How much later the sick replica answered.
    pub delay_ms: u64,
    /// Answered within that, a read is in time.
    pub in_time_ms: u64,
    /// All ways.
    pub outcomes: Vec<Outcome>,
}

/// Reads must be as they were so soon.
const BACK_MAX_MS: u64 = 5000;
/// And stay so, but for this part.
const KEPT_MIN: f64 = 0.9;

impl Report {
    /// Whether the guard kept what it promises: the sick replica is left alone soon, no read is lost by that, and the
    /// replica is read from again when it is well.
    #[must_use]
    pub fn guard_keeps_its_word(&self) -> bool {
        let Some(one) = self.outcomes.iter().find(|one| one.way == Way::Guarded) else {
            return false;
        };
        let is_back = one.back_after_ms.is_some_and(|after| after <= BACK_MAX_MS);
        let goes_on = one.late_per_second >= KEPT_MIN * one.before_per_second;
        is_back && goes_on && one.given_up == 0 && one.returned_after_ms.is_some()
    }
}

/// Runs the scene all three ways, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or one of them or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    screen.step(&format!("starting a private {engine} with two replicas and loading it"));
    let bench = Bench::start(engine, *scene).await?;
    show::begin(screen, engine, scene);
    let mut report = Report {
        engine,
        clients: scene.clients,
        per_second: scene.per_second,
        delay_ms: crate::load::whole_ms(scene.delay),
        in_time_ms: crate::load::whole_ms(scene.in_time()),
        outcomes: Vec::new(),
    };
    for way in Way::ALL {
        let outcome = bench.play(way).await?;
        screen.line(&show::outcome(&outcome));
        report.outcomes.push(outcome);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;

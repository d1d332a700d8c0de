//! `tidegate drill herd`: all clients lose their connections at once, and all come back at once.
//!
//! Each client has a connection, as those of an application's pool are, and begins a transaction now
//! and then: together a pace that the server takes with ease. Then all connections are gone in the same
//! instant, because the server was restarted, or because something between was (*cut*). Every client
//! connects again at once, and again until it is let in, and tries its transaction until it is done.
//! None waits longer than a second for any of it.
//!
//! The same goes three ways: to the server; through a guard that is a pool of a fixed size and opens its
//! connections as fast as it can, as a conventional proxy does; and through the guard as it is by
//! default, with the limit that finds itself. Each time with a server of its own.

mod measure;
mod show;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::screen::Screen;
use crate::server::engine::Engine;
pub use crate::way::Way;

/// The scene: how many, how long.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Clients, each with a connection. The server takes somewhat more.
    pub clients: usize,
    /// Transactions that they begin together, a second.
    pub per_second: f64,
    /// Connections that a guard may open to the server.
    pub pool: u32,
    /// Time before the connections are lost. The first half, in which clients connect, is not counted.
    pub calm: Duration,
    /// How long the herd is watched once the server answers.
    pub after: Duration,
    /// How the connections are lost.
    pub triggers: Vec<Trigger>,
}

impl Default for Scene {
    /// About three minutes.
    fn default() -> Self {
        Self {
            clients: 1000,
            per_second: 300.0,
            pool: 16,
            calm: Duration::from_secs(8),
            after: Duration::from_secs(15),
            triggers: vec![Trigger::Restart, Trigger::Cut],
        }
    }
}

impl Scene {
    /// Fewer clients, and a minute and a half, and less to be believed.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            clients: 400,
            per_second: 200.0,
            calm: Duration::from_secs(4),
            after: Duration::from_secs(8),
            ..Self::default()
        }
    }
}

/// How the connections are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The server crashes and is started again.
    Restart,
    /// Something between clients and the server, or the guard, goes; those two notice nothing.
    Cut,
}

impl Trigger {
    /// As it is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Cut => "cut",
        }
    }
}

/// What came of one way. Rates are commits within the deadline, a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which way.
    pub way: Way,
    /// How the connections were lost.
    pub trigger: Trigger,
    /// Before they were.
    pub before_per_second: f64,
    /// In the last three seconds.
    pub after_per_second: f64,
    /// When they were, from the first client on.
    pub lost_ms: u64,
    /// From then until the server answered.
    pub down_ms: u64,
    /// From then until the begin of the first second with nine tenths of the goodput of before; none
    /// when that did not come.
    pub back_after_ms: Option<u64>,
    /// Logins that were tried at the server since the loss.
    pub logins: u64,
    /// Most of them in one second.
    pub logins_per_second_max: u64,
    /// Most connections seen on the server once it answered, those that look at it included.
    pub connections_max: u32,
    /// Logins that clients have tried since the loss.
    pub client_logins: u64,
    /// Attempts, of logins too, that were answered with an error since the loss.
    pub refused: u64,
    /// Attempts whose clients waited in vain and dropped their sockets.
    pub hung_up: u64,
    /// Attempts whose connection broke off, or was not accepted.
    pub lost: u64,
    /// Commits within the deadline in each second, from the first client on.
    pub good_by_second: Vec<u64>,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// Clients.
    pub clients: usize,
    /// Connections that a guard may open to serve them.
    pub pool: u32,
    /// By trigger, then by way.
    pub outcomes: Vec<Outcome>,
}

/// Service must be back so soon after the server answers.
const BACK_MAX_MS: u64 = 2000;
/// Connections beside those of the pool: two of control, one that observes, what is being replaced, and
/// the drill's own look.
const BESIDE_MAX: u32 = 6;

impl Report {
    /// Whether the guard kept what it promises, each time: service soon back, and the server none the
    /// wiser of how many want it.
    #[must_use]
    pub fn guard_keeps_its_word(&self) -> bool {
        let mut guarded = self.outcomes.iter().filter(|one| one.way == Way::Guarded);
        guarded.all(|one| {
            let is_back = one.back_after_ms.is_some_and(|after| after <= BACK_MAX_MS);
            is_back && one.connections_max <= self.pool + BESIDE_MAX
        })
    }
}

/// Runs the scene all ways, with each trigger, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    let mut outcomes = Vec::new();
    for trigger in scene.triggers.iter().copied() {
        show::begin(screen, trigger, engine, scene);
        for way in Way::ALL {
            let outcome = measure::play(engine, way, trigger, scene).await?;
            screen.line(&show::outcome(&outcome));
            outcomes.push(outcome);
        }
    }
    Ok(Report { engine, clients: scene.clients, pool: scene.pool, outcomes })
}

#[cfg(test)]
mod tests;

//! `tidegate drill mixshift`: what clients ask for changes all of a sudden, and back.
//!
//! First they read pages: two rows by their keys in one transaction, with 5 ms of the application's own
//! work between them. The database has little to do for each, and dozens at once are right. Then, from one
//! moment to the next, they update four random rows of forty in random order, which deadlocks:
//! a handful at once, or one, is right. Then they read again. All the time there are more of them than can
//! be served, so that whatever limit there is, is reached.
//!
//! No fixed limit suits both. Several are tried with each mix, and the best of each goes through all of it;
//! so does who goes directly, and a guard that finds the limit by itself.
//!
//! Goodput counts what was committed within the client's deadline, and all times are the clients'.

mod measure;
mod report;
mod show;

use std::time::Duration;

use self::measure::Bench;
pub use self::report::{Mix, Phase, Report, Run, Try, Way};
use crate::error::Error;
use crate::load::accounts::Accounts;
use crate::load::rows::Rows;
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::server::{Server, Settings};

/// The scene: how many, how long.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Clients, who begin anew as soon as they are done.
    pub clients: usize,
    /// Fixed limits that are tried with each mix.
    pub limits: Vec<u32>,
    /// How long each is counted, in whole seconds; a second before that is not.
    pub trial: Duration,
    /// How long each mix goes on, in whole seconds. The second half is taken for settled.
    pub phase: Duration,
}

impl Default for Scene {
    /// Three to four minutes.
    fn default() -> Self {
        Self {
            clients: 64,
            limits: vec![1, 2, 4, 8, 16, 32],
            trial: Duration::from_secs(3),
            phase: Duration::from_secs(14),
        }
    }
}

impl Scene {
    /// Fewer limits and less time: a minute and a half, and less to be believed.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            limits: vec![1, 4, 32],
            trial: Duration::from_secs(1),
            phase: Duration::from_secs(8),
            ..Self::default()
        }
    }
}

/// Runs the scene all ways, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    screen.step(&format!("starting a private {engine} and loading it"));
    let server = Server::start(Settings::usual(engine)).await?;
    Accounts::load(&server).await?;
    Rows::load(&server).await?;
    let mut bench = Bench { server, scene: scene.clone() };
    let mut report = Report::new(engine, scene);
    for mix in [Mix::Reads, Mix::Updates] {
        screen.title(&format!("fixed limits, {}", mix.name()));
        for limit in scene.limits.iter().copied() {
            let tried = bench.try_limit(mix, limit).await?;
            screen.line(&show::tried(&tried));
            report.tries.push(tried);
        }
    }
    screen.title("reads, then updates, then reads again");
    for way in report.ways() {
        let run = bench.run(way).await?;
        screen.line(&show::run(&run));
        report.runs.push(run);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;

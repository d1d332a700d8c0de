//! `tidegate drill tipping`: where a database tips over, and what a limit makes of that.
//!
//! Clients update four random rows of forty in one transaction, in random order. A client waits a
//! second, then drops its socket, reconnects and tries again, three times. With more and more of
//! them, most of what the server does is undone again or comes too late, until hardly anything is
//! committed in time.
//!
//! The same goes three ways: to the server; through a guard with a fixed limit, as a pool of
//! connections is one; and through a guard that finds the limit by itself. The fixed limit is the best
//! of several that are tried first: nobody who sets one has that advantage. The two guards take
//! turns of seconds before one server, so that whatever else the machine does meets both.
//!
//! Goodput counts what was committed within the client's deadline, and all times are the clients'.

mod measure;
mod recover;
mod report;
mod show;

use std::time::Duration;

use self::measure::{Bench, Slice};
pub use self::report::{Point, Recovery, Report, Try, Way};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::Target;
use crate::load::rows::Rows;
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::server::{Server, Settings};

/// The scene: how many, how long.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Crowds that go to the server directly, by their number of clients, from the smallest. The
    /// first says what one client does alone, and has one.
    pub direct: Vec<usize>,
    /// What the guards are offered first, in parts of what the best fixed limit brings.
    pub calm: Vec<f64>,
    /// Crowds that go through the guards.
    pub guarded: Vec<usize>,
    /// Fixed limits that are tried.
    pub limits: Vec<u32>,
    /// The crowd they are tried with.
    pub trial: usize,
    /// The crowd of the storm after which service must come back.
    pub storm: usize,
    /// How long a crowd goes on before it is counted.
    pub warm: Duration,
    /// How long it is counted.
    pub counted: Duration,
    /// Turns of the two guards at each crowd.
    pub turns: u32,
    /// How long the guard without a number is given to find one, from its start on.
    pub find: Duration,
    /// How long a storm lasts.
    pub storm_time: Duration,
    /// How long service is waited for after it.
    pub patience: Duration,
}

impl Default for Scene {
    /// Three to four minutes.
    fn default() -> Self {
        Self {
            direct: vec![1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
            calm: vec![0.5, 0.8],
            guarded: vec![4, 16, 64, 512],
            limits: vec![1, 2, 3, 4, 6, 8, 12, 16, 32],
            trial: 64,
            storm: 256,
            warm: Duration::from_secs(1),
            counted: Duration::from_secs(2),
            turns: 2,
            find: Duration::from_secs(8),
            storm_time: Duration::from_secs(4),
            patience: Duration::from_secs(6),
        }
    }
}

impl Scene {
    /// Less of everything: about a minute, and less to be believed.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            direct: vec![1, 4, 32, 256],
            calm: vec![0.8],
            guarded: vec![16, 256],
            limits: vec![1, 4, 16],
            counted: Duration::from_secs(1),
            turns: 1,
            find: Duration::from_secs(5),
            storm_time: Duration::from_secs(1),
            patience: Duration::from_secs(3),
            ..Self::default()
        }
    }
}

/// The guard's own default of `upstream.connections`; that of drills is smaller.
const CONNECTIONS: u32 = 32;

/// Runs the scene all three ways, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    screen.step(&format!("starting a private {engine} and loading it"));
    let server = Server::start(Settings::usual(engine)).await?;
    Rows::load(&server).await?;
    let mut bench = Bench { server, scene: scene.clone(), alone: 0.0, capacity: 0.0 };
    let mut report = Report::new(engine);
    direct(&mut bench, &mut report, screen).await?;
    let best = fixed(&mut bench, &mut report, screen).await?;
    guarded(&mut bench, best, &mut report, screen).await?;
    Ok(report)
}

/// To the server, with ever more clients.
async fn direct(bench: &mut Bench, report: &mut Report, screen: &Screen) -> Result<(), Error> {
    screen.title("directly");
    for clients in bench.scene.direct.clone() {
        let target = Target::of(&bench.server);
        let point = bench.point(Way::Direct, target, None, Slice::crowd(clients)).await?;
        if clients == 1 {
            bench.alone = point.good_per_second;
        }
        bench.capacity = bench.capacity.max(point.good_per_second);
        let point = bench.load(point);
        screen.line(&show::point(&point));
        report.points.push(point);
        bench.quiet().await?;
    }
    // What the first crowds offered is known only now that the best of all is.
    report.points.iter_mut().for_each(|point| point.load = bench.load(point.clone()).load);
    report.alone_per_second = bench.alone;
    report.direct_per_second = bench.capacity;
    let target = Target::of(&bench.server);
    let recovery = bench.recover(Way::Direct, target, bench.capacity).await?;
    screen.line(&show::sentence(&recovery));
    report.recoveries.push(recovery);
    bench.quiet().await
}

/// Tries the fixed limits, and returns the best.
async fn fixed(bench: &mut Bench, report: &mut Report, screen: &Screen) -> Result<u32, Error> {
    screen.title("fixed limits");
    for limit in bench.scene.limits.clone() {
        let guard = bench.guard(&fixed_at(limit)).await?;
        let slice = Slice::crowd(bench.scene.trial);
        let target = bench.behind(&guard);
        let point = bench.point(Way::Fixed, target, None, slice).await?;
        let tried = Try { limit, clients: point.clients, good_per_second: point.good_per_second };
        screen.line(&show::tried(&tried));
        report.tries.push(tried);
        bench.quiet().await?;
    }
    let best = report.best_try();
    let best = best.map_or(1, |best| best.limit);
    report.best_limit = best;
    Ok(best)
}

/// Through both guards in turn.
async fn guarded(
    bench: &mut Bench,
    best: u32,
    report: &mut Report,
    screen: &Screen,
) -> Result<(), Error> {
    let adaptive = bench.guard("[limit]\nmode = \"enforce\"\n").await?;
    screen.title("finding the limit");
    let slice = Slice::crowd(bench.scene.trial).cold(bench.scene.find);
    let target = bench.behind(&adaptive);
    let found = bench.point(Way::Adaptive, target, Some(&adaptive), slice).await?;
    screen.line(&show::found(&found));
    report.start = Some(found);
    bench.quiet().await?;
    let fixed = bench.guard(&fixed_at(best)).await?;
    screen.title(&format!("a fixed limit of {best}, and one that finds itself, in turn"));
    let reachable = report.best_try().map_or(0.0, |best| best.good_per_second);
    let calm = bench.scene.calm.clone().into_iter().map(|share| Slice::paced(share * reachable));
    let crowds = bench.scene.guarded.clone();
    for slice in calm.chain(crowds.into_iter().map(Slice::crowd)) {
        let mut turns = [Vec::new(), Vec::new()];
        for _ in 0..bench.scene.turns {
            for (way, points) in [Way::Fixed, Way::Adaptive].into_iter().zip(&mut turns) {
                let guard = if way == Way::Fixed { &fixed } else { &adaptive };
                let target = bench.behind(guard);
                points.push(bench.point(way, target, Some(guard), slice).await?);
                bench.quiet().await?;
            }
        }
        for points in turns {
            let Some(point) = Point::mean(points) else { continue };
            let point = bench.load(point);
            screen.line(&show::point(&point));
            report.points.push(point);
        }
    }
    for (way, guard) in [(Way::Fixed, &fixed), (Way::Adaptive, &adaptive)] {
        let recovery = bench.recover(way, bench.behind(guard), reachable).await?;
        screen.line(&show::sentence(&recovery));
        report.recoveries.push(recovery);
        bench.quiet().await?;
    }
    Ok(())
}

fn fixed_at(limit: u32) -> String {
    format!("[overall]\nin_flight = {limit}\n")
}

impl Bench {
    async fn guard(&self, limit: &str) -> Result<Guard, Error> {
        Guard::of_drill(&self.server, CONNECTIONS, limit).await
    }

    fn behind(&self, guard: &Guard) -> Target {
        Target::behind(guard, self.server.engine())
    }
}

#[cfg(test)]
mod tests;

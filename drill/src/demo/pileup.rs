//! The first act of the demo: the same pile-up twice, first against a private MariaDB or PostgreSQL
//! directly and then through the guard.
//!
//! The scene is that of the incident the project is about. A few clients write notifications; each
//! moves a counter that all share, so that one transaction after the other holds that row. Then, at
//! the top of the hour, hundreds more arrive, and one transaction keeps the row for a while. Clients
//! wait a second, drop their sockets, reconnect and try again. Directly, the server goes on waiting
//! on behalf of clients that are gone, and those keep the living from being served in time.

mod show;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::show::Show;
pub use self::show::table;
use crate::error::Error;
use crate::guard::{Guard, Setup};
use crate::load::hot_row::{self, HotRow};
use crate::load::{Counts, Crowd, Target, Timeline, told_ms};
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::server::{Server, Settings};
use crate::watch::{Sample, Watch, most};

/// The scene: how many, how long.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Clients that are there all the time.
    pub regulars: usize,
    /// Clients that arrive when the storm breaks.
    pub crowd: usize,
    /// Time before the storm.
    pub calm: Duration,
    /// Time of the storm.
    pub storm: Duration,
    /// How long the slow holder keeps the row when the storm breaks.
    pub hold: Duration,
    /// How long a client waits before it drops its socket; a commit after that is not good.
    pub deadline: Duration,
    /// How long every transaction thinks while it holds the row.
    pub think: Duration,
}

impl Default for Scene {
    /// About a quarter of a minute each way.
    fn default() -> Self {
        Self {
            regulars: 4,
            crowd: 400,
            calm: Duration::from_secs(3),
            storm: Duration::from_secs(14),
            hold: Duration::from_secs(2),
            deadline: Duration::from_secs(1),
            think: Duration::from_millis(2),
        }
    }
}

/// The guard's configuration beyond where things are: few transactions at once, a queue shorter than
/// the clients' patience, and no transaction that idles while it holds locks.
const LIMITS: &str = r#"
[log]
level = "warn"

[overall]
queue_length = 1000

[class.default]
in_flight = 4
queue_length = 1000
queue_time = "800ms"
statement_time = "1s"
transaction_time = "2s"
idle_in_transaction_time = "500ms"
"#;

/// Upstream connections of the guard in the demo.
const CONNECTIONS: u32 = 8;

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Which way the clients went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Direct,
    /// Through the guard.
    Guard,
}

/// What one run of the scene came to. Rates are per second, latencies in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Which way the clients went.
    pub way: Way,
    /// Commits within the deadline per second before the storm.
    pub calm_good_per_second: f64,
    /// Commits within the deadline per second while the storm lasted.
    pub storm_good_per_second: f64,
    /// What half of those committed in the storm took at most, all attempts together; none when
    /// fewer than 100 were: a percentile of a handful says nothing.
    pub storm_p50_ms: Option<f64>,
    /// What 99 of 100 of those took at most.
    pub storm_p99_ms: Option<f64>,
    /// Transactions per second that were given up after all retries.
    pub storm_given_up_per_second: f64,
    /// Attempts per second whose client waited in vain and dropped its socket.
    pub storm_timed_out_per_second: f64,
    /// Attempts per second that were refused, by the server (no connection left) or the guard.
    pub storm_refused_per_second: f64,
    /// Connections per second that clients opened.
    pub storm_connects_per_second: f64,
    /// Most connections seen on the server that run a statement: `Threads_running`, active backends.
    pub threads_running_max: u32,
    /// Most connections seen on the server.
    pub threads_connected_max: u32,
    /// Most transactions seen waiting for a lock on the server.
    pub lock_waiters_max: u32,
    /// Commits within the deadline in each second.
    pub good_by_second: Vec<u64>,
    /// What was seen of the server.
    pub samples: Vec<Sample>,
}

/// Both runs.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// Directly.
    pub direct: Outcome,
    /// Through the guard.
    pub guard: Outcome,
}

impl Report {
    /// Whether the guard did what it is for: more commits in time, and fewer waiters on the server.
    #[must_use]
    pub fn guard_is_better(&self) -> bool {
        self.guard.storm_good_per_second > self.direct.storm_good_per_second
            && self.guard.lock_waiters_max < self.direct.lock_waiters_max
    }
}

/// Runs the scene both ways, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or the guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    let show = &Show::new(screen, engine, scene);
    let direct = direct(engine, scene, show).await?;
    // A server of its own: nothing of the first run may be left in the second.
    let server = prepare(engine, show).await?;
    let setup = Setup { connections: CONNECTIONS, ..Setup::with(LIMITS) };
    let guard = Guard::start(&server, &setup).await?;
    show.step(&guard.page());
    show.scene(Way::Guard, scene);
    let target = Target::behind(&guard, engine);
    let guard = play(scene, Way::Guard, &server, target, show).await?;
    Ok(Report { engine, direct, guard })
}

async fn direct(engine: Engine, scene: &Scene, show: &Show<'_>) -> Result<Outcome, Error> {
    let server = prepare(engine, show).await?;
    show.scene(Way::Direct, scene);
    let target = Target::of(&server);
    play(scene, Way::Direct, &server, target, show).await
}

async fn prepare(engine: Engine, show: &Show<'_>) -> Result<Server, Error> {
    show.step(&format!("starting a private {engine} and loading it"));
    let server = Server::start(Settings::usual(engine)).await?;
    HotRow::load(&server).await?;
    Ok(server)
}

/// Runs the scene one way.
async fn play(
    scene: &Scene,
    way: Way,
    server: &Server,
    target: Target,
    show: &Show<'_>,
) -> Result<Outcome, Error> {
    let watch = Watch::of(server, LOOK).await?;
    let timeline = Arc::new(Timeline::new());
    let transaction = Arc::new(HotRow { think: scene.think });
    let crowd = |clients, duration| Crowd {
        deadline: scene.deadline,
        ..Crowd::impatient(target, clients, duration)
    };
    let regulars = crowd(scene.regulars, scene.calm + scene.storm);
    let arrivals = crowd(scene.crowd, scene.storm);
    let storm = async {
        sleep(scene.calm).await;
        let hold = async {
            // Refused or cut short is what the guard may do to it; the counts tell the rest.
            let _cut_short = hot_row::hold(target, &target.account(), scene.hold).await;
        };
        tokio::join!(hold, arrivals.run(transaction.clone(), timeline.clone()));
    };
    let live = async {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        loop {
            seconds.tick().await;
            let second = timeline.second().saturating_sub(1);
            show.second(second, &timeline.at(second), watch.latest());
        }
    };
    tokio::select! {
        _ = async { tokio::join!(regulars.run(transaction.clone(), timeline.clone()), storm) } => {}
        () = live => {}
    }
    let samples = watch.finish().await?;
    Ok(outcome(scene, way, &timeline, &samples))
}

fn outcome(scene: &Scene, way: Way, timeline: &Timeline, samples: &[Sample]) -> Outcome {
    let whole = |duration: Duration| usize::try_from(duration.as_secs()).unwrap_or(usize::MAX);
    let breaks = whole(scene.calm);
    let calm = timeline.sum(0..breaks);
    let storm = timeline.sum(breaks..breaks + whole(scene.storm));
    let per_second = |count: u64, span: Duration| count as f64 / span.as_secs_f64();
    let in_storm = |count: fn(&Counts) -> u64| per_second(count(&storm), scene.storm);
    let mut latencies = storm.latencies.clone();
    let most = most(samples, Duration::ZERO);
    Outcome {
        way,
        calm_good_per_second: per_second(calm.good, scene.calm),
        storm_good_per_second: in_storm(|counts| counts.good),
        storm_p50_ms: told_ms(&mut latencies, 0.5),
        storm_p99_ms: told_ms(&mut latencies, 0.99),
        storm_given_up_per_second: in_storm(|counts| counts.given_up),
        storm_timed_out_per_second: in_storm(|counts| counts.timed_out),
        storm_refused_per_second: in_storm(|counts| counts.refused),
        storm_connects_per_second: in_storm(|counts| counts.connects),
        threads_running_max: most.threads_running,
        threads_connected_max: most.threads_connected,
        lock_waiters_max: most.lock_waiters,
        good_by_second: timeline.good_by_second(scene.calm + scene.storm),
        samples: samples.to_vec(),
    }
}

#[cfg(test)]
mod tests;

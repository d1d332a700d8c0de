//! The second act of the demo: the top of the hour, which is compressed.
//!
//! Users look at their pages all the time, with a deadline. At one o'clock a hundred thousand reminders are
//! due, each of which reads its recipient and writes a notification.
//!
//! ```text
//!  the wall      workers ───────────────────────────────────────────────► primary ◄─── pages
//!
//!  with Tidegate                                              ┌─ reads ──► replica
//!                ledger ─► scheduler ─► the same ─► guard ────┤
//!                            ▲          work         │  ▲     └─ writes ─► primary
//!                            └────── pressure ───────┘  └──── pages
//! ```
//!
//! First as it is without Tidegate: hundreds of workers take them from a queue, at once. Then a scheduler has
//! them in its ledger, spread over a window, and hands each in its moment to the same application by a webhook;
//! the guard lets few of them at a time to the primary, sends what they read to the replica, and tells the scheduler
//! how pressed the database is. All of it shares one machine, the clients included.

mod desk;
mod record;
mod report;
mod show;
mod station;
mod wall;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use self::record::{Eyes, Recorder};
pub use self::report::{Outcome, Report, Second};
use self::show::Show;
pub use self::show::table;
use self::station::Station;
use crate::error::Error;
use crate::guard::Guard;
use crate::load::reminders::{self, Page};
use crate::load::{Crowd, Target, Timeline};
use crate::scheduler::{Audit, Lateness};
use crate::screen::Screen;
use crate::server::Server;
use crate::server::engine::Engine;
use crate::server::replicated::Replicated;
use crate::watch::{Sample, Watch};

/// How often the primary is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The scene: how many, how long.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Reminders, each to a recipient of its own.
    pub reminders: u64,
    /// Workers that take them all at once, without Tidegate.
    pub workers: usize,
    /// How many of them the application does at once, at most, when they come one by one.
    pub desks: usize,
    /// Users that look at their pages.
    pub clients: usize,
    /// Pages a second.
    pub pages_per_second: f64,
    /// How long a user waits for a page; one that comes later is not good.
    pub deadline: Duration,
    /// Time before the hour.
    pub calm: Duration,
    /// Over how long the reminders are spread.
    pub window: Duration,
    /// Time behind the last reminder.
    pub tail: Duration,
    /// When the reminders have not gone after so long, it goes on without them.
    pub patience: Duration,
}

impl Scene {
    /// About a minute. Fewer workers come to a PostgreSQL, where each is a process.
    #[must_use]
    pub fn of(engine: Engine) -> Self {
        Self {
            reminders: 100_000,
            workers: if engine.is_postgres() { 200 } else { 600 },
            desks: 48,
            clients: 32,
            pages_per_second: 200.0,
            deadline: Duration::from_millis(250),
            calm: Duration::from_secs(3),
            window: Duration::from_secs(18),
            tail: Duration::from_secs(2),
            patience: Duration::from_secs(45),
        }
    }
}

/// What becomes of reminders, counted where they are done.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    /// Attempts.
    failed: AtomicU64,
}

impl Tally {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn note(&self, is_done: bool) {
        let count = if is_done { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where users and reminders read and write.
#[derive(Debug)]
struct Servers {
    primary: Server,
    replica: Server,
}

/// What was seen of one way.
#[derive(Debug)]
struct Played {
    timeline: Arc<Timeline>,
    samples: Vec<Sample>,
    curve: Vec<Second>,
    /// From the hour to the last reminder.
    took: Duration,
    tally: Arc<Tally>,
}

/// Runs the scene both ways, telling `screen` as it goes.
///
/// # Errors
/// When a server is not installed, or one of them, the guard or the scheduler does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    let show = Show::new(screen, engine, scene);
    let servers = prepare(engine, scene, &show).await?;
    show.wall();
    let direct = direct(&servers, scene, &show).await?;
    reminders::clear(&servers.primary).await?;
    show.spread();
    let (tidegate, audit, lateness) = spread(&servers, scene, &show).await?;
    Ok(Report { engine, reminders: scene.reminders, direct, tidegate, audit, lateness })
}

async fn prepare(engine: Engine, scene: &Scene, show: &Show<'_>) -> Result<Servers, Error> {
    show.step(&format!("starting a private {engine} with a replica, and loading it"));
    let mut servers = Replicated::start(engine, 1).await?;
    let servers = Servers { replica: servers.replicas.remove(0), primary: servers.primary };
    reminders::load(&servers.primary, scene.reminders).await?;
    Ok(servers)
}

/// All reminders at once.
async fn direct(servers: &Servers, scene: &Scene, show: &Show<'_>) -> Result<Outcome, Error> {
    let (target, tally) = (Target::of(&servers.primary), Arc::new(Tally::default()));
    let work = wall::rush(target, scene, &tally);
    let played = play(scene, servers, (target, None), &tally, work, show).await?;
    let written = reminders::written(&servers.primary).await?;
    Ok(Outcome::of(scene, &played, written))
}

/// The reminders through scheduler and guard.
async fn spread(
    servers: &Servers,
    scene: &Scene,
    show: &Show<'_>,
) -> Result<(Outcome, Audit, Lateness), Error> {
    let tally = Arc::new(Tally::default());
    let station = Station::open(servers, scene, &tally).await?;
    show.step(&station.guard().page());
    let hour = station.submit(scene).await?;
    sleep_until((hour - scene.calm).into()).await;
    let work = station.done(scene, &tally);
    let target = Target::behind(station.guard(), servers.primary.engine());
    let eyes = (target, Some(station.guard()));
    let played = play(scene, servers, eyes, &tally, work, show).await?;
    let (audit, lateness) = station.close().await?;
    let written = reminders::written(&servers.primary).await?;
    Ok((Outcome::of(scene, &played, written), audit, lateness))
}

/// Lets users look at their pages while `work` is done, from the hour on, and records what comes of it.
async fn play(
    scene: &Scene,
    servers: &Servers,
    (target, guard): (Target, Option<&Guard>),
    tally: &Arc<Tally>,
    work: impl Future<Output = ()>,
    show: &Show<'_>,
) -> Result<Played, Error> {
    let watch = Watch::of(&servers.primary, LOOK).await?;
    let mut recorder = Recorder::new(servers).await?;
    let timeline = Arc::new(Timeline::new());
    let began = Instant::now();
    let lasts = scene.calm + scene.patience * 2 + scene.tail;
    let users = Crowd {
        deadline: scene.deadline,
        ..Crowd::impatient(target, scene.clients, lasts).paced(scene.pages_per_second)
    };
    let page = Arc::new(Page { recipients: scene.reminders });
    let users = users.run(page, Arc::clone(&timeline));
    let reminders = async {
        sleep_until((began + scene.calm).into()).await;
        let hour = Instant::now();
        work.await;
        let took = hour.elapsed();
        sleep(scene.tail).await;
        took
    };
    let eyes = Eyes { timeline: &timeline, tally, watch: &watch, guard, calm: scene.calm };
    let took = tokio::select! {
        took = reminders => took,
        lost = recorder.follow(&eyes, |second| show.second(second)) => return Err(lost),
        () = users => {
            let what = "the end of the reminders".into();
            return Err(Error::Late { what, after: lasts, log: String::new() });
        }
    };
    let samples = watch.finish().await?;
    let tally = Arc::clone(tally);
    Ok(Played { timeline, samples, curve: recorder.curve(), took, tally })
}

#[cfg(test)]
mod tests;

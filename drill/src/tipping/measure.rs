//! One crowd, measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::report::ms;
use super::{Moment, Point, Scene, Way};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::rows::Rows;
use crate::load::{Crowd, Target, Timeline, percentile};
use crate::server::Server;
use crate::server::account::{APP, Account, MD5};
use crate::watch::{Sample, Watch};

/// How long a client waits before it drops its socket; a commit after that is not good.
const DEADLINE: Duration = Duration::from_secs(1);
/// Further attempts before a transaction is given up.
const RETRIES: u32 = 3;
/// Clients that keep a pace: enough that one that waits does not slow the others.
const PACED: usize = 16;
/// The fewest commits whose percentiles are told.
const ENOUGH: usize = 100;
/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often the limit is looked at: as often as it moves.
const LIMIT_LOOK: Duration = Duration::from_millis(100);
/// How long what is left of a crowd may keep the server busy before that is restarted.
const QUIET: Duration = Duration::from_secs(3);

/// The server, and what is known of it.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) scene: Scene,
    /// What one client commits alone, directly, a second.
    pub(super) alone: f64,
    /// The most that is committed directly, a second.
    pub(super) capacity: f64,
}

/// A crowd to be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    clients: usize,
    /// Transactions that all begin together, a second; none: as fast as they can.
    paced: Option<f64>,
    /// How long it is counted, from its first client on; none: as the scene has it, when warm.
    cold: Option<Duration>,
}

impl Slice {
    pub(super) fn crowd(clients: usize) -> Self {
        Self { clients, paced: None, cold: None }
    }

    pub(super) fn paced(per_second: f64) -> Self {
        Self { clients: PACED, paced: Some(per_second), cold: None }
    }

    pub(super) fn cold(self, counted: Duration) -> Self {
        Self { cold: Some(counted), ..self }
    }

    /// The crowd itself.
    pub(super) fn of(self, target: Target, duration: Duration) -> Crowd {
        let pace = self.paced.map_or(Duration::ZERO, |per_second| {
            Duration::from_secs_f64(self.clients as f64 / per_second.max(1.0))
        });
        Crowd {
            target,
            account: account(target),
            clients: self.clients,
            deadline: DEADLINE,
            retries: RETRIES,
            pace,
            duration,
        }
    }
}

/// As whom the clients log in: by SCRAM, hundreds of them keep the machine busy with their proofs, as
/// the demo has found.
fn account(target: Target) -> Account {
    if target.engine.is_postgres() { MD5 } else { APP }
}

impl Bench {
    /// Lets a crowd go one way, and counts what comes of it. `limit` is the guard whose limit is
    /// looked at meanwhile.
    pub(super) async fn point(
        &self,
        way: Way,
        target: Target,
        limit: Option<&Guard>,
        slice: Slice,
    ) -> Result<Point, Error> {
        let (warm, counted) =
            slice.cold.map_or((self.scene.warm, self.scene.counted), |cold| (Duration::ZERO, cold));
        let watch = Watch::of(&self.server, LOOK).await?;
        let timeline = Arc::new(Timeline::new());
        let crowd = slice.of(target, warm + counted).run(Arc::new(Rows), timeline.clone());
        let mut limits = Vec::new();
        tokio::select! {
            () = crowd => {}
            failed = watch_limit(limit, &mut limits) => return Err(failed),
        }
        let samples = watch.finish().await?;
        let mut point = measured(way, &timeline, &samples, warm, counted);
        point.clients = slice.clients;
        point.paced_per_second = slice.paced;
        point.limits = limits;
        Ok(point)
    }

    /// The same point with what it offers, as far as that is known by now.
    pub(super) fn load(&self, point: Point) -> Point {
        let offered = point.paced_per_second.unwrap_or(point.clients as f64 * self.alone);
        Point { load: offered / self.capacity.max(f64::EPSILON), ..point }
    }

    /// Waits until nothing is open on the server. One that is still busy with clients long gone is
    /// killed and started again: the next crowd is not to pay for the one before.
    pub(super) async fn quiet(&mut self) -> Result<(), Error> {
        let mut watch = Watch::of(&self.server, LOOK).await?;
        let is_quiet = watch.until(|seen| seen.transactions == 0);
        if let Ok(quiet) = timeout(QUIET, is_quiet).await {
            return quiet;
        }
        self.server.crash();
        self.server.restart().await
    }
}

/// Reads the guard's limit until dropped. Returns only when it cannot be read.
async fn watch_limit(guard: Option<&Guard>, moments: &mut Vec<Moment>) -> Error {
    let Some(guard) = guard else { return std::future::pending().await };
    let began = Instant::now();
    let mut ticks = interval(LIMIT_LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = match guard.json("/api/v1/status").await {
            Ok(status) => status,
            Err(error) => return error,
        };
        let told = &status["limit"];
        // A guard with a fixed limit tells none.
        let Some(limit) = told["limit"].as_u64() else { return std::future::pending().await };
        moments.push(Moment {
            at_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            elasticity: told["elasticity"].as_f64(),
            cuts: told["cuts"].as_u64().unwrap_or(0),
        });
    }
}

/// What the timeline says of the time after the warming up.
fn measured(
    way: Way,
    timeline: &Timeline,
    samples: &[Sample],
    warm: Duration,
    counted: Duration,
) -> Point {
    let whole = |time: Duration| usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    let seconds = whole(warm)..whole(warm + counted);
    let counts = timeline.sum(seconds.clone());
    let per_second = |count: u64| count as f64 / counted.as_secs_f64();
    let mut took: Vec<Duration> = counts.served.iter().map(|served| served.took).collect();
    let mut latency = |share| {
        let is_enough = took.len() >= ENOUGH;
        percentile(&mut took, share).filter(|_| is_enough).map(ms)
    };
    let late = samples.iter().filter(|sample| sample.at >= warm);
    let most = |of: fn(&Sample) -> u32| late.clone().map(of).max().unwrap_or(0);
    Point {
        way,
        clients: 0,
        load: 0.0,
        paced_per_second: None,
        good_per_second: per_second(counts.good),
        p50_ms: latency(0.5),
        p99_ms: latency(0.99),
        refused_per_second: per_second(counts.refused),
        deadlocks_per_second: per_second(counts.aborted),
        timed_out_per_second: per_second(counts.timed_out),
        connects_per_second: per_second(counts.connects),
        transactions_max: most(|sample| sample.gauges.transactions),
        lock_waiters_max: most(|sample| sample.gauges.lock_waiters),
        limits: Vec::new(),
        good_by_second: (0..seconds.end).map(|second| timeline.at(second).good).collect(),
    }
}

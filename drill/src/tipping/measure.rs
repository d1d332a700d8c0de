//! One crowd, measured.

use std::sync::Arc;
use std::time::Duration;

use super::{Point, Scene, Way};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::rows::Rows;
use crate::load::{Crowd, Rates, Target, Timeline};
use crate::server::Server;
use crate::watch::limit::watch_limit;
use crate::watch::{Sample, Watch, most, quiet};

/// Clients that keep a pace: enough that one that waits does not slow the others.
const PACED: usize = 16;
/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(200);
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
        let crowd = Crowd::impatient(target, self.clients, duration);
        self.paced.map_or(crowd, |per_second| crowd.paced(per_second))
    }
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

    /// Waits until nothing is open on the server.
    pub(super) async fn quiet(&mut self) -> Result<(), Error> {
        quiet(&mut self.server, QUIET).await
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
    let rates = Rates::of(timeline, warm, warm + counted);
    let most = most(samples, warm);
    let seconds = usize::try_from((warm + counted).as_secs()).unwrap_or(usize::MAX);
    Point {
        way,
        clients: 0,
        load: 0.0,
        paced_per_second: None,
        good_per_second: rates.good_per_second,
        p50_ms: rates.p50_ms,
        p99_ms: rates.p99_ms,
        refused_per_second: rates.refused_per_second,
        deadlocks_per_second: rates.aborted_per_second,
        timed_out_per_second: rates.timed_out_per_second,
        connects_per_second: rates.connects_per_second,
        transactions_max: most.transactions,
        lock_waiters_max: most.lock_waiters,
        limits: Vec::new(),
        good_by_second: (0..seconds).map(|second| timeline.at(second).good).collect(),
    }
}

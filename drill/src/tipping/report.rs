//! What came of the drill.

use serde::{Deserialize, Serialize};

use crate::server::engine::Engine;
use crate::watch::limit::Moment;

/// Which way the clients went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Direct,
    /// Through a guard with the best fixed limit.
    Fixed,
    /// Through a guard that finds its limit.
    Adaptive,
}

/// What one crowd came to. Rates are per second, latencies in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    /// Which way.
    pub way: Way,
    /// Clients.
    pub clients: usize,
    /// What they offer, in parts of the most that the server does directly: what so many clients
    /// would commit if each had the server to itself, or the pace they keep.
    pub load: f64,
    /// The pace, of clients that keep one: transactions a second, all together.
    pub paced_per_second: Option<f64>,
    /// Commits within the deadline.
    pub good_per_second: f64,
    /// What half of the attempts in `good` took at most, connecting included.
    pub p50_ms: Option<f64>,
    /// What 99 of 100 took at most.
    pub p99_ms: Option<f64>,
    /// Attempts refused, by the server (no connection left) or the guard.
    pub refused_per_second: f64,
    /// Attempts that the server ended in favour of others: deadlocks.
    pub deadlocks_per_second: f64,
    /// Attempts whose client waited in vain and dropped its socket.
    pub timed_out_per_second: f64,
    /// Connections that clients opened.
    pub connects_per_second: f64,
    /// Most transactions seen open on the server.
    pub transactions_max: u32,
    /// Most transactions seen waiting for a lock on the server.
    pub lock_waiters_max: u32,
    /// The guard's limit over time, when it has one that moves.
    pub limits: Vec<Moment>,
    /// Commits within the deadline in each whole second, from the first client on.
    pub good_by_second: Vec<u64>,
}

/// A fixed limit that was tried.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Try {
    /// The limit.
    pub limit: u32,
    /// Clients.
    pub clients: usize,
    /// Commits within the deadline.
    pub good_per_second: f64,
}

/// How service came back after a storm.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Recovery {
    /// Which way.
    pub way: Way,
    /// Transactions that the regulars begin, a second: 0.8 of what this way can do.
    pub offered_per_second: f64,
    /// Commits within the deadline before the storm, a second.
    pub before_per_second: f64,
    /// Of those clients, while the storm lasted.
    pub storm_per_second: f64,
    /// Time from the storm's end to the beginning of the first second with nine tenths of the
    /// commits of before; none when that did not come within the drill's patience, or when not half
    /// of what was offered was committed before.
    pub back_after_ms: Option<u64>,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// What one client alone commits, directly, a second.
    pub alone_per_second: f64,
    /// The most that was committed directly, a second, by whatever number of clients.
    pub direct_per_second: f64,
    /// The fixed limits that were tried.
    pub tries: Vec<Try>,
    /// The best of them.
    pub best_limit: u32,
    /// The guard without a number, from its start on.
    pub start: Option<Point>,
    /// All crowds, all ways.
    pub points: Vec<Point>,
    /// How service came back, each way.
    pub recoveries: Vec<Recovery>,
}

impl Report {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            alone_per_second: 0.0,
            direct_per_second: 0.0,
            tries: Vec::new(),
            best_limit: 0,
            start: None,
            points: Vec::new(),
            recoveries: Vec::new(),
        }
    }

    /// The fixed limit with the most commits, among those that were tried.
    #[must_use]
    pub fn best_try(&self) -> Option<Try> {
        self.tries.iter().copied().max_by(|a, b| a.good_per_second.total_cmp(&b.good_per_second))
    }

    /// The crowds of one way, in their order.
    pub fn of(&self, way: Way) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.way == way)
    }

    /// Goodput of the limit that finds itself over that of the fixed one, at each crowd that offers
    /// more than the best fixed limit brings: its size, and the share.
    #[must_use]
    pub fn shares(&self) -> Vec<(usize, f64)> {
        let fixed = self.of(Way::Fixed).filter(|point| point.paced_per_second.is_none());
        let pairs = fixed.filter_map(|fixed| {
            let same =
                |point: &&Point| point.clients == fixed.clients && point.paced_per_second.is_none();
            let adaptive = self.of(Way::Adaptive).find(same)?;
            let share = adaptive.good_per_second / fixed.good_per_second.max(f64::EPSILON);
            Some((fixed.clients, share))
        });
        pairs.collect()
    }

    /// The mean of [`shares`](Self::shares); none without any.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let shares = self.shares();
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        (!shares.is_empty()).then(|| sum / shares.len() as f64)
    }

    /// Goodput of the largest crowd of a way in parts of the most of any; none without points.
    #[must_use]
    pub fn kept(&self, way: Way) -> Option<f64> {
        let last = self.of(way).last()?.good_per_second;
        let best = self.of(way).map(|point| point.good_per_second).fold(f64::EPSILON, f64::max);
        Some(last / best)
    }

    /// Whether the guard did what it is for: with the largest crowd, more commits in time than
    /// without it.
    #[must_use]
    pub fn guard_is_better(&self) -> bool {
        let last = |way| self.of(way).last().map_or(0.0, |point| point.good_per_second);
        last(Way::Adaptive) > last(Way::Direct)
    }
}

impl Point {
    /// Several turns of the same as one: the mean of rates and latencies, the most of what was seen;
    /// none of none.
    pub(super) fn mean(points: Vec<Self>) -> Option<Self> {
        let turns = points.len() as f64;
        let mean = |of: fn(&Self) -> f64| points.iter().map(of).sum::<f64>() / turns;
        let mean_of_some = |of: fn(&Self) -> Option<f64>| {
            let some: Vec<f64> = points.iter().filter_map(of).collect();
            (!some.is_empty()).then(|| some.iter().sum::<f64>() / some.len() as f64)
        };
        let most = |of: fn(&Self) -> u32| points.iter().map(of).max().unwrap_or(0);
        let first = points.first()?;
        Some(Self {
            good_per_second: mean(|point| point.good_per_second),
            p50_ms: mean_of_some(|point| point.p50_ms),
            p99_ms: mean_of_some(|point| point.p99_ms),
            refused_per_second: mean(|point| point.refused_per_second),
            deadlocks_per_second: mean(|point| point.deadlocks_per_second),
            timed_out_per_second: mean(|point| point.timed_out_per_second),
            connects_per_second: mean(|point| point.connects_per_second),
            transactions_max: most(|point| point.transactions_max),
            lock_waiters_max: most(|point| point.lock_waiters_max),
            limits: points.iter().flat_map(|point| point.limits.iter().copied()).collect(),
            good_by_second: points.iter().flat_map(|point| point.good_by_second.clone()).collect(),
            ..first.clone()
        })
    }

    /// The mean of the limit, when it moves.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        let sum: u32 = self.limits.iter().map(|moment| moment.limit).sum();
        (!self.limits.is_empty()).then(|| f64::from(sum) / self.limits.len() as f64)
    }
}

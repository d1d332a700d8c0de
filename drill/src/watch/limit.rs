//! The limit that finds itself, over time.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use crate::error::Error;
use crate::guard::Guard;
use crate::load::whole_ms;

/// How often the limit is looked at: as often as it moves.
const LOOK: Duration = Duration::from_millis(100);

/// One look at a limit that moves.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Moment {
    /// Time since the first client came.
    pub at_ms: u64,
    /// Transactions that may be in flight.
    pub limit: u32,
    /// Percent more work for a percent more in flight, when last measured.
    pub elasticity: Option<f64>,
    /// Cuts because of locks or failures, since the guard's start.
    pub cuts: u64,
}

/// Reads the guard's limit until dropped. Returns only when it cannot be read.
pub(crate) async fn watch_limit(guard: Option<&Guard>, moments: &mut Vec<Moment>) -> Error {
    let Some(guard) = guard else { return std::future::pending().await };
    let began = Instant::now();
    let mut ticks = interval(LOOK);
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
            at_ms: whole_ms(began.elapsed()),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            elasticity: told["elasticity"].as_f64(),
            cuts: told["cuts"].as_u64().unwrap_or(0),
        });
    }
}

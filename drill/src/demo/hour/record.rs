//! What happens, second by second, as the servers, the users and the workers count it.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::{Second, Servers, Tally};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::{Timeline, told_ms};
use crate::server::work::{Meter, Work};
use crate::watch::Watch;

/// What is looked at.
pub(super) struct Eyes<'a> {
    /// What users went through.
    pub(super) timeline: &'a Timeline,
    /// What workers did.
    pub(super) tally: &'a Tally,
    /// What the primary says of itself.
    pub(super) watch: &'a Watch,
    /// Who tells the pressure, if anybody does.
    pub(super) guard: Option<&'a Guard>,
    /// When the hour strikes, from the timeline's beginning on.
    pub(super) calm: Duration,
}

/// Keeps a curve.
#[derive(Debug)]
pub(super) struct Recorder {
    primary: Meter,
    replica: Meter,
    last: Look,
    curve: Vec<Second>,
}

/// What was counted until a moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    sent: u64,
    primary: Work,
    replica: Work,
}

impl Recorder {
    /// Begins to count now.
    ///
    /// # Errors
    /// When a server cannot be asked.
    pub(super) async fn new(servers: &Servers) -> Result<Self, Error> {
        let mut primary = Meter::of(&servers.primary).await?;
        let mut replica = Meter::of(&servers.replica).await?;
        let last = look(&mut primary, &mut replica, 0).await?;
        Ok(Self { primary, replica, last, curve: Vec::new() })
    }

    /// Looks once a second, for ever. A second in which it did not come to look is missing, and what was counted
    /// in it is in the next one's mean.
    pub(super) async fn follow(&mut self, eyes: &Eyes<'_>, mut tell: impl FnMut(&Second)) -> Error {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        seconds.tick().await;
        loop {
            seconds.tick().await;
            match self.second(eyes).await {
                Ok(second) => {
                    tell(&second);
                    self.curve.push(second);
                }
                Err(lost) => return lost,
            }
        }
    }

    /// All that was recorded.
    pub(super) fn curve(self) -> Vec<Second> {
        self.curve
    }

    async fn second(&mut self, eyes: &Eyes<'_>) -> Result<Second, Error> {
        let number = eyes.timeline.second().saturating_sub(1);
        let now = look(&mut self.primary, &mut self.replica, eyes.tally.sent()).await?;
        let before = std::mem::replace(&mut self.last, now);
        let passed = (now.at - before.at).as_secs_f64().max(f64::EPSILON);
        let (primary, replica) =
            (now.primary.since(before.primary), now.replica.since(before.replica));
        let mut users = eyes.timeline.at(number);
        let gauges = eyes.watch.latest();
        let pressure = match eyes.guard {
            Some(guard) => guard.json("/api/v1/pressure").await?["pressure"].as_f64(),
            None => None,
        };
        let at = i64::try_from(number).unwrap_or(i64::MAX) - eyes.calm.as_secs() as i64;
        Ok(Second {
            at,
            load_per_second: primary.done as f64 / passed,
            reminders_per_second: now.sent.saturating_sub(before.sent) as f64 / passed,
            primary_reads: primary.reads,
            replica_reads: replica.reads,
            good: users.good,
            p99_ms: told_ms(&mut users.latencies, 0.99),
            hung_up: users.timed_out,
            threads_running: gauges.threads_running,
            lock_waiters: gauges.lock_waiters,
            pressure,
        })
    }
}

async fn look(primary: &mut Meter, replica: &mut Meter, sent: u64) -> Result<Look, Error> {
    let at = Instant::now();
    Ok(Look { at, sent, primary: primary.read().await?, replica: replica.read().await? })
}

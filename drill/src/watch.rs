//! Looks at a server several times a second, over a connection opened before the storm.

pub mod limit;

use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};

use crate::error::Error;
use crate::server::Server;
use crate::server::probe::{Gauges, Look};

/// One look.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Sample {
    /// Time since the watch began.
    pub at: Duration,
    /// What was seen.
    pub gauges: Gauges,
}

/// The most that was seen of each gauge, from that time on.
#[must_use]
pub fn most(samples: &[Sample], since: Duration) -> Gauges {
    let late = samples.iter().filter(|sample| sample.at >= since);
    late.fold(Gauges::default(), |most, sample| most.max(sample.gauges))
}

/// How often it is looked whether a server is quiet.
const QUIET_LOOK: Duration = Duration::from_millis(200);

/// Waits until nothing is open on the server. One that is still busy with clients long gone is killed
/// and started again: the next crowd is not to pay for the one before.
///
/// # Errors
/// When the server is lost, or does not start again.
pub(crate) async fn quiet(server: &mut Server, patience: Duration) -> Result<(), Error> {
    let mut watch = Watch::of(server, QUIET_LOOK).await?;
    let is_quiet = watch.until(|seen| seen.transactions == 0);
    if let Ok(quiet) = timeout(patience, is_quiet).await {
        return quiet;
    }
    server.crash();
    server.restart().await
}

/// A watch that runs. Dropping it ends it; what it saw is lost then.
#[derive(Debug)]
pub struct Watch {
    stop: oneshot::Sender<()>,
    latest: watch::Receiver<Option<Gauges>>,
    task: JoinHandle<Result<Vec<Sample>, Error>>,
}

impl Watch {
    /// Begins to look `every` so often. A server too busy to answer is looked at less often; that
    /// shows in [`Sample::at`].
    #[must_use]
    pub fn start(mut probe: impl Look + Send + 'static, every: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let (sender, latest) = watch::channel(None);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut samples = Vec::new();
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = &mut stopped => return Ok(samples),
                }
                let gauges = probe.gauges().await?;
                samples.push(Sample { at: began.elapsed(), gauges });
                sender.send_replace(Some(gauges));
            }
        });
        Self { stop, latest, task }
    }

    /// As [`Watch::start`], at a server of either kind.
    ///
    /// # Errors
    /// When the server cannot be looked at.
    pub async fn of(server: &Server, every: Duration) -> Result<Self, Error> {
        Ok(if server.engine().is_postgres() {
            Self::start(server.postgres_probe().await?, every)
        } else {
            Self::start(server.probe().await?, every)
        })
    }

    /// What was seen last; zeroes before the first look.
    #[must_use]
    pub fn latest(&self) -> Gauges {
        self.latest.borrow().unwrap_or_default()
    }

    /// Waits until a look finds what is asked for.
    ///
    /// # Errors
    /// When the connection was lost.
    pub async fn until(&mut self, found: impl Fn(&Gauges) -> bool) -> Result<(), Error> {
        let seen = self.latest.wait_for(|seen| seen.as_ref().is_some_and(&found)).await;
        seen.map(drop).map_err(|_| Error::Io(std::io::Error::other("the server was lost")))
    }

    /// Ends the watch and gives all it saw.
    ///
    /// # Errors
    /// When the connection was lost meanwhile.
    pub async fn finish(self) -> Result<Vec<Sample>, Error> {
        let Self { stop, task, .. } = self;
        // A watch that failed no longer listens; its error comes next.
        let _ended_already = stop.send(());
        task.await.map_err(|panic| Error::Io(std::io::Error::other(panic)))?
    }
}

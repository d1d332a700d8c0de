//! Says "look now", once a second.
//!
//! By tokio-cron-scheduler, in the only way in which it loses and doubles nothing that matters
//! (measured: of 10,000 jobs due in one second it ran 256): one job, in UTC, over a wide channel, that does
//! nothing but wake a task of ours. A tick that is lost or comes twice does no harm, for whoever wakes looks
//! at the ledger; and where none comes for 3 s, it looks anyway.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tracing::warn;

/// Without a tick for so long, one is made.
const SILENCE: Duration = Duration::from_secs(3);
/// Of its channels: what is sent while they are full is lost.
const CHANNEL: usize = 4096;

/// Comes once a second.
pub(super) struct Tick {
    due: Arc<Notify>,
    /// None: it would not start. It has no part in its own end: that is the process's.
    _jobs: Option<JobScheduler>,
}

impl Tick {
    /// Begins to tick. Wants a runtime of several threads.
    pub(super) async fn start() -> Self {
        let due = Arc::new(Notify::new());
        let started = jobs(Arc::clone(&due)).await;
        let jobs = started.inspect_err(|error| {
            warn!(%error, "ticking did not start; schedules are looked at every 3 s");
        });
        Self { due, _jobs: jobs.ok() }
    }

    /// Waits for the next one. May be dropped at any time.
    pub(super) async fn next(&self) {
        // Also the watchdog of the library: it looks anyway.
        drop(timeout(SILENCE, self.due.notified()).await);
    }
}

async fn jobs(due: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let jobs = JobScheduler::new_with_channel_size(CHANNEL).await?;
    let every_second = Job::new("* * * * * *", move |_, _| due.notify_one())?;
    jobs.add(every_second).await?;
    jobs.start().await?;
    Ok(jobs)
}

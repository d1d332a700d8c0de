//! The wall: all reminders at once, by as many workers as there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Scene, Tally};
use crate::load::Target;
use crate::load::reminders::Worker;

/// A worker waits so long before it tries a reminder again.
const PAUSE: Duration = Duration::from_millis(50);

/// Has workers take reminders from a queue until none is left, or the scene's patience is. Each is tried until
/// it is done. Dropping the future ends the workers where they stand.
pub(super) async fn rush(target: Target, scene: &Scene, tally: &Arc<Tally>) {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..scene.workers {
        let (next, tally, all) = (Arc::clone(&next), Arc::clone(tally), scene.reminders);
        let mut worker = Worker::new(target);
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= all {
                    return;
                }
                let reminder = format!("direct-{number}");
                loop {
                    let is_done = worker.remind(&reminder, number).await.is_ok();
                    tally.note(is_done);
                    if is_done {
                        break;
                    }
                    sleep(PAUSE).await;
                }
            }
        });
    }
    let all = async { while workers.join_next().await.is_some() {} };
    // What is not sent by then is missing from the table.
    let _out_of_patience = timeout(scene.patience, all).await;
}

//! Who keeps the row.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Holder;
use crate::load::{Fault, Peer, Target};

/// How long each statement of a slow holder takes.
const SLOW: Duration = Duration::from_millis(300);

/// Takes the shared row, keeps it, and lets it go.
///
/// # Errors
/// When it was refused, or its transaction ended, before it let go by itself.
pub(super) async fn hold(target: Target, holder: Holder, keep: Duration) -> Result<(), Fault> {
    let mut peer = Peer::login(target, &target.account()).await?;
    peer.run("BEGIN").await?;
    peer.run("UPDATE counter SET sent = sent + 1 WHERE id = 1").await?;
    let until = Instant::now() + keep;
    match holder {
        Holder::Idle => sleep(keep).await,
        Holder::Slow => {
            let seconds = SLOW.as_secs_f64();
            let work = match target.engine.is_postgres() {
                true => format!("SELECT pg_sleep({seconds})"),
                false => format!("SELECT SLEEP({seconds})"),
            };
            while Instant::now() < until {
                peer.run(&work).await?;
            }
        }
    }
    peer.run("COMMIT").await
}

//! One way, measured.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::hold::hold;
use super::{Holder, Outcome, Scene, Way};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::hot_row::HotRow;
use crate::load::mixed::Mixed;
use crate::load::{Crowd, Target, Timeline, back, rate, whole_ms};
use crate::server::engine::Engine;
use crate::server::{Server, Settings};
use crate::watch::{Watch, most};
use crate::way::POOL;

/// How often the server is looked at. InnoDB makes its list of transactions anew only when nobody has read it for
/// a tenth of a second: who reads it all the time shows everybody an old one, the guard too.
const LOOK: Duration = Duration::from_secs(1);
/// How often the guard is asked whether it has rolled somebody back.
const KILL_LOOK: Duration = Duration::from_millis(50);
/// Service is back with this share of the goodput of before: few hundred a second vary by more than a
/// twentieth.
const BACK: f64 = 0.9;
/// Time at the begin that is not counted: clients connect.
const WARM: Duration = Duration::from_secs(1);
/// What is counted at the end.
const LAST: Duration = Duration::from_secs(3);

/// Transactions that the guard rolled back because others waited for them.
const KILLS: &str = "guard_melt_acts_total";
/// What the guard has for this; all else as it is by default.
const MELTING: &str = "[limit]\nmode = \"enforce\"\n\n[melt]\nmode = \"enforce\"\n";

/// Lets clients go one way, and somebody keep the row.
pub(super) async fn play(
    engine: Engine,
    way: Way,
    holder: Holder,
    scene: &Scene,
) -> Result<Outcome, Error> {
    let server = Server::start(Settings::usual(engine)).await?;
    HotRow::load(&server).await?;
    let guard = match way {
        Way::Direct => None,
        Way::Fixed => Some(Guard::of_drill(&server, scene.pool, POOL).await?),
        Way::Melting => Some(Guard::of_drill(&server, scene.pool, MELTING).await?),
    };
    let target = match &guard {
        None => Target::of(&server),
        Some(guard) => Target::behind(guard, engine),
    };
    let watch = Watch::of(&server, LOOK).await?;
    let timeline = Arc::new(Timeline::new());
    let mut killed = None;
    let (taken, let_go) = tokio::select! {
        times = both(target, holder, scene, &timeline) => times,
        error = watch_kills(guard.as_ref(), &timeline, &mut killed) => return Err(error),
    };
    let kills = match &guard {
        Some(guard) => guard.metric(KILLS, &[]).await? as u64,
        None => 0,
    };
    let most = most(&watch.finish().await?, Duration::ZERO);
    let times = Times { taken, released: killed.map_or(let_go, |at| let_go.min(at)) };
    let told = measured(scene, &timeline, times);
    Ok(Outcome {
        way,
        holder,
        kills,
        transactions_max: most.transactions,
        lock_waiters_max: most.lock_waiters,
        ..told
    })
}

/// When the row was taken, and when it was free again.
#[derive(Debug, Clone, Copy)]
struct Times {
    taken: Duration,
    released: Duration,
}

/// The clients, and whoever keeps the row: when it was taken, and when its holder was done with it.
async fn both(
    target: Target,
    holder: Holder,
    scene: &Scene,
    timeline: &Arc<Timeline>,
) -> (Duration, Duration) {
    let duration = scene.calm + scene.hold + scene.after;
    let crowd = Crowd::impatient(target, scene.clients, duration).paced(scene.per_second);
    let keeper = async {
        sleep(scene.calm).await;
        let taken = timeline.elapsed();
        // Whether it could let go by itself is told by the guard's count.
        let _outcome = hold(target, holder, scene.hold).await;
        (taken, timeline.elapsed())
    };
    tokio::join!(crowd.run(Arc::new(Mixed), Arc::clone(timeline)), keeper).1
}

/// Notes when the guard first rolls somebody back. Returns only when that cannot be read.
async fn watch_kills(
    guard: Option<&Guard>,
    timeline: &Timeline,
    killed: &mut Option<Duration>,
) -> Error {
    let Some(guard) = guard else { return std::future::pending().await };
    loop {
        match guard.metric(KILLS, &[]).await {
            Ok(kills) if kills > 0.0 => {
                *killed = Some(timeline.elapsed());
                return std::future::pending().await;
            }
            Ok(_) => sleep(KILL_LOOK).await,
            Err(error) => return error,
        }
    }
}

/// What the clients' timeline says.
fn measured(scene: &Scene, timeline: &Timeline, times: Times) -> Outcome {
    let Times { taken, released } = times;
    let end = scene.calm + scene.hold + scene.after;
    let all = timeline.sum(0..usize::MAX);
    let served: Vec<Duration> = all.served.iter().map(|served| served.at).collect();
    let before = rate(&served, WARM, scene.calm);
    let since = usize::try_from(taken.as_secs()).unwrap_or(usize::MAX);
    let back = back(&served, released, end, BACK * before);
    Outcome {
        way: Way::Direct,
        holder: Holder::Idle,
        before_per_second: before,
        during_per_second: rate(&served, taken, taken + scene.hold),
        after_per_second: rate(&served, end.saturating_sub(LAST), end),
        taken_ms: whole_ms(taken),
        kept_ms: whole_ms(released.saturating_sub(taken)),
        back_after_ms: back.map(whole_ms),
        kills: 0,
        hung_up: all.timed_out,
        refused: all.refused,
        connects: timeline.sum(since..usize::MAX).connects,
        transactions_max: 0,
        lock_waiters_max: 0,
        good_by_second: timeline.good_by_second(end),
    }
}

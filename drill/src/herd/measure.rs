//! One way, measured.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Outcome, Scene, Trigger, Way};
use crate::error::Error;
use crate::guard::{Guard, Setup};
use crate::load::accounts::Accounts;
use crate::load::{Connects, Crowd, Target, Timeline, back, rate, whole_ms};
use crate::server::engine::Engine;
use crate::server::probe::Gauges;
use crate::server::{Server, Settings};
use crate::watch::{Watch, most};
use crate::way::POOL;

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often the guard's count of logins is read.
const LOGINS_LOOK: Duration = Duration::from_millis(100);
/// Service is back with this share of the goodput of before: few hundred a second vary by more than a
/// twentieth.
const BACK: f64 = 0.9;
/// What is counted at the end.
const LAST: Duration = Duration::from_secs(3);
/// Connections that the server takes beside those of all clients: the drill's, the guard's, and some of
/// clients that have hung up.
const SPARE: u32 = 100;
/// Longest a server may take to answer again, and longer than any herd is watched.
const LONG: Duration = Duration::from_secs(600);

/// Opens its connections as fast as it can.
const UNPACED: &str = "handshakes_at_once = 64\nhandshakes_per_second = 10000\n";
/// What the guard has for this; all else, the pace of its logins too, as it is by default.
const GUARDED: &str = "[limit]\nmode = \"enforce\"\n\n[melt]\nmode = \"enforce\"\n";
/// Logins that a guard has tried at its server.
const LOGINS: &str = "guard_upstream_connects_total";

/// Lets the clients go one way, lose their connections, and come back.
pub(super) async fn play(
    engine: Engine,
    way: Way,
    trigger: Trigger,
    scene: &Scene,
) -> Result<Outcome, Error> {
    let clients = u32::try_from(scene.clients).unwrap_or(u32::MAX);
    let max_connections = clients.saturating_add(SPARE);
    let settings = Settings { max_connections, ..Settings::from(engine) };
    let mut server = Server::start(settings).await?;
    Accounts::load(&server).await?;
    let guard = start(way, &server, scene).await?;
    let target = match &guard {
        None => Target::of(&server),
        Some(guard) => Target::behind(guard, engine),
    };
    let timeline = Arc::new(Timeline::new());
    let work = Accounts { is_hot: false, work: Duration::ZERO };
    let crowd = |duration| {
        let crowd = Crowd::impatient(target, scene.clients, duration).paced(scene.per_second);
        let crowd = Crowd { retries: u32::MAX, connects: Connects::AtOnce, ..crowd };
        crowd.run(Arc::new(work), Arc::clone(&timeline))
    };
    // Its end closes all connections at once.
    crowd(scene.calm).await;
    let lost = timeline.elapsed();
    if trigger == Trigger::Restart {
        server.crash();
    }
    let mut logins = Logins::default();
    let (answered, most) = tokio::select! {
        seen = come_back(&mut server, trigger, &timeline, scene.after) => seen?,
        error = logins.watch(guard.as_ref(), &timeline) => return Err(error),
        () = crowd(LONG) => {
            let what = "the server's answering again".into();
            return Err(Error::Late { what, after: LONG, log: server.log() });
        }
    };
    let told = measured(&timeline, lost, answered, answered + scene.after);
    Ok(Outcome {
        way,
        trigger,
        connections_max: most.threads_connected,
        logins: logins.all().unwrap_or(told.logins),
        logins_per_second_max: logins.per_second_max().unwrap_or(told.logins_per_second_max),
        ..told
    })
}

async fn start(way: Way, server: &Server, scene: &Scene) -> Result<Option<Guard>, Error> {
    let (upstream, sections) = match way {
        Way::Direct => return Ok(None),
        Way::Pool => (UNPACED, POOL),
        Way::Guarded => ("", GUARDED),
    };
    // A guard complains of a server that is down, as it should.
    let sections = format!("[log]\nlevel = \"error\"\n\n{sections}");
    let upstream = upstream.to_owned();
    let setup = Setup { connections: scene.pool, upstream, ..Setup::with(sections) };
    Guard::start(server, &setup).await.map(Some)
}

/// Starts the server again where it was lost, and looks at it for a while: when it answered, and the most
/// that was seen.
async fn come_back(
    server: &mut Server,
    trigger: Trigger,
    timeline: &Timeline,
    after: Duration,
) -> Result<(Duration, Gauges), Error> {
    if trigger == Trigger::Restart {
        server.restart().await?;
    }
    let answered = timeline.elapsed();
    let watch = Watch::of(server, LOOK).await?;
    sleep(after.saturating_sub(timeline.elapsed().saturating_sub(answered))).await;
    Ok((answered, most(&watch.finish().await?, Duration::ZERO)))
}

/// The guard's count of its logins at the server, over time; empty without a guard.
#[derive(Debug, Default)]
struct Logins(Vec<(Duration, u64)>);

impl Logins {
    /// Reads it until dropped. Returns only when it cannot be read.
    async fn watch(&mut self, guard: Option<&Guard>, timeline: &Timeline) -> Error {
        let Some(guard) = guard else { return std::future::pending().await };
        let mut ticks = interval(LOGINS_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match guard.metric(LOGINS, &[]).await {
                Ok(count) => self.0.push((timeline.elapsed(), count as u64)),
                Err(error) => return error,
            }
        }
    }

    fn all(&self) -> Option<u64> {
        Some(self.0.last()?.1 - self.0.first()?.1)
    }

    /// The most within a second, or what passed from one look to the next.
    fn per_second_max(&self) -> Option<u64> {
        const SECOND: Duration = Duration::from_secs(1);
        let ends = self.0.iter().enumerate().skip(1);
        let in_second = ends.map(|(end, &(at, count))| {
            let inside = self.0[..end].iter().filter(|(began, _)| *began + SECOND >= at);
            // Looks may be further apart than a second where the machine is busy.
            count - inside.map(|(_, count)| *count).min().unwrap_or(self.0[end - 1].1)
        });
        in_second.max()
    }
}

/// What the clients' timeline says, as if they had gone directly.
fn measured(timeline: &Timeline, lost: Duration, answered: Duration, end: Duration) -> Outcome {
    let whole = |time: Duration| usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    let served: Vec<Duration> =
        timeline.sum(0..usize::MAX).served.iter().map(|served| served.at).collect();
    let before = rate(&served, lost / 2, lost);
    let since = timeline.sum(whole(lost)..usize::MAX);
    let connects = (whole(lost)..=whole(end)).map(|second| timeline.at(second).connects);
    Outcome {
        way: Way::Direct,
        trigger: Trigger::Cut,
        before_per_second: before,
        after_per_second: rate(&served, end.saturating_sub(LAST), end),
        lost_ms: whole_ms(lost),
        down_ms: whole_ms(answered.saturating_sub(lost)),
        back_after_ms: back(&served, answered, end, BACK * before).map(whole_ms),
        logins: since.connects,
        logins_per_second_max: connects.max().unwrap_or(0),
        connections_max: 0,
        client_logins: since.connects,
        refused: since.refused,
        hung_up: since.timed_out,
        lost: since.lost,
        good_by_second: timeline.good_by_second(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_counted_by_any_second_that_they_fall_into() {
        let at = |ms, count| (Duration::from_millis(ms), count);
        let logins = Logins(vec![at(0, 5), at(600, 6), at(1400, 16), at(1500, 16), at(4000, 19)]);
        assert_eq!(logins.all(), Some(14));
        assert_eq!(logins.per_second_max(), Some(10), "from 600 to 1400");
        assert_eq!(Logins::default().all(), None);
        assert_eq!(Logins::default().per_second_max(), None);
    }
}

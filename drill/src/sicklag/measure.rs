//! One way, measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Outcome, Scene, Way};
use crate::error::Error;
use crate::faults::FaultProxy;
use crate::guard::{Guard, Setup};
use crate::load::accounts::Accounts;
use crate::load::lookups::Lookups;
use crate::load::{Crowd, Served, Target, Timeline, back, rate, told_ms, whole_ms};
use crate::server::engine::Engine;
use crate::server::replicated::Replicated;
use crate::way::POOL;

/// Reads are as before with this share of the rate of before: few hundred a second vary by more than a twentieth.
const BACK: f64 = 0.9;
/// What is counted at the end of a phase.
const LAST: Duration = Duration::from_secs(3);
/// How often the guard is asked what it makes of the replica.
const LOOK: Duration = Duration::from_millis(50);
/// How long replicas may take to have what was loaded, and the guard to read from both.
const READY: Duration = Duration::from_secs(60);
/// How often that is looked at.
const READY_LOOK: Duration = Duration::from_millis(50);
/// How long clients go on: longer than any machine is late.
const LONG: Duration = Duration::from_secs(3600);
/// Only errors: a guard complains of a sick replica, as it should.
const QUIET: &str = "[log]\nlevel = \"error\"\n\n";
/// What the guard has for this; how it tells a sick replica is as it is by default.
const GUARDED: &str = "[class.default]\nreads = \"replica\"\n";

/// The servers, the way to the sick one, and the scene.
#[derive(Debug)]
pub(super) struct Bench {
    servers: Replicated,
    proxy: FaultProxy,
    scene: Scene,
}

/// What stands between clients and the replicas.
#[derive(Debug)]
enum Between {
    Nothing,
    Pools([Guard; 2]),
    Guard(Guard),
}

impl Bench {
    /// Starts a primary with two replicas that have what was loaded.
    pub(super) async fn start(engine: Engine, scene: Scene) -> Result<Self, Error> {
        let servers = Replicated::start(engine, 2).await?;
        Accounts::load(&servers.primary).await?;
        for replica in &servers.replicas {
            let log = || replica.log();
            until("a replica's having what was loaded", log, async || {
                Ok(Accounts::are_on(replica).await)
            })
            .await?;
        }
        let proxy = FaultProxy::before(servers.replicas[0].addr()).await?;
        Ok(Self { servers, proxy, scene })
    }

    /// Lets the clients go one way while a replica falls sick and gets well.
    pub(super) async fn play(&self, way: Way) -> Result<Outcome, Error> {
        let between = self.between(way).await?;
        let timeline = Arc::new(Timeline::new());
        let mut seen = Seen::default();
        let (sick_at, well_at) = tokio::select! {
            moments = self.sicken(&timeline) => moments,
            error = seen.watch(between.guard(), &timeline) => return Err(error),
            () = self.crowd(&between, LONG, &timeline) => {
                let what = "the cure of the replica".into();
                return Err(Error::Late { what, after: LONG, log: String::new() });
            }
        };
        let end = timeline.elapsed();
        let stretch = Stretch { sick_at, well_at, end, in_time: self.scene.in_time() };
        let told = stretch.measured(way, &timeline);
        let [out_after_ms, returned_after_ms] = seen.of(sick_at, well_at);
        Ok(Outcome { out_after_ms, returned_after_ms, ..told })
    }

    /// When the replica became sick, and when it was well; returns a while after that.
    async fn sicken(&self, timeline: &Timeline) -> (Duration, Duration) {
        sleep(self.scene.calm).await;
        let sick_at = timeline.elapsed();
        self.proxy.delay(self.scene.delay);
        sleep(self.scene.sick).await;
        self.proxy.delay(Duration::ZERO);
        let well_at = timeline.elapsed();
        sleep(self.scene.well).await;
        (sick_at, well_at)
    }

    /// All clients: half of them at each of the two doors.
    async fn crowd(&self, between: &Between, duration: Duration, timeline: &Arc<Timeline>) {
        let engine = self.servers.primary.engine();
        let half = |addr| {
            let clients = (self.scene.clients / 2).max(1);
            let crowd = Crowd::impatient(Target { engine, addr }, clients, duration);
            let crowd = crowd.paced(self.scene.per_second / 2.0);
            crowd.run(Arc::new(Lookups), Arc::clone(timeline))
        };
        let [one, other] = self.doors(between);
        tokio::join!(half(one), half(other));
    }

    /// Where the replicas are reached: the one that will be sick through the proxy.
    fn replicas(&self) -> [SocketAddr; 2] {
        [self.proxy.addr(), self.servers.replicas[1].addr()]
    }

    fn doors(&self, between: &Between) -> [SocketAddr; 2] {
        match between {
            Between::Nothing => self.replicas(),
            Between::Pools(pools) => [pools[0].addr(), pools[1].addr()],
            Between::Guard(guard) => [guard.addr(); 2],
        }
    }

    async fn between(&self, way: Way) -> Result<Between, Error> {
        let [one, other] = self.replicas();
        Ok(match way {
            Way::Direct => Between::Nothing,
            Way::Pool => Between::Pools([self.pool(one).await?, self.pool(other).await?]),
            Way::Guarded => Between::Guard(self.guard().await?),
        })
    }

    /// A pool of a fixed size, and nothing else.
    async fn pool(&self, addr: SocketAddr) -> Result<Guard, Error> {
        let setup = self.setup(format!("{QUIET}{POOL}"));
        let engine = self.servers.primary.engine();
        Guard::start_with(|doors| setup.text_at(engine, addr, doors)).await
    }

    /// A guard that reads from both.
    async fn guard(&self) -> Result<Guard, Error> {
        let replicas = ["one", "other"].into_iter().zip(self.replicas()).map(|(name, addr)| {
            let connections = self.scene.pool;
            format!("[replica.{name}]\naddress = \"{addr}\"\nconnections = {connections}\n\n")
        });
        let sections = format!("{QUIET}{}{GUARDED}", replicas.collect::<String>());
        let guard = Guard::start(&self.servers.primary, &self.setup(sections)).await?;
        until(
            "the guard's reading from both replicas",
            || guard.log(),
            async || {
                let status = guard.json("/api/v1/status").await?;
                Ok([0, 1].iter().all(|at| status["replicas"][at]["state"] == "fit"))
            },
        )
        .await?;
        Ok(guard)
    }

    fn setup(&self, sections: String) -> Setup {
        Setup { connections: self.scene.pool, ..Setup::with(sections) }
    }
}

impl Between {
    /// The guard that chooses a replica, if there is one.
    fn guard(&self) -> Option<&Guard> {
        match self {
            Self::Nothing | Self::Pools(_) => None,
            Self::Guard(guard) => Some(guard),
        }
    }
}

/// Waits for something.
async fn until(
    what: &str,
    log: impl Fn() -> String,
    mut is_so: impl AsyncFnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let waiting = async {
        while !is_so().await? {
            sleep(READY_LOOK).await;
        }
        Ok(())
    };
    let late = |_| Error::Late { what: what.to_owned(), after: READY, log: log() };
    timeout(READY, waiting).await.map_err(late)?
}

/// Since when the guard has read from the replica that falls sick, or has not: each change.
#[derive(Debug, Default)]
struct Seen(Vec<(Duration, bool)>);

impl Seen {
    /// Asks the guard until dropped. Returns only when it does not answer.
    async fn watch(&mut self, guard: Option<&Guard>, timeline: &Timeline) -> Error {
        let Some(guard) = guard else { return std::future::pending().await };
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let status = match guard.json("/api/v1/status").await {
                Ok(status) => status,
                Err(error) => return error,
            };
            let is_read_from = status["replicas"][0]["state"] == "fit";
            if self.0.last().is_none_or(|(_, before)| *before != is_read_from) {
                self.0.push((timeline.elapsed(), is_read_from));
            }
        }
    }

    /// How long after its sickness it was left alone, and how long after its cure it was read from again, if it was
    /// left alone then.
    fn of(&self, sick_at: Duration, well_at: Duration) -> [Option<u64>; 2] {
        let first = |is_read_from, from, to| {
            let mut changes =
                self.0.iter().filter(|(at, is)| (from..to).contains(at) && *is == is_read_from);
            changes.next().map(|(at, _)| whole_ms(at.saturating_sub(from)))
        };
        let was_out = self.0.iter().rfind(|(at, _)| *at < well_at).is_some_and(|(_, is)| !is);
        let returned = first(true, well_at, Duration::MAX);
        [first(false, sick_at, well_at), if was_out { returned } else { None }]
    }
}

/// When it was what.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    sick_at: Duration,
    well_at: Duration,
    end: Duration,
    in_time: Duration,
}

impl Stretch {
    /// What the clients' timeline says.
    fn measured(self, way: Way, timeline: &Timeline) -> Outcome {
        let Self { sick_at, well_at, end, in_time } = self;
        let all = timeline.sum(0..usize::MAX);
        let is_good = |served: &&Served| served.took <= in_time;
        let good: Vec<Duration> = all.served.iter().filter(is_good).map(|one| one.at).collect();
        let took = |from, to| {
            let inside = all.served.iter().filter(move |one| (from..to).contains(&one.at));
            inside.map(|one| one.took).collect::<Vec<_>>()
        };
        let mut during = took(sick_at, well_at);
        let mut late = took(well_at.saturating_sub(LAST).max(sick_at), well_at);
        let slow = during.iter().filter(|took| **took > in_time).count();
        let second = |time: Duration| usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
        let since = timeline.sum(second(sick_at)..usize::MAX);
        let before = rate(&good, sick_at / 2, sick_at);
        Outcome {
            way,
            before_per_second: before,
            late_per_second: rate(&good, well_at.saturating_sub(LAST).max(sick_at), well_at),
            after_per_second: rate(&good, end.saturating_sub(LAST).max(well_at), end),
            sick_ms: whole_ms(sick_at),
            well_ms: whole_ms(well_at),
            back_after_ms: back(&good, sick_at, well_at, BACK * before).map(whole_ms),
            late_share: slow as f64 / during.len().max(1) as f64,
            p99_ms: told_ms(&mut during, 0.99),
            late_p99_ms: told_ms(&mut late, 0.99),
            hung_up: since.timed_out,
            failed: since.refused + since.aborted + since.lost,
            given_up: since.given_up,
            out_after_ms: None,
            returned_after_ms: None,
            good_by_second: by_second(&good, end),
        }
    }
}

/// How many of these moments are in each whole second until `end`.
fn by_second(moments: &[Duration], end: Duration) -> Vec<u64> {
    let mut counts = vec![0; usize::try_from(end.as_secs()).unwrap_or(0)];
    for at in moments {
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        counts.get_mut(second).into_iter().for_each(|count| *count += 1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn who_was_out_when_it_was_well_returns_and_nobody_else_does() {
        let seen = Seen(vec![(at(0), true), (at(5200), false), (at(9300), true)]);
        assert_eq!(seen.of(at(4000), at(9000)), [Some(1200), Some(300)]);
        let came_early = Seen(vec![(at(0), true), (at(5200), false), (at(8000), true)]);
        assert_eq!(came_early.of(at(4000), at(9000)), [Some(1200), None]);
        assert_eq!(Seen::default().of(at(4000), at(9000)), [None, None]);
    }

    #[test]
    fn reads_count_by_the_second_in_which_they_were_answered() {
        let moments = [at(10), at(999), at(1000), at(2500), at(9000)];
        assert_eq!(by_second(&moments, at(3400)), [2, 1, 1]);
    }
}

//! One way, measured.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Outcome, Scene, Way};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::hot_row::{self, HotRow};
use crate::load::jobs::Jobs;
use crate::load::mixed::Mixed;
use crate::load::{Crowd, Target, Timeline, back, rate, told_ms, whole_ms};
use crate::server::engine::Engine;
use crate::server::{Server, Settings};
use crate::watch::{Watch, most, quiet};
use crate::way::POOL;

/// How often the server is looked at. InnoDB makes its list of transactions anew only when nobody has read it for
/// a tenth of a second: who reads it all the time shows everybody an old one, the guard too.
const LOOK: Duration = Duration::from_secs(1);
/// How long a job works while it holds the row.
const THINK: Duration = Duration::from_millis(2);
/// Service is back with this share of the goodput of before: few hundred a second vary by more than a twentieth.
const BACK: f64 = 0.9;
/// Time at the begin that is not counted: users connect.
const WARM: Duration = Duration::from_secs(1);
/// What is counted at the end.
const LAST: Duration = Duration::from_secs(3);
/// How long what is left of the clients may keep the server busy before that is restarted, to be asked what it has done.
const QUIET: Duration = Duration::from_secs(10);
/// How long users go on: longer than any machine is late.
const LONG: Duration = Duration::from_secs(3600);

/// What the guard has for this; all else as it is by default.
const GUARDED: &str = "[limit]\nmode = \"enforce\"\n\n[melt]\nmode = \"enforce\"\n\n\
                       [[rule]]\nname = \"the batch\"\ntag = { job = \"notify\" }\nclass = \"batch\"\n\n\
                       [class.batch]\nshare = 1\ncap = 30\nsheddable = true\n";

/// Lets users go one way, and the hour strike.
pub(super) async fn play(engine: Engine, way: Way, scene: &Scene) -> Result<Outcome, Error> {
    let mut server = Server::start(Settings::usual(engine)).await?;
    HotRow::load(&server).await?;
    let guard = match way {
        Way::Direct => None,
        Way::Pool => Some(Guard::of_drill(&server, scene.pool, POOL).await?),
        Way::Guarded => Some(Guard::of_drill(&server, scene.pool, GUARDED).await?),
    };
    let target = match &guard {
        None => Target::of(&server),
        Some(guard) => Target::behind(guard, engine),
    };
    let watch = Watch::of(&server, LOOK).await?;
    let users = Arc::new(Timeline::new());
    let batch = Batch { workers: Arc::default(), jobs: Arc::new(Jobs::new(THINK)) };
    let crowd = Crowd::impatient(target, scene.users, LONG).paced(scene.per_second);
    let (struck, end_of_batch) = tokio::select! {
        moments = hour(target, scene, &users, &batch) => moments,
        () = crowd.run(Arc::new(Mixed), Arc::clone(&users)) => {
            let what = "the end of the hour".into();
            return Err(Error::Late { what, after: LONG, log: server.log() });
        }
    };
    let moments = Moments { struck, end_of_batch, end: users.elapsed() };
    let most = most(&watch.finish().await?, Duration::ZERO);
    drop(guard);
    quiet(&mut server, QUIET).await?;
    let applied = Jobs::applied(&server).await?;
    Ok(Outcome {
        way,
        doubled: applied.saturating_sub(batch.jobs.done()),
        connections_max: most.threads_connected,
        lock_waiters_max: most.lock_waiters,
        ..moments.measured(&users, &batch)
    })
}

/// The batch, and what its workers went through.
#[derive(Debug)]
struct Batch {
    workers: Arc<Timeline>,
    jobs: Arc<Jobs>,
}

/// When it was what, since the first user came.
#[derive(Debug, Clone, Copy)]
struct Moments {
    struck: Duration,
    end_of_batch: Duration,
    end: Duration,
}

/// The batch, and whoever keeps the counter: when it began, and when it was done or stopped. Returns a while after.
async fn hour(
    target: Target,
    scene: &Scene,
    users: &Timeline,
    batch: &Batch,
) -> (Duration, Duration) {
    sleep(scene.calm).await;
    let struck = users.elapsed();
    let crowd = Crowd::impatient(target, scene.workers, scene.hour);
    let workers = Crowd { retries: u32::MAX, ..crowd };
    let work = async {
        tokio::select! {
            () = workers.run(Arc::clone(&batch.jobs), Arc::clone(&batch.workers)) => {}
            () = batch.jobs.until(scene.jobs) => {}
        }
        users.elapsed()
    };
    // Refused or cut short is what the guard may do to it; the counts tell the rest.
    let account = target.account();
    let hold = timeout(scene.hour, hot_row::hold(target, &account, scene.hold));
    let (end_of_batch, _cut_short) = tokio::join!(work, hold);
    sleep((struck + scene.hour + scene.after).saturating_sub(users.elapsed())).await;
    (struck, end_of_batch)
}

impl Moments {
    /// What the timelines of users and workers say.
    fn measured(self, users: &Timeline, batch: &Batch) -> Outcome {
        let Self { struck, end_of_batch, end } = self;
        let all = users.sum(0..usize::MAX).served;
        let served: Vec<Duration> = all.iter().map(|served| served.at).collect();
        let during = all.iter().filter(|served| (struck..end_of_batch).contains(&served.at));
        let mut during: Vec<Duration> = during.map(|served| served.took).collect();
        let before = rate(&served, WARM, struck);
        let hour = usize::try_from(struck.as_secs()).unwrap_or(usize::MAX);
        let mut since = users.sum(hour..usize::MAX);
        since.add(&batch.workers.sum(0..usize::MAX));
        Outcome {
            way: Way::Direct,
            before_per_second: before,
            during_per_second: rate(&served, struck, end_of_batch),
            during_p99_ms: told_ms(&mut during, 0.99),
            after_per_second: rate(&served, end.saturating_sub(LAST), end),
            struck_ms: whole_ms(struck),
            batch_ms: whole_ms(end_of_batch.saturating_sub(struck)),
            back_after_ms: back(&served, end_of_batch, end, BACK * before).map(whole_ms),
            done: batch.jobs.done(),
            doubled: 0,
            hung_up: since.timed_out,
            refused: since.refused,
            connects: since.connects,
            connections_max: 0,
            lock_waiters_max: 0,
            good_by_second: users.good_by_second(end),
        }
    }
}

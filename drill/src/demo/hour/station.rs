//! What stands between the reminders and the primary with Tidegate: a guard, a scheduler with its ledger, and the
//! desk of the application, where reminders arrive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::desk::Desk;
use super::{Scene, Servers, Tally};
use crate::error::Error;
use crate::guard::{Guard, Setup};
use crate::load::Target;
use crate::scheduler::{Audit, Lateness, Scheduler};
use crate::server::Server;

/// The batch's name.
const BATCH: &str = "reminders@13:00";
/// Writing a batch into the ledger is over after so long; the hour strikes that much later.
const AHEAD: Duration = Duration::from_secs(4);
/// How long the servers may take to be found fit.
const FIT: Duration = Duration::from_secs(30);
/// How often something is looked at that is waited for.
const POLL: Duration = Duration::from_millis(50);
/// How long the scheduler may take to finish.
const DRAIN: Duration = Duration::from_secs(20);

/// Upstream connections of the guard, and connections to the replica.
const CONNECTIONS: u32 = 24;

/// The application may use all of what may run at once, its reminders less than half. The class of the latter
/// stands last: [`sections`] adds to it.
const LIMITS: &str = r#"
[log]
level = "warn"

[overall]
in_flight = 16

[class.default]
share = 40
queue_time = "200ms"
statement_time = "1s"

[[rule]]
name = "what reminders do"
tag = { job = "reminder" }
class = "reminders"

[class.reminders]
share = 10
cap = 40
queue_length = 1000
queue_time = "5s"
sheddable = true
"#;

/// What the guard is configured with: what reminders read comes from the replica.
fn sections(replica: &Server) -> String {
    format!(
        "{LIMITS}reads = \"replica\"\n\n[routing]\nslow_start = \"0s\"\n\n\
         [replica.r1]\naddress = \"{}\"\nconnections = {CONNECTIONS}\n",
        replica.addr()
    )
}

/// All of it. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Station {
    // The scheduler goes first: what it offers is answered to the end.
    scheduler: Scheduler,
    _desk: Desk,
    guard: Guard,
}

impl Station {
    /// Starts all before these servers, and waits until the guard reads from the replica.
    ///
    /// # Errors
    /// When something does not start.
    pub(super) async fn open(
        servers: &Servers,
        scene: &Scene,
        tally: &Arc<Tally>,
    ) -> Result<Self, Error> {
        let sections = sections(&servers.replica);
        let setup = Setup { connections: CONNECTIONS, ..Setup::with(sections) };
        let guard = Guard::start(&servers.primary, &setup).await?;
        let target = Target::behind(&guard, servers.primary.engine());
        let desk = Desk::open(target, scene.desks, Arc::clone(tally)).await?;
        let sections = format!(
            "guard = \"http://{}\"\n\n\
             [sink.reminders]\nkind = \"http\"\nurl = \"{}\"\nconcurrency_min = {}\n\
             concurrency_max = {}\nretry_base = \"200ms\"\n",
            guard.admin(),
            desk.url(),
            // It is known what the desk takes; what the database does is the guard's to say.
            scene.desks.div_ceil(2),
            scene.desks,
        );
        let scheduler = Scheduler::start(&sections).await?;
        let station = Self { scheduler, _desk: desk, guard };
        station.is_fit().await?;
        Ok(station)
    }

    pub(super) const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Writes the batch into the ledger. Returns the hour, the scene's calm and more from now.
    ///
    /// # Errors
    /// When it is refused, or took so long that the calm before the hour is over.
    pub(super) async fn submit(&self, scene: &Scene) -> Result<Instant, Error> {
        let wait = AHEAD + scene.calm;
        let (now, time) = (Instant::now(), Timestamp::now());
        let at = time.checked_add(SignedDuration::try_from(wait).unwrap_or_default());
        let at = at.unwrap_or(time).to_string();
        let spread = format!("{}ms", scene.window.as_millis());
        let item = |id| format!("{{\"recipient\":\"{id}\"}}\n");
        let items: String = (0..scene.reminders).map(item).collect();
        let words = ["--sink", "reminders", "--at", &at, "--spread", &spread];
        self.scheduler.submit(BATCH, &items, &words).await?;
        if now.elapsed() > AHEAD {
            let what = "the batch being written into the ledger".into();
            return Err(Error::Late { what, after: AHEAD, log: self.scheduler.log() });
        }
        Ok(now + wait)
    }

    /// Waits until as many reminders were sent as there are, or the scene's patience is over: what is missing is
    /// found in the table and in the books.
    pub(super) async fn done(&self, scene: &Scene, tally: &Tally) {
        let until = Instant::now() + scene.patience;
        while tally.sent() < scene.reminders && Instant::now() < until {
            sleep(POLL).await;
        }
    }

    /// Has the scheduler finish and the books gone over, and ends all.
    ///
    /// # Errors
    /// When the scheduler does not end, or its ledger does not tell.
    pub(super) async fn close(mut self) -> Result<(Audit, Lateness), Error> {
        // What it knows is in the ledger then.
        self.scheduler.drain(DRAIN).await?;
        let audit = self.scheduler.audit(BATCH).await?;
        Ok((audit, self.scheduler.lateness(BATCH).await?))
    }

    /// Waits until the guard reads from the replica and is not pressed: the replica has what
    /// was written before.
    async fn is_fit(&self) -> Result<(), Error> {
        let until = Instant::now() + FIT;
        loop {
            let status = self.guard.json("/api/v1/status").await?;
            let is_read_from = status["replicas"][0]["state"] == "fit";
            let pressure = self.guard.json("/api/v1/pressure").await?["pressure"].as_f64();
            if is_read_from && pressure.is_some_and(|pressure| pressure < 0.5) {
                return Ok(());
            }
            if Instant::now() >= until {
                let what = "the servers being fit".into();
                return Err(Error::Late { what, after: FIT, log: self.guard.log() });
            }
            sleep(POLL).await;
        }
    }
}

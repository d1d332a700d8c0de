//! Looks at schedules once a second and has done what is decided; and the watchdog that tells of what was
//! not.
//!
//! A look costs the ledger one statement, and none while by what was last seen nothing is due, for up to
//! 5 s. What is found due may be taken by any scheduler; who takes it holds a lease on the
//! schedule while it reads and writes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::Recipients;
use super::Spec;
use super::decide::{Cursor, Passed, Step};
use super::fire::{FireError, Firing, Put, while_held};
use super::tick::Tick;
use crate::dispatch::Dispatcher;
use crate::ledger::schedules::{Planning, Standing};
use crate::ledger::{BatchState, LedgerError};
use crate::source::origin::Origin;

/// What was last seen is looked at again after so long at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Batches that this process plans at once, at most: each has its recipients in a spool.
const FIRING_MAX: usize = 4;
/// The watchdog looks so often.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// When the ledger does not answer at the start, it is asked again after so long.
const ADOPT_AGAIN: Duration = Duration::from_secs(1);

/// What a keeper is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is called in the ledger.
    pub name: String,
    /// For how long it takes a schedule.
    pub lease: Duration,
    /// Where recipients are kept while they are ranked.
    pub spool: Option<PathBuf>,
    /// The sources, by name.
    pub sources: BTreeMap<String, Arc<Origin>>,
}

/// Fires schedules.
#[derive(Debug)]
pub struct Keeper {
    dispatcher: Arc<Dispatcher>,
    specs: Vec<Arc<Spec>>,
    settings: Settings,
    seen: Mutex<Seen>,
    /// What this process fires.
    firing: Mutex<HashMap<String, Planning>>,
}

/// What was last read of the ledger.
#[derive(Debug, Default)]
struct Seen {
    standings: HashMap<String, Standing>,
    at: Option<Instant>,
}

/// A schedule that was taken.
struct Taken {
    spec: Arc<Spec>,
    planning: Planning,
    nominal: Timestamp,
    known: Cursor,
    to: Cursor,
    passed: Passed,
}

impl Keeper {
    /// A keeper that has not begun.
    #[must_use]
    pub fn new(dispatcher: Arc<Dispatcher>, specs: Vec<Arc<Spec>>, settings: Settings) -> Self {
        let (seen, firing) = (Mutex::default(), Mutex::default());
        Self { dispatcher, specs, settings, seen, firing }
    }

    /// Works until `stop` is over. What is being planned then is left for others, at once.
    pub async fn run(self: &Arc<Self>, stop: impl Future<Output = ()>) {
        if self.specs.is_empty() {
            return stop.await;
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(self).watch());
        tokio::select! {
            () = self.keep() => {}
            () = stop => {}
        }
        // What was spawned for planning is gone with `keep`.
        tasks.shutdown().await;
        let left: Vec<Planning> = self.firing.lock().drain().map(|(_, left)| left).collect();
        for planning in left {
            let given = self.dispatcher.ledger().give_schedule_back(&planning, None).await;
            self.told(given, "give a schedule back");
        }
    }

    async fn keep(self: &Arc<Self>) {
        for spec in &self.specs {
            while self.told(self.adopt(spec).await, "make a schedule known").is_none() {
                sleep(ADOPT_AGAIN).await;
            }
        }
        let tick = Tick::start().await;
        let mut firing = JoinSet::new();
        loop {
            tick.next().await;
            while firing.try_join_next().is_some() {}
            if self.may_be_due() {
                self.told(self.look(&mut firing).await, "look at schedules");
            }
        }
    }

    async fn adopt(&self, spec: &Spec) -> Result<(), LedgerError> {
        let grace = Duration::try_from(spec.patience.grace).unwrap_or_default();
        self.dispatcher.ledger().adopt(&spec.name, &spec.told, grace).await
    }

    /// Whether something is due by what was last seen, or that was long ago.
    fn may_be_due(&self) -> bool {
        let (seen, time) = (self.seen.lock(), self.dispatcher.time());
        let is_fresh = seen.at.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        let is_due = |spec: &Arc<Spec>| {
            let standing = seen.standings.get(&spec.name);
            standing.is_none_or(|standing| spec.is_due(standing.cursor, time))
        };
        !is_fresh || self.specs.iter().any(is_due)
    }

    async fn look(self: &Arc<Self>, firing: &mut JoinSet<()>) -> Result<(), LedgerError> {
        let (now, standings) = self.dispatcher.ledger().standings().await?;
        let standings: HashMap<String, Standing> =
            standings.into_iter().map(|standing| (standing.name.clone(), standing)).collect();
        *self.seen.lock() = Seen { standings: standings.clone(), at: Some(Instant::now()) };
        let mut open: Option<Vec<String>> = None;
        for spec in &self.specs {
            let Some(standing) = standings.get(&spec.name) else { continue };
            let is_taken = standing.planner.is_some() || self.is_firing(&spec.name);
            if is_taken || !spec.is_due(standing.cursor, now) {
                continue;
            }
            let open = match &open {
                Some(open) => open,
                None => open.insert(self.dispatcher.ledger().open_batches().await?),
            };
            let is_open = spec.heeds_open_batches() && open.iter().any(|name| spec.has(name));
            match spec.decide(standing.cursor, standing.is_paused, now, is_open) {
                Step::Rest => {}
                Step::Pass { to, passed } => self.pass(spec, standing, to, passed).await?,
                Step::Fire { nominal, to, passed } => {
                    if firing.len() < FIRING_MAX {
                        let step = (nominal, to, passed);
                        if let Some(taken) = self.take(spec, standing, step).await? {
                            firing.spawn(Arc::clone(self).fire(taken));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn is_firing(&self, name: &str) -> bool {
        self.firing.lock().contains_key(name)
    }

    async fn pass(
        &self,
        spec: &Spec,
        standing: &Standing,
        to: Cursor,
        passed: Passed,
    ) -> Result<(), LedgerError> {
        if self.dispatcher.ledger().pass_schedule(standing, to).await? {
            self.count(&spec.name, passed);
        }
        self.look_again();
        Ok(())
    }

    async fn take(
        &self,
        spec: &Arc<Spec>,
        standing: &Standing,
        (nominal, to, passed): (Timestamp, Cursor, Passed),
    ) -> Result<Option<Taken>, LedgerError> {
        let Settings { name, lease, .. } = &self.settings;
        let Some(planning) = self.dispatcher.ledger().take_schedule(standing, name, *lease).await?
        else {
            return Ok(None);
        };
        self.firing.lock().insert(spec.name.clone(), planning.clone());
        let (spec, known) = (Arc::clone(spec), standing.cursor);
        Ok(Some(Taken { spec, planning, nominal, known, to, passed }))
    }

    /// Plans a batch and moves the cursor. A failure leaves the lease to run out: then it is tried again,
    /// by anyone.
    async fn fire(self: Arc<Self>, taken: Taken) {
        let (spec, ledger) = (&taken.spec, self.dispatcher.ledger());
        let origin = match &spec.recipients {
            Recipients::Query(reading) => self.settings.sources.get(&reading.source),
            Recipients::File(..) => None,
        };
        let firing = Firing {
            ledger,
            spec,
            origin: origin.cloned(),
            spool: self.settings.spool.clone(),
            moments: (taken.nominal, taken.known.fired),
            metrics: self.dispatcher.metrics().schedule(&spec.name),
        };
        let lease = self.settings.lease;
        match while_held(firing.run(), ledger, (&taken.planning, lease)).await {
            Some(Ok(put)) => self.fired(&taken, put).await,
            Some(Err(error)) if error.is_refused() => self.refused(&taken, &error).await,
            Some(Err(error)) => self.failed(&taken, &error),
            None => self.lost(&taken).await,
        }
        self.firing.lock().remove(&spec.name);
        self.look_again();
    }

    async fn fired(&self, taken: &Taken, put: Option<Put>) {
        let given =
            self.dispatcher.ledger().give_schedule_back(&taken.planning, Some(taken.to)).await;
        if self.told(given, "move a schedule on") != Some(true) {
            return;
        }
        let late = Spec::late(taken.nominal, self.dispatcher.time());
        let batch = taken.spec.batch(taken.nominal);
        match put {
            Some(put) => info!(batch, items = put.items, chunks = put.chunks, ?late, "submitted"),
            None => info!(batch, "it was submitted already"),
        }
        if let Some(metrics) = self.dispatcher.metrics().schedule(&taken.spec.name) {
            metrics.fired.increment(1);
            metrics.late.record(late);
        }
        self.count(&taken.spec.name, taken.passed);
    }

    /// A batch that cannot be read as its source wants it read is given up. What it was for goes with the next:
    /// that is told of the last that was fired.
    async fn refused(&self, taken: &Taken, error: &FireError) {
        let to = Cursor { fired: taken.known.fired, ..taken.to };
        let given = self.dispatcher.ledger().give_schedule_back(&taken.planning, Some(to)).await;
        if self.told(given, "move a schedule on") == Some(true) {
            let batch = taken.spec.batch(taken.nominal);
            error!(batch, %error, "a batch is given up, as its source says");
            self.count(&taken.spec.name, Passed { refused: 1, ..taken.passed });
        }
    }

    fn failed(&self, taken: &Taken, error: &FireError) {
        let (batch, lease) = (taken.spec.batch(taken.nominal), self.settings.lease);
        error!(batch, %error, again_after = ?lease, "a batch could not be submitted");
        if let Some(metrics) = self.dispatcher.metrics().schedule(&taken.spec.name) {
            metrics.failures.increment(1);
        }
    }

    /// The schedule was paused, and what was written of the batch goes; or it is another's, who sees to it.
    async fn lost(&self, taken: &Taken) {
        let batch = taken.spec.batch(taken.nominal);
        warn!(batch, "planning was broken off: the schedule was paused, or its lease was lost");
        let ledger = self.dispatcher.ledger();
        let cleared = async {
            if ledger.give_schedule_back(&taken.planning, None).await?
                && let Ok(draft) = ledger.find(&batch).await
                && draft.state == BatchState::Draft
            {
                ledger.discard(&draft).await?;
            }
            Ok(())
        };
        self.told(cleared.await, "clear what was planned");
    }

    fn count(&self, schedule: &str, passed: Passed) {
        if passed == Passed::default() {
            return;
        }
        let Passed { missed, overlapped, paused, refused } = passed;
        warn!(schedule, missed, overlapped, paused, refused, "runs were passed over");
        if let Some(metrics) = self.dispatcher.metrics().schedule(schedule) {
            metrics.passed(passed);
        }
    }

    fn look_again(&self) {
        self.seen.lock().at = None;
    }

    /// Tells of schedules that should have fired and have not, for ever. It asks nobody: by what was last
    /// seen, so that a look that hangs, a ledger that is gone and a planner that is stuck are all seen.
    async fn watch(self: Arc<Self>) {
        let mut every = interval(WATCH_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut barked: HashSet<String> = HashSet::new();
        loop {
            every.tick().await;
            for spec in &self.specs {
                let overdue = self.overdue(spec);
                let late = overdue.unwrap_or_default();
                if let Some(metrics) = self.dispatcher.metrics().schedule(&spec.name) {
                    metrics.overdue.set(late.as_secs_f64());
                }
                let (schedule, is_new) = (&spec.name, overdue.is_some());
                if is_new && barked.insert(spec.name.clone()) {
                    error!(schedule, ?late, "a schedule should have fired and has not");
                } else if !is_new && barked.remove(&spec.name) {
                    info!(schedule, "it is no longer overdue");
                }
            }
        }
    }

    fn overdue(&self, spec: &Spec) -> Option<Duration> {
        let seen = self.seen.lock();
        let standing = seen.standings.get(&spec.name)?;
        spec.overdue(standing.cursor, standing.is_paused, self.dispatcher.time())
    }

    /// What the ledger did, or a line in the log of what it did not.
    fn told<T>(&self, told: Result<T, LedgerError>, what: &str) -> Option<T> {
        told.inspect_err(|error| {
            self.dispatcher.metrics().failures.increment(1);
            warn!(%error, what, "the ledger did not do its part; it is asked again");
        })
        .ok()
    }
}

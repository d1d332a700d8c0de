//! The dispatcher: takes chunks out of the ledger ahead of their moments and sees each item to its sink in
//! its moment.
//!
//! ```text
//!  ledger ──claim──► holder, one for each chunk ──► outlet: the sink, its rules, its switch
//!    ▲                  │        ▲
//!    └── flush, renew,  │        └ pace of the batch ◄── the guard's pressure
//!        release ◄──────┘
//! ```
//!
//! What decides is pure and told the time: how far a batch's plan may be carried out ([`pace`]), what
//! follows from what became of an item ([`settle`]), what time it is at the ledger ([`clock`]). The rest is
//! a loop that claims ([`Dispatcher::run`]), one that steers, one that keeps house, and a task for each chunk.
//!
//! When the ledger is gone, nothing new is begun whose effect is not in the ledger itself; what is held is
//! held until its lease is over, and then let go of without a word: it is claimed again, by whomever, with the
//! progress that the ledger has.

pub mod clock;

pub mod pace;

pub mod settle;

mod run;

pub mod outlet;

mod elsewhere;

mod holder;

mod commit;

mod check;

pub mod pressure;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use self::clock::Clock;
use self::outlet::Outlet;
use self::pressure::Signal;
use self::run::Run;
use crate::ledger::{Claim, LeaseTerms, Ledger, LedgerError, Wish};
use crate::metrics::Metrics;
use crate::source::check::Checker;
use crate::source::origin::Origin;

/// Chunks are claimed so long before their moments.
const AHEAD: Duration = Duration::from_secs(2);
/// And looked for so often: each time costs the ledger up to six statements.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The plans' clocks are moved on so often.
const STEER_EVERY: Duration = Duration::from_millis(20);
/// How far the batches are is asked for so often.
const HOUSE_EVERY: Duration = Duration::from_secs(1);
/// What time it is, every so many times that house is kept.
const CLOCK_EVERY: u32 = 5;

/// What a dispatcher is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is called in the ledger.
    pub name: String,
    /// For how long chunks are claimed.
    pub terms: LeaseTerms,
    /// How many are worked on at once.
    pub chunks: u32,
    /// How long what is under way may take to end.
    pub drain_timeout: Duration,
    /// The sources that checks are asked of, by name.
    pub sources: BTreeMap<String, Arc<Origin>>,
}

/// Takes items from a ledger to sinks.
#[derive(Debug)]
pub struct Dispatcher {
    ledger: Ledger,
    outlets: BTreeMap<String, Arc<Outlet>>,
    checkers: BTreeMap<String, Arc<Checker>>,
    settings: Settings,
    metrics: Arc<Metrics>,
    clock: Mutex<Clock>,
    runs: Mutex<HashMap<i64, Arc<Run>>>,
    /// None: there is no guard to ask.
    pressure: Option<watch::Receiver<Signal>>,
    is_stopping: AtomicBool,
    is_ready: AtomicBool,
}

impl Dispatcher {
    /// A dispatcher that has not begun.
    ///
    /// # Errors
    /// When the ledger does not say what time it is.
    pub async fn new(
        ledger: Ledger,
        outlets: BTreeMap<String, Arc<Outlet>>,
        (settings, metrics): (Settings, Arc<Metrics>),
        pressure: Option<watch::Receiver<Signal>>,
    ) -> Result<Self, LedgerError> {
        let clock = Mutex::new(ask_clock(&ledger).await?);
        let (runs, is_stopping) = (Mutex::default(), AtomicBool::new(false));
        let is_ready = AtomicBool::new(true);
        let checker = |(name, origin): (&String, &Arc<Origin>)| {
            (name.clone(), Arc::new(Checker::new(Arc::clone(origin))))
        };
        let checkers = settings.sources.iter().map(checker).collect();
        Ok(Self {
            ledger,
            outlets,
            checkers,
            settings,
            metrics,
            clock,
            runs,
            pressure,
            is_stopping,
            is_ready,
        })
    }

    /// Works until `stop` is over, and then until what is under way has ended, or the drain's time
    /// has. Dropping it leaves chunks to be claimed by others when their leases are over.
    pub async fn run(self: &Arc<Self>, stop: impl Future<Output = ()>) {
        let mut loops = JoinSet::new();
        loops.spawn(Arc::clone(self).steer());
        loops.spawn(Arc::clone(self).keep_house());
        let mut holders = JoinSet::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        let mut are_more = false;
        loop {
            let is_time = tokio::select! {
                () = &mut stop => break,
                _ = look.tick() => true,
                Some(ended) = holders.join_next() => {
                    self.note(ended);
                    false
                }
            };
            while let Some(ended) = holders.try_join_next() {
                self.note(ended);
            }
            let room = (self.settings.chunks as usize).saturating_sub(holders.len());
            // Who ends makes room for what the last claim had to leave; otherwise nothing new is due yet.
            if room > 0 && (is_time || are_more) {
                are_more = self.claim(room as u32, &mut holders).await == room;
            }
            self.metrics.held.set(holders.len() as f64);
        }
        self.is_stopping.store(true, Ordering::Relaxed);
        info!(chunks = holders.len(), "stopping");
        let all = async { while holders.join_next().await.is_some() {} };
        if timeout(self.settings.drain_timeout, all).await.is_err() {
            warn!(chunks = holders.len(), "what is left is let go of: their leases will be over");
        }
        holders.shutdown().await;
        self.ledger.close().await;
    }

    fn note(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            self.metrics.failures.increment(1);
            warn!(%error, "a chunk was dropped; it is claimed again when its lease is over");
        }
    }

    /// Claims what is due soon, has somebody work on each, and returns how many chunks there were.
    async fn claim(self: &Arc<Self>, chunks: u32, holders: &mut JoinSet<()>) -> usize {
        let open = self.outlets.iter().filter(|(_, outlet)| !outlet.is_off());
        let sinks: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        if sinks.is_empty() {
            return 0;
        }
        let Settings { name, terms, .. } = &self.settings;
        let wish = Wish { worker: name.clone(), chunks, terms: *terms, sinks, ahead: AHEAD };
        let claimed = async {
            let claims = self.ledger.claim(&wish).await?;
            self.know(&claims).await?;
            Ok(claims)
        };
        let Some(claims) = self.heard(claimed.await, "claim") else { return 0 };
        let claimed = claims.len();
        for claim in claims {
            let run = self.runs.lock().get(&claim.lease.batch()).cloned();
            let Some(run) = run else { continue };
            let Some(outlet) = self.outlets.get(&run.batch().terms.sink).cloned() else { continue };
            outlet.metrics().claims.increment(1);
            outlet.metrics().ambiguous.increment(claim.ambiguous.len() as u64);
            holders.spawn(holder::hold(Arc::clone(self), run, outlet, claim));
        }
        claimed
    }

    /// Learns of batches that were not known.
    async fn know(&self, claims: &[Claim]) -> Result<(), LedgerError> {
        let unknown: Vec<i64> = {
            let runs = self.runs.lock();
            let numbers = claims.iter().map(|claim| claim.lease.batch());
            numbers.filter(|number| !runs.contains_key(number)).collect()
        };
        for batch in self.ledger.batches(&unknown).await? {
            let steered = self.pressure.as_ref().map(|signal| *signal.borrow());
            let run = Run::new(batch, Instant::now(), self.time(), steered);
            self.runs.lock().insert(run.batch().id, Arc::new(run));
        }
        Ok(())
    }

    /// Moves the plans' clocks on, for ever.
    async fn steer(self: Arc<Self>) {
        let mut every = interval(STEER_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            let (now, time) = (Instant::now(), self.time());
            let signal = self.pressure.as_ref().and_then(|signal| *signal.borrow());
            let runs: Vec<Arc<Run>> = self.runs.lock().values().cloned().collect();
            let (mut behind, mut multiplier, mut due) = (Duration::ZERO, 1.0_f64, 0);
            for run in &runs {
                let told = run.steer(now, time, signal);
                behind = behind.max(told.behind);
                multiplier = multiplier.min(told.multiplier);
                due += told.due;
            }
            self.metrics.batches.set(runs.len() as f64);
            self.metrics.behind.set(behind.as_secs_f64());
            self.metrics.multiplier.set(multiplier);
            self.metrics.due.set(due as f64);
            let pressure = signal.filter(|(at, _)| at.elapsed() < pressure::STALE_AFTER);
            self.metrics.pressure.set(pressure.map_or(-1.0, |(_, pressure)| pressure));
        }
    }

    /// Asks how far batches are and what time it is, closes what is over, for ever.
    async fn keep_house(self: Arc<Self>) {
        let mut every = interval(HOUSE_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for turn in (0..CLOCK_EVERY).cycle() {
            every.tick().await;
            let kept = self.keep_house_once(turn == 0).await;
            self.heard(kept, "keep house");
            self.metrics.cost(self.ledger.cost());
        }
    }

    async fn keep_house_once(&self, asks_clock: bool) -> Result<(), LedgerError> {
        if asks_clock {
            *self.clock.lock() = ask_clock(&self.ledger).await?;
        }
        let numbers: Vec<i64> = {
            let mut runs = self.runs.lock();
            // Whoever holds a chunk of it has it, too.
            runs.retain(|_, run| Arc::strong_count(run) > 1);
            runs.keys().copied().collect()
        };
        for (number, state) in self.ledger.states(&numbers).await? {
            if let Some(run) = self.runs.lock().get(&number) {
                run.set_state(state);
            }
        }
        self.ledger.tidy().await.map(drop)
    }

    /// Notes whether the ledger answers.
    fn heard<T>(&self, told: Result<T, LedgerError>, what: &str) -> Option<T> {
        let was_ready = self.is_ready.swap(told.is_ok(), Ordering::Relaxed);
        self.metrics.ready.set(f64::from(u8::from(told.is_ok())));
        match told {
            Ok(told) => {
                if !was_ready {
                    info!("the ledger answers again");
                }
                Some(told)
            }
            Err(error) => {
                self.metrics.failures.increment(1);
                warn!(%error, what, "the ledger did not do its part; it is asked again");
                None
            }
        }
    }

    /// What time it is at the ledger.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.clock.lock().at(Instant::now())
    }

    /// Where items go, by name.
    #[must_use]
    pub const fn outlets(&self) -> &BTreeMap<String, Arc<Outlet>> {
        &self.outlets
    }

    /// Who asks the source of this name whether items still hold.
    fn checker(&self, source: &str) -> Option<Arc<Checker>> {
        self.checkers.get(source).cloned()
    }

    /// Its ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the ledger answers and it is not stopping.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed) && !self.is_stopping()
    }

    /// Whether nothing new is begun any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}

async fn ask_clock(ledger: &Ledger) -> Result<Clock, LedgerError> {
    let asked = Instant::now();
    let there = ledger.now().await?;
    Ok(Clock::told(asked, Instant::now(), there))
}

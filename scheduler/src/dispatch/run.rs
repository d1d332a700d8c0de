//! A batch of which chunks are held: how far it is, and its pace, shared by those who hold them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tracing::error;

use super::clock::between;
use super::pace::Pace;
use super::pressure::Signal;
use crate::ledger::{Batch, BatchState};
use crate::source::check::Check;

/// A batch that is being worked on.
#[derive(Debug)]
pub(super) struct Run {
    batch: Batch,
    /// What is asked before its items go; an error where its policy cannot be read.
    check: Result<Option<Check>, String>,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: BatchState,
    pace: Pace,
    observed: Option<Instant>,
    /// Of each chunk that is held, how many first attempts are past their moment.
    due: BTreeMap<u32, u64>,
}

/// How it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) behind: Duration,
    pub(super) multiplier: f64,
    pub(super) due: u64,
}

impl Run {
    pub(super) fn new(
        batch: Batch,
        now: Instant,
        time: Timestamp,
        steered: Option<Signal>,
    ) -> Self {
        let pace = Pace::new(now, time, steered);
        let (state, due) = (batch.state, BTreeMap::new());
        let check = Check::of(&batch.terms.policy);
        if let Err(why) = &check {
            let batch = &*batch.terms.name;
            error!(batch, %why, "its policy cannot be read: nothing of it is sent");
        }
        Self { batch, check, shared: Mutex::new(Shared { state, pace, observed: None, due }) }
    }

    pub(super) const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// What is asked before its items go.
    pub(super) fn check(&self) -> Option<&Check> {
        self.check.as_ref().ok()?.as_ref()
    }

    /// Whether its items may go without being asked about.
    pub(super) const fn goes_unchecked(&self) -> bool {
        matches!(self.check, Ok(None))
    }

    pub(super) fn set_state(&self, state: BatchState) {
        self.shared.lock().state = state;
    }

    pub(super) fn is_running(&self) -> bool {
        self.shared.lock().state == BatchState::Running
    }

    /// What is due by then may go.
    pub(super) fn position(&self, now: Instant, time: Timestamp) -> Timestamp {
        self.shared.lock().pace.position_at(now, time)
    }

    /// Whether nothing but the dispatcher itself makes its items late.
    pub(super) fn is_on_time(&self, time: Timestamp) -> bool {
        self.shared.lock().pace.is_on_time(time)
    }

    /// A chunk is held whose next first attempt is due then, and of which so many are past their moment;
    /// without a next one it waits for none.
    pub(super) fn hold(&self, chunk: u32, next: Option<Timestamp>, due: u64) {
        let shared = &mut *self.shared.lock();
        match next {
            Some(next) => shared.pace.hold(chunk, next),
            None => shared.pace.let_go(chunk),
        }
        shared.due.insert(chunk, due);
    }

    pub(super) fn let_go(&self, chunk: u32) {
        let shared = &mut *self.shared.lock();
        shared.pace.let_go(chunk);
        shared.due.remove(&chunk);
    }

    pub(super) fn steer(&self, now: Instant, time: Timestamp, signal: Signal) -> Told {
        let shared = &mut *self.shared.lock();
        if let Some((at, pressure)) = signal.filter(|(at, _)| shared.observed != Some(*at)) {
            shared.observed = Some(at);
            shared.pace.observe(at, pressure);
        }
        shared.pace.advance(now, time, self.batch.terms.deadline);
        Told {
            behind: between(shared.pace.position(), time),
            multiplier: shared.pace.multiplier(),
            due: shared.due.values().sum(),
        }
    }
}

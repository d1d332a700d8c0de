//! A lane that tasks can wait at: `policy::dispatch::lane` with a clock and a queue of wakers.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use policy::dispatch::concurrency::Ended;
use policy::dispatch::lane::{Config, Lane as Decisions, Next, Off};
use policy::dispatch::turns::Tenant;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Reason;

/// The lane to one sink. Clones are the same lane.
#[derive(Debug, Clone)]
pub struct Lane {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    runtime: Handle,
}

#[derive(Debug)]
struct State {
    decisions: Decisions<oneshot::Sender<Permit>>,
    /// When the next look is due, if nothing happens before.
    alarm: Option<Instant>,
}

/// The right to send one item. Dropping it gives it back as unused.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    tenant: Tenant,
    began: Instant,
    ended: Ended,
}

/// What a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// How many may be under way at once.
    pub limit: u32,
    /// How many are.
    pub in_flight: u32,
    /// How many wait.
    pub waiting: usize,
    /// Why nothing goes, if so.
    pub off: Option<Off>,
}

impl Lane {
    /// An open lane.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let decisions = Decisions::new(Instant::now(), config);
        let state = Mutex::new(State { decisions, alarm: None });
        Self { shared: Arc::new(Shared { state, runtime: Handle::current() }) }
    }

    /// Waits for its turn. Dropping it leaves the line.
    ///
    /// # Errors
    /// When the sink is switched off, also while waiting, or too many wait.
    pub async fn enter(&self, tenant: Tenant) -> Result<Permit, Reason> {
        let (ticket, turn) = oneshot::channel();
        let pushed = self.shared.state.lock().decisions.push(tenant, ticket);
        if pushed.is_err() {
            return Err(self.closed());
        }
        self.shared.pump();
        turn.await.map_err(|_| self.closed())
    }

    /// Nothing goes from now on. Who waits is told; what is under way goes on.
    pub fn switch_off(&self, off: Off) {
        // Dropped after the lock is released: each wakes a task.
        let waited = self.shared.state.lock().decisions.switch_off(off);
        drop(waited);
    }

    /// Things go again.
    pub fn switch_on(&self) {
        self.shared.state.lock().decisions.switch_on();
        self.shared.pump();
    }

    /// The receiver wants nothing for so long.
    pub fn pause(&self, pause: std::time::Duration) {
        self.shared.state.lock().decisions.pause(Instant::now(), pause);
    }

    /// What it is doing now.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let decisions = &self.shared.state.lock().decisions;
        Gauges {
            limit: decisions.limit(),
            in_flight: decisions.in_flight(),
            waiting: decisions.waiting(),
            off: decisions.off(),
        }
    }

    fn closed(&self) -> Reason {
        self.gauges().off.map_or(Reason::Full, Reason::from)
    }
}

// === impl Shared ===

impl Shared {
    /// Lets go who may go, and sees to it that somebody looks again.
    fn pump(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let mut state = self.state.lock();
        let now = Instant::now();
        let wait = loop {
            match state.decisions.next(now) {
                // Who has left the line meanwhile does not use its turn.
                Next::Go(tenant, ticket) if ticket.is_closed() => {
                    let took = std::time::Duration::ZERO;
                    state.decisions.finish(now, tenant, took, Ended::Unused);
                }
                Next::Go(tenant, ticket) => granted.push((tenant, ticket)),
                Next::Wait(until) => break until,
            }
        };
        if let Some(until) = wait.filter(|until| state.alarm.is_none_or(|alarm| alarm > *until)) {
            state.alarm = Some(until);
            let shared = Arc::downgrade(self);
            self.runtime.spawn(async move {
                tokio::time::sleep_until(until.into()).await;
                if let Some(shared) = shared.upgrade() {
                    shared.state.lock().alarm = None;
                    shared.pump();
                }
            });
        }
        drop(state);
        for (tenant, ticket) in granted {
            let permit =
                Permit { shared: Arc::clone(self), tenant, began: now, ended: Ended::Unused };
            // Who has left just now: the permit comes back, and is dropped.
            drop(ticket.send(permit));
        }
    }
}

// === impl Permit ===

impl Permit {
    /// The item is no longer under way.
    pub fn finish(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        self.shared.state.lock().decisions.finish(now, self.tenant, took, self.ended);
        self.shared.pump();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use policy::dispatch::{concurrency, lane};

    use super::*;

    fn lane(at_once: u32) -> Lane {
        let concurrency = concurrency::Config { min: at_once, max: at_once };
        Lane::new(Config { concurrency, ..Config::default() })
    }

    #[tokio::test]
    async fn nobody_is_lost_and_never_more_are_under_way() {
        let lane = lane(3);
        let tasks = (0..500).map(|tenant| {
            let lane = lane.clone();
            tokio::spawn(async move {
                let permit = lane.enter(tenant % 7).await.unwrap();
                assert!(lane.gauges().in_flight <= 3);
                tokio::task::yield_now().await;
                permit.finish(Ended::Answered);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!((lane.gauges().in_flight, lane.gauges().waiting), (0, 0));
    }

    #[tokio::test]
    async fn who_leaves_the_line_does_not_hold_it_up() {
        let lane = lane(1);
        let first = lane.enter(0).await.unwrap();
        {
            let mut left = Box::pin(lane.enter(0));
            assert!(futures_util::poll!(&mut left).is_pending());
        }
        let mut next = Box::pin(lane.enter(0));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(first);
        next.await.unwrap().finish(Ended::Answered);
        assert_eq!(lane.gauges().in_flight, 0);
    }

    #[tokio::test]
    async fn who_waits_is_told_when_the_sink_is_switched_off() {
        let lane = lane(1);
        let permit = lane.enter(0).await.unwrap();
        let mut waits = Box::pin(lane.enter(0));
        assert!(futures_util::poll!(&mut waits).is_pending());
        lane.switch_off(Off::Switched);
        assert_eq!(waits.await.unwrap_err(), Reason::SwitchedOff);
        assert_eq!(lane.enter(0).await.unwrap_err(), Reason::SwitchedOff);
        drop(permit);
        lane.switch_on();
        lane.enter(0).await.unwrap();
    }

    #[tokio::test]
    async fn a_ceiling_wakes_who_waits_for_it() {
        let ceiling = Some(lane::ceiling(NonZeroU32::new(200).unwrap()));
        let lane = Lane::new(Config { ceiling, ..Config::default() });
        let began = Instant::now();
        for _ in 0..24 {
            lane.enter(0).await.unwrap().finish(Ended::Answered);
        }
        // 4 at once, then 20 in steps of 5 ms: never sooner, however late.
        assert!(began.elapsed() >= std::time::Duration::from_millis(99));
    }
}

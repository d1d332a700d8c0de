//! The one place where a statement waits.
//!
//! The gate joins `policy::Admission`, which decides and knows neither tasks nor clocks, with the
//! sessions, which wait. Every call holds one short lock, does what it does to the admission, and
//! hands the events to the sessions they are for. Awaiting happens outside the lock.
//!
//! ```text
//! enter ──► Admit ──► Permit ───────────────────────► settle
//!       ──► Wait ──► Ticket ──(event)──► Permit
//!       ──► Shed ──► Refusal    │
//!                               └──(dropped: the client went away)──► abandon
//! ```

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use policy::{
    admission::{
        self, Admission, Admitted, Arrival, Event, Hold, Outcome, Restrained, Snapshot, Verdict,
    },
    class::{ClassId, Policy},
    contention::Contention,
    hot::Key,
    limit::{self, Limit},
    refusal::Refusal,
    restraint::Restraint,
    retry,
};
use tokio::sync::Notify;

use crate::hot::{Hot, Visit};

/// How long somebody waits before what others hold back for themselves is freed
/// (`upstream::linger`).
pub const PATIENCE: Duration = Duration::from_millis(100);

/// The pause between two such steps where the first did not help: it may yet have been enough.
const STEP: Duration = Duration::from_millis(10);

/// Who may run, shared by all sessions.
#[derive(Debug)]
pub struct Gate {
    core: Mutex<Core>,
    /// Wakes the timer when somebody waits who must be looked at earlier than it will look.
    waiting: Notify,
    /// When there was a gate.
    since: Instant,
    /// The second after that in which somebody was refused last, counted from 1; 0: nobody.
    refused: AtomicU64,
    /// Refusals that are held back now.
    held: AtomicU32,
}

/// Refusals that are held back at once, at most: beyond, they go out at once.
const HELD_MAX: u32 = 10_000;

/// A refusal that is held back; dropping it makes place for another.
#[derive(Debug)]
pub struct Held<'a>(&'a AtomicU32);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Core {
    admission: Admission,
    /// Who waits for which ticket. Bounded by the queues of the admission.
    tickets: HashMap<admission::Ticket, Waiter, RandomState>,
    /// When the timer looks next; `None` while it waits to be woken.
    looks_at: Option<Instant>,
}

/// Somebody with a ticket.
#[derive(Debug)]
enum Waiter {
    /// Whom to wake.
    Waiting(Option<Waker>),
    /// What it has not fetched yet.
    Answered(Result<Admitted, Box<Refusal>>),
}

/// The answer of the gate.
#[derive(Debug)]
pub enum Entry {
    /// Run.
    Permit(Permit),
    /// Wait: await the ticket.
    Wait(Ticket),
    /// Do not run.
    Refused(Refusal),
}

impl Gate {
    /// A gate that nothing has passed.
    pub fn new(now: Instant, policy: Arc<Policy>) -> Arc<Self> {
        let admission = Admission::new(now, policy);
        let core = Core { admission, tickets: HashMap::default(), looks_at: None };
        Arc::new(Self {
            core: Mutex::new(core),
            waiting: Notify::new(),
            since: now,
            refused: AtomicU64::new(0),
            held: AtomicU32::new(0),
        })
    }

    /// Whether somebody was refused so lately that it may come again ([`retry::AGAIN`]).
    pub fn refuses(&self, now: Instant) -> bool {
        match self.refused.load(Ordering::Relaxed) {
            0 => false,
            at => self.second(now) <= at + retry::AGAIN.as_secs() + 1,
        }
    }

    /// A place for a refusal to be held back in, if there is one.
    pub fn hold_back(&self) -> Option<Held<'_>> {
        let before = self.held.fetch_add(1, Ordering::Relaxed);
        let held = Held(&self.held);
        (before < HELD_MAX).then_some(held)
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() + 1
    }

    fn note_refused(&self, now: Instant) {
        self.refused.store(self.second(now), Ordering::Relaxed);
    }

    /// A transaction asks to run.
    pub fn enter(self: &Arc<Self>, now: Instant, arrival: Arrival) -> Entry {
        let mut core = self.core.lock();
        let verdict = core.admission.arrive(now, arrival);
        let entry = match verdict {
            Verdict::Admit(admitted) => Entry::Permit(self.permit(now, admitted)),
            Verdict::Shed(refusal) => {
                self.note_refused(now);
                Entry::Refused(refusal)
            }
            Verdict::Wait(ticket) => {
                core.tickets.insert(ticket, Waiter::Waiting(None));
                Entry::Wait(Ticket { gate: Arc::clone(self), ticket, is_over: false })
            }
        };
        core.deliver(now);
        if matches!(entry, Entry::Wait(_)) && core.is_due_earlier() {
            self.waiting.notify_one();
        }
        entry
    }

    /// Other limits from now on.
    pub fn reconfigure(&self, now: Instant, policy: Arc<Policy>) {
        self.with(now, |admission| admission.reconfigure(now, policy));
        // A limit that finds its place by itself is thought over by the timer.
        self.waiting.notify_one();
    }

    /// What the database says of its locks.
    pub fn observe(&self, now: Instant, seen: Contention) {
        self.with(now, |admission| admission.observe(now, seen));
    }

    /// Holds new transactions back because of a pile-up; `None` lets all in again.
    pub fn restrain(&self, now: Instant, restraint: Option<Restraint>) {
        self.with(now, |admission| admission.restrain(now, restraint));
        // It is let up by the timer.
        self.waiting.notify_one();
    }

    /// The database is another one, or has been restarted: it is given little at first.
    pub fn start_over(&self, now: Instant) {
        self.with(now, |admission| admission.start_over(now));
        self.waiting.notify_one();
    }

    /// The restraint that there is, and what all of them have done since start.
    pub fn restrained(&self) -> (Option<Restraint>, Restrained) {
        let core = self.core.lock();
        (core.admission.restraint(), core.admission.restrained())
    }

    /// Where the limit is that finds its place by itself; none where it is off.
    pub fn limit(&self) -> Option<limit::Report> {
        self.core.lock().admission.limit().map(Limit::report)
    }

    /// What that limit has learned; none where it is off.
    pub fn memory(&self) -> Option<limit::Memory> {
        self.core.lock().admission.limit().map(Limit::memory)
    }

    /// Begins that limit with what an earlier run has learned, if it is on.
    pub fn remember(&self, memory: limit::Memory) {
        let now = Instant::now();
        self.with(now, |admission| admission.remember(now, memory));
        self.waiting.notify_one();
    }

    /// Admits nothing new until [`Self::release`], or the hold's end.
    pub fn hold(&self, now: Instant, hold: Hold) {
        self.with(now, |admission| admission.hold(hold));
        self.waiting.notify_one();
    }

    /// Ends a hold. Returns whether there was one.
    pub fn release(&self, now: Instant) -> bool {
        let mut was_held = false;
        self.with(now, |admission| was_held = admission.release(now));
        self.waiting.notify_one();
        was_held
    }

    /// The hold that there is.
    pub fn held(&self) -> Option<Hold> {
        self.core.lock().admission.held()
    }

    /// What is in flight, what waits, and the limits.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.core.lock().admission.snapshot(now)
    }

    /// Since when the transaction waits that has waited longest.
    pub fn oldest_wait(&self) -> Option<Instant> {
        self.core.lock().admission.oldest_wait()
    }

    /// Refuses what has waited too long, for ever, and calls `help` when somebody has waited for
    /// [`PATIENCE`], and every 10 ms from then on. Dropping the future stops the clock: tickets
    /// then wait for a permit alone.
    ///
    /// One timer for all who wait: a timer of each one's own costs more than its whole wait at the
    /// gate. It is set anew when it fires, not whenever the first in line goes.
    pub async fn run_timer(&self, help: impl Fn()) {
        loop {
            let due = self.core.lock().plan(Instant::now());
            match due {
                None => self.waiting.notified().await,
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => self.look(&help),
                    () = self.waiting.notified() => {}
                },
            }
        }
    }

    /// What the timer does when it fires.
    fn look(&self, help: impl Fn()) {
        let now = Instant::now();
        self.with(now, |admission| admission.handle_timeout(now));
        // As long as it helps those who have waited longest.
        while let Some(since) = self.oldest_wait()
            && now.saturating_duration_since(since) >= PATIENCE
        {
            help();
            if self.oldest_wait() == Some(since) {
                break;
            }
        }
    }

    fn permit(self: &Arc<Self>, now: Instant, admitted: Admitted) -> Permit {
        Permit {
            gate: Arc::clone(self),
            class: admitted.class(),
            admitted: Some(admitted),
            since: now,
            visit: None,
        }
    }

    fn with(&self, now: Instant, act: impl FnOnce(&mut Admission)) {
        let mut core = self.core.lock();
        act(&mut core.admission);
        core.deliver(now);
    }
}

// === impl Core ===

impl Core {
    /// Hands every event to the session that waits for it.
    fn deliver(&mut self, now: Instant) {
        while let Some(event) = self.admission.poll() {
            let (ticket, result) = match event {
                Event::Admitted(ticket, admitted) => (ticket, Ok(admitted)),
                Event::Shed(ticket, refusal) => (ticket, Err(Box::new(refusal))),
            };
            let Some(waiter) = self.tickets.get_mut(&ticket) else {
                // Nobody has the ticket any more: its turn goes to the next.
                if let Ok(admitted) = result {
                    self.admission.finish(now, admitted, Outcome::Ignored, Duration::ZERO);
                }
                continue;
            };
            let before = std::mem::replace(waiter, Waiter::Answered(result));
            if let Waiter::Waiting(Some(waker)) = before {
                waker.wake();
            }
        }
    }

    /// When the timer must look next, at `now`; it will.
    fn plan(&mut self, now: Instant) -> Option<Instant> {
        let impatient = self.admission.oldest_wait().map(|since| {
            let due = since + PATIENCE;
            if due > now { due } else { now + STEP }
        });
        self.looks_at = [impatient, self.admission.poll_timeout()].into_iter().flatten().min();
        self.looks_at
    }

    /// Whether somebody must be looked at before the timer looks.
    fn is_due_earlier(&self) -> bool {
        let due = self.admission.poll_timeout();
        let is_waited = self.looks_at.is_none() && self.admission.oldest_wait().is_some();
        is_waited || due.is_some_and(|due| self.looks_at.is_none_or(|at| due < at))
    }
}

/// A place in line. Dropping it leaves the line at once.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    ticket: admission::Ticket,
    /// Whether its answer was fetched.
    is_over: bool,
}

impl Future for Ticket {
    type Output = Result<Permit, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut core = self.gate.core.lock();
        match core.tickets.get_mut(&self.ticket) {
            Some(Waiter::Waiting(Some(waker))) => {
                waker.clone_from(context.waker());
                return Poll::Pending;
            }
            Some(Waiter::Waiting(waker @ None)) => {
                *waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            Some(Waiter::Answered(_)) | None => {}
        }
        let answer = core.tickets.remove(&self.ticket);
        drop(core);
        self.is_over = true;
        match answer {
            Some(Waiter::Answered(Ok(admitted))) => {
                Poll::Ready(Ok(self.gate.permit(Instant::now(), admitted)))
            }
            Some(Waiter::Answered(Err(refusal))) => {
                self.gate.note_refused(Instant::now());
                Poll::Ready(Err(*refusal))
            }
            Some(Waiter::Waiting(_)) | None => unreachable!("a ticket is answered once"),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let now = Instant::now();
        let mut core = self.gate.core.lock();
        match core.tickets.remove(&self.ticket) {
            Some(Waiter::Waiting(_)) => core.admission.abandon(now, self.ticket),
            // It left between the answer and now: its turn goes to the next.
            Some(Waiter::Answered(Ok(admitted))) => {
                core.admission.finish(now, admitted, Outcome::Ignored, Duration::ZERO);
            }
            Some(Waiter::Answered(Err(_))) | None => {}
        }
        core.deliver(now);
    }
}

/// The right of one transaction to run.
///
/// It must be [settled](Self::settle) when the database has confirmed the end. Dropping it counts
/// as a transaction that never ran: that is right before anything was sent, and wrong after.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    class: ClassId,
    admitted: Option<Admitted>,
    since: Instant,
    /// What its transaction has to do with rows that everybody wants. Its place there goes with the permit.
    visit: Option<Box<Visit>>,
}

impl Permit {
    /// The class it counts against.
    pub fn class(&self) -> ClassId {
        self.class
    }

    /// When it was given.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Notes what its transaction has to do with rows that everybody wants.
    pub fn note_visit(&mut self, visit: Option<Box<Visit>>) {
        self.visit = visit;
    }

    /// Its transaction comes to this row.
    pub fn come_to(&mut self, hot: &Arc<Hot>, row: Key) {
        self.visit.get_or_insert_default().come_to(hot, row);
    }

    /// Keeps the upstream connection counted beyond the end of the transaction. `None` when it is
    /// counted already.
    pub fn pin(&mut self) -> Option<Pinned> {
        let admitted = self.admitted.as_mut()?;
        let pinned = self.gate.core.lock().admission.pin(admitted)?;
        Some(Pinned { gate: Arc::clone(&self.gate), pinned: Some(pinned) })
    }

    /// Gives the permit back: the database has confirmed the end.
    pub fn settle(mut self, now: Instant, outcome: Outcome) {
        self.give_back(now, outcome);
    }

    fn give_back(&mut self, now: Instant, outcome: Outcome) {
        if let Some(admitted) = self.admitted.take() {
            let service = now.saturating_duration_since(self.since);
            self.gate.with(now, |admission| admission.finish(now, admitted, outcome, service));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.admitted.is_some() {
            self.give_back(Instant::now(), Outcome::Ignored);
        }
    }
}

/// The connection of a session that keeps it between transactions. Dropping it gives the
/// connection's place to others.
#[derive(Debug)]
pub struct Pinned {
    gate: Arc<Gate>,
    pinned: Option<admission::Pinned>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(pinned) = self.pinned.take() {
            let now = Instant::now();
            self.gate.with(now, |admission| admission.unpin(now, pinned));
        }
    }
}

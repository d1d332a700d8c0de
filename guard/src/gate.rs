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
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use parking_lot::Mutex;
use policy::{
    admission::{self, Admission, Admitted, Arrival, Event, Outcome, Snapshot, Verdict},
    class::{ClassId, Policy},
    refusal::Refusal,
};
use tokio::sync::{Notify, oneshot};

/// Who may run, shared by all sessions.
#[derive(Debug)]
pub struct Gate {
    core: Mutex<Core>,
    /// Wakes the timer when somebody began to wait.
    waiting: Notify,
}

#[derive(Debug)]
struct Core {
    admission: Admission,
    /// Who waits for which ticket. Bounded by the queues of the admission.
    tickets: HashMap<admission::Ticket, oneshot::Sender<Result<Admitted, Refusal>>>,
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
        let core = Core { admission: Admission::new(now, policy), tickets: HashMap::new() };
        Arc::new(Self { core: Mutex::new(core), waiting: Notify::new() })
    }

    /// A transaction asks to run.
    pub fn enter(self: &Arc<Self>, now: Instant, arrival: Arrival) -> Entry {
        let mut core = self.core.lock();
        let verdict = core.admission.arrive(now, arrival);
        let entry = match verdict {
            Verdict::Admit(admitted) => Entry::Permit(self.permit(now, admitted)),
            Verdict::Shed(refusal) => Entry::Refused(refusal),
            Verdict::Wait(ticket) => {
                let (sender, receiver) = oneshot::channel();
                core.tickets.insert(ticket, sender);
                self.waiting.notify_one();
                Entry::Wait(Ticket { gate: Arc::clone(self), ticket, receiver, since: now })
            }
        };
        core.deliver(now);
        entry
    }

    /// Other limits from now on.
    pub fn reconfigure(&self, now: Instant, policy: Arc<Policy>) {
        self.with(now, |admission| admission.reconfigure(now, policy));
    }

    /// What is in flight, what waits, and the limits.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.core.lock().admission.snapshot(now)
    }

    /// Since when the transaction waits that has waited longest.
    pub fn oldest_wait(&self) -> Option<Instant> {
        self.core.lock().admission.oldest_wait()
    }

    /// Refuses what has waited too long, for ever. Dropping the future stops the clock: tickets
    /// then wait for a permit alone.
    pub async fn run_timer(&self) {
        loop {
            let due = self.core.lock().admission.poll_timeout();
            match due {
                None => self.waiting.notified().await,
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {
                        let now = Instant::now();
                        self.with(now, |admission| admission.handle_timeout(now));
                    }
                    () = self.waiting.notified() => {}
                },
            }
        }
    }

    fn permit(self: &Arc<Self>, now: Instant, admitted: Admitted) -> Permit {
        Permit {
            gate: Arc::clone(self),
            class: admitted.class(),
            admitted: Some(admitted),
            since: now,
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
                Event::Shed(ticket, refusal) => (ticket, Err(refusal)),
            };
            let undelivered = match self.tickets.remove(&ticket) {
                Some(sender) => sender.send(result).err(),
                None => Some(result),
            };
            if let Some(Ok(admitted)) = undelivered {
                // The client left between the event and now: its turn goes to the next.
                self.admission.finish(now, admitted, Outcome::Ignored, std::time::Duration::ZERO);
            }
        }
    }
}

/// A place in line. Dropping it leaves the line at once.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    ticket: admission::Ticket,
    receiver: oneshot::Receiver<Result<Admitted, Refusal>>,
    /// When waiting began.
    pub since: Instant,
}

impl Future for Ticket {
    type Output = Result<Permit, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|received| {
            let result = received.expect("the gate answers every ticket before it forgets it");
            result.map(|admitted| self.gate.permit(Instant::now(), admitted))
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.receiver.close();
        let unclaimed = self.receiver.try_recv().ok();
        let now = Instant::now();
        let mut core = self.gate.core.lock();
        if core.tickets.remove(&self.ticket).is_some() {
            core.admission.abandon(now, self.ticket);
        }
        if let Some(Ok(admitted)) = unclaimed {
            core.admission.finish(now, admitted, Outcome::Ignored, std::time::Duration::ZERO);
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

//! Where transactions wait for a row that everybody wants, before they ask the gate.
//!
//! It joins `policy::hot`, which decides and knows neither tasks nor clocks, with the sessions. Who is
//! parked here holds no permit and no connection; who has entered has a place at the row, which its
//! permit keeps until the database has confirmed the end of its transaction. So it stands before the
//! gate, and a transaction waits in one of the two at a time.
//!
//! ```text
//! arrive ──► Enter ──► Inside ─────────────────────────► dropped: the next in line enters
//!        ──► Park ──► Parked ──(its turn)──► Inside
//!        ──► Full        └──(dropped: the client went away)──► it leaves the line
//! ```
//!
//! What is learned of rows comes from looks at the database (`learn`). While none is fought for, a
//! statement costs one load of a flag.

mod learn;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use policy::{
    class::{Mode, Policy},
    hot::{
        Begin, Config, Counts, Full, HotKeys, Key, Passage, Place, Ticket, Turned, Usage, Wanted,
    },
    sql::{Digest, Shape},
};
use tracing::{info, warn};

pub use self::learn::learn;

/// Rows that are fought for, shared by all sessions.
#[derive(Debug)]
pub struct Hot {
    core: Mutex<Core>,
    /// Whether sessions should tell which rows their statements are about.
    is_watching: AtomicBool,
}

#[derive(Debug)]
struct Core {
    keys: HotKeys,
    /// Who waits with which ticket. Bounded by the keys.
    parked: HashMap<Ticket, Waiter, RandomState>,
}

/// Somebody who is parked.
#[derive(Debug)]
enum Waiter {
    /// Whom to wake.
    Waiting(Option<Waker>),
    /// It was let in and has not noticed yet.
    LetIn(Place),
}

/// What a transaction is told that comes for a row.
#[derive(Debug)]
pub enum Way {
    /// The row has no gate.
    Free,
    /// It may ask for a permit.
    Enter(Inside),
    /// It waits outside: await it.
    Park(Parked),
    /// There is no room to wait.
    Full(Full),
}

/// What is known of rows.
#[derive(Debug)]
pub struct Report {
    /// How far it goes.
    pub mode: Mode,
    /// Transactions that are parked.
    pub parked: u32,
    /// What was done since the guard started.
    pub counts: Counts,
    /// The rows, those with most parked first.
    pub keys: Vec<Usage>,
}

impl Hot {
    /// No row is known.
    pub fn new(policy: &Policy) -> Arc<Self> {
        let keys = HotKeys::new(config(policy));
        let core = Core { keys, parked: HashMap::default() };
        Arc::new(Self { core: Mutex::new(core), is_watching: AtomicBool::new(false) })
    }

    /// Other bounds from now on. Who is parked goes on where nobody is parked any more.
    pub fn reconfigure(&self, policy: &Policy) {
        let mut core = self.core.lock();
        for (ticket, place) in core.keys.reconfigure(config(policy)) {
            core.let_in(ticket, place);
        }
    }

    /// Whether sessions should tell which rows their statements are about.
    pub fn is_watching(&self) -> bool {
        self.is_watching.load(Ordering::Relaxed)
    }

    /// Learns which statements wait, at a look at the database. `is_tense` is whether more may wait
    /// soon.
    pub fn observe(&self, now: Instant, is_tense: bool, waits: impl IntoIterator<Item = Wanted>) {
        let mut core = self.core.lock();
        let turned = core.keys.observe(now, waits);
        let is_on = core.keys.mode() != Mode::Off;
        self.is_watching.store(is_on && (is_tense || !core.keys.is_empty()), Ordering::Relaxed);
        let mode = core.keys.mode();
        drop(core);
        turned.iter().for_each(|turned| tell(mode, turned));
    }

    /// A transaction begins that holds no locks.
    pub fn arrive(self: &Arc<Self>, now: Instant, begin: Begin) -> Way {
        let mut core = self.core.lock();
        match core.keys.arrive(now, begin) {
            Passage::Free => Way::Free,
            Passage::Enter(place) => Way::Enter(self.inside(place)),
            Passage::Full(full) => Way::Full(full),
            Passage::Park(ticket) => {
                core.parked.insert(ticket, Waiter::Waiting(None));
                Way::Park(Parked { hot: Arc::clone(self), ticket, is_over: false })
            }
        }
    }

    /// A transaction that may hold locks comes to this row: it never waits here (invariant 4), and
    /// counts. `first` is what it began with. `None` where the row has no gate, or it `has_place`.
    pub fn join(
        self: &Arc<Self>,
        key: Key,
        first: Option<Digest>,
        has_place: bool,
    ) -> Option<Inside> {
        let place = self.core.lock().keys.join(key, first, has_place)?;
        Some(self.inside(place))
    }

    /// Whether a row has a gate.
    pub fn is_gated(&self, key: Key) -> bool {
        self.core.lock().keys.is_gated(key)
    }

    /// What is known of rows.
    pub fn report(&self) -> Report {
        let core = self.core.lock();
        Report {
            mode: core.keys.mode(),
            parked: core.keys.parked(),
            counts: core.keys.counts(),
            keys: core.keys.usage(),
        }
    }

    fn inside(self: &Arc<Self>, place: Place) -> Inside {
        Inside { hot: Arc::clone(self), place }
    }

    fn leave(&self, place: Place) {
        let mut core = self.core.lock();
        if let Some((ticket, place)) = core.keys.leave(place) {
            core.let_in(ticket, place);
        }
    }
}

/// The milder of its own mode and the guard's holds.
/// Enough of a hash to tell the few rows apart that are hot at a time.
pub fn short(key: Key) -> String {
    format!("{:08x}", key.0 >> 32)
}

/// The table that a statement is about first, with its schema where it is named.
pub fn table(shape: &Shape) -> String {
    let Some(table) = shape.tables.first() else { return String::new() };
    let schema = table.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
    schema + &table.name
}

/// Says in the log that a row has a gate now, or none any more.
fn tell(mode: Mode, turned: &Turned) {
    let shape = turned.shape.as_deref();
    let row = shape.map(table).unwrap_or_default() + "#" + &short(turned.key);
    let statement = shape.map_or("", |shape| &shape.text);
    match (&turned.closed, mode) {
        (None, Mode::Enforce) => {
            warn!(row, statement, "many wait for one row: who wants it waits in the guard now");
        }
        (None, _) => info!(row, statement, "many wait for one row"),
        (Some(Counts { parked, refused, .. }), _) => {
            info!(row, statement, parked, refused, "nobody waits for that row any more");
        }
    }
}

fn config(policy: &Policy) -> Config {
    Config { mode: policy.hot.mode.min(policy.mode), ..policy.hot }
}

impl Core {
    fn let_in(&mut self, ticket: Ticket, place: Place) {
        // Whoever gives its ticket up leaves the line in the same breath.
        let Some(waiter) = self.parked.get_mut(&ticket) else { return };
        if let Waiter::Waiting(Some(waker)) = std::mem::replace(waiter, Waiter::LetIn(place)) {
            waker.wake();
        }
    }
}

/// A transaction's place at a row. Dropping it lets the next one in: that is right when the database
/// has confirmed the end, and where nothing was sent.
#[derive(Debug)]
pub struct Inside {
    hot: Arc<Hot>,
    place: Place,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.hot.leave(self.place);
    }
}

/// What a transaction has to do with rows that everybody wants, from its begin to its end.
#[derive(Debug, Default)]
pub struct Visit {
    /// What it began with, where more follows, and the row that that was about.
    first: Option<(Digest, Option<Key>)>,
    place: Option<Inside>,
}

impl Visit {
    /// Of a transaction that began with a statement about this row, and has this place at one.
    pub fn new(first: Option<Digest>, row: Option<Key>, place: Option<Inside>) -> Self {
        Self { first: first.map(|first| (first, row)), place }
    }

    /// The transaction comes to a row, and takes a place there if it has none and the row is hot.
    pub fn come_to(&mut self, hot: &Arc<Hot>, row: Key) {
        // One that comes back to its first row teaches nothing.
        let first = self.first.filter(|(_, its_row)| *its_row != Some(row)).map(|(first, _)| first);
        if let Some(place) = hot.join(row, first, self.place.is_some()) {
            self.place = Some(place);
        }
    }
}

/// A place in the line for a row. Dropping it leaves the line at once.
#[derive(Debug)]
pub struct Parked {
    hot: Arc<Hot>,
    ticket: Ticket,
    /// Whether it was let in and has noticed.
    is_over: bool,
}

impl Parked {
    /// Leaves the line because it has waited for as long as it may. Returns the part of the last
    /// arrivals for the row that got no place.
    pub fn give_up(self) -> f64 {
        // What is let in meanwhile goes to the next when this is dropped.
        let mut core = self.hot.core.lock();
        let ratio = core.keys.give_up(self.ticket);
        drop(core);
        ratio
    }
}

impl Future for Parked {
    type Output = Inside;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Inside> {
        let mut core = self.hot.core.lock();
        match core.parked.get_mut(&self.ticket) {
            Some(Waiter::LetIn(place)) => {
                let place = *place;
                core.parked.remove(&self.ticket);
                drop(core);
                self.is_over = true;
                Poll::Ready(self.hot.inside(place))
            }
            Some(Waiter::Waiting(waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => unreachable!("who is parked is let in once"),
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut core = self.hot.core.lock();
        match core.parked.remove(&self.ticket) {
            Some(Waiter::Waiting(_)) => core.keys.abandon(self.ticket),
            // It left between being let in and now: its turn goes to the next.
            Some(Waiter::LetIn(place)) => {
                drop(core);
                self.hot.leave(place);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;

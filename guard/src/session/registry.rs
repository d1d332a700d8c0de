//! The sessions that are alive: for `KILL`, for `tidegate pins`, for draining.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use policy::{class::ClassId, hot::Key, sql::Digest};

use super::{interrupt::Interrupt, pins::Pins, verdict::Verdict};
use crate::{
    metrics::{ClientState, Label as _},
    stream::socket::Peer,
    upstream::control::Backend,
};

/// A bit of all ids that the guard gives clients. Servers count from 1, so an id that a client got from
/// the guard is not taken for one of the server's. The bit above is none's, as ids are signed in places.
const OF_A_GUARD: u32 = 1 << 30;

/// How many bits of an id count. As many as Linux has for processes at most, so no id comes again sooner than
/// one of the server's may. The eight between are the instance's.
const COUNT_BITS: u32 = 22;

/// Which guard gave a client this id, of those that clients reach under one address.
const fn instance_of(id: u32) -> Option<u8> {
    let is_of_a_guard = id >> 30 == OF_A_GUARD >> 30;
    if is_of_a_guard { Some((id >> COUNT_BITS) as u8) } else { None }
}

/// What others may know of a session, and do to it.
#[derive(Debug)]
pub struct Card {
    /// The id that its client knows.
    pub id: u32,
    /// The account.
    pub user: Arc<str>,
    /// Where the client is.
    pub peer: Peer,
    /// The database it logged in to; none where a session may change it.
    pub database: Option<Arc<str>>,
    /// When it had logged in.
    pub since: Instant,
    /// Wakes the session: see [`Self::is_ended`] and [`Self::take_verdict`] for what it should do.
    pub interrupt: Interrupt,
    /// Whether the session must end altogether, not only its statement.
    ended: AtomicBool,
    /// What its client is doing, as an index of [`ClientState::ALL`].
    state: AtomicU8,
    /// When it began to wait for its turn last, in microseconds after `since`.
    waits_from: AtomicU64,
    /// When its client asked for something last, in microseconds after `since`; 0 before the first.
    asked_at: AtomicU64,
    /// What serves it in the database, or served it last.
    backend: AtomicU32,
    /// The class of what it did there.
    class: AtomicU16,
    /// The row that its statement is about; 0 for none, and while no row is watched.
    row: AtomicU64,
    /// The digest of its statement, or of its last; 0 before the first.
    statement: AtomicU64,
    /// Its pins, while it has any.
    pins: Mutex<Option<ShownPins>>,
    /// That its transaction is to be given up.
    verdict: Mutex<Option<Box<Verdict>>>,
}

/// The pins of a session, as others see them.
#[derive(Debug, Clone)]
pub struct ShownPins {
    /// The causes.
    pub pins: Pins,
    /// When the first of them began.
    pub since: Instant,
    /// The normalised statement behind the newest.
    pub statement: Option<Arc<str>>,
}

impl Card {
    /// Whether somebody ended the session: `KILL CONNECTION`, or the end of draining.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Shows what the client is doing. One store: it happens for each statement. Only who begins to
    /// wait reads the clock.
    pub fn set_state(&self, state: ClientState) {
        if state == ClientState::Waiting {
            let from = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.waits_from.store(from, Ordering::Relaxed);
        }
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// What the client is doing.
    pub fn state(&self) -> ClientState {
        let index = usize::from(self.state.load(Ordering::Relaxed));
        ClientState::ALL.get(index).copied().unwrap_or(ClientState::Idle)
    }

    /// Shows that a replica serves it from now on: the ids of backends there say nothing of the primary's.
    pub fn set_away(&self, class: ClassId) {
        self.backend.store(0, Ordering::Relaxed);
        self.class.store(class.0, Ordering::Relaxed);
    }

    /// Shows what serves it from now on, and the class of what it does there.
    pub fn set_backend(&self, backend: Backend, class: ClassId) {
        self.backend.store(backend.id, Ordering::Relaxed);
        self.class.store(class.0, Ordering::Relaxed);
    }

    /// The backend that runs its statement or has its transaction open.
    pub fn backend(&self) -> Option<u32> {
        let backend = self.backend.load(Ordering::Relaxed);
        (backend != 0 && self.is_served_by(backend)).then_some(backend)
    }

    /// Whether this backend runs its statement or has its transaction open. Where that is over,
    /// the backend may serve somebody else.
    pub fn is_served_by(&self, backend: u32) -> bool {
        let is_served = !matches!(
            self.state(),
            ClientState::Idle | ClientState::Waiting | ClientState::LoggingIn
        );
        is_served && backend != 0 && self.backend.load(Ordering::Relaxed) == backend
    }

    /// The class of what it does, or did last.
    pub fn class(&self) -> ClassId {
        ClassId(self.class.load(Ordering::Relaxed))
    }

    /// Shows which row its statement is about.
    pub fn set_row(&self, row: Option<Key>) {
        self.row.store(row.map_or(0, |key| key.0), Ordering::Relaxed);
    }

    /// The row that its statement is about, as far as that is known.
    pub fn row(&self) -> Option<Key> {
        let key = self.row.load(Ordering::Relaxed);
        (key != 0).then_some(Key(key))
    }

    /// Shows which statement it is about to run. One store: it happens for each statement.
    pub fn set_statement(&self, digest: Digest) {
        self.statement.store(digest.0, Ordering::Relaxed);
    }

    /// Shows when its client asked for what it is about to run. One store: it happens for each statement.
    pub fn set_asked(&self, at: Instant) {
        let after = at.saturating_duration_since(self.since).as_micros();
        self.asked_at.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When its client asked for something last, or logged in. Of PostgreSQL alone.
    pub fn asked(&self) -> Instant {
        let after = Duration::from_micros(self.asked_at.load(Ordering::Relaxed));
        self.since.checked_add(after).unwrap_or(self.since)
    }

    /// Its statement, or its last; 0 before the first, and for a command that has no text.
    pub fn statement(&self) -> Digest {
        Digest(self.statement.load(Ordering::Relaxed))
    }

    /// How long it has waited for its turn at `now`, while it does.
    pub fn waited(&self, now: Instant) -> Option<Duration> {
        let waits = self.state() == ClientState::Waiting;
        let from = Duration::from_micros(self.waits_from.load(Ordering::Relaxed));
        waits.then(|| now.saturating_duration_since(self.since).saturating_sub(from))
    }

    /// Asks the session to stop its statement.
    pub fn kill_query(&self) {
        self.pass_over(|_| true);
        self.interrupt.raise();
    }

    /// Has a session that waits for a command look up, and leaves one that runs a statement alone.
    pub fn kill_query_when_idle(&self) {
        if matches!(self.state(), ClientState::Idle) {
            self.interrupt.raise();
        }
    }

    /// Asks the session to end.
    pub fn kill_connection(&self) {
        self.ended.store(true, Ordering::Release);
        self.pass_over(|_| true);
        self.interrupt.raise();
    }

    /// Asks the session to give up a transaction. Returns whether it was asked: who is being called
    /// for another reason is not.
    pub fn melt(&self, verdict: Verdict) -> bool {
        let mut kept = self.verdict.lock();
        if self.is_ended() || self.interrupt.is_raised() {
            return false;
        }
        *kept = Some(Box::new(verdict));
        self.interrupt.raise();
        true
    }

    /// The verdict that the session was called for, if it was for one.
    pub fn take_verdict(&self) -> Option<Box<Verdict>> {
        self.verdict.lock().take()
    }

    /// Whether there is a verdict that was not taken.
    pub fn has_verdict(&self) -> bool {
        self.verdict.lock().is_some()
    }

    /// Drops the verdict if there is one like `so`. Returns whether there was.
    pub(super) fn pass_over(&self, so: impl FnOnce(&Verdict) -> bool) -> bool {
        let mut kept = self.verdict.lock();
        let is_so = kept.as_deref().is_some_and(so);
        if is_so {
            *kept = None;
        }
        is_so
    }

    /// The client begins with its next statement: a call from before was for what it has ended, and
    /// whether it is about a row is not known yet.
    pub fn begin(&self) {
        self.set_row(None);
        if self.interrupt.lower() {
            self.pass_over(|_| true);
        }
    }

    /// Shows the pins to others. `cause` is the normalised statement behind the newest.
    pub fn show_pins(&self, pins: &Pins, now: Instant, cause: Option<&Arc<str>>) {
        let mut shown = self.pins.lock();
        let (since, statement) = match shown.take() {
            Some(before) => (before.since, cause.cloned().or(before.statement)),
            None => (now, cause.cloned()),
        };
        *shown = (!pins.is_empty()).then(|| ShownPins { pins: pins.clone(), since, statement });
    }

    /// The pins, while there are any.
    pub fn pins(&self) -> Option<ShownPins> {
        self.pins.lock().clone()
    }
}

/// All sessions that are alive.
#[derive(Debug)]
pub struct Sessions {
    by_id: Mutex<HashMap<u32, Arc<Card>>>,
    /// Drawn by lot: guards know nothing of each other.
    instance: u8,
    /// Ids that were given.
    given: AtomicU32,
    count: AtomicUsize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            by_id: Mutex::default(),
            instance: fastrand::u8(..),
            given: AtomicU32::new(0),
            count: AtomicUsize::new(0),
        }
    }
}

impl Sessions {
    /// An id for a client that is about to log in; none that a session has.
    pub fn next_id(&self) -> u32 {
        loop {
            let count = self.given.fetch_add(1, Ordering::Relaxed) % (1 << COUNT_BITS);
            let id = OF_A_GUARD | u32::from(self.instance) << COUNT_BITS | count;
            if !self.by_id.lock().contains_key(&id) {
                return id;
            }
        }
    }

    /// Whether another guard gave a client this id.
    pub fn is_of_another(&self, id: u32) -> bool {
        instance_of(id).is_some_and(|instance| instance != self.instance)
    }

    /// Enters a session that has logged in. It is listed until the entry is dropped.
    pub fn enter(
        self: &Arc<Self>,
        id: u32,
        user: Arc<str>,
        database: Option<Arc<str>>,
        peer: Peer,
    ) -> Entry {
        let card = Arc::new(Card {
            id,
            user,
            peer,
            database,
            since: Instant::now(),
            waits_from: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
            interrupt: Interrupt::default(),
            ended: AtomicBool::new(false),
            state: AtomicU8::new(ClientState::Idle as u8),
            backend: AtomicU32::new(0),
            class: AtomicU16::new(ClassId::DEFAULT.0),
            row: AtomicU64::new(0),
            statement: AtomicU64::new(0),
            pins: Mutex::new(None),
            verdict: Mutex::new(None),
        });
        self.by_id.lock().insert(id, Arc::clone(&card));
        self.count.fetch_add(1, Ordering::AcqRel);
        Entry { sessions: Arc::clone(self), card }
    }

    /// The session with this id.
    pub fn find(&self, id: u32) -> Option<Arc<Card>> {
        self.by_id.lock().get(&id).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Card>> {
        self.by_id.lock().values().cloned().collect()
    }

    /// Shows all of them, in no order. Nobody comes or goes meanwhile.
    pub fn each(&self, mut look: impl FnMut(&Card)) {
        self.by_id.lock().values().for_each(|card| look(card));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A session's place in the list; it leaves when dropped.
#[derive(Debug)]
pub struct Entry {
    sessions: Arc<Sessions>,
    /// What others see.
    pub card: Arc<Card>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.sessions.by_id.lock().remove(&self.card.id);
        self.sessions.count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(sessions: &Arc<Sessions>) -> Entry {
        sessions.enter(sessions.next_id(), Arc::from("app"), None, Peer::Unix)
    }

    #[test]
    fn an_id_says_which_guard_gave_it_and_is_given_once() {
        let sessions = Arc::new(Sessions { instance: 200, ..Sessions::default() });
        let first = enter(&sessions);
        assert_eq!(first.card.id, (1 << 30) + (200 << 22));
        assert!(!sessions.is_of_another(first.card.id));
        let other = Sessions { instance: 201, ..Sessions::default() };
        assert!(other.is_of_another(first.card.id));
        for of_the_server in [0, 7, u32::MAX] {
            assert!(!other.is_of_another(of_the_server), "{of_the_server}");
        }
        sessions.given.store(u32::MAX, Ordering::Relaxed);
        let last = enter(&sessions);
        assert_eq!(last.card.id, (1 << 30) + (201 << 22) - 1);
        let next = enter(&sessions);
        assert_eq!(next.card.id, first.card.id + 1, "the first one is still there");
    }
}

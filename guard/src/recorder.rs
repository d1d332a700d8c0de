//! The flight recorder: it always records, and keeps the time before and after what is worth it.
//!
//! ```text
//!  gate, sessions, metrics ──ten times a second──► Watch ─► Reel ─┬─► Tape: the last minutes, in bounded memory
//!  observer ──each look that it takes anyway──► Redact ───────────┘
//!                              policy::trigger, or an operator ──► cut out of the tape ─► Shelf: memory, folder
//! ```
//!
//! On the way of a statement there is one store of it: which statement a session is about to run
//! (`session::registry`). All else is read by a task of the recorder's own. `track`, `texts`, `tape` and `reel` are told
//! the time and do no I/O; `shelf` alone does any. Deliberately absent: questions to the database. What the observer
//! does not ask, nobody knows.

mod locks;
pub mod reel;
mod shelf;
pub mod tape;
mod texts;
mod track;
mod watch;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use policy::{locks::Locks, trigger::Cause};
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use self::{locks::Redact, reel::Reel, shelf::Shelf, tape::SAMPLE_EVERY, watch::Watch};
use crate::{
    config::Config,
    control::{
        Declined, Incident, LockClient, Recording, RecordingHead, RecordingOrder, server_name,
        whole_ms,
    },
    engine::Engine,
    melt::Timeline,
    metrics::{Metrics, RecorderMetrics},
    pressure::Board,
    shared::Shared,
};

/// What an operator says is cut after so many characters.
const NOTE_MAX: usize = 200;

/// Records, and keeps recordings. All methods but those that say so return at once.
#[derive(Debug)]
pub struct Recorder {
    is_enabled: bool,
    reel: Mutex<Reel>,
    shelf: Shelf,
    /// What every head says.
    about: Mutex<RecordingHead>,
    timeline: Arc<Timeline>,
    metrics: Arc<Metrics>,
    keys: RandomState,
}

impl Recorder {
    /// Nothing is recorded yet. Pile-ups are those of `timeline`.
    pub fn new(config: &Config, timeline: Arc<Timeline>, metrics: Arc<Metrics>) -> Self {
        let recorder = &config.recorder;
        let folder = recorder.folder.clone().map(|folder| (folder, recorder.folder_max.0));
        let about = RecordingHead {
            guard: env!("CARGO_PKG_VERSION").into(),
            address: config.upstream.address.to_string(),
            connections: config.upstream.connections,
            ..RecordingHead::default()
        };
        let bytes = if recorder.enabled { recorder.tape_bytes() } else { 0 };
        Self {
            is_enabled: recorder.enabled,
            reel: Mutex::new(Reel::new(recorder.before, recorder.after, bytes)),
            shelf: Shelf::new(recorder.kept_bytes(), folder),
            about: Mutex::new(about),
            timeline,
            metrics,
            keys: RandomState::default(),
        }
    }

    /// Records for as long as its future is polled. Dropping it ends that; see [`Recorder::close`].
    pub async fn run<E: Engine>(self: Arc<Self>, shared: Arc<Shared<E>>, board: Arc<Board>) {
        if !self.is_enabled {
            return;
        }
        let mut watch = Watch::default();
        let mut every = tokio::time::interval(SAMPLE_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            let now = Instant::now();
            let seen = watch.see(now, board.newest().pressure, &shared);
            let server = shared.sight.seen().server.map(server_name);
            self.name(seen.mode, server);
            let (turned, bytes) = {
                let reel = &mut *self.reel.lock();
                let signs = seen.signs;
                let (sample, second) = seen.record(now, reel);
                (reel.turn((now, unix_ms()), &signs, sample, second), reel.tape.bytes())
            };
            self.flight().bytes.set((bytes + self.shelf.bytes()) as f64);
            if let Some(head) = turned.begun {
                self.tell(&head);
            }
            if let Some(recording) = turned.over {
                let this = Arc::clone(&self);
                // A disk that is slow stops nothing.
                tokio::spawn(async move { this.keep(recording).await });
            }
        }
    }

    /// What the observer has seen of the locks, which it asked for its own sake.
    pub fn look<E: Engine>(&self, now: Instant, locks: &Locks, shared: &Shared<E>) {
        let blocked = locks.contention().blocked;
        if !self.is_enabled || !self.reel.lock().tape.wants_look(now, blocked, locks.has_waits) {
            return;
        }
        let server = shared.sight.seen().server;
        let policy = shared.policy.load();
        let cards = shared.sessions.all().into_iter();
        let served: HashMap<u32, _> =
            cards.filter_map(|card| Some((card.backend()?, card))).collect();
        let client = |backend: u32| {
            let card = served.get(&backend)?;
            Some((LockClient::of(card, &policy), card.statement()))
        };
        let redact = Redact { statements: &shared.statements, server, client, keys: &self.keys };
        let told = redact.tell(locks);
        let tape = &mut self.reel.lock().tape;
        let look = told.on(now, tape);
        tape.look(now, look);
    }

    /// Keeps what there is, because somebody asks. While a recording goes on that is noted in it.
    ///
    /// # Errors
    /// When nothing is recorded.
    pub fn begin(&self, order: &RecordingOrder) -> Result<RecordingHead, Declined> {
        if !self.is_enabled {
            return Err(Declined("nothing is recorded: recorder.enabled is false".into()));
        }
        let note: String = order.note.chars().filter(|c| !c.is_control()).take(NOTE_MAX).collect();
        let now = Instant::now();
        let (head, is_new) = self.reel.lock().begin((now, unix_ms()), Cause::Operator, &note);
        let head = self.complete(head);
        if is_new {
            self.tell(&head);
        }
        Ok(head)
    }

    /// All recordings, the newest first; one that goes on before all. With a folder this reads files.
    pub fn list(&self) -> Vec<RecordingHead> {
        let going = self.reel.lock().going(Instant::now());
        let going = going.map(|head| self.complete(head));
        going.into_iter().chain(self.shelf.list()).collect()
    }

    /// A recording as JSON; of one that goes on, what there is of it. With a folder this may read a file.
    ///
    /// # Errors
    /// When there is none of this id, or its file cannot be read.
    pub fn find(&self, id: &str) -> Result<Bytes, Declined> {
        let now = Instant::now();
        let so_far = {
            let reel = self.reel.lock();
            let is_going = reel.going(now).is_some_and(|head| head.id == id);
            is_going.then(|| reel.so_far(now)).flatten()
        };
        if let Some(recording) = so_far {
            let json = serde_json::to_vec(&self.dress(recording));
            return json.map(Bytes::from).map_err(|error| Declined(error.to_string()));
        }
        match self.shelf.find(id) {
            Ok(Some(json)) => Ok(json),
            Ok(None) => Err(Declined(format!(
                "there is no recording {id:?}; GET /api/v1/recordings, or tidegate incidents list, tells which \
                 there are"
            ))),
            Err(error) => Err(Declined(format!("recording {id} cannot be read: {error}"))),
        }
    }

    /// Ends and keeps what goes on: the guard ends.
    pub async fn close(self: &Arc<Self>) {
        let going = self.reel.lock().end(Instant::now());
        if let Some(recording) = going {
            self.keep(recording).await;
        }
    }

    /// Puts a recording on the shelf. Dropping the future does not end that.
    async fn keep(self: &Arc<Self>, recording: Recording) {
        let this = Arc::clone(self);
        let put = tokio::task::spawn_blocking(move || {
            let recording = this.dress(recording);
            info!(id = recording.head.id, cause = recording.head.cause, "a recording is kept");
            this.shelf.put(&recording);
        });
        if let Err(error) = put.await {
            warn!(%error, "a recording was not kept");
        }
    }

    /// Adds what the reel does not know.
    fn dress(&self, mut recording: Recording) -> Recording {
        recording.incidents = self.pile_ups(&recording.head);
        recording.head = self.complete(recording.head);
        recording
    }

    fn complete(&self, head: RecordingHead) -> RecordingHead {
        let pile_ups = u32::try_from(self.pile_ups(&head).len()).unwrap_or(u32::MAX);
        let RecordingHead { guard, mode, server, address, connections, .. } =
            self.about.lock().clone();
        RecordingHead { guard, mode, server, address, connections, pile_ups, ..head }
    }

    /// The pile-ups in the time of a recording, the first first.
    fn pile_ups(&self, head: &RecordingHead) -> Vec<Incident> {
        let at = |ms: i64| head.triggered_unix_ms.saturating_add_signed(ms);
        // The trigger is up to a tenth of a second behind the begin of what it is about.
        let (from, to) = (at(head.from_ms), at(head.to_ms));
        let is_in = |one: &Incident| {
            let end = one.lasted_ms.map(|ms| one.began_unix_ms.saturating_add(ms));
            one.began_unix_ms <= to && end.is_none_or(|end| end >= from)
        };
        let mut pile_ups: Vec<_> = self.timeline.list().into_iter().filter(is_in).collect();
        pile_ups.reverse();
        for root in pile_ups.iter_mut().flat_map(|one| &mut one.roots) {
            // What is there of one that was prepared is its name, which may be anything.
            if root.holder.activity == policy::locks::Activity::Prepared.name() {
                root.holder.statement.clear();
            }
        }
        pile_ups
    }

    fn name(&self, mode: &str, server: Option<String>) {
        let about = &mut *self.about.lock();
        if about.mode != mode {
            about.mode = mode.into();
        }
        if server.is_some() && about.server != server {
            about.server = server;
        }
    }

    fn tell(&self, head: &RecordingHead) {
        let RecordingHead { id, cause, note, .. } = head;
        warn!(id, cause, note, "recording what happens");
        if let Some(cause) = Cause::ALL.iter().find(|known| known.as_str() == cause) {
            self.flight().recordings.of(*cause).increment(1);
        }
    }

    fn flight(&self) -> &RecorderMetrics {
        &self.metrics.flight
    }
}

fn unix_ms() -> u64 {
    let since: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    whole_ms(since)
}

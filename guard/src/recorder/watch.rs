//! What is recorded: read from what the guard keeps anyway, ten times a second.
//!
//! Nobody tells the recorder anything: it looks, and what is not as it was is an event. So nothing on a statement's
//! way knows of it, and a thing that lasts for less than a tenth of a second, or a second where that is said, is
//! not seen.

mod changes;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use policy::{
    admission::{Counts, Snapshot},
    class::{ClassId, Mode},
    sql::Digest,
    trigger::Signs,
};

use self::changes::Changes;
use super::{
    reel::Reel,
    tape::{ClassSample, DOING_MAX, Sample, Tape},
};
use crate::{
    control::{Counted, DatabaseSecond, Doing, EventKind, Second, mode_name, whole_ms},
    engine::Engine,
    metrics::{ClientState, Label, Totals},
    shared::Shared,
    upstream::Sizes,
};

/// Between seconds.
const SECOND: Duration = Duration::from_secs(1);
/// What the database counted tells of a second for so long.
const COUNTERS_KEEP: Duration = Duration::from_secs(3);

/// What was seen before, to tell what is new.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Of everything together, and by class.
    counts: Counts,
    classes: HashMap<String, Counts>,
    totals: Option<(Instant, Totals)>,
    changes: Changes,
}

/// What is seen now. Its texts have no numbers yet, so that the tape is locked only while it is recorded.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) signs: Signs,
    snapshot: Snapshot,
    before: (Counts, HashMap<String, Counts>),
    sizes: Sizes,
    limit: u32,
    second: Option<SeenSecond>,
    events: Vec<(EventKind, String)>,
    /// See `RecordingHead`.
    pub(super) mode: &'static str,
}

#[derive(Debug)]
struct SeenSecond {
    totals: Totals,
    clients: usize,
    /// Statement, class and state, and how many sessions.
    doing: Vec<(String, String, &'static str, u32)>,
    database: Option<DatabaseSecond>,
}

impl Watch {
    /// Looks. `pressure` is how pressed the database is.
    pub(super) fn see<E: Engine>(
        &mut self,
        now: Instant,
        pressure: f64,
        shared: &Shared<E>,
    ) -> Seen {
        let snapshot = shared.gate.snapshot(now);
        let limit = shared.gate.limit();
        let is_lost = shared.upstream.control().working() == 0;
        let second = self.is_second_over(now).then(|| self.second(now, shared));
        let mut events = self.changes.at_once(shared, limit.as_ref(), is_lost);
        if second.is_some() {
            events.extend(self.changes.by_second(now, shared));
        }
        let classes = snapshot.classes.iter().map(|class| (class.name.clone(), class.counts));
        let counts = std::mem::replace(&mut self.counts, snapshot.overall.counts);
        let before = (counts, std::mem::replace(&mut self.classes, classes.collect()));
        let enforced = limit.as_ref().filter(|limit| limit.mode == Mode::Enforce);
        Seen {
            signs: Signs {
                is_piled_up: shared.timeline.is_open(),
                is_lost,
                limit: enforced.map(|limit| limit.limit),
                pressure,
            },
            snapshot,
            before,
            sizes: shared.upstream.sizes(),
            limit: limit.map_or(0, |limit| limit.limit),
            second,
            events,
            mode: mode_name(shared.policy.load().mode),
        }
    }

    fn is_second_over(&self, now: Instant) -> bool {
        let begun = self.totals.as_ref().map(|(begun, _)| *begun);
        begun.is_none_or(|begun| now.saturating_duration_since(begun) >= SECOND)
    }

    fn second<E: Engine>(&mut self, now: Instant, shared: &Shared<E>) -> SeenSecond {
        let totals = Totals::sum(shared.metrics.totals().iter().map(|(_, totals)| totals));
        let (_, before) = self.totals.get_or_insert_with(|| (now, totals.clone()));
        let since = totals.since(before);
        self.totals = Some((now, totals));
        let counters = shared.sight.seen().counters;
        let fresh = counters.filter(|(at, _)| now.saturating_duration_since(*at) <= COUNTERS_KEEP);
        let database = fresh.map(|(_, counters)| DatabaseSecond {
            connected: short(counters.connected),
            running: short(counters.running),
            waiting: short(counters.waiting),
        });
        SeenSecond { totals: since, clients: shared.sessions.len(), doing: doing(shared), database }
    }
}

/// What most sessions do now: of those that do something.
fn doing<E: Engine>(shared: &Shared<E>) -> Vec<(String, String, &'static str, u32)> {
    let mut counts: HashMap<(Digest, ClassId, usize), u32> = HashMap::new();
    shared.sessions.each(|card| {
        let state = card.state();
        // Who waits for its turn has no class yet that others can see.
        let class = match state {
            ClientState::Running | ClientState::IdleInTransaction => card.class(),
            ClientState::Waiting => ClassId(u16::MAX),
            ClientState::Idle | ClientState::LoggingIn => return,
        };
        *counts.entry((card.statement(), class, state.index())).or_default() += 1;
    });
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|((digest, ..), count)| (std::cmp::Reverse(*count), *digest));
    counts.truncate(DOING_MAX);
    let policy = shared.policy.load();
    let told = |((digest, class, state), count): ((Digest, ClassId, usize), u32)| {
        let shape = shared.statements.find(digest);
        let statement = shape.map_or_else(|| digest.to_string(), |shape| shape.text.to_string());
        let is_known = usize::from(class.0) < policy.classes.len();
        let class = if is_known { policy.class(class).name.clone() } else { String::new() };
        (statement, class, ClientState::ALL[state].as_str(), count)
    };
    counts.into_iter().map(told).collect()
}

impl Seen {
    /// Records it.
    pub(super) fn record(self, now: Instant, reel: &mut Reel) -> (Sample, Option<Second>) {
        let tape = &mut reel.tape;
        for (kind, what) in &self.events {
            tape.note(now, *kind, what);
        }
        let second = self.second.as_ref().map(|second| second.on(now, tape));
        let Counts { admitted, shed, succeeded, overloaded, ignored, .. } =
            self.snapshot.overall.counts;
        let (before, classes) = &self.before;
        let finished = succeeded + overloaded + ignored;
        let finished_before = before.succeeded + before.overloaded + before.ignored;
        let class = |class: &policy::admission::Usage| {
            let before = classes.get(&class.name).copied().unwrap_or(class.counts);
            ClassSample {
                class: tape.text(now, &class.name),
                in_flight: class.in_flight,
                queued: class.queued,
                admitted: less(class.counts.admitted, before.admitted),
                shed: less(class.counts.shed, before.shed),
            }
        };
        let by_class: Vec<_> = self.snapshot.classes.iter().map(class).collect();
        let oldest = self.snapshot.classes.iter().map(|class| class.oldest_wait).max();
        let sample = Sample {
            in_flight: self.snapshot.overall.in_flight,
            queued: self.snapshot.overall.queued,
            oldest_wait_ms: short(oldest.map_or(0, whole_ms)),
            limit: self.limit,
            pressure: (self.signs.pressure * 1000.0).round() as f32 / 1000.0,
            leased: self.sizes.leased,
            idle: self.sizes.idle,
            connecting: self.sizes.connecting,
            reclaiming: self.sizes.reclaiming,
            admitted: less(admitted, before.admitted),
            finished: less(finished, finished_before),
            shed: less(shed, before.shed),
            overloaded: less(overloaded, before.overloaded),
            classes: by_class.into(),
        };
        (sample, second)
    }
}

impl SeenSecond {
    fn on(&self, now: Instant, tape: &mut Tape) -> Second {
        let doing = self.doing.iter().map(|(statement, class, state, sessions)| Doing {
            statement: tape.text(now, statement),
            class: tape.text(now, class),
            state: tape.text(now, state),
            sessions: *sessions,
        });
        let doing = doing.collect();
        let totals = &self.totals;
        let took_us = |share| {
            let took = totals.service_at(share).unwrap_or_default();
            u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
        };
        Second {
            at_ms: 0,
            p50_us: took_us(0.5),
            p99_us: took_us(0.99),
            clients: u32::try_from(self.clients).unwrap_or(u32::MAX),
            doing,
            statements: counted::<crate::metrics::StatementOutcome>(now, tape, &totals.statements),
            sheds: counted::<policy::refusal::Reason>(now, tape, &totals.sheds),
            cancels: counted::<crate::metrics::CancelCause>(now, tape, &totals.cancels),
            database: self.database,
        }
    }
}

/// Those values of a label that were counted at all.
fn counted<L: Label>(now: Instant, tape: &mut Tape, counts: &[u64]) -> Box<[Counted]> {
    let some = L::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    some.map(|(value, count)| Counted {
        what: tape.text(now, value.as_str()),
        count: short(*count),
    })
    .collect()
}

fn less(now: u64, before: u64) -> u32 {
    short(now.saturating_sub(before))
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

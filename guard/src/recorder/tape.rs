//! What is always recorded: the last minutes, in memory that is set aside for it.
//!
//! Each track has a rate beyond which it takes nothing, a length in time, and a share of the memory. With the
//! defaults what comes at the highest rate fits; with less memory, or more time, the oldest goes first and is
//! counted. Nothing here reads a clock.

use std::time::{Duration, Instant};

use super::{
    texts::{Texts, cut},
    track::{Bounds, Track, Weigh},
};
use crate::control::{
    ClassSamples, Counted, Event, EventKind, LockLook, Recording, Samples, Second, TextId,
};

/// Between samples.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Between looks at the locks that are kept, unless twice as many wait.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks that are kept, for each second of the tape: two, and one that tells who waits for whom.
const LOOKS_PER_SECOND: usize = 3;
/// Events of one second; those beyond are counted.
const EVENTS_PER_SECOND: usize = 20;
/// An event is cut after so many bytes.
const EVENT_BYTES_MAX: usize = 240;
/// Transactions of one look.
pub(super) const TRANSACTIONS_MAX: usize = 48;
/// What sessions are told to be doing in one second, those that do the same together.
pub(super) const DOING_MAX: usize = 24;
/// Timers fire late: what is as old as this beyond the length is kept still.
const SLACK: Duration = Duration::from_secs(2);

/// Parts of the memory of each track, in hundredths.
const SAMPLES_SHARE: usize = 28;
const SECONDS_SHARE: usize = 4;
const LOOKS_SHARE: usize = 20;
const EVENTS_SHARE: usize = 24;
const TEXTS_SHARE: usize = 24;

/// One moment, as [`Samples`] tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// See [`Samples::in_flight`]; so for all.
    pub in_flight: u32,
    /// See there.
    pub queued: u32,
    /// See there.
    pub oldest_wait_ms: u32,
    /// See there.
    pub limit: u32,
    /// See there.
    pub pressure: f32,
    /// See there.
    pub leased: u32,
    /// See there.
    pub idle: u32,
    /// See there.
    pub connecting: u32,
    /// See there.
    pub reclaiming: u32,
    /// See there.
    pub admitted: u32,
    /// See there.
    pub finished: u32,
    /// See there.
    pub shed: u32,
    /// See there.
    pub overloaded: u32,
    /// By class.
    pub classes: Box<[ClassSample]>,
}

/// One moment of a class, as [`ClassSamples`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassSample {
    /// Its name.
    pub class: TextId,
    /// See [`ClassSamples::in_flight`]; so for all.
    pub in_flight: u32,
    /// See there.
    pub queued: u32,
    /// See there.
    pub admitted: u32,
    /// See there.
    pub shed: u32,
}

/// The last minutes.
#[derive(Debug)]
pub struct Tape {
    samples: Track<Sample>,
    seconds: Track<Second>,
    looks: Track<LockLook>,
    events: Track<Event>,
    texts: Texts,
    /// The last look that was kept: when, and how many waited.
    looked: Option<(Instant, u32)>,
    /// When a look told last who waits for whom.
    graphed: Option<Instant>,
    /// The second in which events are counted, and how many there were.
    noted: Option<(Instant, usize)>,
}

impl Tape {
    /// An empty tape of so much time, in so many bytes.
    pub fn new(length: Duration, bytes: usize) -> Self {
        let age = length + SLACK;
        let seconds = usize::try_from(age.as_secs()).unwrap_or(usize::MAX).saturating_add(1);
        let bounds = |per_second: usize, share: usize| Bounds {
            count: seconds.saturating_mul(per_second),
            bytes: bytes / 100 * share,
            age,
        };
        let samples_per_second = usize::try_from(1000 / SAMPLE_EVERY.as_millis()).unwrap_or(1);
        Self {
            samples: Track::new(bounds(samples_per_second, SAMPLES_SHARE)),
            seconds: Track::new(bounds(1, SECONDS_SHARE)),
            looks: Track::new(bounds(LOOKS_PER_SECOND, LOOKS_SHARE)),
            events: Track::new(bounds(EVENTS_PER_SECOND, EVENTS_SHARE)),
            texts: Texts::new(bytes / 100 * TEXTS_SHARE, age),
            looked: None,
            graphed: None,
            noted: None,
        }
    }

    /// The number of a text that is told of now.
    pub fn text(&mut self, now: Instant, text: &str) -> TextId {
        self.texts.id(now, text)
    }

    /// Records a moment.
    pub fn sample(&mut self, now: Instant, sample: Sample) {
        self.samples.push(now, sample);
    }

    /// Records a second.
    pub fn second(&mut self, now: Instant, second: Second) {
        self.seconds.push(now, second);
    }

    /// Whether a look at which so many waited would be recorded: it is half a second after the last, or
    /// shows a pile-up that has doubled. One that tells who waits for whom is not left out for one that did not:
    /// such looks are the dearest and the fewest, and the one before an act must be there.
    pub fn wants_look(&self, now: Instant, blocked: u32, has_waits: bool) -> bool {
        let is_due = |at: Instant| now.saturating_duration_since(at) >= LOOK_EVERY;
        let grows = |before: u32| blocked > before.saturating_mul(2).max(1);
        self.looked.is_none_or(|(at, before)| is_due(at) || grows(before))
            || has_waits && self.graphed.is_none_or(is_due)
    }

    /// Records a look.
    pub fn look(&mut self, now: Instant, look: LockLook) {
        self.looked = Some((now, look.blocked));
        if look.has_waits {
            self.graphed = Some(now);
        }
        self.looks.push(now, look);
    }

    /// Records that something happened.
    pub fn note(&mut self, now: Instant, kind: EventKind, what: &str) {
        let (second, count) = match self.noted {
            Some((second, count)) if now.saturating_duration_since(second).as_secs() == 0 => {
                (second, count)
            }
            _ => (now, 0),
        };
        self.noted = Some((second, count + 1));
        if count >= EVENTS_PER_SECOND {
            self.events.leave_out(now);
            return;
        }
        let what = cut(what, EVENT_BYTES_MAX).into();
        self.events.push(now, Event { at_ms: 0, kind, what });
    }

    /// What it takes in memory, places for what is not recorded yet not included.
    pub fn bytes(&self) -> usize {
        let tracks = self.samples.bytes() + self.seconds.bytes() + self.looks.bytes();
        tracks + self.events.bytes() + self.texts.bytes()
    }

    /// All that was recorded from `from` to `to`, told from `zero`. Of pile-ups, and of what it is
    /// about, it knows nothing.
    pub fn cut(&self, from: Instant, to: Instant, zero: Instant) -> Recording {
        let is_in = |at: Instant| (from..=to).contains(&at);
        let at_ms = |at| offset_ms(zero, at);
        let samples: Vec<_> = self.samples.iter().filter(|(at, _)| is_in(*at)).collect();
        let texts = self.texts.said_since(from);
        let seconds = self.seconds.iter().filter(|(at, _)| is_in(*at));
        let looks = self.looks.iter().filter(|(at, _)| is_in(*at));
        let events = self.events.iter().filter(|(at, _)| is_in(*at));
        Recording {
            samples: columns(&samples, zero, |class| {
                texts.get(&class).cloned().unwrap_or_default()
            }),
            seconds: seconds.map(|(at, one)| Second { at_ms: at_ms(*at), ..one.clone() }).collect(),
            looks: looks.map(|(at, one)| LockLook { at_ms: at_ms(*at), ..one.clone() }).collect(),
            events: events.map(|(at, one)| Event { at_ms: at_ms(*at), ..one.clone() }).collect(),
            left_out: [
                self.samples.left_out(from),
                self.seconds.left_out(from),
                self.looks.left_out(from),
                self.events.left_out(from),
            ],
            texts,
            ..Recording::default()
        }
    }
}

/// Rows as columns. A class that was not there at a moment has zeros then.
fn columns(rows: &[&(Instant, Sample)], zero: Instant, name: impl Fn(TextId) -> String) -> Samples {
    let mut ids: Vec<TextId> = Vec::new();
    for class in rows.iter().flat_map(|(_, row)| &row.classes) {
        if !ids.contains(&class.class) {
            ids.push(class.class);
        }
    }
    let all = |of: fn(&Sample) -> u32| rows.iter().map(|(_, row)| of(row)).collect();
    let class = |id: TextId| {
        let row = |row: &Sample| row.classes.iter().find(|class| class.class == id).copied();
        let rows: Vec<_> = rows.iter().map(|(_, it)| row(it).unwrap_or_default()).collect();
        ClassSamples {
            class: name(id),
            in_flight: rows.iter().map(|row| row.in_flight).collect(),
            queued: rows.iter().map(|row| row.queued).collect(),
            admitted: rows.iter().map(|row| row.admitted).collect(),
            shed: rows.iter().map(|row| row.shed).collect(),
        }
    };
    Samples {
        at_ms: rows.iter().map(|(at, _)| offset_ms(zero, *at)).collect(),
        in_flight: all(|row| row.in_flight),
        queued: all(|row| row.queued),
        oldest_wait_ms: all(|row| row.oldest_wait_ms),
        limit: all(|row| row.limit),
        pressure: rows.iter().map(|(_, row)| row.pressure).collect(),
        leased: all(|row| row.leased),
        idle: all(|row| row.idle),
        connecting: all(|row| row.connecting),
        reclaiming: all(|row| row.reclaiming),
        admitted: all(|row| row.admitted),
        finished: all(|row| row.finished),
        shed: all(|row| row.shed),
        overloaded: all(|row| row.overloaded),
        classes: ids.into_iter().map(class).collect(),
    }
}

/// From `zero` to `at` in milliseconds; what was before is negative.
pub fn offset_ms(zero: Instant, at: Instant) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match at.checked_duration_since(zero) {
        Some(after) => whole(after),
        None => -whole(zero.duration_since(at)),
    }
}

impl Weigh for Sample {
    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.classes)
    }
}

impl Weigh for Second {
    fn heap_bytes(&self) -> usize {
        let counted = self.statements.len() + self.sheds.len() + self.cancels.len();
        size_of_val(&*self.doing) + counted * size_of::<Counted>()
    }
}

impl Weigh for LockLook {
    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.transactions)
    }
}

impl Weigh for Event {
    fn heap_bytes(&self) -> usize {
        self.what.len()
    }
}

#[cfg(test)]
mod tests;

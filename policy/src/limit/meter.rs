//! What was done, by how many at a time.

use std::time::{Duration, Instant};

/// What one tick has measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Measure {
    /// How long the tick was.
    pub(super) time: Duration,
    /// Mean in flight.
    pub(super) in_flight: f64,
    /// Useful work that ended: seconds of an idle database.
    pub(super) work: f64,
    /// The sum of squares of the parts of `work`: what its noise is made of.
    pub(super) work_squared: f64,
    /// Seconds that it took instead.
    pub(super) service: f64,
    /// Transactions that ended, good or bad.
    pub(super) ended: u32,
    /// Of these, those that failed because of load.
    pub(super) failed: u32,
    /// Seconds that all that ended had stayed.
    pub(super) stay: f64,
    /// Whether the limit held somebody up for most of the time.
    pub(super) is_full: bool,
}

impl Measure {
    /// Seconds of an idle database, a second.
    pub(super) fn work_rate(&self) -> f64 {
        let time = self.time.as_secs_f64();
        if time > 0.0 { self.work / time } else { 0.0 }
    }

    /// How much longer useful work took than on an idle database.
    pub(super) fn slowdown(&self) -> Option<f64> {
        (self.work > 0.0).then(|| self.service / self.work)
    }

    /// How long a transaction stayed, on average.
    pub(super) fn residence(&self) -> Option<Duration> {
        (self.ended > 0).then(|| Duration::from_secs_f64(self.stay / f64::from(self.ended)))
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ended {
    /// It would have cost an idle database so many seconds.
    Useful(f64),
    /// Because of load.
    Failed,
    /// For reasons of its own.
    Otherwise,
}

/// The time in which the limit must have been reached for a tick to count as full.
const FULL: f64 = 0.8;

/// Sums up one tick.
#[derive(Debug)]
pub(super) struct Meter {
    since: Instant,
    last: Instant,
    in_flight: u32,
    /// Transactions × seconds.
    area: f64,
    /// Seconds at the limit.
    full: f64,
    sums: Measure,
}

impl Meter {
    pub(super) fn new(now: Instant, in_flight: u32) -> Self {
        Self { since: now, last: now, in_flight, area: 0.0, full: 0.0, sums: Measure::default() }
    }

    pub(super) fn began(&mut self, now: Instant, limit: u32) {
        self.advance(now, limit);
        self.in_flight += 1;
    }

    pub(super) fn ended(&mut self, now: Instant, limit: u32, service: Duration, ended: Ended) {
        self.advance(now, limit);
        self.in_flight = self.in_flight.saturating_sub(1);
        let service = service.as_secs_f64();
        self.sums.ended += 1;
        self.sums.stay += service;
        match ended {
            Ended::Useful(work) => {
                self.sums.work += work;
                self.sums.work_squared += work * work;
                self.sums.service += service;
            }
            Ended::Failed => self.sums.failed += 1,
            Ended::Otherwise => {}
        }
    }

    pub(super) fn in_flight(&self) -> f64 {
        f64::from(self.in_flight)
    }

    pub(super) fn close(&mut self, now: Instant, limit: u32) -> Measure {
        self.advance(now, limit);
        let time = now.saturating_duration_since(self.since);
        let seconds = time.as_secs_f64().max(f64::EPSILON);
        let measure = Measure {
            time,
            in_flight: self.area / seconds,
            is_full: self.full / seconds >= FULL,
            ..self.sums
        };
        *self = Self::new(now, self.in_flight);
        measure
    }

    fn advance(&mut self, now: Instant, limit: u32) {
        let seconds = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.area += f64::from(self.in_flight) * seconds;
        if self.in_flight >= limit {
            self.full += seconds;
        }
    }
}

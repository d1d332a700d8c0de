//! How many requests a sink takes at once: found by trying, never above a maximum.
//!
//! Where a receiver is full, a further request only waits for another: answers take longer and no
//! more of them come. With `least`, what an answer takes when nothing waits, and `mean`, what it
//! takes now, limit × (1 − least ÷ mean) of the requests are only waiting (Brakmo, O'Malley and
//! Peterson, "TCP Vegas", SIGCOMM 1994; Netflix concurrency-limits:VegasLimit). They are kept between
//! a tenth and a fifth. What a receiver says itself (429, 503, no answer) cuts faster than that, once
//! in a window, at once.
//!
//! ```text
//!  Rising ── all places used and few wait ──► × 2, once for each time that an answer takes
//!     │ many wait, or a cut
//!     ▼
//!  Steady ── few wait ──► + 1     many wait ──► − 5 %     asked for less ──► × 0.8
//!     │ every 30 s                                     ▲
//!     ▼                                                │ `least` is what it takes now
//!  Draining ── one window at half the limit ──► Probing, another one
//! ```
//!
//! The probe is what keeps `least` true: half of a limit that is right has no queue, and half of one
//! that is far too high has half the queue, which shows. Tried first and given up: the law of
//! Vector's adaptive concurrency, which compares with a moving mean. In the model of the tests it
//! followed its own queue upwards: 80 at once for a receiver that serves one.

use std::time::{Duration, Instant};

/// What is left of the limit when the receiver asks for less.
const CUT: f64 = 0.8;
/// Below this share of requests that only wait there is room.
const FEW: f64 = 0.1;
/// Above this share there are too many.
const MANY: f64 = 0.2;
/// What is left of the limit after a window in which too many waited.
const EASE: f64 = 0.95;
/// So few that wait are never too many: with five places, one is a fifth.
const WAITING_OK: f64 = 2.0;
/// How often what an answer takes without a queue is measured anew.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// A window is not shorter than this: on a loopback interface it would hold one answer.
const WINDOW_MIN: Duration = Duration::from_millis(10);
/// A window is not longer than this, however slow a sink is.
const WINDOW_MAX: Duration = Duration::from_secs(5);

/// Between which bounds the limit moves. Equal ones fix it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// It begins here, and is never below. Taken for 1 where it is 0.
    pub min: u32,
    /// It is never above.
    pub max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { min: 2, max: 200 }
    }
}

/// How a request ended, as far as it says something of the sink's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was answered; the time it took counts.
    Answered,
    /// The sink asked for less, or did not answer in time.
    Pressed,
    /// It says nothing: it was given up before it was sent.
    Unused,
}

/// The limit of one sink.
#[derive(Debug, Clone)]
pub struct Concurrency {
    config: Config,
    limit: f64,
    phase: Phase,
    /// Seconds an answer takes when nothing waits.
    least: Option<f64>,
    probe_at: Instant,
    window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Rising,
    Steady,
    /// Half of the places are used, and what began before has yet to end.
    Draining,
    /// Half of the places are used.
    Probing,
}

/// What was seen since the last judgement.
#[derive(Debug, Clone, Copy)]
struct Window {
    ends: Instant,
    sum: f64,
    count: u32,
    was_full: bool,
    was_pressed: bool,
}

impl Concurrency {
    /// Begins at the minimum.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        let min = config.min.max(1);
        let config = Config { min, max: config.max.max(min) };
        Self {
            config,
            limit: f64::from(config.min),
            phase: Phase::Rising,
            least: None,
            probe_at: now + PROBE_EVERY,
            window: Window::opened(now, WINDOW_MIN),
        }
    }

    /// How many may be under way at once; at least 1.
    #[must_use]
    pub fn limit(&self) -> u32 {
        let whole = self.limit as u32;
        match self.phase {
            Phase::Rising | Phase::Steady => whole,
            Phase::Draining | Phase::Probing => (whole / 2).max(self.config.min),
        }
    }

    /// One more is under way, with it `in_flight`.
    pub fn begin(&mut self, in_flight: u32) {
        self.window.was_full |= in_flight >= self.limit();
    }

    /// One that had begun `took` ago has ended.
    pub fn end(&mut self, now: Instant, took: Duration, ended: Ended) {
        match ended {
            Ended::Answered => {
                self.window.sum += took.as_secs_f64();
                self.window.count += 1;
            }
            Ended::Pressed => {
                if !self.window.was_pressed {
                    self.window.was_pressed = true;
                    self.set(self.limit * CUT);
                }
            }
            Ended::Unused => return,
        }
        if now >= self.window.ends && (self.window.count > 0 || self.window.was_pressed) {
            self.judge(now);
        }
    }

    /// Moves the limit by what the window has shown, and opens the next one.
    fn judge(&mut self, now: Instant) {
        let Window { sum, count, was_full, was_pressed, .. } = self.window;
        let mean = (count > 0).then(|| sum / f64::from(count));
        if let Some(mean) = mean {
            let is_new =
                self.phase == Phase::Probing || self.least.is_none_or(|least| mean < least);
            self.least = if is_new { Some(mean) } else { self.least };
        }
        let waiting = mean.zip(self.least).map_or(0.0, |(mean, least)| 1.0 - least / mean);
        let are_many = waiting > MANY && waiting * self.limit > WAITING_OK;
        let are_few = waiting < FEW || waiting * self.limit < WAITING_OK / 2.0;
        self.phase = match self.phase {
            Phase::Rising if are_many || was_pressed => {
                self.set(self.limit * (1.0 - waiting));
                Phase::Steady
            }
            Phase::Rising => {
                self.set(if was_full { self.limit * 2.0 } else { self.limit });
                Phase::Rising
            }
            Phase::Steady if now >= self.probe_at && was_full => Phase::Draining,
            Phase::Steady => {
                if are_many {
                    self.set((self.limit * EASE).min(self.limit - 1.0));
                } else if are_few && was_full && !was_pressed {
                    self.set(self.limit + 1.0);
                }
                Phase::Steady
            }
            Phase::Draining => Phase::Probing,
            Phase::Probing => {
                self.probe_at = now + PROBE_EVERY;
                Phase::Steady
            }
        };
        let usual = mean.or(self.least).unwrap_or(0.0).min(WINDOW_MAX.as_secs_f64());
        self.window = Window::opened(now, Duration::from_secs_f64(usual).max(WINDOW_MIN));
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.config.min), f64::from(self.config.max));
    }
}

// === impl Window ===

impl Window {
    fn opened(now: Instant, len: Duration) -> Self {
        Self { ends: now + len, sum: 0.0, count: 0, was_full: false, was_pressed: false }
    }
}

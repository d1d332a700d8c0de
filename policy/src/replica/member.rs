//! One replica: whether it may be read from, and how much.
//!
//! ```text
//!              looks well                    share 1
//!    Unknown ─────────────► Serving(share) ◄─────────┐ grows over `slow_start`
//!       │                     │  ▲  │ slower than its siblings, or reads break off: halved
//!       │ silent, stopped,    │  │  └─────────► below SHARE_MIN: Out(Slow)
//!       ▼ without position    ▼  │ looks well: from SHARE_MIN
//!      Out(why) ◄───────────────┘
//! ```
//!
//! One that is out and answers again, but slowly, is out for that.
//!
//! How far it is behind is no state: it is worked out whenever somebody asks, so that a replica whose looks
//! stop ages by itself.

use std::time::{Duration, Instant};

use super::Config;
use super::marks::{Marks, Reached};
use super::position::Position;

/// The least share of its weight with which a replica serves.
pub const SHARE_MIN: f64 = 1.0 / 32.0;
/// A look counts for so long.
pub const LOOK_KEEPS: Duration = Duration::from_secs(3);
/// So many times the time of its siblings is sick.
const SLOW_FACTOR: f64 = 3.0;
/// Looks that are answered faster than this are never slow: that is noise.
const LOOK_TIME_MIN: f64 = 0.1;
/// The same of reads.
const READ_TIME_MIN: f64 = 0.01;
/// Fewer reads between two looks say nothing of their time.
const READS_MIN: u32 = 5;
/// The part of a new value in a mean.
const SMOOTH: f64 = 0.3;
/// The mean time of reads is forgotten where none was seen for so long.
const READS_KEEP: Duration = Duration::from_secs(5);

/// What a look at a replica told.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// How far it is.
    pub position: Option<Position>,
    /// Whether its replication runs: it is connected to its source, and applies.
    pub replicates: bool,
    /// How long it took to answer.
    pub took: Duration,
    /// Reads that it has served since the last look.
    pub reads: Reads,
}

/// Reads that a replica has served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many.
    pub count: u32,
    /// Their time, summed up.
    pub time: Duration,
}

/// Why a replica is not read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It, or the primary, has not been looked at yet, or not for long.
    Unknown,
    /// It does not answer.
    Silent,
    /// It does not replicate.
    Stopped,
    /// It tells no position.
    NoPosition,
    /// It is further behind than `max_lag` or `max_lag_bytes`.
    Behind,
    /// It answers much more slowly than its siblings, or its reads break off.
    Slow,
}

impl Unfit {
    /// As metrics and messages name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Silent => "silent",
            Self::Stopped => "stopped",
            Self::NoPosition => "no_position",
            Self::Behind => "behind",
            Self::Slow => "slow",
        }
    }
}

/// Whether it serves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    Unknown,
    /// With this share of its weight.
    Serving(f64),
    Out(Unfit),
}

/// One replica.
#[derive(Debug)]
pub(super) struct Member {
    /// Its part of the reads, against its siblings'.
    pub(super) weight: f64,
    standing: Standing,
    looked: Option<Instant>,
    reached: Reached,
    look_time: Option<f64>,
    read_time: Option<(Instant, f64)>,
}

impl Member {
    pub(super) fn new(weight: u32) -> Self {
        Self {
            weight: f64::from(weight),
            standing: Standing::Unknown,
            looked: None,
            reached: Reached::default(),
            look_time: None,
            read_time: None,
        }
    }

    /// Notes what a look told; [`Self::judge`] is to follow.
    pub(super) fn note(&mut self, now: Instant, look: &Look, marks: &Marks) {
        self.reached = look.position.as_ref().map(|at| marks.reached(at)).unwrap_or_default();
        self.look_time = Some(smooth(self.look_time, look.took.as_secs_f64()));
        if look.reads.count >= READS_MIN {
            let mean = look.reads.time.as_secs_f64() / f64::from(look.reads.count);
            let before = self.read_time(now);
            self.read_time = Some((now, smooth(before, mean)));
        }
    }

    /// What follows from the look just noted.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        look: &Look,
        has_marks: bool,
        is_slow: bool,
        slow_start: Duration,
    ) {
        let passed = self.looked.replace(now).map(|at| now.saturating_duration_since(at));
        let trouble = match &look.position {
            _ if !look.replicates => Some(Unfit::Stopped),
            None => Some(Unfit::NoPosition),
            Some(_) => None,
        };
        if let Some(why) = trouble {
            self.standing = Standing::Out(why);
        } else if !has_marks {
            // There is nothing to hold its position against yet.
        } else if is_slow && matches!(self.standing, Standing::Out(_)) {
            // Whatever it left for, this is what keeps it away.
            self.standing = Standing::Out(Unfit::Slow);
        } else if is_slow {
            self.stumble();
        } else {
            self.standing = Standing::Serving(match self.standing {
                Standing::Unknown => 1.0,
                _ if slow_start.is_zero() => 1.0,
                Standing::Out(_) => SHARE_MIN,
                Standing::Serving(share) => {
                    let passed = passed.unwrap_or_default();
                    (share + passed.as_secs_f64() / slow_start.as_secs_f64()).min(1.0)
                }
            });
        }
    }

    /// It serves half as much from here on.
    pub(super) fn stumble(&mut self) {
        if let Standing::Serving(share) = &mut self.standing {
            *share /= 2.0;
            if *share < SHARE_MIN {
                self.standing = Standing::Out(Unfit::Slow);
            }
        }
    }

    /// It does not answer.
    pub(super) fn silence(&mut self) {
        self.standing = Standing::Out(Unfit::Silent);
        (self.look_time, self.read_time) = (None, None);
    }

    /// The primary is another one: what it has reached of the old one's says nothing.
    pub(super) fn forget_reached(&mut self) {
        self.reached = Reached::default();
        self.standing = Standing::Unknown;
    }

    /// Whether it takes so many times as long as `siblings` that it is sick.
    pub(super) fn is_slow(&self, now: Instant, siblings: (Option<f64>, Option<f64>)) -> bool {
        is_sick(self.look_time, siblings.0, LOOK_TIME_MIN)
            || is_sick(self.read_time(now), siblings.1, READ_TIME_MIN)
    }

    /// Mean seconds of a look and of a read, where known.
    pub(super) fn times(&self, now: Instant) -> (Option<f64>, Option<f64>) {
        (self.look_time, self.read_time(now))
    }

    /// Its share, or why it is not read from.
    pub(super) fn share(&self, now: Instant, config: &Config) -> Result<f64, Unfit> {
        let share = match self.standing {
            Standing::Unknown => return Err(Unfit::Unknown),
            Standing::Out(why) => return Err(why),
            Standing::Serving(share) => share,
        };
        let is_fresh =
            self.looked.is_some_and(|at| now.saturating_duration_since(at) <= LOOK_KEEPS);
        match is_fresh {
            false => Err(Unfit::Unknown),
            true if self.is_behind(now, config) => Err(Unfit::Behind),
            true => Ok(share),
        }
    }

    fn is_behind(&self, now: Instant, config: &Config) -> bool {
        let misses = |max| self.bytes_behind().is_some_and(|bytes| bytes > max);
        self.lag(now) > config.max_lag || config.max_lag_bytes.is_some_and(misses)
    }

    /// Whether all that was committed by `after` is there. At the very instant of a mark nobody can tell.
    pub(super) fn has(&self, after: Instant) -> bool {
        self.reached.complete.is_some_and(|complete| complete > after)
    }

    /// For how long it has been behind at least.
    pub(super) fn lag(&self, now: Instant) -> Duration {
        self.reached.lag(now)
    }

    /// How many bytes of log it was behind when it was looked at, where that is known.
    pub(super) fn bytes_behind(&self) -> Option<u64> {
        self.reached.bytes_behind
    }

    /// Whether its lag is known.
    pub(super) fn is_placed(&self) -> bool {
        self.reached != Reached::default()
    }

    fn read_time(&self, now: Instant) -> Option<f64> {
        let (at, mean) = self.read_time?;
        (now.saturating_duration_since(at) <= READS_KEEP).then_some(mean)
    }
}

fn smooth(before: Option<f64>, new: f64) -> f64 {
    before.map_or(new, |before| before + (new - before) * SMOOTH)
}

fn is_sick(own: Option<f64>, siblings: Option<f64>, least: f64) -> bool {
    let (Some(own), Some(siblings)) = (own, siblings) else { return false };
    own > least && own > siblings * SLOW_FACTOR
}

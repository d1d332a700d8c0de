//! Replicas: which of them serves the next read, if any.
//!
//! Whether a replica is good enough is decided by what it *has*, not by what it says of its lag: the primary
//! is asked where it is ([`Position`]), and whatever was committed before it was asked is within its answer.
//! A replica that has reached that position has all of it (`marks`). That gives two things at once:
//!
//! - *lag*: since when the primary is known to be further;
//! - *read-your-writes*: a session that wrote at an instant is served by a replica that is complete up to an
//!   instant behind that. The price is that a write is only covered by the next look at the primary; the gain
//!   is that it holds for whatever has written, on every server, and nothing is read from replies.
//!
//! A replica that answers but is sick is told by its time against its siblings', and leaves and returns by and
//! by (`member`); `SHOW`ing itself healthy does not help it. After `ProxySQL`'s `max_latency_ms`, `PgDog`'s bans and
//! Envoy's slow start; deliberately absent: choosing by load, which each replica's own gate bounds.

mod marks;
mod member;
mod position;

use std::time::{Duration, Instant};

use self::marks::Marks;
use self::member::Member;
pub use self::member::{LOOK_KEEPS, Look, Reads, SHARE_MIN, Unfit};
pub use self::position::{INTERVALS_MAX, Position};

/// Replicas that there may be.
pub const REPLICAS_MAX: usize = 16;

/// What the operator decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A replica that is further behind is not read from.
    pub max_lag: Duration,
    /// One that misses more bytes of log is not read from either. Where positions count no bytes, it says nothing.
    pub max_lag_bytes: Option<u64>,
    /// In so long a replica that has returned comes back to its whole share; zero: at once.
    pub slow_start: Duration,
    /// How long a read waits for a replica that is fit for it.
    pub wait: Duration,
    /// What becomes of it then.
    pub otherwise: Otherwise,
}

/// What becomes of a read for which no replica is fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Otherwise {
    /// It runs on the primary, under the limits of its class there.
    #[default]
    Primary,
    /// It is refused.
    Refuse,
}

/// A read that looks for a replica.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// When it came.
    pub came: Instant,
    /// When its session wrote last: the replica must have that.
    pub wrote: Option<Instant>,
    /// Those that have failed it.
    pub tried: Tried,
    /// A number from 0 up to, and without, 1.
    pub dice: f64,
}

/// A set of replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried(u16);

impl Tried {
    /// All that there can be: the read is for no replica.
    pub const ALL: Self = Self(u16::MAX);

    /// This one too. What is beyond [`REPLICAS_MAX`] is not noted.
    pub fn add(&mut self, index: usize) {
        self.0 |= u32::try_from(index).ok().and_then(|bit| 1_u16.checked_shl(bit)).unwrap_or(0);
    }

    /// Whether this one is in it.
    #[must_use]
    pub fn has(self, index: usize) -> bool {
        let mut one = Self::default();
        one.add(index);
        self.0 & one.0 != 0
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Where a read goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// To the replica of this number.
    Replica(usize),
    /// To the primary.
    Primary,
    /// Nowhere yet: ask again after the next look, and then at the latest.
    Wait(Instant),
    /// Nowhere.
    Refuse,
}

/// How a replica is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Its share of its weight, from 0 to 1, or why it is not read from.
    pub share: Result<f64, Unfit>,
    /// For how long it has been behind at least; `None` where that is not known.
    pub lag: Option<Duration>,
    /// How many bytes of log it misses; `None` where that is not known, or positions count none.
    pub lag_bytes: Option<u64>,
}

/// All replicas of one primary, by number.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    marks: Marks,
    members: Vec<Member>,
}

impl Fleet {
    /// Replicas of these weights, none of which has been looked at. No more than [`REPLICAS_MAX`].
    #[must_use]
    pub fn new(config: Config, weights: impl IntoIterator<Item = u32>) -> Self {
        let members = weights.into_iter().take(REPLICAS_MAX).map(Member::new).collect();
        Self { config, marks: Marks::default(), members }
    }

    /// Other decisions from now on.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// The primary was asked at `asked`, and told where it is.
    pub fn see_primary(&mut self, asked: Instant, position: Option<Position>) {
        let goes_on = match position {
            Some(position) => self.marks.note(asked, position),
            None => true,
        };
        if !goes_on {
            self.members.iter_mut().for_each(Member::forget_reached);
        }
    }

    /// A replica was looked at.
    pub fn see(&mut self, now: Instant, index: usize, look: &Look) {
        let Some(member) = self.members.get_mut(index) else { return };
        member.note(now, look, &self.marks);
        let siblings = self.siblings(now, index);
        let (has_marks, slow_start) = (!self.marks.is_empty(), self.config.slow_start);
        let member = &mut self.members[index];
        let is_slow = member.is_slow(now, siblings);
        member.judge(now, look, has_marks, is_slow, slow_start);
    }

    /// A replica does not answer, or cannot be connected to.
    pub fn silence(&mut self, index: usize) {
        self.members.get_mut(index).into_iter().for_each(Member::silence);
    }

    /// A read broke off at a replica.
    pub fn stumble(&mut self, index: usize) {
        self.members.get_mut(index).into_iter().for_each(Member::stumble);
    }

    /// Where a read goes.
    #[must_use]
    pub fn choose(&self, now: Instant, ask: &Ask) -> Choice {
        let fit = |&(index, share): &(usize, f64)| {
            let member = &self.members[index];
            let is_for_it = !ask.tried.has(index) && ask.wrote.is_none_or(|at| member.has(at));
            is_for_it.then_some((index, share * member.weight))
        };
        let serving: Vec<(usize, f64)> = self.serving(now).collect();
        let most = serving.iter().map(|&(_, share)| share).fold(0.0, f64::max);
        // Where the primary has stood in, it hands over by and by.
        let hands_over = self.config.otherwise == Otherwise::Primary && most > 0.0;
        let dice = if hands_over { ask.dice / most } else { ask.dice };
        let fit: Vec<(usize, f64)> = serving.iter().filter_map(fit).collect();
        let all: f64 = fit.iter().map(|&(_, weight)| weight).sum();
        if fit.is_empty() {
            let until = ask.came + self.config.wait;
            return match self.config.otherwise {
                _ if now < until => Choice::Wait(until),
                Otherwise::Primary => Choice::Primary,
                Otherwise::Refuse => Choice::Refuse,
            };
        }
        let mut rest = dice * all;
        for &(index, weight) in &fit {
            if rest < weight {
                return Choice::Replica(index);
            }
            rest -= weight;
        }
        match hands_over && dice >= 1.0 {
            true => Choice::Primary,
            // Rounded.
            false => Choice::Replica(fit[fit.len() - 1].0),
        }
    }

    /// How a replica is.
    #[must_use]
    pub fn report(&self, now: Instant, index: usize) -> Option<Report> {
        let member = self.members.get(index)?;
        Some(Report {
            share: member.share(now, &self.config),
            lag: member.is_placed().then(|| member.lag(now)),
            lag_bytes: member.bytes_behind(),
        })
    }

    /// How far the one of those that are read from is behind which is furthest behind; where none is read from,
    /// that which is least behind. `None` where nothing is known.
    #[must_use]
    pub fn lag(&self, now: Instant) -> Option<Duration> {
        let serving = self.serving(now).map(|(index, _)| self.members[index].lag(now)).max();
        let placed = self.members.iter().filter(|member| member.is_placed());
        serving.or_else(|| placed.map(|member| member.lag(now)).min())
    }

    fn serving(&self, now: Instant) -> impl Iterator<Item = (usize, f64)> {
        let share = move |member: &Member| member.share(now, &self.config).ok();
        let all = self.members.iter().enumerate();
        all.filter_map(move |(index, member)| Some((index, share(member)?)))
    }

    /// The median times of the others.
    fn siblings(&self, now: Instant, index: usize) -> (Option<f64>, Option<f64>) {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != index);
        let (looks, reads): (Vec<_>, Vec<_>) = others.map(|(_, member)| member.times(now)).unzip();
        (median(looks), median(reads))
    }
}

/// The middle one; of an even number the lower, so that of two siblings the quicker is the measure.
fn median(times: Vec<Option<f64>>) -> Option<f64> {
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests;

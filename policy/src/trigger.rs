//! When what happens is worth keeping: what makes the flight recorder keep what it has.
//!
//! ```text
//!            holds                  held for long enough
//!   Calm ───────────► Rising ──────────────────────────────► Told ──┐ holds
//!    ▲                  │ ends                                │ ▲───┘
//!    └──────────────────┘◄──────── gone for QUIET ────────────┘
//! ```
//!
//! A cause is told once: when it begins, and again only after it has been gone for [`QUIET`]. What goes up
//! and down around a threshold is one thing, not twenty (pt-stalk calls that cycles). Deliberately absent: a
//! cause that looks at how fast a number changes. At night ten times the load of a minute ago is nothing.

use std::time::{Duration, Instant};

/// A cause that has been gone for so long may be told again.
pub const QUIET: Duration = Duration::from_secs(30);
/// Above this the database is pressed: half as much again as is just borne. At 1 it is only full.
pub const PRESSURE_HIGH: f64 = 1.5;
/// It has to be pressed for so long: a burst that is over by then was borne.
pub const PRESSURE_FOR: Duration = Duration::from_secs(10);
/// The database has to be lost for so long: a control connection that is opened anew takes less.
pub const LOST_FOR: Duration = Duration::from_secs(1);
/// The limit has collapsed where it is this part of what it was, ...
const COLLAPSE: u32 = 2;
/// ... within about so long, at least half of it.
const COLLAPSE_WITHIN: Duration = Duration::from_secs(10);
/// A limit that was lower is not worth a word: from 4 to 2 is one step of searching.
const LIMIT_MIN: u32 = 8;

/// Why something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A pile-up of waits for locks began.
    PileUp,
    /// The database cannot be reached.
    Lost,
    /// The limit that finds its place by itself fell to half within seconds.
    Limit,
    /// The pressure stays high.
    Pressure,
    /// Somebody asked for it.
    Operator,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::PileUp, Self::Lost, Self::Limit, Self::Pressure, Self::Operator];

    /// The name in recordings and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PileUp => "pile_up",
            Self::Lost => "lost",
            Self::Limit => "limit",
            Self::Pressure => "pressure",
            Self::Operator => "operator",
        }
    }
}

/// What is seen at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Signs {
    /// A pile-up is being undone, or would be.
    pub is_piled_up: bool,
    /// The database cannot be reached.
    pub is_lost: bool,
    /// The limit that finds its place by itself; none while it is off.
    pub limit: Option<u32>,
    /// How pressed the database is; 1 is as much as is just borne.
    pub pressure: f64,
}

/// Watches for causes.
#[derive(Debug, Default)]
pub struct Trigger {
    pile_up: State,
    lost: State,
    limit: State,
    pressure: State,
    peak: Peak,
}

impl Trigger {
    /// What is seen `now`, to be told ten times a second or so. Returns the causes that begin.
    pub fn see(&mut self, now: Instant, signs: &Signs) -> Vec<Cause> {
        let has_collapsed = self.peak.has_collapsed(now, signs.limit);
        let is_pressed = signs.pressure > PRESSURE_HIGH;
        let at_once = Duration::ZERO;
        [
            (Cause::PileUp, &mut self.pile_up, signs.is_piled_up, at_once),
            (Cause::Lost, &mut self.lost, signs.is_lost, LOST_FOR),
            (Cause::Limit, &mut self.limit, has_collapsed, at_once),
            (Cause::Pressure, &mut self.pressure, is_pressed, PRESSURE_FOR),
        ]
        .into_iter()
        .filter_map(|(cause, state, holds, long)| state.begins(now, holds, long).then_some(cause))
        .collect()
    }
}

/// How far a cause is.
#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// It does not hold.
    #[default]
    Calm,
    /// It has held since then.
    Rising(Instant),
    /// It was told, and held last then.
    Told(Instant),
}

impl State {
    /// Whether the cause begins, now that it holds or not; it must hold for so `long`.
    fn begins(&mut self, now: Instant, holds: bool, long: Duration) -> bool {
        let passed = |since| now.saturating_duration_since(since);
        let next = match *self {
            Self::Calm if holds && long.is_zero() => Self::Told(now),
            Self::Calm if holds => Self::Rising(now),
            Self::Rising(since) if holds && passed(since) >= long => Self::Told(now),
            Self::Rising(_) if !holds => Self::Calm,
            Self::Told(_) if holds => Self::Told(now),
            Self::Told(last) if passed(last) >= QUIET => Self::Calm,
            same => same,
        };
        let was_told = matches!(self, Self::Told(_));
        *self = next;
        !was_told && matches!(next, Self::Told(_))
    }
}

/// The highest limit of the last five to ten seconds, in two parts.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    since: Option<Instant>,
    before: u32,
    now: u32,
}

impl Peak {
    fn has_collapsed(&mut self, now: Instant, limit: Option<u32>) -> bool {
        let Some(limit) = limit else {
            // It was turned off, and begins anew if it is turned on.
            *self = Self::default();
            return false;
        };
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= COLLAPSE_WITHIN / 2 {
            *self = Self { since: Some(now), before: self.now, now: 0 };
        }
        self.now = self.now.max(limit);
        let highest = self.now.max(self.before);
        highest >= LIMIT_MIN && limit <= highest / COLLAPSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    /// In which tenths of a second which causes begin, where this is what is seen in each.
    fn told(tenths: u32, signs: impl Fn(u32) -> Signs) -> Vec<(u32, Cause)> {
        let (begin, mut trigger) = (start(), Trigger::default());
        let mut told = Vec::new();
        for tenth in 0..tenths {
            let causes = trigger.see(begin + Duration::from_millis(100) * tenth, &signs(tenth));
            told.extend(causes.into_iter().map(|cause| (tenth, cause)));
        }
        told
    }

    #[test]
    fn a_pile_up_is_told_at_once_and_once() {
        let piled_up = |tenth| (7..40).contains(&tenth) || (200..210).contains(&tenth);
        let signs = |tenth| Signs { is_piled_up: piled_up(tenth), ..Signs::default() };
        assert_eq!(told(300, signs), [(7, Cause::PileUp)], "the second is part of the first");
        let signs = |tenth| Signs { is_piled_up: tenth == 7 || tenth == 400, ..Signs::default() };
        assert_eq!(told(500, signs), [(7, Cause::PileUp), (400, Cause::PileUp)]);
    }

    #[test]
    fn pressure_has_to_last() {
        let pressed = |high: fn(u32) -> bool| {
            move |tenth| Signs { pressure: if high(tenth) { 1.6 } else { 1.0 }, ..Signs::default() }
        };
        assert_eq!(told(600, pressed(|_| false)), [], "a full database is no cause");
        assert_eq!(told(600, pressed(|tenth| tenth % 100 < 90)), [], "for nine seconds at a time");
        assert_eq!(told(600, pressed(|tenth| tenth > 9)), [(110, Cause::Pressure)]);
    }

    #[test]
    fn a_limit_that_falls_to_half_within_seconds_has_collapsed() {
        let limited = |limit: fn(u32) -> u32| {
            move |tenth| Signs { limit: Some(limit(tenth)), ..Signs::default() }
        };
        assert_eq!(
            told(200, limited(|tenth| if tenth < 80 { 40 } else { 20 })),
            [(80, Cause::Limit)]
        );
        assert_eq!(told(600, limited(|tenth| 60 - tenth / 20)), [], "slowly");
        assert_eq!(told(200, limited(|tenth| if tenth < 80 { 4 } else { 2 })), [], "it was low");
        let off = |tenth| Signs { limit: (tenth < 80).then_some(40), ..Signs::default() };
        assert_eq!(told(200, off), [], "it was turned off");
    }

    #[test]
    fn several_begin_together_and_a_blip_of_the_network_is_none() {
        let signs = |tenth| Signs {
            is_lost: (5..9).contains(&tenth) || tenth >= 50,
            is_piled_up: tenth == 60,
            ..Signs::default()
        };
        assert_eq!(told(100, signs), [(60, Cause::PileUp), (60, Cause::Lost)]);
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_tells_nothing_twice() {
        let (begin, mut trigger) = (start() + Duration::from_secs(60), Trigger::default());
        let signs = Signs { is_piled_up: true, limit: Some(8), pressure: 9.0, is_lost: true };
        let mut told = Vec::new();
        for seconds in [0, 0, 59, 1, 0] {
            told.extend(trigger.see(begin - Duration::from_secs(seconds), &signs));
        }
        assert_eq!(told, [Cause::PileUp]);
    }
}

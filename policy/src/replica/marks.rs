//! Where the primary was when: what turns a position into a time.
//!
//! A mark says that whatever was committed before an instant is within a position. A replica that has
//! reached the position has all of that; a replica that has not is behind at least since then. So no
//! clock of a server and no count of seconds of its own is believed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::position::Position;

/// Marks that are kept. At the bound every other one of the older half is dropped: times that lie
/// further back are told more coarsely.
pub(super) const MARKS_MAX: usize = 64;

/// Where the primary was when.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Mark>);

/// The primary was at `position` from one look to another.
#[derive(Debug)]
struct Mark {
    since: Instant,
    until: Instant,
    position: Position,
}

/// How far a replica is, in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reached {
    /// All that was committed before this is there; `None`: not even the oldest mark is reached.
    pub(super) complete: Option<Instant>,
    /// The primary has been further since this, at the latest; `None`: it is not known to be.
    pub(super) behind_since: Option<Instant>,
    /// How many bytes of log the primary was further when it was asked last; `None` where positions count none.
    pub(super) bytes_behind: Option<u64>,
}

impl Marks {
    /// The primary was asked at `asked` and told this. Returns whether it goes on from before: a primary
    /// that has lost what it had is another one, and all marks are forgotten.
    pub(super) fn note(&mut self, asked: Instant, position: Position) -> bool {
        let goes_on = self.0.back().is_none_or(|last| position.has_reached(&last.position));
        if !goes_on {
            self.0.clear();
        }
        match self.0.back_mut() {
            Some(last) if last.position == position => last.until = asked,
            _ => self.0.push_back(Mark { since: asked, until: asked, position }),
        }
        if self.0.len() > MARKS_MAX {
            self.thin_out();
        }
        goes_on
    }

    /// How far a replica at `position` is.
    pub(super) fn reached(&self, position: &Position) -> Reached {
        let reached = self.0.iter().rposition(|mark| position.has_reached(&mark.position));
        let next = reached.map_or(0, |at| at + 1);
        Reached {
            complete: reached.map(|at| self.0[at].until),
            behind_since: self.0.get(next).map(|mark| mark.since),
            bytes_behind: self.0.back().and_then(|last| position.bytes_behind(&last.position)),
        }
    }

    /// Whether the primary has told nothing yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn thin_out(&mut self) {
        let mut at = 0;
        self.0.retain(|_| {
            at += 1;
            // The oldest stays: it tells how long ago at least.
            at > MARKS_MAX / 2 || at % 2 == 1
        });
    }
}

impl Reached {
    /// For how long it has been behind at least.
    pub(super) fn lag(self, now: Instant) -> Duration {
        self.behind_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

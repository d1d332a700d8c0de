//! Runs that were missed, and runs that are due while another still runs.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::clock::Schedule;

/// So many missed runs are looked at, the newest; what was missed before is given up.
pub const MISSED_MAX: usize = 10_000;

/// What becomes of runs that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfire {
    /// They are given up.
    Skip,
    /// Of all that were missed, the newest is caught up.
    Once,
    /// The newest are caught up, so many at most.
    All(usize),
}

/// What is due, and what was given up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The nominal times to run now, the oldest first. Told by when they were due, not when they
    /// run, so that a batch that is planned twice is the same batch.
    pub run: Vec<Timestamp>,
    /// How many were given up; of those older than is caught up at all, [`MISSED_MAX`] are counted.
    pub given_up: usize,
}

/// What is due at `now`, when all up to `last` was seen to. What is late by no more than `grace` is
/// not missed, only late; what is older than `catch_up` is given up in any case.
#[must_use]
pub fn due(
    schedule: &Schedule,
    last: Timestamp,
    now: Timestamp,
    misfire: Misfire,
    (grace, catch_up): (SignedDuration, SignedDuration),
) -> Due {
    let oldest = now.saturating_sub(catch_up).map_or(last, |oldest| oldest.max(last));
    let too_old = schedule.between(last, oldest, MISSED_MAX).count();
    let is_late = |moment: &Timestamp| now.duration_since(*moment) > grace;
    let (mut moments, mut too_many) = (VecDeque::new(), too_old);
    for moment in schedule.between(oldest, now, usize::MAX) {
        moments.push_back(moment);
        if moments.len() > MISSED_MAX {
            moments.pop_front();
            too_many += 1;
        }
    }
    let mut moments = Vec::from(moments);
    let on_time = moments.split_off(moments.partition_point(is_late));
    let most = match misfire {
        Misfire::Skip => 0,
        // One that is due now does for those before it.
        Misfire::Once => usize::from(on_time.is_empty()),
        Misfire::All(most) => most,
    };
    let given_up = moments.len().saturating_sub(most);
    let run = moments.split_off(given_up).into_iter().chain(on_time).collect();
    Due { run, given_up: given_up + too_many }
}

/// What becomes of a run that is due while one before it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Both run.
    Allow,
    /// It is given up.
    Skip,
    /// It waits, but no more than one does: a second takes the place of the first.
    Wait,
}

/// What a run does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It runs.
    Now,
    /// It runs when what runs has ended.
    Next,
    /// It does not run.
    Never,
}

impl Overlap {
    /// Decides for a run that is due while so many of its schedule run.
    #[must_use]
    pub const fn decide(self, running: usize) -> Start {
        match self {
            _ if running == 0 => Start::Now,
            Self::Allow => Start::Now,
            Self::Skip => Start::Never,
            Self::Wait => Start::Next,
        }
    }
}

//! How the queue of a class moves: since when somebody has been waiting, and how fast it is served.
//!
//! A queue is there for bursts. One that stands, because for a tenth of a second it was never empty,
//! makes all that come wait and serves nobody sooner (Nichols and Jacobson, "Controlling queue delay",
//! 2012; Maurer, "Fail at scale", 2015). From how fast it is served follows how long one more would
//! wait, so that who would wait too long can be told at once and not when it has given up.

use std::time::{Duration, Instant};

/// A queue that has not been empty for so long stands, until it has been empty for as long.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// How much one more says of how fast a queue is served.
const GAIN: f64 = 1.0 / 16.0;

/// The queue of one class over time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Since when somebody has been waiting; of a queue that stood, short gaps left out.
    since: Instant,
    /// When it became empty; `None` while somebody waits.
    emptied: Option<Instant>,
    /// When the last was admitted that had waited, or somebody came to an empty queue.
    left: Instant,
    /// Seconds between two that were admitted; unknown until the first was.
    pace: Option<f64>,
}

impl Flow {
    /// A queue in which nobody has waited yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, emptied: Some(now), left: now, pace: None }
    }

    /// Somebody joins it.
    pub(super) fn joined(&mut self, now: Instant) {
        if self.emptied.is_none() {
            return;
        }
        // What was learned in another crowd says little of this one.
        if !self.stands(now) {
            (self.since, self.pace) = (now, None);
        }
        (self.left, self.emptied) = (now, None);
    }

    /// Somebody who waited is admitted.
    pub(super) fn served(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.left).as_secs_f64();
        self.left = now;
        let pace = self.pace.get_or_insert(gap);
        *pace += (gap - *pace) * GAIN;
    }

    /// The last who waited is gone.
    pub(super) fn emptied(&mut self, now: Instant) {
        self.emptied = Some(now);
    }

    /// Whether it was not empty for an interval, and since then not for as long.
    pub(super) fn stands(&self, now: Instant) -> bool {
        let until = self.emptied.unwrap_or(now);
        until.saturating_duration_since(self.since) > INTERVAL
            && now.saturating_duration_since(until) <= INTERVAL
    }

    /// How long one would wait with so many before it; `None` while that is not known. If nobody has been
    /// served for longer than usual `now`, the next is not expected sooner than that again.
    pub(super) fn wait(&self, now: Option<Instant>, ahead: u32) -> Option<Duration> {
        let pace = self.pace?;
        let late = now.filter(|_| self.emptied.is_none());
        let late = late.map_or(0.0, |now| now.saturating_duration_since(self.left).as_secs_f64());
        Duration::try_from_secs_f64(pace * f64::from(ahead) + late.max(pace)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_queue_stands_when_it_was_not_empty_for_a_tenth_of_a_second() {
        let start = start();
        let mut flow = Flow::new(start);
        assert!(!flow.stands(start + ms(500)));
        flow.joined(start + ms(500));
        assert!(!flow.stands(start + ms(600)));
        assert!(flow.stands(start + ms(601)));
        // Then, empty for a moment is not empty.
        flow.emptied(start + ms(610));
        flow.joined(start + ms(700));
        assert!(flow.stands(start + ms(700)));
        flow.emptied(start + ms(710));
        assert!(!flow.stands(start + ms(811)));
        flow.joined(start + ms(811));
        assert!(!flow.stands(start + ms(811)));
        // But one that did not stand begins anew with each.
        flow.emptied(start + ms(900));
        flow.joined(start + ms(901));
        assert!(!flow.stands(start + ms(1000)) && flow.stands(start + ms(1002)));
    }

    #[test]
    fn the_wait_is_the_pace_times_those_before() {
        let start = start();
        let mut flow = Flow::new(start);
        flow.joined(start);
        assert_eq!(flow.wait(Some(start), 5), None);
        (1..100).for_each(|n| flow.served(start + n * ms(2)));
        let now = start + ms(198);
        assert!(flow.wait(Some(now), 9).unwrap().abs_diff(ms(20)) < ms(1));
        // Nobody was served for long: the next is as far away.
        assert!(flow.wait(Some(now + ms(300)), 9).unwrap().abs_diff(ms(318)) < ms(1));
        assert!(flow.wait(None, 9).unwrap().abs_diff(ms(20)) < ms(1));
        // Another crowd.
        flow.emptied(now);
        flow.joined(now + ms(500));
        assert_eq!(flow.wait(Some(now + ms(500)), 5), None);
    }
}

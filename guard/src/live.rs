//! What is seen live: a sample a second for ten minutes, and whoever follows.
//!
//! Samples are taken always, so that who opens the page in an incident sees how it came to that; each reads the
//! gate and sums up what was counted, and touches nothing that a statement waits for. The whole snapshot is made
//! only while somebody follows, once for all of them. Nothing is queued for them: one that does not read costs
//! nothing and holds nobody up.

pub mod meter;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::control::{Declined, Rates, Sample, Snapshot};

/// How often a sample is taken, and followers are told.
pub const EVERY: Duration = Duration::from_secs(1);
/// Samples that are kept: ten minutes, in about 100 KiB. The oldest goes for a new one.
const SAMPLES_MAX: usize = 600;
/// Who may follow at a time; the HTTP side serves twice as many connections and more.
const FOLLOWERS_MAX: usize = 16;

/// The last ten minutes, and who follows.
#[derive(Debug)]
pub struct Live {
    past: Mutex<Past>,
    newest: watch::Sender<Arc<Snapshot>>,
}

#[derive(Debug, Default)]
struct Past {
    samples: VecDeque<Sample>,
    /// What got done in the last second, by class.
    classes: Vec<(String, Rates)>,
}

impl Default for Live {
    fn default() -> Self {
        Self { past: Mutex::default(), newest: watch::Sender::new(Arc::default()) }
    }
}

impl Live {
    /// Keeps one sample more, and what got done by class.
    pub fn note(&self, sample: Sample, classes: Vec<(String, Rates)>) {
        let mut past = self.past.lock();
        if past.samples.len() == SAMPLES_MAX {
            past.samples.pop_front();
        }
        past.samples.push_back(sample);
        past.classes = classes;
    }

    /// The samples, the oldest first.
    pub fn history(&self) -> Vec<Sample> {
        self.past.lock().samples.iter().copied().collect()
    }

    /// The newest sample, and what got done by class; nothing before the first.
    pub fn newest(&self) -> (Sample, Vec<(String, Rates)>) {
        let past = self.past.lock();
        (past.samples.back().copied().unwrap_or_default(), past.classes.clone())
    }

    /// Whether anybody follows.
    pub fn is_followed(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Tells all who follow.
    pub fn tell(&self, snapshot: Snapshot) {
        self.newest.send_replace(Arc::new(snapshot));
    }

    /// All snapshots from now on.
    ///
    /// # Errors
    /// When `FOLLOWERS_MAX` follow already.
    pub fn follow(&self) -> Result<watch::Receiver<Arc<Snapshot>>, Declined> {
        if self.newest.receiver_count() >= FOLLOWERS_MAX {
            return Err(Declined(format!("{FOLLOWERS_MAX} pages follow this guard already")));
        }
        Ok(self.newest.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_are_kept() {
        let live = Live::default();
        assert_eq!(live.newest().0, Sample::default());
        for second in 1..=SAMPLES_MAX as u64 + 5 {
            live.note(Sample { unix_ms: second * 1000, ..Sample::default() }, Vec::new());
        }
        let history = live.history();
        assert_eq!((history.len(), history[0].unix_ms), (SAMPLES_MAX, 6000));
        assert_eq!(live.newest().0.unix_ms, 605_000);
    }

    #[test]
    fn only_so_many_follow_and_a_place_is_free_again() {
        let live = Live::default();
        assert!(!live.is_followed());
        let mut followers: Vec<_> = (0..FOLLOWERS_MAX).map(|_| live.follow().unwrap()).collect();
        assert_eq!(live.follow().unwrap_err().0, "16 pages follow this guard already");
        followers.pop();
        let mut one = live.follow().unwrap();
        live.tell(Snapshot { version: 7, ..Snapshot::default() });
        assert_eq!(one.borrow_and_update().version, 7);
    }
}

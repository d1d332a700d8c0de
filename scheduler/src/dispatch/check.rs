//! Whether what is about to go still holds: of batches that have such a question.
//!
//! A holder asks for all that goes within the next seconds at once, shortly before the first of it is due. The
//! answer counts for as long: what was held up is asked for again. While nobody answers, nothing goes; what was
//! held up by that is spread anew, as after a pause.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::{error, info};

use super::clock::later;
use super::holder::Holder;
use crate::source::SourceError;

/// What goes within this is asked for together, and the answer counts for so long.
const KEEPS: Duration = Duration::from_secs(5);
/// It is asked for so long before the first is due.
const AHEAD: Duration = Duration::from_millis(500);
/// When nobody has answered, it is asked again after so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Items and the ids by which they were asked for, and those that hold.
type Answer = (Vec<(u32, String)>, Result<HashSet<String>, SourceError>);

/// What a holder knows of it.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Items that held, and until when that counts.
    good: HashMap<u32, Instant>,
    /// The question under way; dropped, it is broken off.
    asking: JoinSet<Answer>,
    asked: Option<Instant>,
    is_failing: bool,
}

impl Holder {
    /// Whether an item may go now as far as it is checked.
    pub(super) fn may_go(&self, item: u32) -> bool {
        let is_good = |until: &Instant| Instant::now() < *until;
        self.run.goes_unchecked() || self.looked.good.get(&item).is_some_and(is_good)
    }

    /// Takes an answer that has come, and asks for what is about to go and was not asked for.
    pub(super) fn look(&mut self) {
        if self.run.check().is_none() {
            return;
        }
        while let Some(ended) = self.looked.asking.try_join_next() {
            // A question that panics was not answered.
            if let Ok((items, answer)) = ended {
                self.heard(items, answer);
            }
        }
        let now = Instant::now();
        let is_early = |asked: Instant| self.looked.is_failing && now < asked + PAUSE;
        if self.looked.asking.is_empty()
            && !self.looked.asked.is_some_and(is_early)
            && self.is_anything_unknown(now)
        {
            self.ask(now);
        }
    }

    /// Whether something goes soon of which it will not be known.
    fn is_anything_unknown(&self, now: Instant) -> bool {
        let (soon, time) = (later(self.position(), AHEAD), self.dispatcher.time());
        let is_known =
            |item: &u32| self.looked.good.get(item).is_some_and(|until| now + AHEAD < *until);
        let due = self.claim.progress.due(time);
        due.filter(|item| self.claim.moment(*item) <= soon).any(|item| !is_known(&item))
    }

    fn ask(&mut self, now: Instant) {
        let Some(check) = self.run.check().cloned() else { return };
        let (soon, time) = (later(self.position(), KEEPS), self.dispatcher.time());
        let (mut items, mut odd) = (Vec::new(), Vec::new());
        for item in self.claim.progress.due(time) {
            if self.claim.moment(item) <= soon {
                match check.id(&self.claim.items[item as usize]) {
                    Ok(id) => items.push((item, id)),
                    Err(why) => odd.push((item, why)),
                }
            }
        }
        for (item, why) in odd {
            self.claim.progress.bury(item, &why);
            self.is_dirty = true;
        }
        self.looked.asked = Some(now);
        let checker = self.dispatcher.checker(check.source());
        let job = self.run.batch().terms.name.clone();
        let job = job.split('@').next().unwrap_or_default().to_owned();
        self.looked.asking.spawn(async move {
            let ids: Vec<String> = items.iter().map(|(_, id)| id.clone()).collect();
            let answer = match &checker {
                Some(checker) => checker.holding(&check, &ids, &job).await,
                None => Err(SourceError::Query(format!("there is no [source.{}]", check.source()))),
            };
            (items, answer)
        });
    }

    fn heard(&mut self, items: Vec<(u32, String)>, answer: Result<HashSet<String>, SourceError>) {
        let batch = &self.run.batch().terms.name;
        let holding = match answer {
            Ok(holding) => holding,
            Err(error) => {
                self.outlet.metrics().check_failures.increment(1);
                if !self.looked.is_failing {
                    error!(batch, %error, "whether items still hold cannot be asked; they wait");
                }
                self.looked.is_failing = true;
                return;
            }
        };
        if std::mem::take(&mut self.looked.is_failing) {
            info!(batch, "whether items still hold can be asked again");
            // What is behind is spread anew, as of a chunk that was not held.
            self.run.let_go(self.claim.lease.seq());
        }
        let until = self.looked.asked.map_or_else(Instant::now, |asked| asked + KEEPS);
        let due: HashSet<u32> = self.claim.progress.due(self.dispatcher.time()).collect();
        // What went meanwhile, by an answer before, has gone.
        for (item, id) in items.into_iter().filter(|(item, _)| due.contains(item)) {
            if holding.contains(&id) {
                self.looked.good.insert(item, until);
            } else {
                self.claim.progress.dropped(item, "it no longer holds");
                self.outlet.metrics().dropped.increment(1);
                self.is_dirty = true;
            }
        }
    }
}

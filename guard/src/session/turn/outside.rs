//! What all waits outside the gate have in common: for how long, and what is said to who gives up.

use std::time::{Duration, Instant};

use policy::{
    admission::Arrival,
    refusal::{Reason, Refusal, Scope, retry_after},
};

use crate::{engine::Engine, session::registry::Card, shared::Shared};

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Bound {
    #[default]
    QueueTime,
    /// The class's.
    Deadline,
    /// The client's.
    OwnDeadline,
}

/// How long one may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    time: Duration,
    bound: Bound,
    /// When that is over.
    pub until: Instant,
}

/// A transaction that may have to wait before it asks for a permit.
pub(super) struct Outside<'a, E: Engine> {
    pub shared: &'a Shared<E>,
    pub card: &'a Card,
    pub arrival: Arrival,
    /// When it came.
    pub came: Instant,
}

impl<E: Engine> Outside<'_, E> {
    /// No longer than its class may wait in a queue, or its client for an answer. `None` where its class has no
    /// queue.
    pub(super) fn patience(&self) -> Option<Patience> {
        let limits = self.shared.policy.load().class(self.arrival.class).limits;
        let bounds = [
            Some((limits.queue_time, Bound::QueueTime)),
            limits.deadline.map(|time| (time, Bound::Deadline)),
            self.arrival.about.deadline.map(|time| (time, Bound::OwnDeadline)),
        ];
        let least = bounds.into_iter().flatten().min_by_key(|(time, _)| *time);
        let (time, bound) = least.unwrap_or_default();
        let until = self.came.checked_add(time).unwrap_or(self.came);
        (limits.queue_length > 0).then_some(Patience { time, bound, until })
    }

    /// It has waited as long as it may. `reason` is for what; `ratio` is the part of the last arrivals for that
    /// which did not get on.
    pub(super) fn out_of_patience(
        &self,
        patience: Patience,
        reason: Reason,
        ratio: f64,
    ) -> Refusal {
        let name = if patience.bound == Bound::QueueTime { "queue_time" } else { "deadline" };
        let waited = seconds(self.came.elapsed());
        let refusal = self.refusal(reason, name, seconds(patience.time), waited, ratio);
        match patience.bound {
            Bound::QueueTime => refusal,
            Bound::Deadline => Refusal { reason: Reason::Deadline, ..refusal },
            Bound::OwnDeadline => {
                Refusal { reason: Reason::Deadline, scope: Scope::Tag, ..refusal }
            }
        }
    }

    /// It would have to wait, and its class has no queue.
    pub(super) fn may_not_wait(&self, reason: Reason, ratio: f64) -> Refusal {
        self.refusal(reason, "queue_length", 0.0, 1.0, ratio)
    }

    /// A refusal by a limit of the class.
    pub(super) fn refusal(
        &self,
        reason: Reason,
        limit_name: &'static str,
        limit: f64,
        measured: f64,
        ratio: f64,
    ) -> Refusal {
        let policy = self.shared.policy.load();
        let class: Box<str> = policy.class(self.arrival.class).name.as_str().into();
        Refusal {
            reason,
            scope: Scope::Class(class.clone()),
            class,
            limit_name,
            limit,
            measured,
            retry_after: retry_after(ratio, fastrand::f64()),
            held: Duration::ZERO,
            note: None,
        }
    }
}

fn seconds(duration: Duration) -> f64 {
    // To the millisecond: a client reads it.
    duration.as_millis() as f64 / 1000.0
}

//! How melting has a session give up its transaction, and no other.
//!
//! The melter chooses by a look at the database, which is old when it is read. So it does not act
//! itself: it leaves a [`Verdict`] with the session and calls it. The session alone knows what it is
//! at ([`Work`]): a verdict on a transaction that has ended, or is being ended, is passed over, and the
//! session is not called away at all ([`Call`]). What it heeds goes the way of a time limit that
//! passed.

use std::time::{Duration, Instant};

use policy::melt::Cause;
use tokio::sync::oneshot;

use super::registry::Card;
use crate::{metrics::Label as _, upstream::control::ControlError};

/// When a client whose transaction was melted should come back: the pile-up is over then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// That a transaction is to be given up.
#[derive(Debug)]
pub struct Verdict {
    /// What serves it in the database.
    pub backend: u32,
    /// When the transaction that was seen had begun at the latest. What began later is another one.
    pub began_by: Instant,
    /// Why it was chosen.
    pub cause: Cause,
    /// How many wait behind it.
    pub behind: usize,
    /// How long the longest of all waits has lasted.
    pub oldest_wait: Duration,
    /// How long it has been open.
    pub age: Duration,
    /// Told when it was given up. Dropped where it was not: it went on, or had ended by itself.
    pub given_up: oneshot::Sender<Result<(), ControlError>>,
}

impl Verdict {
    /// What the client is told of it: what was measured, and what changes it.
    pub fn note(&self, class: &str) -> String {
        format!(
            "tidegate: class={class} reason=melt cause={} waiters={} oldest_wait_ms={} open_ms={} \
             retry_after_ms={} changed_by=melt.mode",
            self.cause.as_str(),
            self.behind,
            self.oldest_wait.as_millis(),
            self.age.as_millis(),
            RETRY_AFTER.as_millis(),
        )
    }

    /// The transaction was given up.
    pub fn carried_out(self) {
        // The melter may have been turned off meanwhile.
        let _gone = self.given_up.send(Ok(()));
    }

    fn concerns(&self, work: &Work) -> bool {
        let is_the_one = work.since.is_some_and(|since| since <= self.began_by);
        is_the_one && work.backend == self.backend && !work.is_ending
    }
}

/// What a session is at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// What serves it in the database; 0 if nothing does.
    pub backend: u32,
    /// When its transaction, or its statement outside of one, was sent.
    pub since: Option<Instant>,
    /// Whether COMMIT or ROLLBACK is under way.
    pub is_ending: bool,
}

/// A session that may be called away from what it is at.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The session.
    pub card: &'a Card,
    /// What it is at.
    pub work: Work,
}

impl Call<'_> {
    /// Waits until the session is called. Verdicts that do not concern its work are passed over.
    /// Cancel-safe, and for one task at a time, as [`Interrupt::wait`](super::interrupt::Interrupt).
    pub async fn wait(&self) {
        loop {
            self.card.interrupt.wait().await;
            if !self.card.pass_over(|verdict| !verdict.concerns(&self.work)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::registry::Sessions;

    /// A verdict on what backend 7 does, and where its answer comes.
    fn verdict(began_by: Instant) -> (Verdict, oneshot::Receiver<Result<(), ControlError>>) {
        let (given_up, answer) = oneshot::channel();
        let verdict = Verdict {
            backend: 7,
            began_by,
            cause: Cause::IdleBlocker,
            behind: 20,
            oldest_wait: Duration::from_millis(2100),
            age: Duration::from_secs(3),
            given_up,
        };
        (verdict, answer)
    }

    #[test]
    fn a_verdict_concerns_the_transaction_that_was_seen_and_no_other() {
        let seen = Instant::now();
        let (verdict, _answer) = verdict(seen);
        let later = seen + Duration::from_millis(1);
        let at = Work { backend: 7, since: Some(seen), is_ending: false };
        assert!(verdict.concerns(&at));
        for other in [
            Work { backend: 8, ..at },
            Work { since: Some(later), ..at },
            Work { since: None, ..at },
            Work { is_ending: true, ..at },
        ] {
            assert!(!verdict.concerns(&other), "{other:?}");
        }
        assert_eq!(
            verdict.note("web"),
            "tidegate: class=web reason=melt cause=idle_blocker waiters=20 oldest_wait_ms=2100 \
             open_ms=3000 retry_after_ms=1000 changed_by=melt.mode"
        );
    }

    #[tokio::test]
    async fn a_verdict_gives_way_to_a_kill_and_to_the_next_statement() {
        let sessions = Arc::new(Sessions::default());
        let peer = crate::stream::socket::Peer::Unix;
        let entry = sessions.enter(1, "app".into(), None, peer);
        let (card, now) = (&*entry.card, Instant::now());
        let work = Work { backend: 7, since: Some(now), is_ending: false };
        let is_called = async |work| {
            let call = Call { card, work };
            tokio::select! {
                biased;
                () = call.wait() => true,
                () = std::future::ready(()) => false,
            }
        };
        let is_dropped = |mut answer: oneshot::Receiver<Result<(), ControlError>>| {
            matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed))
        };
        let (first, answer) = verdict(now);
        assert!(card.melt(first) && is_called(work).await);
        card.take_verdict().unwrap().carried_out();
        assert_eq!(answer.await.unwrap().ok(), Some(()));

        let (second, answer) = verdict(now);
        assert!(card.melt(second));
        assert!(!card.melt(verdict(now).0), "it is being called");
        card.kill_query();
        assert!(is_dropped(answer));
        assert!(is_called(work).await && card.take_verdict().is_none(), "the kill is heard");

        let (third, answer) = verdict(now);
        assert!(card.melt(third));
        assert!(!is_called(Work { backend: 8, ..work }).await, "it is passed over");
        assert!(is_dropped(answer));

        let (fourth, answer) = verdict(now);
        assert!(card.melt(fourth));
        card.begin();
        assert!(is_dropped(answer) && !is_called(work).await);
    }
}

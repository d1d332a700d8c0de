//! How a session is called away from what it waits for.
//!
//! Each wait of a session looks out for it, twice for each statement. `tokio::sync::Notify` would
//! do, but keeps a list of waiters that is joined and left each time; here only one task waits, so
//! a flag and its waker are enough.

use std::{
    future::poll_fn,
    task::{Poll, Waker},
};

use parking_lot::Mutex;

/// A call that one session waits for and anybody may raise. One that is raised while nobody waits
/// is kept for the next wait; several are one.
#[derive(Debug, Default)]
pub struct Interrupt(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_raised: bool,
    waiter: Option<Waker>,
}

impl Interrupt {
    /// Calls the session.
    pub fn raise(&self) {
        let waiter = {
            let mut state = self.0.lock();
            state.is_raised = true;
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Takes a call that was raised before now. Returns whether there was one.
    pub fn lower(&self) -> bool {
        std::mem::take(&mut self.0.lock().is_raised)
    }

    /// Whether a call was raised and not taken.
    pub fn is_raised(&self) -> bool {
        self.0.lock().is_raised
    }

    /// Waits for a call and takes it. Only one task may wait at a time: a second would take the
    /// place of the first. Cancel-safe: a call that was not returned is kept.
    pub async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if std::mem::take(&mut state.is_raised) {
                return Poll::Ready(());
            }
            match &mut state.waiter {
                Some(waiter) => waiter.clone_from(context.waker()),
                None => state.waiter = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_kept_for_the_next_wait_taken_once_and_wakes_who_waits() {
        let interrupt = Interrupt::default();
        interrupt.raise();
        interrupt.raise();
        interrupt.wait().await;
        tokio::select! {
            biased;
            () = interrupt.wait() => panic!("two calls before the wait are one"),
            () = std::future::ready(()) => {}
        }
        interrupt.raise();
        assert!(interrupt.is_raised() && interrupt.lower() && !interrupt.lower());
        tokio::select! {
            biased;
            () = interrupt.wait() => panic!("it was taken"),
            () = std::future::ready(()) => {}
        }
        let raised_later = async { interrupt.raise() };
        tokio::join!(interrupt.wait(), raised_later);
    }
}

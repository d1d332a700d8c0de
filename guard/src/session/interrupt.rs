//! How a session is called away from what it waits for.
//!
//! Each wait of a session looks out for it, several times for each statement. `tokio::sync::Notify` would
//! do, but keeps a list of waiters that is joined and left each time; here only one task waits, and it is
//! the same for the whole of a session. So its waker is noted once, and to look out is to read a flag.

use std::{
    future::poll_fn,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// A call that one session waits for and anybody may raise. One that is raised while nobody waits
/// is kept for the next wait; several are one.
#[derive(Debug)]
pub struct Interrupt {
    is_raised: AtomicBool,
    /// Who waits, or waited last.
    waiter: Mutex<Option<Waker>>,
    /// The task of `waiter`: what its waker points to, which stays where it is while that is kept.
    known: AtomicPtr<()>,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self {
            is_raised: AtomicBool::new(false),
            waiter: Mutex::default(),
            known: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

impl Interrupt {
    /// Calls the session.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::Release);
        // Whoever is noted later than this sees the flag: it has locked later, too.
        if let Some(waiter) = &*self.waiter.lock() {
            waiter.wake_by_ref();
        }
    }

    /// Takes a call that was raised before now. Returns whether there was one.
    pub fn lower(&self) -> bool {
        // Nearly always there is none: a read does not take the cache line from anybody.
        self.is_raised() && self.is_raised.swap(false, Ordering::AcqRel)
    }

    /// Whether a call was raised and not taken.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Acquire)
    }

    /// Waits for a call and takes it. Only one task may wait at a time: a second would take the
    /// place of the first. Cancel-safe: a call that was not returned is kept.
    pub async fn wait(&self) {
        poll_fn(|context| self.poll_wait(context)).await;
    }

    fn poll_wait(&self, context: &Context<'_>) -> Poll<()> {
        let task = context.waker().data().cast_mut();
        if self.known.load(Ordering::Relaxed) != task {
            *self.waiter.lock() = Some(context.waker().clone());
            self.known.store(task, Ordering::Relaxed);
        }
        match self.lower() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    /// Each call is raised when the one before was taken: were one missed, this would not end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_call_of_another_thread_is_missed() {
        const CALLS: usize = 20_000;
        let (there, back) = (Arc::new(Interrupt::default()), Arc::new(Interrupt::default()));
        let answers = {
            let (there, back) = (Arc::clone(&there), Arc::clone(&back));
            tokio::spawn(async move {
                for _ in 0..CALLS {
                    there.wait().await;
                    back.raise();
                }
            })
        };
        for _ in 0..CALLS {
            there.raise();
            back.wait().await;
        }
        answers.await.unwrap();
    }

    /// A session is waited for by one task; but where another takes its place, that one is woken.
    #[tokio::test]
    async fn a_task_that_takes_the_place_of_another_is_woken() {
        let interrupt = Arc::new(Interrupt::default());
        for _ in 0..3 {
            let waits = Arc::clone(&interrupt);
            let waits = tokio::spawn(async move { waits.wait().await });
            tokio::task::yield_now().await;
            interrupt.raise();
            waits.await.unwrap();
        }
    }
}

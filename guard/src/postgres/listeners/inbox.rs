//! Where the notifications for one session wait until it may be told.

use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use parking_lot::Mutex;

/// How many bytes of notifications may wait for one session: while its transaction is open, or its
/// client reads slowly. Past it the session ends, for none may be lost in silence.
pub const WAITING_LEN_MAX: usize = 1 << 20;

/// Notifications for one session, as messages.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    messages: BytesMut,
    condition: Condition,
    waiter: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Condition {
    #[default]
    Open,
    /// Some of what came is not there.
    Incomplete(Overdue),
    /// The session is gone.
    Closed,
}

/// Why notifications are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// The connection that they come by was lost.
    Lost,
    /// More came than may wait.
    TooMany,
}

impl Inbox {
    /// Puts in a message. Returns whether anybody wants more.
    pub fn put(&self, message: &[u8]) -> bool {
        let mut state = self.0.lock();
        if state.condition == Condition::Open {
            if state.messages.len() + message.len() > WAITING_LEN_MAX {
                state.end(Condition::Incomplete(Overdue::TooMany));
            } else {
                state.messages.extend_from_slice(message);
                state.wake();
            }
        }
        state.condition == Condition::Open
    }

    /// Nothing comes any more: the connection was lost.
    pub fn lose(&self) {
        let mut state = self.0.lock();
        if state.condition == Condition::Open {
            state.end(Condition::Incomplete(Overdue::Lost));
        }
    }

    /// Nobody takes anything any more.
    pub fn close(&self) {
        self.0.lock().end(Condition::Closed);
    }

    /// Whether somebody still wants what comes.
    pub fn is_open(&self) -> bool {
        self.0.lock().condition == Condition::Open
    }

    /// Ready when there is something, or something is missing. One task may wait.
    pub fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if !state.messages.is_empty() || state.condition != Condition::Open {
            return Poll::Ready(());
        }
        match &mut state.waiter {
            Some(waiter) => waiter.clone_from(context.waker()),
            None => state.waiter = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// What waits.
    pub fn take(&self) -> BytesMut {
        std::mem::take(&mut self.0.lock().messages)
    }

    /// Why something is missing, if something is.
    pub fn overdue(&self) -> Option<Overdue> {
        match self.0.lock().condition {
            Condition::Incomplete(overdue) => Some(overdue),
            Condition::Open | Condition::Closed => None,
        }
    }
}

impl State {
    fn end(&mut self, condition: Condition) {
        self.condition = condition;
        if condition != Condition::Incomplete(Overdue::Lost) {
            self.messages = BytesMut::new();
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_ends_it_and_what_came_before_a_loss_is_kept() {
        let inbox = Inbox::default();
        assert!(inbox.put(b"abc"));
        inbox.lose();
        assert!(!inbox.put(b"d"));
        assert_eq!((&inbox.take()[..], inbox.overdue()), (&b"abc"[..], Some(Overdue::Lost)));

        let inbox = Inbox::default();
        assert!(inbox.put(&vec![0; WAITING_LEN_MAX]));
        assert!(!inbox.put(b"x"));
        assert_eq!((inbox.take().len(), inbox.overdue()), (0, Some(Overdue::TooMany)));
    }
}

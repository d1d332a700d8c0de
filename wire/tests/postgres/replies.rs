//! What the tracker makes of real conversations.

use wire::postgres::result::Asker;

use crate::captured::{Session, sessions};
use crate::walk::Walk;

/// Goes through a conversation whose replies come in pieces.
fn walk(session: Session, asker: Asker, piece: usize) -> Walk {
    let mut walk = Walk::default();
    for step in session.steps {
        for request in step.sent {
            walk.push(*request, asker);
        }
        let taken = walk.take(step.reply, || piece);
        assert_eq!(taken, Ok(()), "{}", session.name);
    }
    walk
}

#[test]
fn every_reply_is_told_by_its_request() {
    for session in sessions() {
        let seen = walk(session, Asker::Client, usize::MAX);
        assert_eq!(seen.notes(), session.events, "{}", session.name);
        let sent: usize = session.steps.iter().map(|step| step.reply.len()).sum();
        assert_eq!(seen.consumed, sent, "{}", session.name);
        let ended = session.name.starts_with("fatal");
        assert_eq!(seen.tracker.has_ended(), ended, "{}", session.name);
        assert_eq!(seen.tracker.is_over(), !ended, "{}", session.name);
        assert!(ended || seen.tracker.doubts() == 0, "{}", session.name);
    }
}

#[test]
fn pieces_of_any_size_read_the_same() {
    for session in sessions() {
        for asker in [Asker::Client, Asker::Guard] {
            let whole = walk(session, asker, usize::MAX);
            for piece in [1, 2, 3, 5, 7, 11, 64] {
                let cut = walk(session, asker, piece);
                assert_eq!(cut.events, whole.events, "{} by {piece}", session.name);
                assert_eq!(cut.tracker.rows(), whole.tracker.rows());
            }
        }
    }
}

#[test]
fn what_answers_the_guard_is_shown_message_by_message() {
    for session in sessions() {
        let shown = walk(session, Asker::Guard, usize::MAX);
        let mut at = 0;
        for (start, event) in &shown.events {
            // Only what may come at any time, or unasked, is not surely the guard's.
            assert_eq!(*start, at, "{}: nothing is passed on", session.name);
            assert_eq!(event.rest, 0);
            at += event.bytes;
        }
        assert_eq!(at, shown.consumed, "{}", session.name);
    }
}

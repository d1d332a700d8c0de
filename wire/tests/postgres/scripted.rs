//! Random sessions: the tracker, which sees only bytes, against the model of the server.

use bytes::Buf;
use proptest::prelude::*;
use wire::postgres::backend::Kind;
use wire::postgres::result::{Asker, Part, Request};

use crate::model::{Message, Server, Statement};
use crate::walk::Walk;

/// One turn of whoever is next.
#[derive(Debug, Clone)]
enum Turn {
    Send(Message, Asker),
    Serve(u8),
    Notice,
    Deliver(usize),
}

fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Statement::Rows),
        1 => (0..4_u8).prop_map(Statement::Suspends),
        1 => Just(Statement::Empty),
        1 => Just(Statement::Fails),
        3 => prop::bool::weighted(0.1).prop_map(|fails| Statement::CopiesIn { fails }),
        1 => (0..4_u8, prop::bool::weighted(0.2))
            .prop_map(|(rows, fails)| Statement::CopiesOut { rows, fails }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let fails = || prop::bool::weighted(0.1);
    let plain = prop::sample::select(&[
        Request::Parse,
        Request::Bind,
        Request::DescribeStatement,
        Request::DescribePortal,
        Request::Close,
        Request::FunctionCall,
    ]);
    prop_oneof![
        2 => fails().prop_map(|fails| Message::Unanswered { fails }),
        3 => prop::collection::vec(statement(), 1..4)
            .prop_map(|statements| Message::Run { request: Request::Query, statements }),
        4 => statement().prop_map(|statement| Message::Run {
            request: Request::Execute,
            statements: vec![statement],
        }),
        4 => (plain, fails()).prop_map(|(request, fails)| Message::Plain { request, fails }),
        4 => fails().prop_map(|fails| Message::Plain { request: Request::Sync, fails }),
        4 => fails().prop_map(|fails| Message::Plain { request: Request::CopyEnd, fails }),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let asker = prop_oneof![4 => Just(Asker::Client), 1 => Just(Asker::Guard)];
    prop_oneof![
        6 => (message(), asker).prop_map(|(message, asker)| Turn::Send(message, asker)),
        6 => (1..4_u8).prop_map(Turn::Serve),
        1 => Just(Turn::Notice),
        6 => (1..100_usize).prop_map(Turn::Deliver),
    ]
}

/// Both ends of a connection.
#[derive(Default)]
struct Session {
    server: Server,
    walk: Walk,
    askers: Vec<Asker>,
}

impl Session {
    /// Takes a turn. Whether the session goes on.
    fn take(&mut self, turn: &Turn) -> bool {
        match turn {
            Turn::Send(message, asker) => {
                let number = match message.request() {
                    Some(request) => {
                        self.askers.push(*asker);
                        self.walk.push(request, *asker)
                    }
                    None => u64::MAX,
                };
                self.server.receive(number, message.clone());
            }
            Turn::Serve(messages) => {
                for _ in 0..*messages {
                    self.server.serve();
                }
            }
            Turn::Notice => self.server.notice(),
            Turn::Deliver(bytes) => return self.deliver(*bytes),
        }
        true
    }

    /// Only where a COPY has failed may the tracker find itself out of step.
    fn deliver(&mut self, bytes: usize) -> bool {
        let bytes = bytes.min(self.server.out.len());
        let taken = self.walk.take(&self.server.out[..bytes], || 1 + bytes / 2);
        self.server.out.advance(bytes);
        assert!(taken.is_ok() || self.server.copy_failed, "{taken:?}");
        taken.is_ok()
    }

    /// What the tracker says is over must be so, whatever has happened.
    fn check_safe(&self) {
        if !self.walk.tracker.is_over() || self.walk.tracker.doubts() > 0 {
            return;
        }
        let mut server = self.server.clone();
        let before = server.sent.len();
        while server.serve() {}
        assert!(!server.skipping && !server.is_copying_in(), "others would be misled");
        assert!(server.dead || server.sent.len() == before, "others would get this answer");
        let unread = self.walk.kinds_with(&self.server.out);
        assert!(unread.iter().all(|kind| kind.is_asynchronous()), "others would get {unread:?}");
    }

    /// After all is read, both know the same.
    fn check_same(&self) {
        let (server, tracker) = (&self.server, &self.walk.tracker);
        assert_eq!(tracker.has_ended(), server.dead);
        if server.dead || server.copy_failed {
            return;
        }
        assert_eq!(tracker.doubts(), 0);
        assert_eq!(tracker.is_skipping(), server.skipping);
        assert_eq!(tracker.awaits_copy_data(), server.is_copying_in());
        assert_eq!(tracker.is_over(), !server.skipping && !server.is_copying_in());
    }

    /// Each message that decides something, or answers the guard, is an event, and no other.
    fn check_events(&self) {
        let seen = self.walk.events.iter().filter(|(_, event)| event.part == Part::Head);
        let mut seen = seen.map(|(_, event)| event).peekable();
        for &(kind, number) in &self.server.sent {
            if kind.is_asynchronous() {
                assert_eq!(seen.next().map(|event| event.kind), Some(kind));
                continue;
            }
            let asker = usize::try_from(number).ok().and_then(|number| self.askers.get(number));
            let decides = matches!(
                kind,
                Kind::ReadyForQuery
                    | Kind::ErrorResponse
                    | Kind::CommandComplete
                    | Kind::CopyInResponse
                    | Kind::CopyOutResponse
            );
            if decides || asker == Some(&Asker::Guard) {
                let event = seen.next().expect("an event for each message that decides");
                let request = event.answers.map(|answer| answer.request);
                assert_eq!(event.kind, kind);
                assert!(number == u64::MAX || request == Some(number), "{event:?} for {number}");
            }
        }
        assert!(seen.next().is_none());
    }
}

proptest! {
    #[test]
    fn scripted_sessions_agree_with_the_model(turns in prop::collection::vec(turn(), 1..80)) {
        let mut session = Session::default();
        for turn in &turns {
            if !session.take(turn) {
                return Ok(());
            }
            session.check_safe();
        }
        while session.server.serve() {}
        if session.deliver(usize::MAX) {
            session.check_safe();
            session.check_same();
            if !session.server.copy_failed {
                session.check_events();
            }
        }
        prop_assert!(session.server.dead || session.server.has_nothing_to_read());
    }
}

use bytes::BytesMut;

use super::*;
use crate::postgres::backend::{
    Notice, TransactionStatus, put_bare, put_command_complete, put_copy_response, put_data_row,
    put_error, put_parameter_status, put_ready_for_query,
};
use crate::postgres::frame::put_message;
use crate::postgres::list::Format;

use Request::{Bind, CopyEnd, Execute, FunctionCall, Parse, Query, Sync};

/// Messages by their kind, each with the least that it must have.
fn messages(kinds: &str) -> BytesMut {
    let mut out = BytesMut::new();
    for byte in kinds.bytes() {
        match Kind::try_from(byte).unwrap() {
            Kind::ReadyForQuery => put_ready_for_query(&mut out, TransactionStatus::Idle),
            Kind::ErrorResponse => error(&mut out, Severity::Error, b""),
            Kind::CommandComplete => put_command_complete(&mut out, b"SELECT 1"),
            Kind::ParameterStatus => put_parameter_status(&mut out, b"a", b"b"),
            kind @ (Kind::CopyInResponse | Kind::CopyOutResponse | Kind::CopyBothResponse) => {
                put_copy_response(&mut out, kind, Format::Text, 1);
            }
            Kind::DataRow => put_data_row(&mut out, &[Some(b"1")]),
            kind => put_message(&mut out, byte, &vec![0; *kind.body_len().start()]),
        }
    }
    out
}

fn error(out: &mut BytesMut, severity: Severity, message: &[u8]) {
    put_error(out, &Notice { severity, code: *b"XX000", message, detail: None, hint: None });
}

/// A tracker that a client has sent these through.
fn sent(requests: &[Request]) -> Tracker {
    let mut tracker = Tracker::new();
    for request in requests {
        tracker.push(*request, Asker::Client).unwrap();
    }
    tracker
}

/// Scans all of `bytes`, and notes the kinds of events.
fn scan(tracker: &mut Tracker, bytes: &[u8]) -> Result<String, Malformed> {
    let (mut at, mut kinds) = (0, String::new());
    loop {
        let scan = tracker.scan(&bytes[at..])?;
        at += scan.len;
        let Some(event) = scan.event else { break };
        kinds.push(event.kind.byte().into());
        at += event.bytes;
    }
    assert_eq!(at, bytes.len());
    Ok(kinds)
}

#[test]
fn an_idle_connection_may_be_told_things() {
    let mut tracker = Tracker::new();
    assert_eq!(scan(&mut tracker, &messages("NAS")), Ok("NAS".into()));
    assert!(tracker.is_over());
}

#[test]
fn one_call_walks_all_that_decides_nothing() {
    let mut tracker = sent(&[Parse, Bind, Request::DescribePortal, Execute, Sync]);
    let reply = messages("12TDDDDCZ");
    let rows = messages("12TDDDD").len();
    let Scan { len, event } = tracker.scan(&reply).unwrap();
    assert_eq!((len, event.unwrap().kind, tracker.rows()), (rows, Kind::CommandComplete, 4));
}

#[test]
fn what_cannot_come_is_malformed() {
    let check = |requests: &[Request], kinds: &str| {
        let (last, before) = (kinds.len() - 1, &kinds[..kinds.len() - 1]);
        let mut tracker = sent(requests);
        assert!(scan(&mut tracker, &messages(before)).is_ok(), "{before} to {requests:?}");
        let taken = scan(&mut tracker, &messages(&kinds[last..]));
        assert!(taken.is_err(), "{kinds} to {requests:?}");
    };
    for nothing in ["Z", "D", "T", "C", "1", "2", "3", "t", "n", "s", "I", "V", "G", "d", "R", "K"]
    {
        check(&[], nothing);
    }
    check(&[], "E");
    check(&[Query], "Z");
    check(&[Query], "D");
    check(&[Query], "TDZ");
    check(&[Query], "1");
    check(&[Query], "s");
    check(&[Query], "CZZ");
    check(&[Query], "ET");
    check(&[Query], "GC");
    check(&[Query], "HdC");
    check(&[Query], "HZ");
    check(&[Query], "HcZ");
    check(&[Query], "WZ");
    check(&[Parse], "2");
    check(&[Parse, Sync], "EE1");
    check(&[Parse], "EZ");
    check(&[Bind], "1");
    check(&[Request::DescribeStatement], "T");
    check(&[Request::DescribeStatement], "tt");
    check(&[Request::DescribePortal], "t");
    check(&[Execute], "T");
    check(&[Execute], "W");
    check(&[Execute], "DZ");
    check(&[Execute], "CC");
    check(&[Sync], "1");
    check(&[Sync], "EC");
    check(&[FunctionCall], "Z");
    check(&[FunctionCall], "VV");
    check(&[CopyEnd], "C");
}

#[test]
fn impossible_lengths_are_malformed() {
    for bytes in
        [&b"Z\0\0\0\x04"[..], b"Z\0\0\0\x06", b"1\0\0\0\x05", b"C\0\x01\0\0", b"D\0\0\0\x03"]
    {
        assert!(sent(&[Query]).scan(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn an_events_message_is_taken_whole_or_not_at_all() {
    let reply = messages("C");
    let mut tracker = sent(&[Query]);
    for have in 0..reply.len() {
        assert_eq!(tracker.scan(&reply[..have]), Ok(Scan { len: 0, event: None }));
        assert_eq!(tracker.needs(), if have < HEADER_LEN { HEADER_LEN } else { reply.len() });
    }
    assert!(tracker.scan(&reply).unwrap().event.is_some());
}

#[test]
fn a_long_row_is_never_whole() {
    let mut tracker = sent(&[Execute]);
    let mut row = BytesMut::new();
    Header { kind: b'D', len: 1_000_000_000 }.put(&mut row);
    assert_eq!(tracker.scan(&row).unwrap().len, HEADER_LEN);
    for _ in 0..1_000 {
        assert_eq!(tracker.needs(), 1);
        assert_eq!(tracker.scan(&[0; 1_000_000]), Ok(Scan { len: 1_000_000, event: None }));
    }
    assert_eq!(scan(&mut tracker, &messages("C")), Ok("C".into()));
    assert_eq!((tracker.rows(), tracker.is_over()), (1, true));
}

/// An error that quotes a megabyte of its statement, then the end of the reply.
fn long_error() -> (BytesMut, usize) {
    let mut reply = BytesMut::new();
    error(&mut reply, Severity::Error, &vec![b'x'; 1 << 20]);
    let len = reply.len();
    reply.extend_from_slice(&messages("Z"));
    (reply, len)
}

#[test]
fn of_a_long_error_the_client_gets_the_rest_unread() {
    let (reply, len) = long_error();
    let mut tracker = sent(&[Query]);
    assert_eq!(tracker.scan(&reply[..HEAD_MAX - 1]), Ok(Scan { len: 0, event: None }));
    assert_eq!(tracker.needs(), HEAD_MAX);
    let event = tracker.scan(&reply[..HEAD_MAX + 7]).unwrap().event.unwrap();
    assert_eq!((event.kind, event.part), (Kind::ErrorResponse, Part::Head));
    assert_eq!((event.bytes, event.rest), (HEAD_MAX, len - HEAD_MAX));
    assert!(!tracker.is_over());
    let Scan { len: passed, event } = tracker.scan(&reply[HEAD_MAX..]).unwrap();
    assert_eq!((passed, event.unwrap().kind), (len - HEAD_MAX, Kind::ReadyForQuery));
}

#[test]
fn of_a_long_error_the_guard_is_shown_the_rest() {
    let (reply, len) = long_error();
    let mut tracker = Tracker::new();
    tracker.push(Query, Asker::Guard).unwrap();
    let (mut at, mut shown) = (0, 0);
    while let Some(event) = tracker.scan(&reply[at..reply.len().min(at + 50_000)]).unwrap().event {
        at += event.bytes;
        if event.kind == Kind::ErrorResponse {
            shown += event.bytes;
            assert_eq!(event.part == Part::Head, at == HEAD_MAX);
            assert_eq!(event.rest, len - at);
        }
    }
    assert_eq!((shown, at), (len, reply.len()));
    assert!(tracker.is_over());
}

#[test]
fn a_fatal_error_ends_the_connection_whatever_was_expected() {
    for requests in [&[][..], &[Query], &[Parse, Sync], &[Sync, Sync]] {
        let mut tracker = sent(requests);
        let mut fatal = BytesMut::new();
        error(&mut fatal, Severity::Fatal, b"terminating connection");
        assert_eq!(scan(&mut tracker, &fatal), Ok("E".into()));
        assert!(tracker.has_ended() && !tracker.is_over());
        assert!(scan(&mut tracker, &messages("N")).is_err());
    }
}

#[test]
fn requests_are_counted_even_if_they_are_skipped() {
    let mut tracker = sent(&[Parse]);
    assert_eq!(scan(&mut tracker, &messages("E")), Ok("E".into()));
    assert!(tracker.is_skipping() && !tracker.is_over());
    assert_eq!(tracker.push(Bind, Asker::Client), Ok(1));
    assert_eq!(tracker.push(Query, Asker::Client), Ok(2));
    assert_eq!(tracker.push(Sync, Asker::Client), Ok(3));
    assert_eq!(tracker.push(Query, Asker::Client), Ok(4));
    assert_eq!(tracker.outstanding(), 2);
    let reply = messages("ZCZ");
    let answers = tracker.scan(&reply).unwrap().event.unwrap().answers;
    assert_eq!(answers, Some(Answer { request: 3, asker: Asker::Client }));
    assert_eq!(scan(&mut tracker, &reply[6..]), Ok("CZ".into()));
    assert!(tracker.is_over());
}

#[test]
fn the_guards_own_requests_stand_between_the_clients() {
    let mut tracker = Tracker::new();
    for (request, asker) in [
        (Parse, Asker::Guard),
        (Bind, Asker::Client),
        (Execute, Asker::Client),
        (Sync, Asker::Client),
    ] {
        tracker.push(request, asker).unwrap();
    }
    assert_eq!(scan(&mut tracker, &messages("12DDCZ")), Ok("1CZ".into()));
    assert!(tracker.is_over());
}

#[test]
fn what_ends_no_copy_is_ignored() {
    let mut tracker = sent(&[CopyEnd, CopyEnd]);
    assert!(tracker.is_over());
    assert_eq!(tracker.push(Query, Asker::Client), Ok(2));
    tracker.push(CopyEnd, Asker::Client).unwrap();
    assert_eq!(scan(&mut tracker, &messages("TDCZ")), Ok("CZ".into()));
    assert!(tracker.is_over());
}

#[test]
fn a_copy_waits_for_its_end() {
    let mut tracker = sent(&[Query]);
    assert!(!tracker.awaits_copy_data());
    scan(&mut tracker, &messages("G")).unwrap();
    assert!(tracker.awaits_copy_data());
    tracker.push(CopyEnd, Asker::Client).unwrap();
    assert!(!tracker.awaits_copy_data());
    assert_eq!(scan(&mut tracker, &messages("CZ")), Ok("CZ".into()));
}

#[test]
fn a_sync_that_a_failed_copy_may_have_taken_is_doubted_until_something_else_comes() {
    let mut tracker = sent(&[Execute, Sync]);
    scan(&mut tracker, &messages("G")).unwrap();
    tracker.push(CopyEnd, Asker::Client).unwrap();
    tracker.push(Sync, Asker::Client).unwrap();
    assert_eq!(scan(&mut tracker, &messages("EZ")), Ok("EZ".into()));
    assert_eq!((tracker.is_over(), tracker.doubts()), (true, 1));
    // The first Sync is answered after all, or not: both are in step.
    for (reply, events) in [("I", "I"), ("ZI", "ZI")] {
        let mut tracker = tracker.clone();
        tracker.push(Query, Asker::Guard).unwrap();
        assert_eq!(scan(&mut tracker, &messages(reply)), Ok(events.into()));
        assert_eq!((tracker.is_over(), tracker.doubts()), (false, 0));
        assert_eq!(scan(&mut tracker, &messages("Z")), Ok("Z".into()));
        assert!(tracker.is_over());
    }
}

#[test]
fn the_queue_is_bounded_and_does_not_grow_again() {
    let mut tracker = sent(&[Sync; QUEUE_MAX]);
    assert_eq!(tracker.push(Sync, Asker::Client), Err(Full));
    assert_eq!(tracker.outstanding(), QUEUE_MAX);
    let room = tracker.queue.capacity();
    let mut ready = BytesMut::new();
    (0..QUEUE_MAX).for_each(|_| put_ready_for_query(&mut ready, TransactionStatus::Idle));
    scan(&mut tracker, &ready).unwrap();
    assert!(tracker.is_over());
    for _ in 0..QUEUE_MAX {
        tracker.push(Sync, Asker::Client).unwrap();
    }
    assert_eq!(tracker.queue.capacity(), room);
}

#[test]
fn syncs_that_a_copy_takes_fill_no_queue() {
    let mut tracker = sent(&[Query]);
    scan(&mut tracker, &messages("G")).unwrap();
    for number in 0..2 * QUEUE_MAX as u64 {
        assert_eq!(tracker.push(Sync, Asker::Client), Ok(1 + number));
    }
    tracker.push(CopyEnd, Asker::Client).unwrap();
    assert_eq!(scan(&mut tracker, &messages("CZ")), Ok("CZ".into()));
    assert_eq!((tracker.is_over(), tracker.doubts()), (true, 0));
    assert_eq!(tracker.push(Query, Asker::Client), Ok(2 + 2 * QUEUE_MAX as u64));
}

#[test]
fn bare_messages_of_a_server_are_passed() {
    let mut reply = BytesMut::new();
    put_bare(&mut reply, Kind::EmptyQueryResponse);
    put_ready_for_query(&mut reply, TransactionStatus::Idle);
    assert_eq!(scan(&mut sent(&[Query]), &reply), Ok("Z".into()));
}

#[test]
fn what_the_guard_gives_has_its_place_between_the_replies() {
    let mut tracker = sent(&[Bind, Request::GivenParse, Execute, Request::GivenClose, Sync]);
    assert_eq!(tracker.scan(b"").unwrap().event, None);
    let reply = messages("2DCZ");
    let first = tracker.scan(&reply).unwrap();
    let given = first.event.unwrap();
    assert_eq!((first.len, given.kind, given.bytes), (5, Kind::ParseComplete, 0));
    assert_eq!(given.answers, Some(Answer { request: 1, asker: Asker::Guard }));
    assert_eq!(scan(&mut tracker, &reply[5..]), Ok("C3Z".into()));
    assert!(tracker.is_over());
}

#[test]
fn nothing_is_given_behind_an_error() {
    let mut tracker = sent(&[Parse, Request::GivenParse, Sync, Request::GivenClose, Sync]);
    assert_eq!(scan(&mut tracker, &messages("EZ")), Ok("EZ3".into()));
    assert_eq!(scan(&mut tracker, &messages("Z")), Ok("Z".into()));
    assert!(tracker.is_over());
}

#[test]
fn what_is_first_is_given_at_once() {
    let mut tracker = sent(&[Request::GivenParse, Bind, Sync]);
    let given = tracker.scan(b"").unwrap();
    assert_eq!((given.len, given.event.unwrap().kind), (0, Kind::ParseComplete));
    assert_eq!(scan(&mut tracker, &messages("2Z")), Ok("Z".into()));
}

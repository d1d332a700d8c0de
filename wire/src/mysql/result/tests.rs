use bytes::BytesMut;

use super::*;
use crate::mysql::frame::put_packet;

const LEGACY: Capabilities = Capabilities::PROTOCOL_41;
const MODERN: Capabilities = Capabilities(LEGACY.0 | Capabilities::DEPRECATE_EOF.0);

const LAST_OK: &[u8] = b"\0\0\0\x02\0\0\0";
const LAST_EOF_OK: &[u8] = b"\xFE\0\0\x02\0\0\0";
const DEFINITION: &[u8] = b"\x03def\0\0\0\x01x\0\x0C";

fn packets(payloads: &[&[u8]]) -> BytesMut {
    let mut out = BytesMut::new();
    payloads.iter().fold(1, |seq, payload| put_packet(&mut out, seq, payload));
    out
}

/// Scans a reply that needs one scan: the bytes before its only event, and the event.
fn only(command: Command, caps: Capabilities, payloads: &[&[u8]]) -> (usize, Event) {
    let mut tracker = Tracker::new(command, caps);
    let Scan { len, event } = tracker.scan(&packets(payloads)).unwrap();
    assert!(tracker.is_over());
    (len, event.unwrap())
}

#[test]
fn commands_without_a_reply_are_over_from_the_start() {
    for command in [Command::Quit, Command::StmtClose, Command::StmtSendLongData] {
        let mut tracker = Tracker::new(command, MODERN);
        assert!(!tracker.expects_reply() && tracker.is_over());
        let next = packets(&[LAST_OK]);
        assert_eq!(tracker.scan(&next), Ok(Scan { len: 0, event: None }));
    }
    assert!(Tracker::new(Command::Ping, MODERN).expects_reply());
}

/// MySQL 9.7 to a client without `DEPRECATE_EOF`: the EOF behind OUT values says that nothing follows.
#[test]
fn the_ok_of_a_procedure_follows_its_out_values() {
    let reply = packets(&[
        b"\x01",
        DEFINITION,
        b"\xFE\0\0\x0A\x10",
        b"\0\0\x01",
        b"\xFE\0\0\x02\0",
        LAST_OK,
    ]);
    let mut tracker = Tracker::new(Command::StmtExecute, LEGACY);
    let (mut at, mut ends) = (0, 0);
    while !tracker.is_over() {
        let Scan { len, event } = tracker.scan(&reply[at..]).unwrap();
        let packet = match event.unwrap() {
            Event::Eof { packet, last, .. } => {
                assert!(!last);
                packet
            }
            Event::Ok { packet, last } => {
                assert!(last);
                packet
            }
            other => panic!("{other:?}"),
        };
        ends += 1;
        at += len + packet;
    }
    assert_eq!((at, ends), (reply.len(), 3));
}

#[test]
fn replies_that_are_dialogues_or_never_end_are_refused() {
    for command in [
        Command::ChangeUser,
        Command::BinlogDump,
        Command::BinlogDumpGtid,
        Command::TableDump,
        Command::Clone,
        Command::SubscribeGroupReplicationStream,
    ] {
        assert!(Tracker::new(command, MODERN).scan(&packets(&[LAST_OK])).is_err(), "{command:?}");
    }
}

#[test]
fn a_local_file_is_waited_for() {
    let mut tracker = Tracker::new(Command::Query, MODERN);
    let ask = packets(&[b"\xFBfile"]);
    let event = Some(Event::LocalInfile { packet: 9 });
    assert_eq!(tracker.scan(&ask), Ok(Scan { len: 0, event }));
    assert_eq!(tracker.scan(b""), Ok(Scan { len: 0, event: None }));
    assert!(tracker.clone().scan(&packets(&[LAST_OK])).is_err(), "before the file is sent");
    let failed = packets(&[b"\xFF\x15\x04#HY000killed"]);
    let event = Some(Event::Err { packet: failed.len() });
    assert_eq!(tracker.clone().scan(&failed), Ok(Scan { len: 0, event }));
    tracker.infile_sent();
    let event = Some(Event::Ok { packet: 11, last: true });
    assert_eq!(tracker.scan(&packets(&[LAST_OK])), Ok(Scan { len: 0, event }));
}

#[test]
fn rows_of_16_mib_and_more_pass_by_their_length() {
    let check = |row: Vec<u8>, caps, end: &[u8]| {
        let reply = packets(&[b"\x01", DEFINITION, &row, &row, end]);
        let mut tracker = Tracker::new(Command::Query, caps | Capabilities::DEPRECATE_EOF);
        let scan = tracker.scan(&reply).unwrap();
        assert_eq!(scan.len, reply.len() - HEADER_LEN - end.len());
        assert!(scan.event.is_some() && tracker.is_over());
        assert_eq!(tracker.rows(), 2);
    };
    // A value of 16 MiB has 0xFE in front; its continuation may start with anything.
    let mut long = vec![0xFF; MAX_PAYLOAD + 9];
    long[0] = 0xFE;
    check(long.clone(), LEGACY, LAST_EOF_OK);
    long.truncate(MAX_PAYLOAD);
    check(long, LEGACY, LAST_EOF_OK);
    check(vec![7; MAX_PAYLOAD - 1], LEGACY, LAST_EOF_OK);
}

#[test]
fn a_row_in_flight_takes_no_memory() {
    let mut tracker = Tracker::new(Command::StmtFetch, MODERN);
    let head = [0xFF, 0xFF, 0xFF, 1, 0];
    assert_eq!(tracker.scan(&head), Ok(Scan { len: 5, event: None }));
    let piece = vec![0xFE; 1 << 16];
    for _ in 0..255 {
        assert_eq!(tracker.scan(&piece), Ok(Scan { len: piece.len(), event: None }));
        assert_eq!(tracker.needs(), 1);
    }
}

#[test]
fn without_deprecate_eof_only_a_short_packet_ends_rows() {
    let eof = b"\xFE\0\0\x02\0";
    let row = b"\xFE\x08\0\0\0\0\0\0\0longenough";
    let reply = [&b"\x01"[..], DEFINITION, eof, row, eof];
    let all = packets(&reply);
    let mut tracker = Tracker::new(Command::Query, LEGACY);
    let first = tracker.scan(&all).unwrap();
    let status = Status::AUTOCOMMIT;
    let event = Event::Eof { packet: 9, last: false, status, warnings: 0 };
    assert_eq!(first.event, Some(event));
    let rest = tracker.scan(&all[first.len + 9..]).unwrap();
    assert_eq!(rest.len, HEADER_LEN + row.len());
    assert_eq!(rest.event, Some(Event::Eof { packet: 9, last: true, status, warnings: 0 }));
    assert_eq!(tracker.rows(), 1);
}

#[test]
fn optional_metadata_may_be_omitted() {
    let caps = MODERN | Capabilities::OPTIONAL_RESULTSET_METADATA;
    let end = Event::Ok { packet: 11, last: true };
    let omitted = [&b"\x02\0"[..], b"\x011\x012", LAST_EOF_OK];
    assert_eq!(only(Command::Query, caps, &omitted), (6 + 8, end));
    let full = [&b"\x01\x01"[..], DEFINITION, b"\x011", LAST_EOF_OK];
    assert_eq!(only(Command::Query, caps, &full), (6 + 4 + DEFINITION.len() + 6, end));

    let head = Event::PrepareOk { packet: 17, last: true };
    let omitted = b"\0\x01\0\0\0\x02\0\x01\0\0\0\0\0";
    assert_eq!(only(Command::StmtPrepare, caps, &[omitted]), (0, head));
}

#[test]
fn only_an_execute_ends_with_its_cursor() {
    let cursor = b"\xFE\0\0\x42\0";
    let status = Status::CURSOR_EXISTS.with(Status::AUTOCOMMIT);
    let reply = [&b"\x01"[..], DEFINITION, cursor];
    let end = Event::Eof { packet: 9, last: true, status, warnings: 0 };
    assert_eq!(only(Command::StmtExecute, LEGACY, &reply), (5 + 4 + DEFINITION.len(), end));
    let mut query = Tracker::new(Command::Query, LEGACY);
    let event = Event::Eof { packet: 9, last: false, status, warnings: 0 };
    assert_eq!(query.scan(&packets(&reply)).unwrap().event, Some(event));
}

#[test]
fn an_error_ends_a_reply_wherever_it_comes() {
    let error = &b"\xFF\x25\x05#70100killed"[..];
    for reply in [
        &[error][..],
        &[b"\x02", error],
        &[b"\x02", DEFINITION, error],
        &[b"\x01", DEFINITION, b"\x011", error],
    ] {
        let (_, event) = only(Command::Query, MODERN, reply);
        assert_eq!(event, Event::Err { packet: HEADER_LEN + error.len() });
    }
}

#[test]
fn a_control_packet_is_taken_whole_or_not_at_all() {
    let reply = packets(&[LAST_OK]);
    let mut tracker = Tracker::new(Command::Query, MODERN);
    for (have, needs) in [(0, 4), (3, 4), (4, 5), (5, 11), (10, 11)] {
        assert_eq!(tracker.scan(&reply[..have]), Ok(Scan { len: 0, event: None }));
        assert_eq!(tracker.needs(), needs);
    }
    assert!(tracker.scan(&reply).unwrap().event.is_some());
}

#[test]
fn what_cannot_stand_there_is_malformed() {
    let check = |command, caps, payloads: &[&[u8]]| {
        let mut tracker = Tracker::new(command, caps);
        assert!(tracker.scan(&packets(payloads)).is_err(), "{command:?} {payloads:?}");
    };
    check(Command::Query, MODERN, &[b""]);
    check(Command::Query, MODERN, &[b"\0\0"]);
    check(Command::Query, MODERN, &[b"\x01\x02"]);
    check(Command::Query, MODERN | Capabilities::CACHE_METADATA, &[b"\x01"]);
    check(Command::Query, MODERN | Capabilities::CACHE_METADATA, &[b"\x01\x02"]);
    check(Command::Query, MODERN, &[b"\x01", DEFINITION, b"\xFE\0\0"]);
    check(Command::Query, MODERN, &[b"\x01", DEFINITION, b""]);
    check(Command::Query, MODERN, &[b"\xFF\x01"]);
    check(Command::Ping, MODERN, &[b"\x01"]);
    check(Command::Ping, MODERN, &[b"\xFBfile"]);
    check(Command::StmtPrepare, MODERN, &[LAST_OK]);
    check(Command::StmtPrepare, MODERN, &[b"\x01"]);
    check(Command::Query, MODERN, &[&[0; MAX_PAYLOAD]]);
}

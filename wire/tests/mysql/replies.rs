use wire::mysql::Capabilities;
use wire::mysql::frame::{HEADER_LEN, Header};
use wire::mysql::result::Event;

use crate::captured::{Capture, captures};
use crate::walk::{is_last, walk, walk_whole};

/// Every capture but LOCAL INFILE holds a whole reply.
fn whole() -> impl Iterator<Item = Capture> {
    captures().filter(|capture| capture.name != "LOAD DATA LOCAL INFILE")
}

#[test]
fn every_captured_reply_is_over_at_its_last_byte_and_not_before() {
    for Capture { name, caps, command, bytes } in whole() {
        let seen = walk_whole(command, caps, bytes).unwrap();
        assert!(seen.over, "{name} {caps:?}: {seen:?}");
        assert_eq!(seen.consumed, bytes.len(), "{name} {caps:?}");
        let (last, before) = seen.events.split_last().unwrap();
        assert!(is_last(last.1), "{name}");
        assert!(!before.iter().any(|(_, event)| is_last(*event)), "{name}");
    }
}

#[test]
fn every_captured_reply_reads_the_same_in_pieces_of_any_length() {
    for Capture { name, caps, command, bytes } in captures() {
        let seen = walk_whole(command, caps, bytes).unwrap();
        for len in 1..=bytes.len() {
            let pieces = walk(command, caps, bytes, || len).unwrap();
            assert_eq!(pieces, seen, "{name} {caps:?} in pieces of {len}");
        }
    }
}

#[test]
fn a_captured_reply_that_is_cut_is_not_over() {
    for Capture { name, caps, command, bytes } in whole() {
        for len in 0..bytes.len() {
            assert!(!walk_whole(command, caps, &bytes[..len]).unwrap().over, "{name} at {len}");
        }
    }
}

#[test]
fn what_follows_a_reply_is_left_for_the_next_one() {
    for Capture { name, caps, command, bytes } in whole() {
        for next in captures().step_by(7) {
            let both = [bytes, next.bytes].concat();
            assert_eq!(walk_whole(command, caps, &both).unwrap().consumed, bytes.len(), "{name}");
        }
    }
}

/// The events of a capture in short: where each packet stands (counted in packets, from 0), and
/// what it is. `.` marks the last.
fn events(name: &str, deprecates_eof: bool) -> String {
    let capture = captures()
        .find(|capture| {
            capture.name == name
                && capture.caps.contains(Capabilities::DEPRECATE_EOF) == deprecates_eof
        })
        .expect("a capture has this name");
    let seen = walk_whole(capture.command, capture.caps, capture.bytes)
        .expect("a real server's reply is well-formed");
    let short = |(at, event): &(usize, Event)| {
        let word = match event {
            Event::Ok { .. } => "ok",
            Event::Eof { .. } => "eof",
            Event::Err { .. } => "err",
            Event::PrepareOk { .. } => "prepared",
            Event::LocalInfile { .. } => "file",
            Event::Done { .. } => "done",
        };
        let end = if is_last(*event) { "." } else { "" };
        format!("{} {word}{end}", packets(&capture.bytes[..*at]))
    };
    seen.events.iter().map(short).collect::<Vec<_>>().join(", ")
}

fn packets(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(Header { len, .. }) = Header::peek(bytes) {
        bytes = &bytes[HEADER_LEN + len..];
        count += 1;
    }
    count
}

#[test]
fn events_stand_where_the_manual_says() {
    let check = |name, legacy, modern| {
        assert_eq!(events(name, false), legacy, "{name}, legacy");
        assert_eq!(events(name, true), modern, "{name}, modern");
    };
    check("INSERT", "0 ok.", "0 ok.");
    check("ERR", "0 err.", "0 err.");
    check("SELECT", "3 eof, 5 eof.", "4 ok.");
    check("SELECT nothing", "2 eof, 3 eof.", "2 ok.");
    check(
        "multi-statement, the last is wrong",
        "2 eof, 4 eof, 5 ok, 8 eof, 10 eof, 11 err.",
        "3 ok, 4 ok, 8 ok, 9 err.",
    );
    check("CALL with two results", "2 eof, 4 eof, 7 eof, 9 eof, 10 ok.", "3 ok, 7 ok, 8 ok.");
    check("STATISTICS", "0 done.", "0 done.");
    check("PING", "0 ok.", "0 ok.");
    check("SET_OPTION", "0 eof.", "0 ok.");
    check("DEBUG", "0 eof.", "0 ok.");
    check("FIELD_LIST", "2 eof.", "2 ok.");
    check("PREPARE", "0 prepared, 2 eof, 5 eof.", "0 prepared, 4 done.");
    check("PREPARE without columns", "0 prepared, 2 eof.", "0 prepared, 2 done.");
    check("PREPARE without definitions", "0 prepared.", "0 prepared.");
    check("PREPARE, ERR", "0 err.", "0 err.");
    check("EXECUTE with a cursor", "3 eof.", "3 ok.");
    check("FETCH", "2 eof.", "2 ok.");
    check("LOAD DATA LOCAL INFILE", "0 file", "0 file");
}

#[test]
fn cached_metadata_is_left_out_and_found_missing() {
    let extended = |name| {
        let caps = Capabilities::CACHE_METADATA;
        captures()
            .filter(move |capture| capture.name == name && capture.caps.contains(caps))
            .map(|capture| walk_whole(capture.command, capture.caps, capture.bytes).unwrap().rows)
            .collect::<Vec<_>>()
    };
    assert_eq!(extended("EXECUTE again"), [6, 3]);
    assert_eq!(extended("BULK_EXECUTE RETURNING"), [2, 2]);
}

#[test]
fn a_progress_report_is_passed_on_and_is_no_error() {
    let capture = captures().find(|capture| capture.name == "ALTER TABLE with progress").unwrap();
    let seen = walk_whole(capture.command, capture.caps, capture.bytes).unwrap();
    assert!(matches!(seen.events[..], [(27, Event::Ok { last: true, .. })]), "{seen:?}");
    let without = capture.caps.without(Capabilities::PROGRESS);
    let seen = walk_whole(capture.command, without, capture.bytes).unwrap();
    assert!(matches!(seen.events[..], [(0, Event::Err { .. })]), "{seen:?}");
}

use bytes::{BufMut, BytesMut};

use super::super::frame::{HEADER_LEN, Header};
use super::super::list::Format;
use super::*;

fn written(put: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    put(&mut out);
    let header = Header::peek(&out).unwrap().unwrap();
    assert_eq!(header.message_len(), out.len());
    assert!(Kind::of(header).is_ok());
    out
}

/// Each shortening and each longer body of a message must be refused by `parses`.
fn exact(body: &[u8], parses: impl Fn(&[u8]) -> bool) {
    assert!(parses(body));
    for len in 0..body.len() {
        assert!(!parses(&body[..len]), "{len} of {body:?}");
    }
    assert!(!parses(&[body, b"\0"].concat()));
}

#[test]
fn every_kind_is_known_by_its_byte_and_its_length() {
    let all = *b"BCdcfDEHFPpQSX";
    for byte in 0..=u8::MAX {
        assert_eq!(Kind::try_from(byte).is_ok(), all.contains(&byte), "{byte}");
    }
    for byte in all {
        let kind = Kind::try_from(byte).unwrap();
        assert_eq!(kind.byte(), byte);
        let (low, high) = kind.body_len().into_inner();
        assert!(Kind::of(Header { kind: byte, len: low }).is_ok());
        assert!(Kind::of(Header { kind: byte, len: high }).is_ok());
        assert!(Kind::of(Header { kind: byte, len: high + 1 }).is_err());
        assert!(low == 0 || Kind::of(Header { kind: byte, len: low - 1 }).is_err());
    }
    assert!(Kind::Flush.is_extended() && !Kind::Sync.is_extended() && !Kind::Query.is_extended());
}

#[test]
fn a_query_is_one_text() {
    let query = written(|out| put_query(out, b"select 1"));
    assert_eq!(&query[..], b"Q\0\0\0\x0Dselect 1\0");
    assert_eq!(query_text(&query[5..]), Ok(&b"select 1"[..]));
    exact(&query[5..], |body| query_text(body).is_ok());
}

#[test]
fn a_parse_has_name_text_and_types() {
    let message = written(|out| put_parse(out, b"s1", b"select $1", &[23, 0]));
    assert_eq!(&message[..], b"P\0\0\0\x1Bs1\0select $1\0\0\x02\0\0\0\x17\0\0\0\0");
    let parse = ParseMessage::parse(&message[5..]).unwrap();
    assert_eq!((parse.name, parse.sql), (&b"s1"[..], &b"select $1"[..]));
    assert_eq!(parse.types.as_bytes(), b"\0\0\0\x17\0\0\0\0");
    assert_eq!(parse.types.collect::<Vec<_>>(), [23, 0]);
    exact(&message[5..], |body| ParseMessage::parse(body).is_ok());
}

#[test]
fn a_bind_has_names_formats_and_values() {
    let values = [Some(&b"42"[..]), None, Some(b"")];
    let message = written(|out| put_bind(out, b"p", b"s", &values, Format::Binary));
    let expect: &[u8] =
        b"B\0\0\0\x1Ep\0s\0\0\0\0\x03\0\0\0\x0242\xFF\xFF\xFF\xFF\0\0\0\0\0\x01\0\x01";
    assert_eq!(&message[..], expect);
    let bind = Bind::parse(&message[5..]).unwrap();
    assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s"[..]));
    assert_eq!(bind.values.len(), 3);
    assert_eq!(bind.values.collect::<Vec<_>>(), values);
    assert_eq!((bind.formats.len(), bind.formats.of(2)), (0, Some(Format::Text)));
    assert_eq!(bind.result_formats.of(7), Some(Format::Binary), "one stands for all");
    exact(&message[5..], |body| Bind::parse(body).is_ok());
    assert!(Bind::parse(b"\0\0\0\x01\0\x02\0\0\0\0").is_err(), "an unknown format");
    assert!(Bind::parse(b"\0\0\0\0\0\x01\xFF\xFF\xFF\xFE\0\0").is_err(), "a negative length");
    let two = Bind::parse(b"\0\0\0\x02\0\0\0\x01\0\0\0\0").unwrap().formats;
    assert_eq!([two.of(0), two.of(1), two.of(2)], [Some(Format::Text), Some(Format::Binary), None]);
}

#[test]
fn targets_are_statements_or_portals() {
    let describe = written(|out| put_describe(out, Target::Statement(b"s1")));
    assert_eq!(&describe[..], b"D\0\0\0\x08Ss1\0");
    let close = written(|out| put_close(out, Target::Portal(b"")));
    assert_eq!(&close[..], b"C\0\0\0\x06P\0");
    assert_eq!(Target::parse(&describe[5..]), Ok(Target::Statement(b"s1")));
    assert_eq!(Target::parse(&close[5..]), Ok(Target::Portal(b"")));
    exact(&describe[5..], |body| Target::parse(body).is_ok());
    assert!(Target::parse(b"X\0").is_err());
}

#[test]
fn an_execute_has_a_portal_and_a_bound() {
    let message = written(|out| put_execute(out, b"c1", 100));
    assert_eq!(&message[..], b"E\0\0\0\x0Bc1\0\0\0\0\x64");
    assert_eq!(Execute::parse(&message[5..]), Ok(Execute { portal: b"c1", rows_max: 100 }));
    exact(&message[5..], |body| Execute::parse(body).is_ok());
}

#[test]
fn a_function_call_has_arguments() {
    let values = [Some(&b"\0\0\0\x07"[..]), None];
    let message = written(|out| put_function_call(out, 957, &values, Format::Binary));
    let call = FunctionCall::parse(&message[5..]).unwrap();
    assert_eq!((call.function, call.result_format), (957, Format::Binary));
    assert_eq!(call.values.collect::<Vec<_>>(), values);
    exact(&message[5..], |body| FunctionCall::parse(body).is_ok());
}

#[test]
fn the_rest_is_short() {
    assert_eq!(&written(put_flush)[..], b"H\0\0\0\x04");
    assert_eq!(&written(put_sync)[..], b"S\0\0\0\x04");
    assert_eq!(&written(put_terminate)[..], b"X\0\0\0\x04");
    assert_eq!(&written(put_copy_done)[..], b"c\0\0\0\x04");
    assert_eq!(&written(|out| put_copy_data(out, b"1\t2\n"))[..], b"d\0\0\0\x081\t2\n");
    let fail = written(|out| put_copy_fail(out, b"no more"));
    assert_eq!(&fail[..], b"f\0\0\0\x0Cno more\0");
    assert_eq!(copy_fail_reason(&fail[5..]), Ok(&b"no more"[..]));
    exact(&fail[5..], |body| copy_fail_reason(body).is_ok());
}

/// Renames, and puts what follows behind.
fn renamed(message: &[u8], names: Names<'_>) -> BytesMut {
    let mut out = BytesMut::from(&b"before"[..]);
    let replaced = rename(&mut out, message, names).unwrap().unwrap();
    out.put_slice(&message[replaced..]);
    out.split_off(6)
}

#[test]
fn names_are_replaced_and_the_rest_stays() {
    let both = Names { statement: Some(b"statement_7"), portal: Some(b"") };
    let check = |old: BytesMut, new: BytesMut| {
        assert_eq!(renamed(&old, both), new);
        assert_eq!(renamed(&old, Names::default()), old);
        for len in 0..old.len() {
            let mut out = BytesMut::new();
            match rename(&mut out, &old[..len], both).unwrap() {
                None => assert!(out.is_empty()),
                Some(replaced) => assert_eq!([&out[..], &old[replaced..]].concat(), new),
            }
        }
    };
    check(
        written(|out| put_parse(out, b"s", b"select $1", &[23])),
        written(|out| put_parse(out, b"statement_7", b"select $1", &[23])),
    );
    check(
        written(|out| put_bind(out, b"p", b"s", &[Some(b"s")], Format::Text)),
        written(|out| put_bind(out, b"", b"statement_7", &[Some(b"s")], Format::Text)),
    );
    check(written(|out| put_execute(out, b"p", 5)), written(|out| put_execute(out, b"", 5)));
    for put in [put_describe, put_close] {
        check(
            written(|out| put(out, Target::Statement(b"s"))),
            written(|out| put(out, Target::Statement(b"statement_7"))),
        );
        check(
            written(|out| put(out, Target::Portal(b"p"))),
            written(|out| put(out, Target::Portal(b""))),
        );
    }
}

#[test]
fn messages_are_renamed_before_they_are_whole() {
    let mut head = BytesMut::new();
    Header { kind: b'P', len: 500_000_000 }.put(&mut head);
    head.put_slice(b"s\0select");
    let mut out = BytesMut::new();
    let names = Names { statement: Some(b"s2"), portal: None };
    assert_eq!(rename(&mut out, &head, names), Ok(Some(HEADER_LEN + 2)));
    let header = Header::peek(&out).unwrap().unwrap();
    assert_eq!((header.len, &out[HEADER_LEN..]), (500_000_001, &b"s2\0"[..]));
}

#[test]
fn names_that_are_not_there_are_refused() {
    let refused = |message: &[u8]| {
        let mut out = BytesMut::new();
        assert!(rename(&mut out, message, Names::default()).is_err(), "{message:?}");
        assert!(out.is_empty());
    };
    refused(b"Q\0\0\0\x05\0");
    refused(b"S\0\0\0\x04");
    refused(b"D\0\0\0\x06X\0");
    refused(b"P\0\0\0\x08name");
    refused(b"B\0\0\0\x08n\0am");
    let long = [&b"P\0\x01\0\0"[..], &[b'n'; NAMES_MAX]].concat();
    refused(&long);
    assert_eq!(rename(&mut BytesMut::new(), &long[..long.len() - 1], Names::default()), Ok(None));
}

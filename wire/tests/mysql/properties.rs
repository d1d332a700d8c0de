//! What holds for all bytes. `PROPTEST_CASES` says how many are tried.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use wire::mysql::Capabilities;
use wire::mysql::command::{self, Command, SetOption, StmtBulkExecute, StmtExecute};
use wire::mysql::frame::{Header, put_lenenc, put_packet, write_packet};
use wire::mysql::handshake::{AuthReply, ChangeUser, ConnectAttributes, Greeting, Opening};
use wire::mysql::response::{
    EOF, EofPacket, ErrPacket, OK, OkPacket, PrepareOk, SessionState, Status, put_eof, put_err,
    put_ok, put_ok_filtered,
};

use crate::captured::captures;
use crate::walk::{walk, walk_whole};

/// Runs every decoder over the same payload. None may panic; what they say does not matter.
fn decode_all(payload: &[u8], caps: Capabilities, number: u16) {
    let _ = Header::peek(payload);
    let _ = Command::of(payload);
    let _ = command::statement_id(payload);
    let _ = SetOption::parse(payload);
    if let Ok(query) = command::query_text(payload, caps) {
        assert!(query.attributes.count() <= payload.len());
    }
    if let Ok(execute) = StmtExecute::parse(payload, number, caps) {
        execute.with_types(b"types", &mut BytesMut::new());
        assert!(execute.parameters(payload).count() <= execute.params);
    }
    if let Ok(bulk) = StmtBulkExecute::parse(payload, number) {
        bulk.with_types(b"types", &mut BytesMut::new());
    }
    if let Ok(ok) = OkPacket::parse(payload, caps) {
        let mut out = BytesMut::new();
        let _ = put_ok_filtered(&mut out, 1, caps, &ok, OK, |_| number.is_multiple_of(2));
    }
    assert!(SessionState::new(payload).count() <= payload.len());
    let _ = ErrPacket::parse(payload, caps);
    let _ = EofPacket::parse(payload);
    let _ = PrepareOk::parse(payload, caps);
    let _ = Greeting::parse(payload);
    let _ = Opening::parse(payload);
    let _ = ConnectAttributes::parse(payload);
    let _ = AuthReply::parse(payload);
    let _ = ChangeUser::parse(payload, caps);
}

/// The capabilities that change a layout, in any combination.
fn caps() -> impl Strategy<Value = Capabilities> {
    any::<u64>().prop_map(|bits| Capabilities(bits | Capabilities::PROTOCOL_41.0))
}

fn any_command() -> impl Strategy<Value = Command> {
    any::<u8>().prop_filter_map("no command", |byte| Command::try_from(byte).ok())
}

/// A captured reply with a few bytes changed, added or taken away.
fn mutated() -> impl Strategy<Value = (Command, Capabilities, Vec<u8>)> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (prop::sample::select(captures().collect::<Vec<_>>()), prop::collection::vec(change, 1..6))
        .prop_map(|(capture, changes)| {
            let mut bytes = capture.bytes.to_vec();
            for (at, byte, how) in changes {
                let at = at.index(bytes.len().max(1)).min(bytes.len());
                match how {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => bytes[at] = byte,
                    _ if at < bytes.len() => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            (capture.command, capture.caps, bytes)
        })
}

/// One result of a statement.
#[derive(Debug, Clone)]
enum Part {
    Ok { affected: u64 },
    Rows { columns: u8, rows: Vec<Vec<u8>>, metadata: bool },
}

fn part() -> impl Strategy<Value = Part> {
    // Values of 251 bytes and more start with 0xFC, NULLs with 0xFB, empty ones with 0x00.
    let row = (0..=0xFD_u8, prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(first, rest)| [vec![first], rest].concat());
    prop_oneof![
        any::<u64>().prop_map(|affected| Part::Ok { affected }),
        (1..5_u8, prop::collection::vec(row, 0..8), any::<bool>())
            .prop_map(|(columns, rows, metadata)| Part::Rows { columns, rows, metadata }),
    ]
}

/// Writes the results as a server with `caps` would. Returns how many events they make, and how
/// many rows they have.
fn put_parts(out: &mut BytesMut, caps: Capabilities, parts: &[Part], fails: bool) -> (usize, u64) {
    let (mut seq, mut events, mut count) = (1, 0, 0);
    let deprecates_eof = caps.contains(Capabilities::DEPRECATE_EOF);
    let says_metadata = caps.contains(Capabilities::OPTIONAL_RESULTSET_METADATA)
        || caps.contains(Capabilities::CACHE_METADATA);
    for (at, part) in parts.iter().enumerate() {
        let more = fails || at + 1 < parts.len();
        let status = if more { Status::MORE_RESULTS } else { Status::AUTOCOMMIT };
        match part {
            Part::Ok { affected } => {
                let ok = OkPacket { affected_rows: *affected, status, ..OkPacket::default() };
                seq = put_ok(out, seq, caps, &ok);
            }
            Part::Rows { columns, rows, metadata } => {
                seq = write_packet(out, seq, |out| {
                    put_lenenc(out, (*columns).into());
                    if says_metadata {
                        out.put_u8((*metadata).into());
                    }
                });
                if *metadata || !says_metadata {
                    for _ in 0..*columns {
                        seq = put_packet(out, seq, b"\x03def\0\0\0\x01x\0\x0C");
                    }
                }
                if !deprecates_eof {
                    seq = put_eof(out, seq, caps, status, 0);
                    events += 1;
                }
                for row in rows {
                    seq = put_packet(out, seq, row);
                }
                count += rows.len() as u64;
                seq = put_eof(out, seq, caps, status, 0);
            }
        }
        events += 1;
    }
    if fails {
        put_err(out, seq, caps, 1205, b"HY000", b"Lock wait timeout exceeded");
        events += 1;
    }
    (events, count)
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(
        payload in prop::collection::vec(any::<u8>(), 0..80),
        caps in caps(),
        number in any::<u16>(),
    ) {
        decode_all(&payload, caps, number);
    }

    #[test]
    fn no_payload_after_a_known_first_byte_makes_a_decoder_panic(
        first in prop::sample::select(&[0_u8, 1, 2, 3, 0x0A, 0x11, 0x17, 0x1B, 0xFA, 0xFE, 0xFF]),
        rest in prop::collection::vec(0..12_u8, 0..40),
        caps in caps(),
        number in 0..9_u16,
    ) {
        decode_all(&[vec![first], rest].concat(), caps, number);
    }

    #[test]
    fn no_bytes_make_the_tracker_panic_or_run_ahead(
        command in any_command(),
        caps in caps(),
        bytes in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..200),
        piece in 1..50_usize,
    ) {
        if let Ok(seen) = walk(command, caps, &bytes, || piece) {
            prop_assert!(seen.consumed <= bytes.len());
        }
    }

    #[test]
    fn a_damaged_reply_reads_the_same_in_pieces_and_panics_nothing(
        (command, caps, bytes) in mutated(),
        piece in 1..20_usize,
    ) {
        prop_assert_eq!(walk(command, caps, &bytes, || piece), walk_whole(command, caps, &bytes));
        for payload in bytes.chunks(64) {
            decode_all(payload, caps, piece as u16);
        }
    }

    #[test]
    fn a_reply_ends_at_its_end_however_it_is_cut(
        parts in prop::collection::vec(part(), 1..5),
        fails in any::<bool>(),
        caps in caps(),
        command in prop::sample::select(&[Command::Query, Command::StmtExecute]),
        pieces in prop::collection::vec(1..400_usize, 1..20),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut reply = BytesMut::new();
        let (events, rows) = put_parts(&mut reply, caps, &parts, fails);
        let len = reply.len();
        reply.put_slice(&after);

        let seen = walk_whole(command, caps, &reply).unwrap();
        prop_assert!(seen.over);
        prop_assert_eq!((seen.consumed, seen.events.len(), seen.rows), (len, events, rows));
        let mut cycle = pieces.iter().copied().cycle();
        let cut = walk(command, caps, &reply, || cycle.next().unwrap_or(1)).unwrap();
        prop_assert_eq!(&cut, &seen);
        let bytewise = walk(command, caps, &reply, || 1).unwrap();
        prop_assert_eq!(&bytewise, &seen);
    }

    #[test]
    fn an_ok_packet_reads_back_as_it_was_written(
        affected_rows in any::<u64>(),
        last_insert_id in any::<u64>(),
        status in any::<u16>(),
        warnings in any::<u16>(),
        info in prop::collection::vec(any::<u8>(), 0..300),
        schema in prop::collection::vec(any::<u8>(), 0..300),
        caps in caps(),
    ) {
        let mut block = BytesMut::new();
        block.put_u8(1);
        let mut data = BytesMut::new();
        wire::mysql::frame::put_lenenc_bytes(&mut data, &schema);
        wire::mysql::frame::put_lenenc_bytes(&mut block, &data);
        let tracks = caps.contains(Capabilities::SESSION_TRACK);
        let status = if tracks {
            Status(status).with(Status::SESSION_STATE_CHANGED)
        } else {
            Status(status).without(Status::SESSION_STATE_CHANGED)
        };
        let state = SessionState::new(if tracks { &block } else { &[] });
        let ok = OkPacket { affected_rows, last_insert_id, status, warnings, info: &info, state };

        let mut out = BytesMut::new();
        prop_assert_eq!(put_ok(&mut out, 255, caps, &ok), 0);
        prop_assert_eq!(OkPacket::parse(&out[4..], caps), Ok(ok));

        let mut filtered = BytesMut::new();
        prop_assert_eq!(put_ok_filtered(&mut filtered, 255, caps, &ok, OK, |_| true), Ok(0));
        prop_assert_eq!(&filtered, &out);
        filtered.clear();
        prop_assert_eq!(put_ok_filtered(&mut filtered, 1, caps, &ok, EOF, |_| false), Ok(2));
        let bare = OkPacket::parse(&filtered[4..], caps).unwrap();
        prop_assert!(bare.state.is_empty() && !bare.status.contains(Status::SESSION_STATE_CHANGED));
    }
}

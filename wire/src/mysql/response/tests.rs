use super::*;

const PLAIN: Capabilities = Capabilities::PROTOCOL_41;
const TRACK: Capabilities = Capabilities(PLAIN.0 | Capabilities::SESSION_TRACK.0);

/// Packets of MariaDB 10.11.19 to a client with `SESSION_TRACK`.
const INSERT: &[u8] = b":\0\0\x01\0\x02\x01\x03@\0\0&Records: 2  Duplicates: 0  Warnings: 0\
    \x0B\x05\t\x08T___W___";
const BEGIN: &[u8] = b"4\0\0\x01\0\0\0\x03@\0\0\0+\x05\t\x08T_______\
    \x04\x1E\x1DSTART TRANSACTION READ WRITE;";
const SET_TRACKERS: &[u8] = b"=\0\0\x01\0\0\0\x02@\0\0\x004\0!\x1Esession_track_system_variables\
    \x01*\x02\x011\x05\t\x08________\x04\x01\0";
const INIT_DB: &[u8] = b"\x10\0\0\x01\0\0\0\x02@\0\0\0\x07\x01\x02\x01t\x02\x011";
/// The same INSERT, to a client without.
const INSERT_UNTRACKED: &[u8] =
    b".\0\0\x01\0\x02\x01\x03\0\0\0&Records: 2  Duplicates: 0  Warnings: 0";
const NO_TABLE: &[u8] = b"%\0\0\x01\xFFz\x04#42S02Table 't.nope' doesn't exist";

fn ok(packet: &[u8]) -> OkPacket<'_> {
    OkPacket::parse(&packet[4..], TRACK).unwrap()
}

fn changes(packet: &[u8]) -> Vec<StateChange<'_>> {
    ok(packet).state.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_plain_ok_is_seven_bytes() {
    let packet = ok(b"\x07\0\0\x01\0\0\0\x02\0\0\0");
    assert_eq!(packet, OkPacket { status: Status::AUTOCOMMIT, ..OkPacket::default() });
}

#[test]
fn an_insert_tells_what_it_did_to_the_transaction() {
    let packet = ok(INSERT);
    assert_eq!((packet.affected_rows, packet.last_insert_id, packet.warnings), (2, 1, 0));
    assert_eq!(packet.info, b"Records: 2  Duplicates: 0  Warnings: 0");
    assert!(packet.status.contains(Status::IN_TRANS.with(Status::AUTOCOMMIT)));
    let state = TransactionState(*b"T___W___");
    assert_eq!(changes(INSERT), [StateChange::TransactionState(state)]);
    assert!(state.has_written() && state.is_explicit() && !state.is_untouched());
}

#[test]
fn a_transaction_that_has_just_begun_holds_nothing() {
    let untouched = TransactionState(*b"T_______");
    let restart = b"START TRANSACTION READ WRITE;";
    let expect = [
        StateChange::TransactionState(untouched),
        StateChange::TransactionCharacteristics(restart),
    ];
    assert_eq!(changes(BEGIN), expect);
    assert!(untouched.is_open() && untouched.is_untouched() && !untouched.has_read());
    assert!(!TransactionState::NONE.is_open());
    for busy in [b"T_R_____", b"I__w____", b"Tr______", b"T____s__", b"_______L"] {
        assert!(!TransactionState(*busy).is_untouched(), "{}", busy.escape_ascii());
    }
}

#[test]
fn variables_schema_and_dirt_are_told_apart() {
    let expect = [
        StateChange::SystemVariable { name: b"session_track_system_variables", value: b"*" },
        StateChange::Changed(true),
        StateChange::TransactionState(TransactionState::NONE),
        StateChange::TransactionCharacteristics(b""),
    ];
    assert_eq!(changes(SET_TRACKERS), expect);
    assert_eq!(changes(INIT_DB), [StateChange::Schema(b"t"), StateChange::Changed(true)]);
}

#[test]
fn gtids_and_kinds_of_the_future_are_kept_apart() {
    let parse = |block| SessionState::new(block).collect::<Vec<_>>();
    assert_eq!(parse(b"\x03\x05\0\x03a:1"), [Ok(StateChange::Gtids(b"a:1"))]);
    assert_eq!(parse(b"\x09\x02xy"), [Ok(StateChange::Other { kind: 9, data: b"xy" })]);
    assert_eq!(parse(b"\x02\x010"), [Ok(StateChange::Changed(false))]);
}

#[test]
fn session_state_ends_at_what_is_malformed() {
    let odd = [
        &b"\x02\x01x"[..],      // neither '0' nor '1'
        b"\x01\x03\x05ab",      // the name is longer than its item
        b"\x01\x04\x02ab!",     // the name is shorter than its item
        b"\x01\x09\x02ab",      // the item is longer than the block
        b"\x05\x08\x07_______", // seven flags
        b"\x03\x02\x07\0",      // an encoding of GTIDs that does not exist
        b"\x01",
    ];
    for block in odd {
        let items: Vec<_> = SessionState::new(block).collect();
        assert!(matches!(items[..], [Err(_)]), "{}", block.escape_ascii());
    }
}

#[test]
fn without_session_track_the_changed_flag_means_nothing() {
    // MariaDB sets it nevertheless.
    let packet = OkPacket::parse(b"\0\0\0\x02@\0\0", PLAIN).unwrap();
    assert!(packet.state.is_empty());
    assert_eq!(OkPacket::parse(&INSERT_UNTRACKED[4..], PLAIN).unwrap().affected_rows, 2);
}

#[test]
fn what_is_no_ok_packet_is_malformed() {
    let odd = [
        &b""[..],
        b"\x01\0\0\x02\0\0\0",
        b"\0\0\0\x02\0\0",
        b"\0\0\0\x02\0\0\0\x05ab",
        b"\0\xFB\0\x02\0\0\0",
    ];
    for payload in odd {
        assert!(OkPacket::parse(payload, TRACK).is_err(), "{}", payload.escape_ascii());
    }
    assert!(OkPacket::parse(b"\0\0\0\x02\0\0\0\0rest", PLAIN).is_err());
}

#[test]
fn an_ok_packet_is_written_as_the_server_wrote_it() {
    for packet in [INSERT, BEGIN, SET_TRACKERS, INIT_DB] {
        let mut out = BytesMut::new();
        assert_eq!(put_ok(&mut out, 1, TRACK, &ok(packet)), 2);
        assert_eq!(&out[..], packet);
    }
}

#[test]
fn filtered_for_a_client_without_tracking_it_is_what_the_server_sends_to_one() {
    let mut out = BytesMut::new();
    assert_eq!(put_ok_filtered(&mut out, 1, PLAIN, &ok(INSERT), OK, |_| true), Ok(2));
    assert_eq!(&out[..], INSERT_UNTRACKED);
}

#[test]
fn filtered_to_nothing_it_is_what_the_server_sends_when_nothing_changed() {
    let mut out = BytesMut::new();
    assert_eq!(put_ok_filtered(&mut out, 1, TRACK, &ok(INSERT), OK, |_| false), Ok(2));
    assert_eq!(&out[..], INSERT_UNTRACKED);
    out.clear();
    assert_eq!(put_ok_filtered(&mut out, 1, TRACK, &ok(INIT_DB), OK, |_| false), Ok(2));
    assert_eq!(&out[..], b"\x07\0\0\x01\0\0\0\x02\0\0\0");
}

#[test]
fn filtered_to_some_the_rest_stays_byte_for_byte() {
    // What this server sent for the same command before the other trackers were on.
    let schema_only = b"\r\0\0\x01\0\0\0\x02@\0\0\0\x04\x01\x02\x01t";
    let mut out = BytesMut::new();
    let keep = |change: &StateChange<'_>| matches!(change, StateChange::Schema(_));
    assert_eq!(put_ok_filtered(&mut out, 1, TRACK, &ok(INIT_DB), OK, keep), Ok(2));
    assert_eq!(&out[..], schema_only);
}

#[test]
fn a_long_state_gets_a_long_length() {
    let mut block = BytesMut::from(&b"\x01\xFC\x2F\x01\xFC\x2C\x01"[..]);
    block.put_bytes(b'x', 300);
    let packet = OkPacket { state: SessionState::new(&block), ..OkPacket::default() };
    let (mut whole, mut kept) = (BytesMut::new(), BytesMut::new());
    put_ok(&mut whole, 0, TRACK, &packet);
    assert_eq!(put_ok_filtered(&mut kept, 0, TRACK, &packet, OK, |_| true), Ok(1));
    assert_eq!(whole, kept);
    assert_eq!(OkPacket::parse(&whole[4..], TRACK).unwrap().state, packet.state);
}

#[test]
fn a_malformed_state_leaves_the_output_alone() {
    let packet = OkPacket { state: SessionState::new(b"\x02\x011\x05"), ..OkPacket::default() };
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(put_ok_filtered(&mut out, 1, TRACK, &packet, OK, |_| true).is_err());
    assert_eq!(&out[..], b"before");
}

#[test]
fn an_error_has_code_state_and_text() {
    let packet = ErrPacket::parse(&NO_TABLE[4..], PLAIN).unwrap();
    assert_eq!((packet.code, &packet.sqlstate), (1146, b"42S02"));
    assert_eq!(packet.message, b"Table 't.nope' doesn't exist");
    let mut out = BytesMut::new();
    assert_eq!(put_err(&mut out, 1, PLAIN, packet.code, &packet.sqlstate, packet.message), 2);
    assert_eq!(&out[..], NO_TABLE);
}

#[test]
fn before_the_handshake_an_error_may_lack_its_state() {
    let packet = ErrPacket::parse(b"\xFF\x10\x04Too many connections", PLAIN).unwrap();
    assert_eq!((packet.code, &packet.sqlstate), (1040, ErrPacket::GENERAL));
    let packet = ErrPacket::parse(b"\xFF\x10\x04#08004Too many", Capabilities(0)).unwrap();
    assert_eq!((&packet.sqlstate, packet.message), (b"08004", &b"Too many"[..]));
    for odd in [&b""[..], b"\xFF", b"\xFF\x10", b"\0\x10\x04", b"\xFF\x10\x04#080"] {
        assert!(ErrPacket::parse(odd, PLAIN).is_err());
    }
}

#[test]
fn an_eof_is_an_ok_packet_to_clients_that_deprecate_it() {
    let status = Status::AUTOCOMMIT.with(Status::MORE_RESULTS);
    let mut out = BytesMut::new();
    assert_eq!(put_eof(&mut out, 5, PLAIN, status, 3), 6);
    assert_eq!(&out[..], b"\x05\0\0\x05\xFE\x03\0\x0A\0");
    assert_eq!(EofPacket::parse(&out[4..]), Ok(EofPacket { warnings: 3, status }));
    out.clear();
    assert_eq!(put_eof(&mut out, 5, PLAIN | Capabilities::DEPRECATE_EOF, status, 3), 6);
    assert_eq!(&out[..], b"\x07\0\0\x05\xFE\0\0\x0A\0\x03\0");
    for odd in [&b""[..], b"\xFE", b"\xFE\0\0\0", b"\xFE\0\0\0\0\0", b"\0\0\0\0\0"] {
        assert!(EofPacket::parse(odd).is_err());
    }
}

#[test]
fn the_head_of_a_prepared_statement_gets_another_id_in_place() {
    let mut payload = *b"\0\x01\0\0\0\x02\0\x01\0\0\0\0";
    PrepareOk::set_statement(&mut payload, 0x0102_0304).unwrap();
    let packet = PrepareOk::parse(&payload, PLAIN).unwrap();
    assert_eq!((packet.statement, packet.columns, packet.params), (0x0102_0304, 2, 1));
    assert_eq!(packet.metadata, Metadata::Full);

    let optional = PLAIN | Capabilities::OPTIONAL_RESULTSET_METADATA;
    let omitted = b"\0\x01\0\0\0\x02\0\x01\0\0\0\0\0";
    assert_eq!(PrepareOk::parse(omitted, optional).unwrap().metadata, Metadata::Omitted);
    assert!(PrepareOk::parse(&payload, optional).is_err());
    assert!(PrepareOk::parse(omitted, PLAIN).is_err());
    assert!(PrepareOk::set_statement(&mut [0xFF, 0, 0, 0, 0], 1).is_err());
    assert!(PrepareOk::set_statement(&mut [0, 0, 0, 0], 1).is_err());
}

#[test]
fn flags_print_by_name() {
    let status = Status::IN_TRANS.with(Status::ANSI_QUOTES);
    assert_eq!(format!("{status:?}"), r#"{"IN_TRANS", "ANSI_QUOTES"}"#);
    assert_eq!(status.without(Status::IN_TRANS), Status::ANSI_QUOTES);
}

use bytes::BytesMut;

use super::super::frame::Header;
use super::super::list::Format;
use super::super::startup::CancelKey;
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
    let all = *b"RK23CdcGHWDIEVvnNAtS1sZT";
    for byte in 0..=u8::MAX {
        assert_eq!(Kind::try_from(byte).is_ok(), all.contains(&byte), "{byte}");
    }
    for byte in all {
        let kind = Kind::try_from(byte).unwrap();
        assert_eq!(kind.byte(), byte);
        assert_eq!(kind.is_asynchronous(), b"NAS".contains(&byte));
        let (low, high) = kind.body_len().into_inner();
        assert!(Kind::of(Header { kind: byte, len: low }).is_ok());
        assert!(Kind::of(Header { kind: byte, len: high }).is_ok());
        assert!(Kind::of(Header { kind: byte, len: high + 1 }).is_err());
        assert!(low == 0 || Kind::of(Header { kind: byte, len: low - 1 }).is_err());
    }
}

#[test]
fn a_ready_for_query_says_the_transactions_state() {
    for (status, byte) in [
        (TransactionStatus::Idle, b'I'),
        (TransactionStatus::Open, b'T'),
        (TransactionStatus::Failed, b'E'),
    ] {
        let message = written(|out| put_ready_for_query(out, status));
        assert_eq!(&message[..], [b'Z', 0, 0, 0, 5, byte]);
        assert_eq!(TransactionStatus::parse(&message[5..]), Ok(status));
    }
    exact(b"I", |body| TransactionStatus::parse(body).is_ok());
    assert!(TransactionStatus::parse(b"X").is_err());
}

#[test]
fn settings_have_a_name_and_a_value() {
    let message = written(|out| put_parameter_status(out, b"TimeZone", b"Etc/UTC"));
    assert_eq!(&message[..], b"S\0\0\0\x15TimeZone\0Etc/UTC\0");
    let status = ParameterStatus::parse(&message[5..]).unwrap();
    assert_eq!((status.name, status.value), (&b"TimeZone"[..], &b"Etc/UTC"[..]));
    exact(&message[5..], |body| ParameterStatus::parse(body).is_ok());
}

#[test]
fn keys_have_4_to_256_bytes() {
    for len in [4, 32, 256] {
        let key = vec![9; len];
        let key = CancelKey::new(&key).unwrap();
        let message = written(|out| put_backend_key_data(out, 4711, key));
        assert_eq!(message.len(), 9 + len);
        let data = BackendKeyData { process: 4711, key };
        assert_eq!(BackendKeyData::parse(&message[5..]), Ok(data));
    }
    assert!(BackendKeyData::parse(&[0; 7]).is_err());
    assert!(BackendKeyData::parse(&[0; 261]).is_err());
}

#[test]
fn a_notification_has_sender_channel_and_payload() {
    let notification = NotificationResponse { process: 7, channel: b"jobs", payload: b"" };
    let message = written(|out| put_notification(out, &notification));
    assert_eq!(&message[..], b"A\0\0\0\x0E\0\0\0\x07jobs\0\0");
    assert_eq!(NotificationResponse::parse(&message[5..]), Ok(notification));
    exact(&message[5..], |body| NotificationResponse::parse(body).is_ok());
}

#[test]
fn command_tags_say_what_and_how_many() {
    let check = |tag: &[u8], command: &[u8], rows| {
        let message = written(|out| put_command_complete(out, tag));
        assert_eq!(CommandTag::parse(&message[5..]), Ok(CommandTag { command, rows }));
        exact(&message[5..], |body| CommandTag::parse(body).is_ok());
    };
    check(b"INSERT 0 5", b"INSERT", Some(5));
    check(b"INSERT 16384 1", b"INSERT", Some(1));
    check(b"SELECT 18446744073709551615", b"SELECT", Some(u64::MAX));
    check(b"COPY 0", b"COPY", Some(0));
    check(b"CREATE TABLE", b"CREATE TABLE", None);
    check(b"BEGIN", b"BEGIN", None);
    check(b"START_REPLICATION", b"START_REPLICATION", None);
    check(b"SELECT ", b"SELECT ", None);
    check(b"SELECT -1", b"SELECT -1", None);
    check(b"", b"", None);
    assert!(CommandTag::parse(b"SELECT 18446744073709551616\0").is_err());
}

#[test]
fn copy_responses_have_formats() {
    let kind = Kind::CopyInResponse;
    let message = written(|out| put_copy_response(out, kind, Format::Binary, 2));
    assert_eq!(&message[..], b"G\0\0\0\x0B\x01\0\x02\0\x01\0\x01");
    let copy = CopyResponse::parse(&message[5..]).unwrap();
    assert_eq!((copy.format, copy.columns.len()), (Format::Binary, 2));
    exact(&message[5..], |body| CopyResponse::parse(body).is_ok());
    assert!(CopyResponse::parse(b"\x02\0\0").is_err());
    assert!(CopyResponse::parse(b"\0\0\x01\0\x02").is_err());
}

/// As PostgreSQL 15 sent it.
const ERROR: &[u8] = b"SERROR\0VERROR\0C42P01\0Mrelation \"nowhere\" does not exist\0P15\0\
    Fparse_relation.c\0L1392\0RparserOpenTable\0\0";

#[test]
fn errors_have_fields() {
    let fields = Fields::parse(ERROR).unwrap();
    assert_eq!(fields.severity(), Some(Severity::Error));
    assert_eq!(fields.code(), Some(*b"42P01"));
    assert_eq!(fields.message(), Some(&b"relation \"nowhere\" does not exist"[..]));
    assert_eq!((fields.detail(), fields.hint()), (None, None));
    assert_eq!(fields.field(b'R'), Some(&b"parserOpenTable"[..]));
    assert_eq!(fields.map(|(kind, _)| kind).collect::<Vec<_>>(), b"SVCMPFLR");
    exact(ERROR, |body| Fields::parse(body).is_ok());
}

#[test]
fn the_head_of_a_long_error_says_severity_and_code() {
    let head = Fields::of_head(&ERROR[..30]);
    assert_eq!((head.severity(), head.code()), (Some(Severity::Error), Some(*b"42P01")));
    assert_eq!(head.message(), None, "it does not end within the head");
}

#[test]
fn severity_is_told_in_any_language() {
    let localised = Fields::parse(b"SFATAL: c'est fini\0VFATAL\0C57P01\0Mx\0\0").unwrap();
    assert!(localised.severity().unwrap().ends_connection());
    let old = Fields::parse(b"SPANIC\0CXX000\0Mx\0\0").unwrap();
    assert_eq!(old.severity(), Some(Severity::Panic));
    let odd = Fields::parse(b"SSCHLIMM\0C42\0\0").unwrap();
    assert_eq!((odd.severity(), odd.code()), (None, None));
}

#[test]
fn errors_of_our_own_read_back() {
    let mut notice = Notice {
        severity: Severity::Error,
        code: *b"53300",
        message: b"class batch is full",
        detail: Some(b"8 of 8"),
        hint: None,
    };
    let message = written(|out| put_error(out, &notice));
    let expect: &[u8] = b"SERROR\0VERROR\0C53300\0Mclass batch is full\0D8 of 8\0\0";
    assert_eq!((message[0], &message[5..]), (b'E', expect));
    notice.severity = Severity::Notice;
    notice.hint = Some(b"wait");
    let message = written(|out| put_notice(out, &notice));
    let fields = Fields::parse(&message[5..]).unwrap();
    assert_eq!(message[0], b'N');
    assert_eq!((fields.severity(), fields.hint()), (Some(Severity::Notice), Some(&b"wait"[..])));
    for severity in [
        Severity::Debug,
        Severity::Log,
        Severity::Info,
        Severity::Notice,
        Severity::Warning,
        Severity::Error,
        Severity::Fatal,
        Severity::Panic,
    ] {
        assert_eq!(Severity::from_name(severity.name().as_bytes()), Some(severity));
        assert_eq!(severity.ends_connection(), severity >= Severity::Fatal);
    }
}

#[test]
fn rows_are_described_column_by_column() {
    let id = Column {
        name: b"id",
        table: 16_385,
        attribute: 1,
        type_oid: 23,
        type_len: 4,
        modifier: -1,
        format: Format::Text,
    };
    let text = Column { name: b"", type_oid: 25, type_len: -1, format: Format::Binary, ..id };
    let message = written(|out| put_row_description(out, &[id, text]));
    let expect = b"T\0\0\0\x2E\0\x02id\0\0\0\x40\x01\0\x01\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0";
    assert_eq!(&message[..expect.len()], expect);
    let columns = Columns::parse(&message[5..]).unwrap();
    assert_eq!(columns.len(), 2);
    assert_eq!(columns.collect::<Vec<_>>(), [id, text]);
    exact(&message[5..], |body| Columns::parse(body).is_ok());
}

#[test]
fn rows_parameters_and_results_have_values() {
    let values = [Some(&b"1"[..]), None, Some(b"")];
    let row = written(|out| put_data_row(out, &values));
    assert_eq!(&row[..], b"D\0\0\0\x13\0\x03\0\0\0\x011\xFF\xFF\xFF\xFF\0\0\0\0");
    assert_eq!(data_row(&row[5..]).unwrap().collect::<Vec<_>>(), values);
    exact(&row[5..], |body| data_row(body).is_ok());

    let types = written(|out| put_parameter_description(out, &[23, 25]));
    assert_eq!(&types[..], b"t\0\0\0\x0E\0\x02\0\0\0\x17\0\0\0\x19");
    assert_eq!(parameter_types(&types[5..]).unwrap().collect::<Vec<_>>(), [23, 25]);
    exact(&types[5..], |body| parameter_types(body).is_ok());

    for value in [Some(&b"\0\0\0\x2A"[..]), None] {
        let message = written(|out| FunctionCallResponse { value }.put(out));
        let response = FunctionCallResponse::parse(&message[5..]).unwrap();
        assert_eq!(response.value, value);
        exact(&message[5..], |body| FunctionCallResponse::parse(body).is_ok());
    }
}

#[test]
fn bare_messages_have_no_body() {
    assert_eq!(&written(|out| put_bare(out, Kind::ParseComplete))[..], b"1\0\0\0\x04");
    assert_eq!(&written(|out| put_bare(out, Kind::EmptyQueryResponse))[..], b"I\0\0\0\x04");
}

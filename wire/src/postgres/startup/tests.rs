use super::*;

fn check(packet: &[u8], expect: Opening<'_>) {
    assert_eq!(First::peek(packet), Ok(Some(First::Packet(packet.len()))));
    assert_eq!(Opening::parse(packet), Ok(expect));
}

fn refused(packet: &[u8]) {
    assert!(Opening::parse(packet).is_err(), "{packet:?}");
}

/// What psql 15 sends, without its first packet, an SSLRequest.
const PSQL: &[u8] = b"\0\0\0\x4B\0\x03\0\0user\0app\0database\0shop\0application_name\0psql\0\
    client_encoding\0UTF8\0\0";

#[test]
fn requests_for_encryption_are_a_length_and_a_code() {
    check(b"\0\0\0\x08\x04\xD2\x16\x2F", Opening::SslRequest);
    check(b"\0\0\0\x08\x04\xD2\x16\x30", Opening::GssEncRequest);
    refused(b"\0\0\0\x09\x04\xD2\x16\x2F\0");
    let mut out = BytesMut::new();
    put_ssl_request(&mut out);
    put_gssenc_request(&mut out);
    assert_eq!(&out[..], b"\0\0\0\x08\x04\xD2\x16\x2F\0\0\0\x08\x04\xD2\x16\x30");
}

#[test]
fn the_first_byte_tells_direct_tls() {
    assert_eq!(First::peek(b"\x16"), Ok(Some(First::Tls)));
    assert_eq!(First::peek(b""), Ok(None));
    assert_eq!(First::peek(b"\0\0\0"), Ok(None));
}

#[test]
fn lengths_out_of_bounds_are_refused_at_once() {
    for length in [0, 7, 10_005, u32::MAX, u32::from_be_bytes(*b"GET ")] {
        assert!(First::peek(&length.to_be_bytes()).is_err(), "{length}");
    }
    for length in [8_u32, 10_004] {
        assert_eq!(First::peek(&length.to_be_bytes()), Ok(Some(First::Packet(length as usize))));
    }
    refused(b"");
    refused(b"\0\0\0\x09\x04\xD2\x16\x2F");
}

#[test]
fn a_startup_message_names_who_and_what() {
    let Ok(Opening::Startup(message)) = Opening::parse(PSQL) else { panic!("no StartupMessage") };
    assert_eq!(message.version, Version::V3_0);
    assert_eq!(message.parameters.get(b"user"), Some(&b"app"[..]));
    assert_eq!(message.parameters.get(b"client_encoding"), Some(&b"UTF8"[..]));
    assert_eq!(message.parameters.get(b"app"), None, "a value is no name");
    assert_eq!(message.parameters.clone().count(), 4);
    let mut out = BytesMut::new();
    put_startup_message(&mut out, message.version, message.parameters);
    assert_eq!(&out[..], PSQL);
}

#[test]
fn options_of_the_protocol_are_told_apart() {
    let mut out = BytesMut::new();
    let parameters: [(&[u8], &[u8]); 3] = [(b"user", b"u"), (b"_pq_.a", b""), (b"_pq_.b", b"1")];
    put_startup_message(&mut out, Version::V3_2, parameters);
    let Ok(Opening::Startup(message)) = Opening::parse(&out) else { panic!("no StartupMessage") };
    assert_eq!(message.version, Version { major: 3, minor: 2 });
    let options: Vec<_> = message.parameters.protocol_options().collect();
    assert_eq!(options, [b"_pq_.a", b"_pq_.b"]);
    assert_eq!(message.parameters.get(b"_pq_.a"), Some(&b""[..]));
}

#[test]
fn parameters_that_are_cut_doubled_or_too_many_are_refused() {
    let packet = |body: &[u8]| {
        let mut out = BytesMut::new();
        put_packet(&mut out, Version::V3_0.code(), |out| out.put_slice(body));
        out
    };
    assert!(Opening::parse(&packet(b"user\0u\0\0")).is_ok());
    assert!(Opening::parse(&packet(b"\0")).is_ok(), "the server answers that it wants a user");
    refused(&packet(b""));
    refused(&packet(b"user\0u\0"));
    refused(&packet(b"user\0u"));
    refused(&packet(b"user\0"));
    refused(&packet(b"user\0u\0\0\0"));
    refused(&packet(b"user\0u\0user\0root\0\0"));
    let many = |count: usize| -> Vec<u8> {
        let pairs = (0..count).flat_map(|at| format!("p{at}\0v\0").into_bytes());
        pairs.chain([0]).collect()
    };
    assert!(Opening::parse(&packet(&many(PARAMETERS_MAX))).is_ok());
    refused(&packet(&many(PARAMETERS_MAX + 1)));
}

#[test]
fn other_versions_are_told_and_not_read() {
    let old = Version { major: 2, minor: 0 };
    check(b"\0\0\0\x0A\0\x02\0\0hi", Opening::Unsupported(old));
}

#[test]
fn cancel_requests_carry_a_key_of_4_to_256_bytes() {
    let old = b"\0\0\0\x10\x04\xD2\x16\x2E\0\0\x30\x39\xDE\xAD\xBE\xEF";
    let key = CancelKey::new(b"\xDE\xAD\xBE\xEF").unwrap();
    check(old, Opening::Cancel(CancelRequest { process: 12345, key }));
    for (len, fits) in [(3, false), (4, true), (32, true), (256, true), (257, false)] {
        let bytes = vec![7; len];
        let key = CancelKey::new(&bytes);
        assert_eq!(key.is_some(), fits, "{len}");
        let mut out = BytesMut::new();
        put_packet(&mut out, CANCEL_REQUEST, |out| {
            out.put_u32(1);
            out.put_slice(&bytes);
        });
        assert_eq!(Opening::parse(&out).is_ok(), fits, "{len}");
        if let Some(key) = key {
            let mut put = BytesMut::new();
            put_cancel_request(&mut put, 1, key);
            assert_eq!(put, out);
        }
    }
}

#[test]
fn keys_are_equal_or_not_and_stay_secret() {
    let key = |bytes: &'static [u8]| CancelKey::new(bytes).unwrap();
    assert_eq!(key(b"abcd"), key(b"abcd"));
    assert_ne!(key(b"abcd"), key(b"abce"));
    assert_ne!(key(b"abcd"), key(b"abcde"));
    assert_eq!(format!("{:?}", key(b"abcd")), "CancelKey(4 bytes)");
}

#[test]
fn a_server_says_what_it_does_not_know() {
    let mut out = BytesMut::new();
    put_negotiate_protocol_version(&mut out, Version::V3_0, &[b"_pq_.x", b"_pq_.y"]);
    assert_eq!(&out[..], b"v\0\0\0\x1A\0\x03\0\0\0\0\0\x02_pq_.x\0_pq_.y\0");
    let message = NegotiateProtocolVersion::parse(&out[5..]).unwrap();
    assert_eq!(message.newest, Version::V3_0);
    assert_eq!(message.unknown.collect::<Vec<_>>(), [b"_pq_.x", b"_pq_.y"]);
    assert!(NegotiateProtocolVersion::parse(&out[5..out.len() - 1]).is_err());
    assert!(NegotiateProtocolVersion::parse(b"\0\x03\0\0\0\0\0\0x").is_err());
    assert!(NegotiateProtocolVersion::parse(b"\0\x03\0\0\xFF\xFF\xFF\xFF").is_err());
}

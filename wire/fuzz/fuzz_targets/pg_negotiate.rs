//! Fuzzes NegotiateProtocolVersion, and that it reads back as it was written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::frame::HEADER_LEN;
use wire::postgres::startup::{NegotiateProtocolVersion, put_negotiate_protocol_version};

fuzz_target!(|body: &[u8]| {
    let Ok(message) = NegotiateProtocolVersion::parse(body) else { return };
    let names: Vec<_> = message.unknown.collect();
    let mut out = BytesMut::new();
    put_negotiate_protocol_version(&mut out, message.newest, &names);
    assert_eq!(out[HEADER_LEN..], *body);
});

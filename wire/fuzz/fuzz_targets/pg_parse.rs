//! Fuzzes Parse, and that it reads back as it was written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::frame::HEADER_LEN;
use wire::postgres::frontend::{ParseMessage, put_parse};

fuzz_target!(|body: &[u8]| {
    let Ok(parse) = ParseMessage::parse(body) else { return };
    let types: Vec<_> = parse.types.collect();
    let mut out = BytesMut::new();
    put_parse(&mut out, parse.name, parse.sql, &types);
    assert_eq!(out[HEADER_LEN..], *body);
});

//! Fuzzes EOF packets.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::frame::HEADER_LEN;
use wire::mysql::response::{EofPacket, put_eof};

fuzz_target!(|payload: &[u8]| {
    if let Ok(eof) = EofPacket::parse(payload) {
        let mut out = BytesMut::new();
        put_eof(&mut out, 1, Capabilities::PROTOCOL_41, eof.status, eof.warnings);
        assert_eq!(&out[HEADER_LEN..], payload);
    }
});

//! Fuzzes PostgreSQL's start-up packets, and that a StartupMessage reads back as it was written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::startup::{First, Opening, put_startup_message};

fuzz_target!(|packet: &[u8]| {
    let first = First::peek(packet);
    let Ok(opening) = Opening::parse(packet) else { return };
    assert_eq!(first, Ok(Some(First::Packet(packet.len()))));
    if let Opening::Startup(message) = opening {
        let mut out = BytesMut::new();
        put_startup_message(&mut out, message.version, message.parameters);
        assert_eq!(out, packet);
    }
});

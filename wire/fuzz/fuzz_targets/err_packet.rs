//! Fuzzes ERR packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::response::ErrPacket;

fuzz_target!(|input: (u64, &[u8])| {
    let (caps, payload) = input;
    if let Ok(err) = ErrPacket::parse(payload, Capabilities(caps)) {
        assert!(payload.ends_with(err.message));
    }
});

//! Fuzzes a server's first packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::handshake::Greeting;

fuzz_target!(|payload: &[u8]| {
    let _ = Greeting::parse(payload);
});

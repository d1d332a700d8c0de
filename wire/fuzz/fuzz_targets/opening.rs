//! Fuzzes a client's first packet: SSLRequest or HandshakeResponse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::handshake::Opening;

fuzz_target!(|payload: &[u8]| {
    let _ = Opening::parse(payload);
});

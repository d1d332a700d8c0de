//! Fuzzes a server's packets between greeting and OK.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::handshake::AuthReply;

fuzz_target!(|payload: &[u8]| {
    let _ = AuthReply::parse(payload);
});

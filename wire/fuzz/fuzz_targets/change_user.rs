//! Fuzzes COM_CHANGE_USER.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::handshake::ChangeUser;

fuzz_target!(|input: (u64, &[u8])| {
    let (caps, payload) = input;
    let _ = ChangeUser::parse(payload, Capabilities(caps));
});

//! Fuzzes the attributes of a client's connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::handshake::ConnectAttributes;

fuzz_target!(|block: &[u8]| {
    if let Ok(attributes) = ConnectAttributes::parse(block) {
        assert!(attributes.iter().count() <= block.len());
    }
});

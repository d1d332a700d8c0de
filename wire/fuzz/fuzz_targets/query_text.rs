//! Fuzzes COM_QUERY and its attributes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::command::query_text;

fuzz_target!(|input: (u64, &[u8])| {
    let (caps, payload) = input;
    if let Ok(query) = query_text(payload, Capabilities(caps)) {
        assert!(payload.ends_with(query.sql));
        assert!(query.attributes.count() <= payload.len());
    }
});

//! Fuzzes the head of a prepared statement.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::response::PrepareOk;

fuzz_target!(|input: (u64, &[u8])| {
    let (caps, payload) = input;
    let caps = Capabilities(caps);
    if let Ok(head) = PrepareOk::parse(payload, caps) {
        let mut changed = payload.to_vec();
        PrepareOk::set_statement(&mut changed, 7).expect("it has an id");
        let expect = PrepareOk { statement: 7, ..head };
        assert_eq!(PrepareOk::parse(&changed, caps), Ok(expect));
    }
});

//! Fuzzes COM_STMT_EXECUTE, and that types put in are types found.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::command::StmtExecute;

fuzz_target!(|input: (u64, u16, &[u8])| {
    let (caps, params, payload) = input;
    let caps = Capabilities(caps);
    let Ok(execute) = StmtExecute::parse(payload, params, caps) else { return };
    assert!(execute.parameters(payload).count() <= execute.params);
    let mut out = BytesMut::new();
    if let Some(types) = execute.types() {
        execute.with_types(types, &mut out);
        assert_eq!(&out[..], payload);
    } else if execute.needs_types() && !caps.contains(Capabilities::QUERY_ATTRIBUTES) {
        let types = vec![8; execute.params * 2];
        execute.with_types(&types, &mut out);
        let again = StmtExecute::parse(&out, params, caps).expect("types were put in");
        assert_eq!(again.types(), Some(&types[..]));
    }
});

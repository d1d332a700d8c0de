//! Fuzzes COM_STMT_BULK_EXECUTE, and that types put in are types found.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::mysql::command::StmtBulkExecute;

fuzz_target!(|input: (u16, &[u8])| {
    let (params, payload) = input;
    let Ok(bulk) = StmtBulkExecute::parse(payload, params) else { return };
    let types = vec![8; usize::from(params) * 2];
    let mut out = BytesMut::new();
    bulk.with_types(&types, &mut out);
    let again = StmtBulkExecute::parse(&out, params).expect("types were put in");
    assert_eq!(again.types(), Some(bulk.types().unwrap_or(&types)));
});

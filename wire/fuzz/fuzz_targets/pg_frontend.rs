//! Fuzzes the short messages of a PostgreSQL client: those that parse read back as written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::frame::HEADER_LEN;
use wire::postgres::frontend::{
    Execute, FunctionCall, Target, copy_fail_reason, put_copy_fail, put_describe, put_execute,
    put_query, query_text,
};

fuzz_target!(|body: &[u8]| {
    let same = |put: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        put(&mut out);
        assert_eq!(out[HEADER_LEN..], *body);
    };
    if let Ok(sql) = query_text(body) {
        same(&|out| put_query(out, sql));
    }
    if let Ok(target) = Target::parse(body) {
        same(&|out| put_describe(out, target));
    }
    if let Ok(execute) = Execute::parse(body) {
        same(&|out| put_execute(out, execute.portal, execute.rows_max));
    }
    if let Ok(reason) = copy_fail_reason(body) {
        same(&|out| put_copy_fail(out, reason));
    }
    if let Ok(call) = FunctionCall::parse(body) {
        assert_eq!(call.values.len(), call.values.count());
    }
});

//! Fuzzes ErrorResponse and NoticeResponse: a head has no field that the whole has not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::postgres::backend::Fields;

fuzz_target!(|input: (usize, &[u8])| {
    let (at, body) = input;
    let head = Fields::of_head(&body[..at % (body.len() + 1)]);
    let Ok(fields) = Fields::parse(body) else { return };
    assert!(fields.zip(head).all(|(whole, part)| whole == part));
    assert!(head.count() <= fields.count());
    if let Some(code) = fields.code() {
        assert_eq!(fields.field(b'C'), Some(&code[..]));
    }
});

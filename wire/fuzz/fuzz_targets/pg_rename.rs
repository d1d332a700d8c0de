//! Fuzzes renaming: the rest stays, and the old names bring the old message back.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::frame::Header;
use wire::postgres::frontend::{Names, rename};

fuzz_target!(|input: (Option<&[u8]>, Option<&[u8]>, &[u8])| {
    let (statement, portal, message) = input;
    let mut out = BytesMut::new();
    let Ok(Some(replaced)) = rename(&mut out, message, Names { statement, portal }) else {
        assert!(out.is_empty());
        return;
    };
    let old = Header::peek(message).expect("it was just read").expect("it is whole");
    let new = Header::peek(&out).expect("it was just written").expect("it is whole");
    assert_eq!(old.kind, new.kind);
    assert_eq!(old.message_len() + out.len(), new.message_len() + replaced);
    out.clear();
    assert_eq!(rename(&mut out, message, Names::default()), Ok(Some(replaced)));
    assert_eq!(out, message[..replaced]);
});

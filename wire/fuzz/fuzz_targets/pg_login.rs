//! Fuzzes what is said at a PostgreSQL login: what parses reads back as written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::frame::HEADER_LEN;
use wire::postgres::login::{Authentication, SaslInitialResponse, password, put_password};

fuzz_target!(|body: &[u8]| {
    let mut out = BytesMut::new();
    if let Ok(authentication) = Authentication::parse(body) {
        authentication.put(&mut out);
        assert_eq!(out[HEADER_LEN..], *body);
    }
    out.clear();
    if let Ok(response) = SaslInitialResponse::parse(body) {
        response.put(&mut out);
        assert_eq!(out[HEADER_LEN..], *body);
    }
    out.clear();
    if let Ok(password) = password(body) {
        put_password(&mut out, password);
        assert_eq!(out[HEADER_LEN..], *body);
    }
});

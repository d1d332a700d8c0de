use super::*;

fn check(message: &[u8], authentication: Authentication<'_>) {
    assert_eq!(Authentication::parse(&message[5..]), Ok(authentication));
    let mut out = BytesMut::new();
    authentication.put(&mut out);
    assert_eq!(&out[..], message);
}

#[test]
fn a_server_asks_for_what_it_wants() {
    check(b"R\0\0\0\x08\0\0\0\0", Authentication::Ok);
    check(b"R\0\0\0\x08\0\0\0\x03", Authentication::CleartextPassword);
    check(b"R\0\0\0\x0C\0\0\0\x05salt", Authentication::Md5Password { salt: *b"salt" });
    check(b"R\0\0\0\x0B\0\0\0\x0Br=1", Authentication::SaslContinue(b"r=1"));
    check(b"R\0\0\0\x0B\0\0\0\x0Cv=1", Authentication::SaslFinal(b"v=1"));
    check(b"R\0\0\0\x08\0\0\0\x07", Authentication::Other { code: 7, data: b"" });
    check(b"R\0\0\0\x09\0\0\0\x08x", Authentication::Other { code: 8, data: b"x" });
}

#[test]
fn sasl_offers_mechanisms() {
    let mut out = BytesMut::new();
    put_sasl(&mut out, &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    let expect = b"R\0\0\0\x2A\0\0\0\x0ASCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    assert_eq!(&out[..], expect);
    let Ok(Authentication::Sasl(mechanisms)) = Authentication::parse(&out[5..]) else {
        panic!("no AuthenticationSASL")
    };
    let names: Vec<_> = mechanisms.collect();
    assert_eq!(names, [&b"SCRAM-SHA-256-PLUS"[..], b"SCRAM-SHA-256"]);
    check(expect, Authentication::Sasl(mechanisms));
}

#[test]
fn what_is_cut_or_too_long_is_refused() {
    let refused =
        |body: &[u8]| assert!(Authentication::parse(body).is_err(), "{body:?} is no question");
    refused(b"");
    refused(b"\0\0\0");
    refused(b"\0\0\0\0x");
    refused(b"\0\0\0\x03x");
    refused(b"\0\0\0\x05sal");
    refused(b"\0\0\0\x05salty");
    refused(b"\0\0\0\x0A");
    refused(b"\0\0\0\x0ASCRAM\0");
    refused(b"\0\0\0\x0ASCRAM\0\0x");
}

#[test]
fn a_client_answers() {
    let mut out = BytesMut::new();
    put_password(&mut out, b"secret");
    assert_eq!(&out[..], b"p\0\0\0\x0Bsecret\0");
    assert_eq!(password(&out[5..]), Ok(&b"secret"[..]));
    assert!(password(b"secret").is_err() && password(b"secret\0x").is_err());

    for (data, expect) in [
        (Some(&b"n,,"[..]), &b"p\0\0\0\x0EM\0\0\0\0\x03n,,"[..]),
        (None, b"p\0\0\0\x0AM\0\xFF\xFF\xFF\xFF"),
    ] {
        let response = SaslInitialResponse { mechanism: b"M", data };
        let mut out = BytesMut::new();
        response.put(&mut out);
        assert_eq!(out[5..], expect[5..]);
        assert_eq!(SaslInitialResponse::parse(&out[5..]), Ok(response));
        assert!(SaslInitialResponse::parse(&out[5..out.len() - 1]).is_err());
        assert!(SaslInitialResponse::parse(&[&out[5..], b"x"].concat()).is_err());
    }

    let mut out = BytesMut::new();
    put_sasl_response(&mut out, b"c=biws");
    assert_eq!(&out[..], b"p\0\0\0\x0Ac=biws");
}

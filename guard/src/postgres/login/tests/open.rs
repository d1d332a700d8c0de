//! Up to the start-up packet.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use wire::postgres::startup::{
    CancelKey, NegotiateProtocolVersion, put_cancel_request, put_gssenc_request,
};

use super::*;

const USER: (&[u8], &[u8]) = (b"user", b"app");

async fn secured(client: Raw, alpn: Option<&[u8]>) -> std::io::Result<Raw> {
    assert!(client.0.buffer.is_empty());
    let Stream::Plain(tcp) = client.0.stream else { panic!("TLS twice") };
    let tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap().unwrap();
    let mut config = (*tls.config).clone();
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    let stream = TlsConnector::from(Arc::new(config)).connect(tls.server_name, tcp).await?;
    Ok(Raw(Messages::new(stream.into())))
}

/// What comes of a client that sends `bytes`.
async fn send(tls: Option<Demand>, bytes: &[u8]) -> (Raw, Outcome) {
    let (addr, outcome) = serve(context(tls)).await;
    let mut client = Raw::to(addr).await;
    client.0.stream.write_all(bytes).await.unwrap();
    (client, outcome)
}

#[tokio::test]
async fn tls_comes_by_request_or_at_once() {
    let (addr, outcome) = serve(context(Some(Demand::Required))).await;
    let mut client = Raw::to(addr).await;
    client.say(put_gssenc_request).await;
    assert_eq!(client.byte().await, b'N');
    client.say(put_ssl_request).await;
    assert_eq!(client.byte().await, b'S');
    let mut client = secured(client, None).await.unwrap();
    client.startup(Version::V3_0, &[USER]).await;
    assert_eq!(client.hear().await.0, Kind::Authentication);
    drop(client);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::Message(MessageError::Closed))));

    let (addr, outcome) = serve(context(Some(Demand::Required))).await;
    let mut client = secured(Raw::to(addr).await, Some(ALPN)).await.unwrap();
    client.startup(Version::V3_0, &[USER]).await;
    assert_eq!(client.hear().await.0, Kind::Authentication);
    drop((client, outcome));
}

#[tokio::test]
async fn tls_at_once_must_say_what_it_speaks() {
    let (addr, outcome) = serve(context(Some(Demand::Offered))).await;
    let mut client = secured(Raw::to(addr).await, None).await.unwrap();
    assert_eq!(client.error().await.0, "08P01");
    drop(client);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::NoAlpn)));

    let (addr, outcome) = serve(context(Some(Demand::Offered))).await;
    assert!(secured(Raw::to(addr).await, Some(b"http/1.1")).await.is_err());
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::Tls(_))));

    let (addr, outcome) = serve(context(None)).await;
    assert!(secured(Raw::to(addr).await, Some(ALPN)).await.is_err());
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::TlsNotOffered)));
}

#[tokio::test]
async fn without_tls_the_client_may_go_on_in_the_clear() {
    let (addr, _outcome) = serve(context(None)).await;
    let mut client = Raw::to(addr).await;
    client.say(put_ssl_request).await;
    assert_eq!(client.byte().await, b'N');
    client.say(put_gssenc_request).await;
    assert_eq!(client.byte().await, b'N');
    client.startup(Version::V3_0, &[USER]).await;
    assert_eq!(client.hear().await.0, Kind::Authentication);
}

#[tokio::test]
async fn encryption_may_be_asked_for_once() {
    for put in [put_ssl_request, put_gssenc_request] {
        let (addr, outcome) = serve(context(None)).await;
        let mut client = Raw::to(addr).await;
        client.say(put).await;
        assert_eq!(client.byte().await, b'N');
        client.say(put).await;
        assert_eq!(client.error().await.0, "08P01");
        drop(client);
        assert!(matches!(outcome.await.unwrap(), Err(LoginError::AskedAgain)));
    }
    let (addr, outcome) = serve(context(Some(Demand::Offered))).await;
    let mut client = secured(Raw::to(addr).await, Some(ALPN)).await.unwrap();
    client.say(put_ssl_request).await;
    assert_eq!(client.error().await.0, "08P01");
    drop(client);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::AskedAgain)));
}

/// CVE-2021-23214: what comes in plain text behind the request is not taken for what came by TLS.
#[tokio::test]
async fn plain_text_in_front_of_tls_is_refused() {
    let mut bytes = BytesMut::new();
    put_ssl_request(&mut bytes);
    put_startup_message(&mut bytes, Version::V3_0, [USER]);
    let (mut client, outcome) = send(Some(Demand::Offered), &bytes).await;
    assert_eq!(client.byte().await, b'S');
    assert!(client.is_over().await);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::PlainTextBeforeTls)));
}

#[tokio::test]
async fn where_tls_is_a_must_nobody_goes_on_without() {
    let (addr, outcome) = serve(context(Some(Demand::Required))).await;
    let mut client = Raw::to(addr).await;
    client.startup(Version::V3_0, &[USER]).await;
    assert_eq!(client.error().await, ("28000".into(), "connection requires TLS".into()));
    assert!(client.is_over().await);
    drop(client);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::TlsRequired)));
}

#[tokio::test]
async fn a_cancel_is_handed_on_and_ends_as_it_should() {
    for tls in [false, true] {
        let (addr, outcome) = serve(context(Some(Demand::Required))).await;
        let mut client = Raw::to(addr).await;
        if tls {
            client = secured(client, Some(ALPN)).await.unwrap();
        }
        let key = BackendKey::of_session(1 << 30, Version::V3_2);
        client.say(|out| put_cancel_request(out, key.process_id, key.secret())).await;
        let Ok(Entered::Cancel(cancel)) = outcome.await.unwrap() else { panic!("no cancel") };
        assert_eq!(cancel.key, key);
        let other = CancelKey::new(b"four").unwrap();
        assert_ne!(cancel.key.secret(), other);
        cancel.hang_up().await;
        // An end of TCP alone, without one of TLS, would be an error.
        assert_eq!(client.0.stream.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_no_startup_packet_is_refused() {
    let check = async |bytes: &[u8], code: &str| {
        let (mut client, outcome) = send(None, bytes).await;
        assert_eq!(client.error().await.0, code, "{bytes:?}");
        drop(client);
        assert!(outcome.await.unwrap().is_err());
    };
    check(b"GET / HTTP/1.1\r\n\r\n", "08P01").await;
    check(&[0, 0, 0, 7], "08P01").await;
    check(&[0, 0, 0x27, 0x15], "08P01").await;
    check(b"\0\0\0\x08\0\x02\0\0", "0A000").await;
    check(b"\0\0\0\x09\0\x03\0\0\0", "28000").await;
    check(b"\0\0\0\x0e\0\x03\0\0user\0a", "08P01").await;
    check(b"\0\0\0\x10\0\x03\0\0user\0\0\0\0", "08P01").await;
}

#[tokio::test]
async fn who_the_client_is_must_be_said_in_text() {
    let check = async |parameters: &[(&[u8], &[u8])], code: &str, text: &str| {
        let (addr, _outcome) = serve(context(None)).await;
        let mut client = Raw::to(addr).await;
        client.startup(Version::V3_0, parameters).await;
        assert_eq!(client.error().await, (code.into(), text.into()));
    };
    let no_user = "no PostgreSQL user name specified in startup packet";
    check(&[(b"database", b"shop")], "28000", no_user).await;
    check(&[(b"user", b"")], "28000", no_user).await;
    check(&[(b"user", b"\xff")], "22021", "the user name is not UTF-8").await;
    let replication = "invalid value for parameter \"replication\": \"perhaps\"";
    check(&[USER, (b"replication", b"perhaps")], "22023", replication).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up_in_time() {
    let (mut client, outcome) = send(None, b"\0\0").await;
    assert!(client.is_over().await);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::TimedOut(TIMEOUT))));
}

/// What the guard knows of a client that it trusts.
async fn introduced(version: Version, parameters: &[(&[u8], &[u8])]) -> (Raw, Login) {
    let trusting = LoginContext { trusted: vec!["127.0.0.0/8".parse().unwrap()], ..context(None) };
    let (addr, outcome) = serve(trusting).await;
    let mut client = Raw::to(addr).await;
    client.startup(version, parameters).await;
    (client, entered(outcome.await.unwrap()))
}

#[tokio::test]
async fn what_the_client_wants_is_kept_in_order() {
    let (_client, login) = introduced(
        Version::V3_0,
        &[
            (b"options", b"-c search_path=a"),
            (b"database", b"shop"),
            USER,
            (b"replication", b"off"),
            (b"application_name", b"x"),
        ],
    )
    .await;
    assert_eq!((&*login.user, &*login.database), ("app", &b"shop"[..]));
    let names: Vec<_> = login.parameters.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, [&b"options"[..], b"application_name"]);
    assert!(!login.is_replication);

    let (_client, login) = introduced(Version::V3_0, &[USER, (b"replication", b"database")]).await;
    assert_eq!(&*login.database, b"app");
    assert_eq!(login.parameters, [(b"replication"[..].into(), b"database"[..].into())]);
    assert!(login.is_replication);
}

#[tokio::test]
async fn versions_and_options_that_are_not_spoken_are_negotiated() {
    let version = |minor| Version { major: 3, minor };
    let check = async |asked, parameters: &[(&[u8], &[u8])], spoken, unknown: &[&[u8]]| {
        let (mut client, login) = introduced(asked, parameters).await;
        assert_eq!(login.version, spoken);
        let (mut kind, mut body) = client.hear().await;
        if kind == Kind::NegotiateProtocolVersion {
            let answer = NegotiateProtocolVersion::parse(&body).unwrap();
            assert_eq!(answer.newest, spoken);
            assert_eq!(answer.unknown.collect::<Vec<_>>(), unknown);
            (kind, body) = client.hear().await;
        } else {
            assert!(asked <= Version::V3_2 && unknown.is_empty());
        }
        assert_eq!((kind, &body[..]), (Kind::Authentication, &[0; 4][..]));
        for (name, value) in SETTINGS {
            let (_, body) = client.hear().await;
            let status = backend::ParameterStatus::parse(&body).unwrap();
            assert_eq!((status.name, status.value), (name, value));
        }
        let (_, body) = client.hear().await;
        let key = backend::BackendKeyData::parse(&body).unwrap();
        assert_eq!(key.process, 1 << 30);
        let len = if spoken == Version::V3_2 { 32 } else { 4 };
        assert_eq!(key.key.as_bytes().len(), len);
        assert_eq!(client.hear().await, (Kind::ReadyForQuery, b"I"[..].into()));
    };
    check(Version::V3_0, &[USER], Version::V3_0, &[]).await;
    check(version(1), &[USER], Version::V3_0, &[]).await;
    check(Version::V3_2, &[USER], Version::V3_2, &[]).await;
    check(version(9999), &[USER], Version::V3_2, &[]).await;
    let options = [USER, (b"_pq_.a", b"1"), (b"_pq_.b", b"")];
    check(Version::V3_0, &options, Version::V3_0, &[b"_pq_.a", b"_pq_.b"]).await;
    check(version(3), &options, Version::V3_2, &[b"_pq_.a", b"_pq_.b"]).await;
}

#[tokio::test]
async fn a_client_that_is_refused_is_told_why() {
    let (mut client, login) = introduced(Version::V3_0, &[USER]).await;
    while client.hear().await.0 != Kind::ReadyForQuery {}
    let told = tokio::spawn(login.refuse(b"57P03", "not now"));
    assert_eq!(client.error().await, ("57P03".into(), "not now".into()));
    assert!(client.is_over().await);
    drop(client);
    told.await.unwrap();

    let (mut client, login) = introduced(Version::V3_0, &[USER]).await;
    while client.hear().await.0 != Kind::ReadyForQuery {}
    let error = ServerError::parse(b"SFATAL\0VFATAL\0C3D000\0Mno such\0Rfile\0\0").unwrap();
    let told = tokio::spawn(async move { login.pass_on(&error).await });
    assert_eq!(client.error().await, ("3D000".into(), "no such".into()));
    drop(client);
    told.await.unwrap();
}

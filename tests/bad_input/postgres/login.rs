//! On the way in: packets of the start-up, TLS, proofs, and crowds.

use std::time::{Duration, Instant};

use fastrand::Rng;
use guard::postgres::connect::ConnectError;
use harness::*;
use tokio::task::JoinSet;
use wire::postgres::backend::{Fields, Kind};
use wire::postgres::frame::{HEADER_LEN, Header};
use wire::postgres::frontend::put_query;
use wire::postgres::login::{SaslInitialResponse, put_password, put_sasl_response};
use wire::postgres::startup::{
    CancelKey, Version, put_cancel_request, put_gssenc_request, put_ssl_request,
    put_startup_message,
};

use super::super::chance::{damage, dice, rounds};
use super::super::scene::{GRACE, LOGIN_TIMEOUT, Scene, down_to, flood};
use super::bytes;

const ENGINE: Engine = Engine::Postgres;

/// A start-up packet of one that may log in.
fn startup() -> Vec<u8> {
    let parameters = [
        (&b"user"[..], &b"app"[..]),
        (b"database", b"app"),
        (b"options", b"-c work_mem=3MB"),
        (b"application_name", b"bad"),
    ];
    bytes(|out| put_startup_message(out, Version::V3_0, parameters))
}

fn cancel_request(process: u32, key: &[u8]) -> Vec<u8> {
    bytes(|out| put_cancel_request(out, process, CancelKey::new(key).unwrap()))
}

/// The SQLSTATE of the last error among messages; what is no message ends them.
fn last_error(mut told: &[u8]) -> Option<String> {
    let mut code = None;
    while let Ok(Some(header)) = Header::peek(told)
        && told.len() >= header.message_len()
    {
        if header.kind == Kind::ErrorResponse.byte() {
            let fields = Fields::parse(&told[HEADER_LEN..header.message_len()]).unwrap();
            code = fields.code().map(|code| String::from_utf8_lossy(&code).into_owned());
        }
        told = &told[header.message_len()..];
    }
    code
}

/// Connects a socket on which anything can be said.
async fn raw(addr: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(addr).await.unwrap();
    client.set_patience(LOGIN_TIMEOUT + GRACE);
    client
}

fn opening(dice: &mut Rng) -> Vec<u8> {
    match dice.u32(..8) {
        0 => bytes(put_ssl_request),
        1 => bytes(put_gssenc_request),
        2 => cancel_request(7, b"four"),
        3 => [bytes(put_ssl_request), startup()].concat(),
        _ => startup(),
    }
}

#[tokio::test]
async fn damaged_start_ups_are_refused() {
    let scene = Scene::plain(ENGINE).await;
    let mut dice = dice();
    let mut clients = JoinSet::new();
    for _ in 0..rounds() {
        let mut bytes = opening(&mut dice);
        damage(&mut bytes, &mut dice);
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = raw(addr).await;
            client.send(&bytes).await.unwrap();
            client.closed().await.unwrap();
        });
        down_to(&mut clients, 31).await;
    }
    down_to(&mut clients, 0).await;
    scene.ends_well().await;
}

#[tokio::test]
async fn openings_that_lie_are_named() {
    let scene = Scene::plain(ENGINE).await;
    let version = |code: u32| [&8_u32.to_be_bytes()[..], &code.to_be_bytes()].concat();
    let parameters = |text: &[u8]| {
        let len = (8 + text.len()) as u32;
        [&len.to_be_bytes()[..], &196_608_u32.to_be_bytes(), text].concat()
    };
    for (bytes, code) in [
        // Lengths: too short, more than a start-up may have, negative.
        (vec![0, 0, 0, 7, 0, 3, 0, 0], Some("08P01")),
        (vec![0, 0, 0x40, 0, 0, 3, 0, 0], Some("08P01")),
        (vec![0xFF, 0xFF, 0xFF, 0xFF, 0, 3, 0, 0], Some("08P01")),
        (version(0), Some("0A000")),
        (version(2 << 16), Some("0A000")),
        (version(4 << 16), Some("0A000")),
        // No user, no end, half a pair, a name that is no text.
        (parameters(b"\0"), Some("28000")),
        (parameters(b"user\0\0\0"), Some("28000")),
        (parameters(b"user\0app\0"), Some("08P01")),
        (parameters(b"user\0app\0database\0"), Some("08P01")),
        (parameters(b"user\0\xFF\xFE\0\0"), Some("22021")),
        (parameters(b"user\0app\0replication\0perhaps\0\0"), Some("22023")),
        // Asked twice; the first time the answer is no.
        ([bytes(put_gssenc_request), bytes(put_gssenc_request)].concat(), None),
    ] {
        let mut client = raw(scene.addr()).await;
        client.send(&bytes).await.unwrap();
        let told = client.closed().await.unwrap();
        match code {
            Some(_) => assert_eq!(last_error(&told).as_deref(), code, "{bytes:?}: {told:?}"),
            // A byte that says no, and the error.
            None => {
                assert_eq!(told.first(), Some(&b'N'), "{bytes:?}: {told:?}");
                assert_eq!(last_error(&told[1..]).as_deref(), Some("08P01"), "{bytes:?}");
            }
        }
    }
    scene.ends_well().await;
}

#[tokio::test]
async fn silence_and_single_bytes_end_at_the_login_timeout() {
    let scene = Scene::plain(ENGINE).await;
    let mut clients = JoinSet::new();
    for kind in 0..12 {
        let addr = scene.addr();
        clients.spawn(async move {
            let began = Instant::now();
            let mut client = raw(addr).await;
            match kind % 4 {
                0 => {}
                // Half a length, half a packet.
                1 => client.send(&startup()[..2 + kind]).await.unwrap(),
                // A whole one, and no proof.
                2 => client.send(&startup()).await.unwrap(),
                // A byte now and then does not buy more time.
                _ => {
                    for byte in startup() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        if client.send(&[byte]).await.is_err() {
                            break;
                        }
                    }
                }
            }
            client.closed().await.unwrap();
            let took = began.elapsed();
            if kind % 4 != 3 {
                assert!(took >= LOGIN_TIMEOUT, "{took:?}");
                assert!(took < LOGIN_TIMEOUT + GRACE, "{took:?}");
            }
        });
    }
    down_to(&mut clients, 0).await;
    let timeouts = scene.guard.metric("guard_client_connections_total", &["login_timeout"]).await;
    assert!(timeouts.unwrap() >= 9.0);
    scene.ends_well().await;
}

/// CVE-2021-23214, CVE-2021-23222: what stands behind a request for encryption was sent by who knows
/// whom.
#[tokio::test]
async fn plain_text_before_tls_is_not_believed() {
    let scene = Scene::with_tls(ENGINE).await;
    let garbage = [0x17; 600];
    let handshake = [&[0x16, 3, 1][..], &garbage].concat();
    let query = bytes(|out| put_query(out, b"SELECT 1"));
    for behind in [&startup()[..], &query, b"x", &garbage, &handshake, &cancel_request(7, b"four")]
    {
        let mut client = raw(scene.addr()).await;
        client.send(&[&bytes(put_ssl_request), behind].concat()).await.unwrap();
        let told = client.closed().await.unwrap();
        assert_eq!(told.first(), Some(&b'S'), "{told:?}");
        assert!(told.len() < 20, "only an alert: {told:?}");
    }
    // TLS that does not say what it means to speak, and TLS of which only the first byte comes.
    for bytes in [&handshake[..], &[0x16]] {
        let mut client = raw(scene.addr()).await;
        client.send(bytes).await.unwrap();
        let told = client.closed().await.unwrap();
        assert!(told.len() < 20, "only an alert: {told:?}");
    }
    scene.ends_well().await;
}

#[tokio::test]
async fn other_protocols_are_turned_away() {
    let scene = Scene::plain(ENGINE).await;
    let mut clients = JoinSet::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x20\x00\x00\x01\x85\xa6\x03\x00\x00\x00\x00\x01\x08",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01",
    ] {
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = raw(addr).await;
            client.send(bytes).await.unwrap();
            let told = client.closed().await.unwrap();
            assert!(told.len() < 1024, "{told:?}");
        });
    }
    down_to(&mut clients, 0).await;
    scene.ends_well().await;
}

#[tokio::test]
async fn what_is_no_proof_is_refused() {
    let scene = Scene::plain(ENGINE).await;
    let initial = |mechanism: &[u8], data: &[u8]| {
        bytes(|out| SaslInitialResponse { mechanism, data: Some(data) }.put(out))
    };
    let scram = b"SCRAM-SHA-256";
    let first = initial(scram, b"n,,n=,r=nonce");
    let long = vec![b'x'; 70_000];
    for (proof, code) in [
        (bytes(|out| put_query(out, b"SELECT 1")), "08P01"),
        (startup(), "08P01"),
        (bytes(|out| put_password(out, b"drill-app")), "08P01"),
        (initial(b"GSSAPI", b""), "08P01"),
        (initial(b"SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=x"), "28000"),
        (initial(scram, b""), "08P01"),
        (initial(scram, b"n,,m=ext,n=,r=x"), "0A000"),
        (initial(scram, b"y"), "08P01"),
        (initial(scram, b"\xFF\xFE\0"), "08P01"),
        (initial(scram, &long), "08P01"),
        (
            [&first[..], &bytes(|out| put_sasl_response(out, b"c=biws,r=x,p=AAAA"))].concat(),
            "08P01",
        ),
        ([&first[..], &bytes(|out| put_sasl_response(out, &long))].concat(), "08P01"),
        ([&first[..], &first].concat(), "08P01"),
    ] {
        let mut client = raw(scene.addr()).await;
        client.send(&startup()).await.unwrap();
        // It may be hung up on while it sends.
        let _sent = client.send(&proof).await;
        let told = client.closed().await.unwrap();
        let shown = String::from_utf8_lossy(&proof[..proof.len().min(60)]).into_owned();
        assert_eq!(last_error(&told).as_deref(), Some(code), "{shown}: {told:?}");
    }
    scene.ends_well().await;
}

#[tokio::test]
async fn wrong_passwords_in_bulk_are_refused() {
    let scene = Scene::plain(ENGINE).await;
    let mut clients = JoinSet::new();
    for number in 0..200 {
        let addr = scene.addr();
        clients.spawn(async move {
            let account = match number % 3 {
                // Listed, known to the database, and known to nobody.
                0 => Account { password: "wrong", ..APP },
                1 => Account { password: "wrong", ..MD5 },
                _ => Account { name: "nobody", password: "wrong" },
            };
            match PgClient::login(addr, &account).await {
                Err(ConnectError::Refused(error)) => error.sqlstate,
                other => panic!("{other:?}"),
            }
        });
    }
    while let Some(code) = clients.join_next().await {
        // Wrong, or too many attempts from this address for now.
        assert!(matches!(&code.unwrap(), b"28P01" | b"28000"));
    }
    scene.ends_well().await;
}

#[tokio::test]
async fn cancels_with_wrong_keys_stop_nothing() {
    let scene = Scene::plain(ENGINE).await;
    let mut busy = PgClient::login(scene.addr(), &APP).await.unwrap();
    busy.send(|out| put_query(out, b"SELECT pg_sleep(0.5)")).await.unwrap();
    let mut clients = JoinSet::new();
    for number in 0..400_u32 {
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = raw(addr).await;
            // Process numbers as the guard gives them, one after the other.
            let key = fastrand::u32(..).to_be_bytes();
            client.send(&cancel_request(number % 64, &key)).await.unwrap();
            assert!(client.closed().await.unwrap().is_empty());
        });
        down_to(&mut clients, 31).await;
    }
    down_to(&mut clients, 0).await;
    assert_eq!(busy.reply().await.unwrap().failure, None);
    drop(busy);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_is_let_in_at_a_pace() {
    let scene = Scene::set(ENGINE, |_| "logins_at_once = 16".into()).await;
    let count = flood();
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..count {
        let addr = scene.addr();
        clients.spawn(async move {
            if number % 10 == 1 {
                // Logs in and asks.
                let mut client = PgClient::login(addr, &APP).await.ok()?;
                let reply = client.query("SELECT 1").await.ok()?;
                return Some(u32::from(reply.failure.is_none()));
            }
            let mut client = Client::connect(addr).await.ok()?;
            client.set_patience(Duration::from_secs(60));
            match number % 10 {
                // Says nothing, and is dropped at the login timeout.
                0 => client.closed().await.map(|_| 0).ok(),
                // Looks at what it is asked and goes.
                _ => {
                    client.send(&startup()).await.ok()?;
                    client.read_some(64).await.map(|_| 0).ok()
                }
            }
        });
    }
    let (mut served, mut unheard) = (0, 0);
    while let Some(ended) = clients.join_next().await {
        match ended.unwrap() {
            Some(one) => served += one,
            None => unheard += 1,
        }
    }
    eprintln!("{count} in {:?}: {served} served, {unheard} unheard", began.elapsed());
    assert!(served > 0, "nobody was served");
    scene.ends_well().await;
}

//! Bad input in MySQL's protocol.

use std::time::{Duration, Instant};

use harness::*;
use tokio::task::JoinSet;
use wire::mysql::Capabilities;
use wire::mysql::command::Command;
use wire::mysql::response::ErrPacket;

use super::chance::{damage, dice, rounds};
use super::scene::{GRACE, LOGIN_TIMEOUT, MAX_PACKET, Scene, down_to, flood};

/// The error in the last packet of what came before the end, if it is one.
fn last_error(bytes: &[u8]) -> Option<Failure> {
    let at = bytes.iter().rposition(|&byte| byte == 0xFF)?;
    ErrPacket::parse(&bytes[at..], Capabilities::PROTOCOL_41).ok().map(Failure::from)
}

/// A handshake response as drivers send it, to be damaged.
fn response(dice: &mut fastrand::Rng) -> Vec<u8> {
    let capabilities = Capabilities::PROTOCOL_41
        | Capabilities::SECURE_CONNECTION
        | Capabilities::PLUGIN_AUTH
        | Capabilities::CONNECT_WITH_DB
        | Capabilities::CONNECT_ATTRS
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA;
    let mut bytes = (capabilities.0 as u32).to_le_bytes().to_vec();
    bytes.extend((1_u32 << 24).to_le_bytes());
    bytes.push(45);
    bytes.extend([0; 23]);
    bytes.extend(b"app\0\x14");
    bytes.extend((0..20).map(|_| dice.u8(..)));
    bytes.extend(b"app\0mysql_native_password\0");
    bytes.extend(b"\x0d\x04_pid\x0712345 7");
    bytes
}

#[tokio::test]
async fn damaged_handshakes_are_refused() {
    let scene = Scene::plain(Engine::MariaDb).await;
    let mut dice = dice();
    let mut clients = JoinSet::new();
    for _ in 0..rounds() {
        let mut bytes = response(&mut dice);
        damage(&mut bytes, &mut dice);
        let (addr, seq) = (scene.addr(), if dice.u32(..10) == 0 { dice.u8(..) } else { 1 });
        clients.spawn(async move {
            let mut client = Client::connect(addr).await.unwrap();
            client.packet().await.unwrap();
            client.set_patience(LOGIN_TIMEOUT + GRACE);
            client.send_packet(seq, &bytes).await.unwrap();
            client.closed().await.unwrap();
        });
        down_to(&mut clients, 31).await;
    }
    down_to(&mut clients, 0).await;
    scene.ends_well().await;
}

#[tokio::test]
async fn damaged_commands_are_answered_or_closed() {
    let scene = Scene::plain(Engine::MariaDb).await;
    let mut dice = dice();
    let mut clients = JoinSet::new();
    for _ in 0..rounds() {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..dice.u32(1..5) {
            let mut payload = vec![dice.u8(..)];
            payload.extend(match dice.u32(..4) {
                0 => b"SELECT 1, 'a' /* b='c' */".to_vec(),
                1 => vec![1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xFD, 0, 3, b'a', b'b', b'c'],
                2 => (0..dice.usize(..64)).map(|_| dice.u8(..)).collect(),
                _ => b"BEGIN".to_vec(),
            });
            damage(&mut payload, &mut dice);
            let seq = if dice.u32(..20) == 0 { dice.u8(..) } else { 0 };
            let len = payload.len() as u32;
            bytes.extend(&len.to_le_bytes()[..3]);
            bytes.push(seq);
            bytes.extend(payload);
        }
        if dice.u32(..4) == 0 {
            bytes.truncate(dice.usize(..bytes.len()));
        }
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = Client::login(addr, &APP).await.unwrap();
            // It may be closed while it still sends.
            let _closed = client.send(&bytes).await;
            let _closed = client.finish_sending().await;
            client.set_patience(Duration::from_secs(10));
            client.closed().await.unwrap();
        });
        down_to(&mut clients, 15).await;
    }
    down_to(&mut clients, 0).await;
    scene.ends_well().await;
}

#[tokio::test]
async fn lengths_and_sequences_that_lie_are_named() {
    let scene = Scene::plain(Engine::MariaDb).await;
    for (bytes, code) in [
        (&[0x01, 0x00, 0x10, 0, 0x03][..], 1153),
        (&[0xFF, 0xFF, 0xFF, 0, 0x03], 1153),
        (&[0x01, 0x00, 0x00, 7, 0x0E], 1156),
        (&[0x01, 0x00, 0x00, 255, 0x0E], 1156),
    ] {
        let mut client = Client::login(scene.addr(), &APP).await.unwrap();
        client.send(bytes).await.unwrap();
        let told = client.closed().await.unwrap();
        assert_eq!(last_error(&told).map(|error| error.code), Some(code), "{bytes:?}: {told:?}");
    }
    let mut client = Client::login(scene.addr(), &APP).await.unwrap();
    for (payload, code) in [
        (&[0x03][..], 1065),
        (&[0x17, 1, 0], 1835),
        (&[0x17, 9, 9, 9, 9, 0, 1, 0, 0, 0], 1243),
        (&[0x12], 1047),
        (&[0xC0, 1, 2, 3], 1047),
    ] {
        client.send_packet(0, payload).await.unwrap();
        let reply = client.packet().await.unwrap();
        let error = last_error(&reply.payload);
        assert_eq!(error.map(|error| error.code), Some(code), "{payload:?}: {reply:?}");
    }
    let long = vec![b' '; MAX_PACKET - 100];
    let sql = [b"SELECT 1", &long[..]].concat();
    assert_eq!(client.query(sql).await.unwrap().value().as_deref(), Some("1"));
    drop(client);
    scene.ends_well().await;
}

#[tokio::test]
async fn silence_and_single_bytes_end_at_the_login_timeout() {
    let scene = Scene::plain(Engine::MariaDb).await;
    let mut clients = JoinSet::new();
    for kind in 0..12 {
        let addr = scene.addr();
        clients.spawn(async move {
            let began = Instant::now();
            let mut client = Client::connect(addr).await.unwrap();
            client.packet().await.unwrap();
            client.set_patience(LOGIN_TIMEOUT + GRACE);
            match kind % 3 {
                0 => {}
                // Half a header, half a packet.
                1 => client.send(&[200, 0, 0, 1, 5, 6, 7][..kind.min(7)]).await.unwrap(),
                // A byte now and then does not buy more time.
                _ => {
                    let mut bytes = vec![90, 0, 0, 1];
                    bytes.extend([0; 90]);
                    for byte in bytes {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        if client.send(&[byte]).await.is_err() {
                            break;
                        }
                    }
                }
            }
            client.closed().await.unwrap();
            let took = began.elapsed();
            if kind % 3 != 2 {
                assert!(took >= LOGIN_TIMEOUT, "{took:?}");
                assert!(took < LOGIN_TIMEOUT + GRACE, "{took:?}");
            }
        });
    }
    down_to(&mut clients, 0).await;
    let timeouts = scene.guard.metric("guard_client_connections_total", &["login_timeout"]).await;
    assert!(timeouts.unwrap() >= 8.0);
    scene.ends_well().await;
}

#[tokio::test]
async fn plain_text_before_tls_is_not_believed() {
    let scene = Scene::with_tls(Engine::MariaDb).await;
    let capabilities = Capabilities::PROTOCOL_41 | Capabilities::SSL | Capabilities::PLUGIN_AUTH;
    let mut request = vec![32, 0, 0, 1];
    request.extend((capabilities.0 as u32).to_le_bytes());
    request.extend((1_u32 << 24).to_le_bytes());
    request.push(45);
    request.extend([0; 23]);
    let mut injected = vec![9, 0, 0, 2];
    injected.extend(b"\x03SELECT 1");
    let garbage = [0x17; 600];
    for behind in [&injected[..], b"x", &garbage] {
        let mut client = Client::connect(scene.addr()).await.unwrap();
        client.packet().await.unwrap();
        client.set_patience(LOGIN_TIMEOUT + GRACE);
        client.send(&[&request[..], behind].concat()).await.unwrap();
        let told = client.closed().await.unwrap();
        assert!(told.len() < 200, "only an error or an alert: {told:?}");
    }
    scene.ends_well().await;
}

#[tokio::test]
async fn other_protocols_are_turned_away() {
    let scene = Scene::plain(Engine::MariaDb).await;
    let mut clients = JoinSet::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01",
    ] {
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = Client::connect(addr).await.unwrap();
            client.set_patience(LOGIN_TIMEOUT + GRACE);
            client.send(bytes).await.unwrap();
            let told = client.closed().await.unwrap();
            assert!(told.len() < 1024, "{told:?}");
        });
    }
    down_to(&mut clients, 0).await;
    scene.ends_well().await;
}

#[tokio::test]
async fn wrong_passwords_in_bulk_are_refused() {
    let scene = Scene::plain(Engine::MariaDb).await;
    let mut clients = JoinSet::new();
    for number in 0..200 {
        let addr = scene.addr();
        clients.spawn(async move {
            let mut login = Login::new(&APP);
            login.password = format!("wrong {number}").into_bytes();
            if number % 2 == 0 {
                login.user = format!("nobody {number}").into_bytes();
            }
            match Client::login_with(addr, &login).await {
                Err(ClientError::Refused(failure)) => failure,
                other => panic!("{other:?}"),
            }
        });
    }
    while let Some(failure) = clients.join_next().await {
        let failure = failure.unwrap();
        // Access denied, or too many attempts from this address for now.
        assert!(matches!(failure.code, 1045 | 1129 | 3168), "{failure}");
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_is_let_in_at_a_pace() {
    let scene = Scene::set(Engine::MariaDb, |_| "logins_at_once = 16".into()).await;
    let count = flood();
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..count {
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = Client::connect(addr).await.ok()?;
            client.set_patience(Duration::from_secs(60));
            match number % 10 {
                // Says nothing, and is dropped at the login timeout.
                0 => client.closed().await.map(|_| 0).ok(),
                // Logs in and asks.
                1 => {
                    drop(client);
                    let mut client = Client::login(addr, &APP).await.ok()?;
                    let reply = client.query("SELECT 1").await.ok()?;
                    Some(u32::from(reply.failure().is_none()))
                }
                // Looks at the greeting and goes.
                _ => client.packet().await.map(|_| 0).ok(),
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

#[tokio::test]
async fn half_a_statement_is_no_statement() {
    let scene = Scene::plain(Engine::MariaDb).await;
    for cut in [1, 3, 4, 5, 12] {
        let mut client = Client::login(scene.addr(), &APP).await.unwrap();
        done(&mut client, "BEGIN").await;
        done(&mut client, "SELECT 1").await;
        let mut bytes = vec![9, 0, 0, 0];
        bytes.extend(b"\x03SELECT 1");
        client.send(&bytes[..cut]).await.unwrap();
        drop(client);
    }
    let mut client = Client::login(scene.addr(), &APP).await.unwrap();
    client.send_packet(0, b"\x03SELECT 5").await.unwrap();
    assert_eq!(client.reply(Command::Query).await.unwrap().value().as_deref(), Some("5"));
    drop(client);
    scene.ends_well().await;
}

//! Behind the login: messages that are damaged, lie about their length, or are not due.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use fastrand::Rng;
use harness::*;
use tokio::task::JoinSet;
use wire::postgres::backend::{Kind, TransactionStatus};
use wire::postgres::frame::put_message;
use wire::postgres::frontend::{
    Target, put_bind, put_close, put_copy_data, put_copy_done, put_copy_fail, put_describe,
    put_execute, put_flush, put_function_call, put_parse, put_query, put_sync, put_terminate,
};
use wire::postgres::list::Format;
use wire::postgres::login::put_password;
use wire::postgres::startup::{Version, put_ssl_request, put_startup_message};

use super::super::chance::{damage, dice, rounds};
use super::super::scene::{MAX_PACKET, Scene, down_to};
use super::bytes;

const ENGINE: Engine = Engine::Postgres;
/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(10);

/// A message as drivers send it.
fn sound(out: &mut BytesMut, dice: &mut Rng) {
    match dice.u32(..14) {
        0 => put_query(out, b"SELECT 1, 'a' /* b='c' */"),
        1 => put_query(out, b"BEGIN"),
        2 => put_query(out, b"COPY (SELECT 1) TO STDOUT; COPY note FROM STDIN"),
        3 => put_parse(out, b"s", b"SELECT $1::int", &[23]),
        4 => put_bind(out, b"p", b"s", &[Some(b"1")], Format::Binary),
        5 => put_bind(out, b"", b"", &[], Format::Text),
        6 => put_describe(out, Target::Statement(b"s")),
        7 => put_execute(out, b"p", 1),
        8 => put_close(out, Target::Portal(b"p")),
        9 => put_flush(out),
        10 => put_function_call(out, 177, &[Some(b"1"), Some(b"2")], Format::Text),
        11 => put_copy_data(out, b"7\n"),
        12 => put_copy_done(out),
        _ => put_sync(out),
    }
}

#[tokio::test]
async fn damaged_messages_are_answered_or_closed() {
    let scene = Scene::plain(ENGINE).await;
    let mut owner = PgClient::login(scene.addr(), &APP).await.unwrap();
    pg_done(&mut owner, "CREATE TABLE note (id int PRIMARY KEY)").await;
    drop(owner);
    let mut dice = dice();
    let mut clients = JoinSet::new();
    for _ in 0..rounds() {
        let mut bytes = Vec::new();
        for _ in 0..dice.u32(1..8) {
            let mut message = BytesMut::new();
            sound(&mut message, &mut dice);
            let mut body = message.split_off(5).to_vec();
            if dice.bool() {
                damage(&mut body, &mut dice);
            }
            let kind = if dice.u32(..12) == 0 { dice.u8(..) } else { message[0] };
            let mut out = BytesMut::new();
            put_message(&mut out, kind, &body);
            if dice.u32(..12) == 0 {
                out[1 + dice.usize(..4)] = dice.u8(..);
            }
            bytes.extend(out);
        }
        if dice.u32(..4) == 0 {
            bytes.truncate(dice.usize(..bytes.len()));
        }
        let addr = scene.addr();
        clients.spawn(async move {
            let mut client = PgClient::login(addr, &APP).await.unwrap();
            // It may be closed while it still sends.
            let _closed = client.send(|out| out.put_slice(&bytes)).await;
            let _closed = client.finish_sending().await;
            client.set_patience(SOON);
            client.rest().await.unwrap();
        });
        down_to(&mut clients, 15).await;
    }
    down_to(&mut clients, 0).await;
    scene.ends_well().await;
}

/// The session ends, and says why.
#[tokio::test]
async fn lengths_and_kinds_that_lie_are_named() {
    let scene = Scene::plain(ENGINE).await;
    let header = |kind: u8, len: u32| [&[kind][..], &len.to_be_bytes()].concat();
    for (bytes, code) in [
        (header(b'Q', 0), "08P01"),
        (header(b'Q', 3), "08P01"),
        (header(b'Q', u32::MAX), "08P01"),
        (header(b'Q', 1 << 31), "08P01"),
        (header(b'Q', 0x4000_0000), "08P01"),
        (header(b'S', 10_001), "08P01"),
        (header(b'X', 10_001), "08P01"),
        (header(b'C', 1 << 24), "08P01"),
        // A server would take it.
        (header(b'c', 8), "08P01"),
        (header(b'P', MAX_PACKET as u32 + 100), "54000"),
        (header(b'!', 4), "08P01"),
        (header(0, 4), "08P01"),
        // A server's message, and those of a login.
        (header(b'Z', 5), "08P01"),
        (bytes(|out| put_password(out, b"drill-app")), "08P01"),
        (bytes(put_ssl_request), "08P01"),
        (bytes(|out| put_startup_message(out, Version::V3_0, [])), "08P01"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "08P01"),
    ] {
        let mut client = PgClient::login(scene.addr(), &APP).await.unwrap();
        client.send(|out| out.put_slice(&bytes)).await.unwrap();
        let words = client.closed().await.unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        let words = words.unwrap_or_else(|| panic!("{bytes:?}: silence"));
        assert_eq!((words.code.as_str(), words.is_fatal), (code, true), "{bytes:?}: {words}");
    }
    // What is long and allowed passes.
    let mut client = PgClient::login(scene.addr(), &APP).await.unwrap();
    let long = format!("SELECT 1{}", " ".repeat(2 * MAX_PACKET));
    assert_eq!(pg_done(&mut client, &long).await.value(), Some("1"));
    drop(client);
    scene.ends_well().await;
}

/// What one connection says to bytes: the kinds of its messages, with the code of an error, up to the
/// answer to a last query, or its end.
async fn said(addr: std::net::SocketAddr, bytes: &[u8]) -> Vec<String> {
    let mut client = PgClient::login(addr, &APP).await.unwrap();
    let mut said = Vec::new();
    client.send(|out| out.put_slice(bytes)).await.unwrap();
    client.send(|out| put_query(out, b"SELECT 'the last'")).await.unwrap();
    loop {
        match client.message().await {
            Ok((Kind::ErrorResponse, body)) => {
                let text = String::from_utf8_lossy(&body);
                let code = text.split('\0').find_map(|field| field.strip_prefix('C'));
                said.push(format!("error {}", code.unwrap_or_default()));
            }
            // It may say so before it hangs up, or not.
            Ok((Kind::NoticeResponse, _)) => {}
            Ok((Kind::DataRow, body)) if body.ends_with(b"the last") => {
                said.push("the last".into());
                return said;
            }
            Ok((kind, _)) => said.push(format!("{kind:?}")),
            Err(_) => {
                said.push("the end".into());
                return said;
            }
        }
    }
}

/// Not due, or of things that there are not: the client is told what the server would tell it, and goes
/// on where it could there, but for bodies that nobody understands.
#[tokio::test]
async fn messages_out_of_order_are_answered_as_the_server_does() {
    let server = Server::start(ENGINE).await.unwrap();
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    let raw = |kind: u8, body: &[u8]| bytes(|out| put_message(out, kind, body));
    let sync = bytes(put_sync);
    let cases: Vec<Vec<u8>> = vec![
        // COPY without a COPY.
        bytes(|out| put_copy_data(out, b"1\n")),
        bytes(put_copy_done),
        bytes(|out| put_copy_fail(out, b"no")),
        // Nothing to flush, nothing to end.
        bytes(put_flush),
        [&sync[..], &sync, &sync].concat(),
        // Names that nobody has given.
        [bytes(|out| put_bind(out, b"", b"none", &[], Format::Text)), sync.clone()].concat(),
        [bytes(|out| put_bind(out, b"", b"", &[], Format::Text)), sync.clone()].concat(),
        [bytes(|out| put_execute(out, b"none", 0)), sync.clone()].concat(),
        [bytes(|out| put_describe(out, Target::Statement(b"none"))), sync.clone()].concat(),
        [bytes(|out| put_describe(out, Target::Portal(b"none"))), sync.clone()].concat(),
        [bytes(|out| put_close(out, Target::Statement(b"none"))), sync.clone()].concat(),
        [bytes(|out| put_close(out, Target::Portal(b"none"))), sync.clone()].concat(),
        bytes(|out| put_function_call(out, 4_000_000, &[], Format::Text)),
        // An error, and what comes before the next Sync.
        [
            bytes(|out| put_parse(out, b"", b"SELEC", &[])),
            bytes(|out| put_execute(out, b"", 0)),
            bytes(|out| put_query(out, b"SELECT 1")),
            bytes(|out| put_function_call(out, 177, &[], Format::Text)),
            sync.clone(),
        ]
        .concat(),
        // Bodies that are not what their message has.
        [raw(b'P', b"no end"), sync.clone()].concat(),
        [raw(b'B', b"\0\0\0"), sync.clone()].concat(),
        [raw(b'B', b"\0\0\xFF\xFF\0\0\0\0"), sync.clone()].concat(),
        [raw(b'D', b"Xnone\0"), sync.clone()].concat(),
        [raw(b'C', b"Xnone\0"), sync.clone()].concat(),
        [raw(b'D', b""), sync.clone()].concat(),
        [raw(b'E', b"\0"), sync.clone()].concat(),
        [raw(b'E', b"\0\0\0\0\0more"), sync.clone()].concat(),
        raw(b'Q', b"SELECT 1"),
        raw(b'Q', b""),
        raw(b'Q', b"SELECT 1\0SELECT 2\0"),
        raw(b'F', b"\0\0"),
        raw(b'S', b"more"),
        raw(b'H', b"more"),
    ];
    let mut differences = String::new();
    for bytes in cases {
        let direct = said(server.addr(), &bytes).await;
        let guarded = said(guard.addr(), &bytes).await;
        // What is no message of its kind may also end the session, with the server's word for it.
        let is_ended = guarded == ["error 08P01", "the end"] && direct[0].starts_with("error ");
        if direct != guarded && !is_ended {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            differences += &format!("{shown:?}\n  direct  {direct:?}\n  guarded {guarded:?}\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[tokio::test]
async fn what_follows_a_goodbye_is_not_heard() {
    let scene = Scene::plain(ENGINE).await;
    let mut owner = PgClient::login(scene.addr(), &APP).await.unwrap();
    pg_done(&mut owner, "CREATE TABLE note (id int PRIMARY KEY)").await;
    for (before, id) in [("SELECT 1", 1), ("BEGIN; INSERT INTO note VALUES (0)", 2), ("BEGIN", 3)] {
        let mut client = PgClient::login(scene.addr(), &APP).await.unwrap();
        pg_done(&mut client, before).await;
        client
            .send(|out| {
                put_terminate(out);
                put_query(out, format!("INSERT INTO note VALUES ({id})").as_bytes());
                out.put_slice(&[0xFF; 300]);
                put_query(out, b"COMMIT");
            })
            .await
            .unwrap();
        assert!(client.rest().await.unwrap().is_empty(), "{before}");
    }
    // Behind a statement that is under way, which is heard.
    let mut client = PgClient::login(scene.addr(), &APP).await.unwrap();
    client
        .send(|out| {
            put_query(out, b"INSERT INTO note VALUES (4)");
            put_terminate(out);
            put_query(out, b"INSERT INTO note VALUES (5)");
        })
        .await
        .unwrap();
    client.rest().await.unwrap();
    eventually("the last has ended", SOON, async || {
        (status(&scene.guard, "/clients/connected").await == 2).then_some(())
    })
    .await;
    let notes = pg_done(&mut owner, "SELECT string_agg(id::text, ',' ORDER BY id) FROM note").await;
    assert_eq!(notes.value(), Some("4"));
    drop(owner);
    scene.ends_well().await;
}

#[tokio::test]
async fn half_a_message_is_no_message() {
    let scene = Scene::plain(ENGINE).await;
    let mut owner = PgClient::login(scene.addr(), &APP).await.unwrap();
    pg_done(&mut owner, "CREATE TABLE note (id int, text text)").await;
    let short = bytes(|out| put_query(out, b"INSERT INTO note VALUES (1)"));
    let series = bytes(|out| put_series(out, "INSERT INTO note VALUES (2)", &[]));
    // So long that it goes on to the server before its end is there.
    let text = "x".repeat(4 * MAX_PACKET);
    let long =
        bytes(|out| put_query(out, format!("INSERT INTO note VALUES (3, '{text}')").as_bytes()));
    let value = bytes(|out| put_series(out, "INSERT INTO note VALUES (4, $1)", &[&text]));
    let cuts = [
        (&short, 1),
        (&short, 4),
        (&short, 5),
        (&short, short.len() - 1),
        (&series, 30),
        (&series, series.len() - 1),
        (&long, 200_000),
        (&long, long.len() - 1),
        (&value, 200_000),
        (&value, value.len() - 6),
    ];
    for begin in ["SELECT 1", "BEGIN", "BEGIN; INSERT INTO note VALUES (0)"] {
        for (bytes, cut) in cuts {
            let mut client = PgClient::login(scene.addr(), &APP).await.unwrap();
            pg_done(&mut client, begin).await;
            client.send(|out| out.put_slice(&bytes[..cut])).await.unwrap();
            drop(client);
        }
    }
    eventually("all have ended", SOON, async || {
        let is_quiet = status(&scene.guard, "/clients/connected").await == 2
            && status(&scene.guard, "/in_flight").await == 0;
        is_quiet.then_some(())
    })
    .await;
    assert_eq!(pg_done(&mut owner, "SELECT count(*) FROM note").await.value(), Some("0"));
    drop(owner);
    scene.ends_well().await;
}

/// Whoever stops in the middle of a message keeps a connection no longer than its class allows.
#[tokio::test]
async fn silence_in_the_middle_of_a_message_ends_with_its_time() {
    let server = Server::start(ENGINE).await.unwrap();
    let limits = "[class.default]\nstatement_time = \"500ms\"\nidle_in_transaction_time = \"1s\"";
    let guard = Guard::start(&server, &Setup::with(limits)).await.unwrap();
    let text = "x".repeat(4 * MAX_PACKET);
    let query = bytes(|out| put_query(out, format!("SELECT '{text}'").as_bytes()));
    let value = bytes(|out| put_series(out, "SELECT $1::text", &[&text]));
    for bytes in [&query, &value] {
        for begin in ["SELECT 1", "BEGIN; SELECT 1"] {
            let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
            pg_done(&mut client, begin).await;
            client.send(|out| out.put_slice(&bytes[..3 * MAX_PACKET])).await.unwrap();
            // In time nothing is open any more, and the client is told, or hung up on.
            eventually("nothing is open", SOON, async || {
                let is_quiet = status(&guard, "/in_flight").await == 0
                    && open_on(&server, &APP).await.transactions == 0;
                is_quiet.then_some(())
            })
            .await;
            let told = client.message().await;
            assert!(
                matches!(told, Ok((Kind::ErrorResponse, _)) | Err(PgError::Closed(_))),
                "{told:?}"
            );
        }
    }
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    assert_eq!(pg_done(&mut client, "SELECT 1").await.status, TransactionStatus::Idle);
}

//! LOAD DATA LOCAL: off unless an account may, never for a server that asks unbidden, and its time
//! limit is that of each part.

use std::net::SocketAddr;
use std::time::Duration;

use harness::*;
use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wire::mysql::Capabilities;
use wire::mysql::command::Command;

const SOON: Duration = Duration::from_secs(10);
/// `ER_LOAD_INFILE_CAPABILITY_DISABLED` of MariaDB.
const DISABLED: u16 = 4166;
const LOAD: &str = "LOAD DATA LOCAL INFILE 'note.tsv' INTO TABLE note";

/// A server, and a guard through which `app` may send files and `other` may not.
async fn scene(sections: &str) -> (Server, Guard, Probe) {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let mut probe = server.probe().await.unwrap();
    probe.conn().query_drop("CREATE TABLE app.note (id INT PRIMARY KEY)").await.unwrap();
    let guard = guard(&server, server.addr(), sections).await;
    (server, guard, probe)
}

async fn guard(server: &Server, upstream: SocketAddr, sections: &str) -> Guard {
    let setup = Setup::with(sections);
    let text = |doors| {
        let allowed = "name = \"app\"\nlocal_infile = true\n";
        let text = setup.text(server, doors).replace("name = \"app\"\n", allowed);
        text.replace(&format!("\"{}\"", server.addr()), &format!("\"{upstream}\""))
    };
    Guard::start_with(text).await.unwrap()
}

async fn notes(probe: &mut Probe) -> Option<u32> {
    probe.conn().query_first("SELECT COUNT(*) FROM app.note").await.unwrap()
}

#[tokio::test]
async fn files_are_sent_only_for_accounts_that_may() {
    let (_server, guard, mut probe) = scene("").await;
    let mut denied = Client::login(guard.addr(), &OTHER).await.unwrap();
    assert_eq!(refused(&mut denied, LOAD).await.code, DISABLED);
    done(&mut denied, "SELECT 1").await;
    let mut allowed = Client::login(guard.addr(), &APP).await.unwrap();
    for sql in [LOAD, &format!("SELECT 1; {LOAD}; SELECT 2")] {
        done(&mut allowed, "DELETE FROM note").await;
        allowed.send_packet(0, &[b"\x03", sql.as_bytes()].concat()).await.unwrap();
        let reply = allowed.reply_with(Command::Query, b"1\n2\n3\n").await.unwrap();
        assert_eq!(reply.failure(), None, "{sql}");
        assert_eq!(notes(&mut probe).await, Some(3), "{sql}");
    }
}

#[tokio::test]
async fn where_nobody_may_send_files_clients_are_not_told_of_it() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    assert!(!client.capabilities().contains(Capabilities::LOCAL_FILES));
    assert_eq!(refused(&mut client, LOAD).await.code, DISABLED);
}

/// What follows this text in a statement, the impostor does not pass on.
const BAIT: &[u8] = b"SELECT 'bait'";
/// As [`BAIT`], and when it has its file it says nothing any more.
const SILENT: &[u8] = b"SELECT 'bait' AND 'silence'";

/// A server between the guard and the real one that answers [`BAIT`] with a question for a file, and
/// tells what it was sent.
async fn impostor(server: SocketAddr) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((guard, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.unwrap();
            tokio::spawn(stand_between(guard, server, sender.clone()));
        }
    });
    (addr, receiver)
}

async fn stand_between(
    mut guard: TcpStream,
    mut server: TcpStream,
    told: mpsc::UnboundedSender<Vec<u8>>,
) {
    let (mut from_guard, mut from_server) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = guard.read(&mut from_guard) => {
                let Some(sent) = from_guard.get(..read.unwrap_or(0)).filter(|s| !s.is_empty())
                else { return };
                if sent.windows(BAIT.len()).any(|window| window == BAIT) {
                    let is_silent = sent.ends_with(SILENT);
                    guard.write_all(b"\x0c\0\0\x01\xfb/etc/passwd").await.unwrap();
                    let read = guard.read(&mut from_guard).await.unwrap();
                    told.send(from_guard[..read].to_vec()).unwrap();
                    if !is_silent {
                        guard.write_all(b"\x07\0\0\x03\0\0\0\x02\0\0\0").await.unwrap();
                    }
                } else if server.write_all(sent).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Some(sent) = from_server.get(..read.unwrap_or(0)).filter(|s| !s.is_empty())
                else { return };
                if guard.write_all(sent).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_unbidden_gets_an_empty_file() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let (impostor, mut told) = impostor(server.addr()).await;
    let guard = guard(&server, impostor, "").await;
    for account in [APP, OTHER] {
        let mut client = Client::login(guard.addr(), &account).await.unwrap();
        assert_eq!(refused(&mut client, "SELECT 'bait'").await.code, DISABLED);
        assert_eq!(told.recv().await.unwrap(), b"\0\0\0\x02", "an empty file");
        let answer = done(&mut client, "SELECT 'nothing lost'").await.value();
        assert_eq!(answer.as_deref(), Some("nothing lost"));
    }
}

#[tokio::test]
async fn a_server_that_asks_and_says_no_more_is_told_of_once() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let (impostor, mut told) = impostor(server.addr()).await;
    let guard = guard(&server, impostor, "[class.default]\nstatement_time = \"300ms\"").await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    let failure = refused(&mut client, std::str::from_utf8(SILENT).unwrap()).await;
    assert_eq!(failure.code, DISABLED);
    assert_eq!(told.recv().await.unwrap(), b"\0\0\0\x02", "an empty file");
    client.set_patience(2 * PATIENCE);
    assert_eq!(&*client.closed().await.unwrap(), b"", "nothing behind the error");
    eventually("nothing is left", SOON, async || {
        (status(&guard, "/in_flight").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_file_may_take_longer_than_the_statements_limit_as_long_as_it_comes() {
    let (_server, guard, mut probe) =
        scene("[class.default]\nstatement_time = \"1s\"\ntransaction_time = \"1s\"").await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    client.send_packet(0, &[b"\x03", LOAD.as_bytes()].concat()).await.unwrap();
    assert_eq!(client.packet().await.unwrap().payload[0], 0xFB);
    for part in 0..6 {
        // Half of the limit each, by the server's clock.
        probe.conn().query_drop("DO SLEEP(0.5)").await.unwrap();
        client.send_packet(2 + part, format!("{part}\n").as_bytes()).await.unwrap();
    }
    client.send_packet(8, b"").await.unwrap();
    assert_eq!(client.packet().await.unwrap().payload[0], 0x00, "OK");
    assert_eq!(notes(&mut probe).await, Some(6));
}

#[tokio::test]
async fn a_file_that_stops_coming_ends_the_connection_and_leaves_nothing() {
    let (_server, guard, mut probe) = scene("[class.default]\nstatement_time = \"500ms\"").await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    client.send_packet(0, &[b"\x03", LOAD.as_bytes()].concat()).await.unwrap();
    assert_eq!(client.packet().await.unwrap().payload[0], 0xFB);
    client.send_packet(2, b"1\n2\n").await.unwrap();
    client.closed().await.unwrap();
    eventually("the database is done with it", SOON, async || {
        (status(&guard, "/in_flight").await == 0).then_some(())
    })
    .await;
    assert_eq!(notes(&mut probe).await, Some(0));
    let cancels = guard.metric("guard_cancels_total", &["cause=\"statement_time\""]).await.unwrap();
    assert_eq!(cancels, 1.0);
}

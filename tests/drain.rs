//! SIGTERM: nobody new comes in, what is open may end, and nothing is left behind on the database.

use std::time::Duration;

use harness::*;
use mysql_async::prelude::Queryable;
use wire::mysql::command::Command;

/// Longest any of this may take beyond the configured times, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(8);

async fn scene(sections: &str) -> (Server, Guard, Probe) {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
    let mut probe = server.probe().await.unwrap();
    probe.conn().query_drop("CREATE TABLE app.note (id INT PRIMARY KEY)").await.unwrap();
    (server, guard, probe)
}

async fn ends(guard: &mut Guard) {
    eventually("the guard ends", SOON, async || (!guard.runs()).then_some(())).await;
}

#[tokio::test]
async fn an_open_transaction_may_end_while_the_guard_drains() {
    let (_server, mut guard, mut probe) = scene("").await;
    let mut idle = Client::login(guard.addr(), &APP).await.unwrap();
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut client, "BEGIN").await;
    done(&mut client, "INSERT INTO note VALUES (1)").await;
    guard.begin_drain().unwrap();
    let last_words = idle.closed().await.unwrap();
    assert!(last_words.windows(8).any(|word| word == b"shutdown"), "{last_words:?}");
    let addr = guard.addr();
    eventually("nobody new comes in", SOON, async || Client::connect(addr).await.err()).await;
    done(&mut client, "INSERT INTO note VALUES (2)").await;
    done(&mut client, "COMMIT").await;
    client.closed().await.unwrap();
    ends(&mut guard).await;
    let notes: Vec<u32> = probe.conn().query("SELECT id FROM app.note ORDER BY id").await.unwrap();
    assert_eq!(notes, [1, 2]);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_ended_on_the_database_too() {
    let (_server, mut guard, mut probe) = scene("[guard]\ndrain_timeout = \"1s\"").await;
    let mut idle = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut idle, "BEGIN").await;
    done(&mut idle, "INSERT INTO note VALUES (1)").await;
    let mut busy = Client::login(guard.addr(), &APP).await.unwrap();
    busy.send_packet(0, b"\x03SELECT SLEEP(60)").await.unwrap();
    eventually("both run", SOON, async || (status(&guard, "/in_flight").await == 2).then_some(()))
        .await;
    guard.begin_drain().unwrap();
    // Interrupted, or told that its connection was killed.
    let _told = busy.reply(Command::Query).await;
    idle.closed().await.unwrap();
    busy.closed().await.unwrap();
    ends(&mut guard).await;
    let open = open(&mut probe, &APP).await;
    assert_eq!(open, Open::default(), "left behind on the database");
    let notes: Vec<u32> = probe.conn().query("SELECT id FROM app.note").await.unwrap();
    assert!(notes.is_empty());
}

#[tokio::test]
async fn draining_can_be_asked_for_over_http() {
    let (_server, mut guard, _probe) = scene("").await;
    assert_eq!(guard.http("POST", "/api/v1/drain", "").await.unwrap().status, 202);
    ends(&mut guard).await;
}

//! Cancels that go astray, and cancels in a storm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use harness::*;
use wire::postgres::frontend::put_query;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(20);

async fn waiting_for_locks(probe: &PostgresProbe, count: i64) {
    let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'";
    eventually(&format!("{count} wait for the lock"), SOON, async || {
        let row = probe.client().query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0) == count).then_some(())
    })
    .await;
}

/// Behind a balancer a CancelRequest may come to another guard than its session's. Both have given their
/// first client the same number: the key carries the guard as well.
#[tokio::test]
async fn a_cancel_that_reaches_another_guard_stops_nothing() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guards = [
        Guard::start(&server, &Setup::default()).await.unwrap(),
        Guard::start(&server, &Setup::default()).await.unwrap(),
    ];
    let probe = server.postgres_probe().await.unwrap();
    let mut holder = PgClient::login(server.addr(), &ROOT).await.unwrap();
    pg_done(&mut holder, "SELECT pg_advisory_lock(1)").await;
    let mut clients = Vec::new();
    for guard in &guards {
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        client.send(|out| put_query(out, b"SELECT pg_advisory_xact_lock(1), 'in'")).await.unwrap();
        clients.push(client);
    }
    waiting_for_locks(&probe, 2).await;
    for (client, other) in [(0, 1), (1, 0)] {
        // It returns when the guard has hung up: then it has done what it does.
        clients[client].canceller().at(guards[other].addr()).cancel().await.unwrap();
    }
    // The own one, at its own guard.
    clients[0].canceller().cancel().await.unwrap();
    assert_eq!(clients[0].reply().await.unwrap().failure.unwrap().code, "57014");
    pg_done(&mut holder, "SELECT pg_advisory_unlock(1)").await;
    let reply = clients[1].reply().await.unwrap();
    assert_eq!(reply.failure, None, "it was another's cancel");
    assert_eq!(reply.rows[0][1].as_deref(), Some("in"));
}

/// Each cancel of its own connection would be a process of the server's; they all go over the few
/// that are reserved.
#[tokio::test]
async fn a_storm_of_cancels_takes_no_more_connections_than_are_reserved() {
    const CLIENTS: usize = 40;
    /// `control.connections`, and the observer's.
    const RESERVED: i64 = 3;
    let server = Server::start(Engine::Postgres).await.unwrap();
    let setup = Setup { connections: 40, ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let probe = server.postgres_probe().await.unwrap();
    let mut holder = PgClient::login(server.addr(), &ROOT).await.unwrap();
    pg_done(&mut holder, "SELECT pg_advisory_lock(1)").await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        client.set_patience(4 * SOON);
        client.send(|out| put_query(out, b"SELECT pg_advisory_xact_lock(1)")).await.unwrap();
        clients.push(client);
    }
    waiting_for_locks(&probe, 40).await;

    let is_over = AtomicBool::new(false);
    let storm = async {
        join_all(clients.iter().map(async |client| client.canceller().cancel().await.unwrap()))
            .await;
        for client in &mut clients {
            assert_eq!(client.reply().await.unwrap().failure.unwrap().code, "57014");
        }
        is_over.store(true, Ordering::Release);
    };
    let watch = async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        let mut most = 0;
        while !is_over.load(Ordering::Acquire) {
            let row = probe.client().query_one(sql, &[&CONTROL.name]).await.unwrap();
            most = most.max(row.get::<_, i64>(0));
        }
        most
    };
    let ((), most) = tokio::join!(storm, watch);
    assert!((1..=RESERVED).contains(&most), "{most} connections of the control account");
}

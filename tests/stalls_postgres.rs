//! Statements that wait for their client on PostgreSQL end with their time all the same.

#[path = "limits_postgres/scene.rs"]
mod scene;

use harness::*;
use wire::postgres::backend::{Kind, TransactionStatus};
use wire::postgres::frontend::{put_copy_data, put_copy_done, put_flush, put_query, put_sync};

use self::scene::{SOON, STATEMENT_TIME, Scene, says};

/// The server waits for data and for nothing else; no signal ends that.
#[tokio::test]
async fn a_copy_past_its_time_is_ended_and_the_connection_lives() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut client = scene.client().await;
    for (begin, is_extended) in [("", false), ("BEGIN", false), ("", true), ("BEGIN", true)] {
        if !begin.is_empty() {
            pg_done(&mut client, begin).await;
        }
        let copy = "COPY note FROM STDIN";
        client
            .send(|out| match is_extended {
                false => put_query(out, copy.as_bytes()),
                true => put_series(out, copy, &[]),
            })
            .await
            .unwrap();
        while client.message().await.unwrap().0 != Kind::CopyInResponse {}
        client.send(|out| put_copy_data(out, b"1\n2\n")).await.unwrap();
        let first = client.message().await.unwrap();
        assert_eq!(first.0, Kind::ErrorResponse, "{first:?}");
        if !is_extended {
            assert_eq!(client.message().await.unwrap().0, Kind::ReadyForQuery);
        }
        // What it goes on to send before it has read that is for nobody. The COPY has taken the
        // first Sync of a series.
        client
            .send(|out| {
                put_copy_data(out, b"3\n");
                put_copy_done(out);
                if is_extended {
                    put_sync(out);
                }
            })
            .await
            .unwrap();
        if is_extended {
            client.reply().await.unwrap();
        }
        if !begin.is_empty() {
            says(&pg_refused(&mut client, "SELECT 1").await, "25P02", &[]);
            pg_done(&mut client, "ROLLBACK").await;
        }
        assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
        scene.has_open(0).await;
        assert_eq!(scene.notes().await, [0_i32; 0]);
    }
}

/// Its implicit transaction holds locks as long as no Sync comes.
#[tokio::test]
async fn a_series_without_a_sync_ends_with_its_time() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut client = scene.client().await;
    for begin in ["", "BEGIN"] {
        if !begin.is_empty() {
            pg_done(&mut client, begin).await;
        }
        client
            .send(|out| {
                put_unsynced(out, "SELECT id FROM hot FOR UPDATE", &[]);
                put_flush(out);
            })
            .await
            .unwrap();
        while client.message().await.unwrap().0 != Kind::CommandComplete {}
        assert!(!scene.is_unlocked().await);
        let (kind, _) = client.message().await.unwrap();
        assert_eq!(kind, Kind::ErrorResponse);
        scene.has_open(0).await;
        assert!(scene.is_unlocked().await);
        client.send(put_sync).await.unwrap();
        let status = client.reply().await.unwrap().status;
        if begin.is_empty() {
            assert_eq!(status, TransactionStatus::Idle);
        } else {
            assert_eq!(status, TransactionStatus::Failed);
            pg_done(&mut client, "ROLLBACK").await;
        }
        assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
    }
}

/// On the server it finds a backend that waits for a command, and is dropped.
#[tokio::test]
async fn a_cancel_that_finds_a_series_waiting_for_its_client_changes_nothing() {
    let scene = Scene::set("").await;
    let mut client = scene.client().await;
    client
        .send(|out| {
            put_unsynced(out, "INSERT INTO note VALUES (1)", &[]);
            put_flush(out);
        })
        .await
        .unwrap();
    while client.message().await.unwrap().0 != Kind::CommandComplete {}
    client.canceller().cancel().await.unwrap();
    client.send(|out| put_series(out, "INSERT INTO note VALUES (2)", &[])).await.unwrap();
    assert_eq!(client.reply().await.unwrap().failure, None);
    assert_eq!(scene.notes().await, [1, 2]);
}

/// A reader that takes nothing holds its connection no longer than its class allows, and the guard
/// keeps no more of the result than it has room for.
#[tokio::test]
async fn a_result_that_nobody_reads_ends_with_its_time() {
    const RESULT_KIB: u64 = 256 * 1024;
    let scene = Scene::set(STATEMENT_TIME).await;
    let before = memory_kib(scene.guard.id());
    for begin in ["", "BEGIN"] {
        let mut client = scene.client().await;
        pg_done(&mut client, begin).await;
        let sql = "SELECT repeat('x', 1024) FROM generate_series(1, 256 * 1024)";
        client.send(|out| put_query(out, sql.as_bytes())).await.unwrap();
        let (kind, _) = client.message().await.unwrap();
        assert_eq!(kind, Kind::RowDescription);
        // The reply cannot be read to its end: the grace time passes as well.
        eventually("nothing is open", 4 * SOON, async || {
            let is_over = status(&scene.guard, "/in_flight").await == 0
                && pg_open(&scene.probe, &APP).await.transactions == 0;
            is_over.then_some(())
        })
        .await;
        let now = memory_kib(scene.guard.id());
        assert!(now < before + RESULT_KIB / 8, "{before} KiB became {now} KiB");
        // What was on its way is read; then comes the error, or the end.
        let answer = client.reply().await;
        match answer {
            Ok(reply) => assert_eq!(reply.failure.unwrap().code, "57014"),
            Err(PgError::Closed(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

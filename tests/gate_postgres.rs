//! Who may run on PostgreSQL, who waits, and what counts as running.

#[path = "limits_postgres/scene.rs"]
mod scene;

use std::time::Duration;

use harness::*;
use wire::postgres::frontend::put_query;

use self::scene::{Scene, says};

#[tokio::test]
async fn invariant_10_a_refusal_names_limit_value_measure_hint_and_key() {
    let scene =
        Scene::set("[class.default]\nin_flight = 1\nqueue_length = 1\nqueue_time = \"500ms\"")
            .await;
    let mut holder = scene.writer(1).await;
    let (mut waiter, mut third) = (scene.client().await, scene.client().await);
    waiter.send(|out| put_series(out, "SELECT 2", &[])).await.unwrap();
    scene.becomes("/queued", 1).await;
    let failure = pg_refused(&mut third, "SELECT 3").await;
    says(&failure, "53400", &["class=default", "reason=queue_full", "limit=1", "measured=1"]);
    says(&failure, "53400", &["retry_after_ms=", "changed_by=class.default.queue_length"]);
    let failure = waiter.reply().await.unwrap().failure.unwrap();
    says(&failure, "53400", &["class=default", "reason=queue_time", "limit=0.5", "measured=0.5"]);
    says(&failure, "53400", &["retry_after_ms=", "changed_by=class.default.queue_time"]);
    // A transaction that could not begin has failed.
    pg_done(&mut third, "BEGIN").await;
    says(&pg_refused(&mut third, "SELECT 3").await, "53400", &["reason=queue_time"]);
    says(&pg_refused(&mut third, "SELECT 3").await, "25P02", &[]);
    assert_eq!(pg_done(&mut third, "COMMIT").await.tags, ["ROLLBACK"]);
    pg_done(&mut holder, "COMMIT").await;
    assert_eq!(waiter.execute("SELECT 2", &[]).await.unwrap().value(), Some("2"));
    assert_eq!(scene.guard.metric("guard_sheds_total", &[]).await.unwrap(), 3.0);
}

#[tokio::test]
async fn invariant_4_what_holds_locks_passes_a_full_gate() {
    let scene = Scene::set("[class.default]\nin_flight = 2\nqueue_length = 0").await;
    let (mut first, mut second) = (scene.writer(1).await, scene.writer(2).await);
    let mut third = scene.client().await;
    pg_done(&mut third, "BEGIN").await;
    says(&pg_refused(&mut third, "SELECT 1").await, "53400", &["reason=in_flight", "limit=2"]);
    pg_done(&mut third, "ROLLBACK").await;
    // Nor does it wait to end what it has not begun.
    pg_done(&mut third, "ROLLBACK").await;
    for (sql, tag) in [("COMMIT", "COMMIT"), ("ABORT", "ROLLBACK")] {
        let reply = third.execute(sql, &[]).await.unwrap();
        assert_eq!((reply.failure, reply.tags), (None, vec![tag.to_owned()]));
    }
    // What stands behind it in its series has to ask.
    third
        .send(|out| {
            put_unsynced(out, "COMMIT", &[]);
            put_series(out, "SELECT 1", &[]);
        })
        .await
        .unwrap();
    let reply = third.reply().await.unwrap();
    assert_eq!(reply.tags, ["COMMIT"]);
    says(&reply.failure.unwrap(), "53400", &["reason=in_flight", "limit=2"]);
    pg_done(&mut first, "INSERT INTO note VALUES (3)").await;
    pg_done(&mut first, "COMMIT").await;
    pg_done(&mut second, "ROLLBACK").await;
    // An advisory lock holds what a transaction would, and its session is never made to wait.
    pg_done(&mut first, "SELECT pg_advisory_lock(1)").await;
    let (mut fourth, mut fifth) = (scene.writer(4).await, scene.writer(5).await);
    let unlocked = pg_done(&mut first, "SELECT pg_advisory_unlock(1)").await;
    assert_eq!(unlocked.value(), Some("t"));
    pg_done(&mut fourth, "COMMIT").await;
    pg_done(&mut fifth, "COMMIT").await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_or_cancels_gives_its_place_up() {
    let scene = Scene::set("[class.default]\nin_flight = 1\nqueue_time = \"1m\"").await;
    let mut holder = scene.writer(1).await;
    let mut waiter = scene.client().await;
    waiter.send(|out| put_query(out, b"INSERT INTO note VALUES (2)")).await.unwrap();
    scene.becomes("/queued", 1).await;
    drop(waiter);
    scene.becomes("/queued", 0).await;
    scene.becomes("/clients/connected", 1).await;
    let mut waiter = scene.client().await;
    for is_extended in [false, true] {
        let sql = "INSERT INTO note VALUES (3)";
        waiter
            .send(|out| match is_extended {
                false => put_query(out, sql.as_bytes()),
                true => put_series(out, sql, &[]),
            })
            .await
            .unwrap();
        scene.becomes("/queued", 1).await;
        waiter.canceller().cancel().await.unwrap();
        let failure = waiter.reply().await.unwrap().failure.unwrap();
        says(&failure, "57014", &["canceling statement due to user request"]);
        scene.becomes("/queued", 0).await;
    }
    pg_done(&mut holder, "COMMIT").await;
    scene.has_open(0).await;
    assert_eq!(pg_done(&mut waiter, "SELECT id FROM note").await.rows.len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_killed_is_told_and_counted_out() {
    let scene = Scene::set("").await;
    // Between transactions nobody notices.
    let mut client = scene.client().await;
    pg_done(&mut client, "SELECT 1").await;
    scene.kill().await;
    assert_eq!(pg_done(&mut client, "SELECT 2").await.value(), Some("2"));
    // In a statement of its own the client is told, and stays.
    for is_extended in [false, true] {
        let sql = "SELECT pg_sleep(60)";
        client
            .send(|out| match is_extended {
                false => put_query(out, sql.as_bytes()),
                true => put_series(out, sql, &[]),
            })
            .await
            .unwrap();
        scene.has_open(1).await;
        scene.kill().await;
        let failure = client.reply().await.unwrap().failure.unwrap();
        says(&failure, "08006", &["lost the connection"]);
        scene.has_open(0).await;
        assert_eq!(pg_done(&mut client, "SELECT 3").await.value(), Some("3"));
    }
    // What a transaction has done is gone with its connection, and so is the client's.
    let mut idle = scene.writer(1).await;
    let mut busy = scene.writer(2).await;
    busy.send(|out| put_query(out, b"SELECT pg_sleep(60)")).await.unwrap();
    scene.becomes("/in_flight", 2).await;
    scene.kill().await;
    assert_eq!(busy.closed().await.unwrap().unwrap().code, "08006");
    scene.becomes("/in_flight", 1).await;
    idle.send(|out| put_query(out, b"SELECT 1")).await.unwrap();
    assert_eq!(idle.closed().await.unwrap().unwrap().code, "08006");
    scene.has_open(0).await;
    assert_eq!(scene.notes().await, [0_i32; 0]);
    assert_eq!(scene.guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
}

#[tokio::test]
async fn invariant_5_permits_are_the_servers_own_count_of_transactions() {
    let scene = Scene::set("").await;
    let mut first = scene.writer(1).await;
    let second = scene.writer(2).await;
    let mut third = scene.writer(3).await;
    scene.has_open(3).await;
    drop(second);
    scene.has_open(2).await;
    pg_done(&mut first, "COMMIT").await;
    scene.has_open(1).await;
    // One that has failed counts until it is ended, though the server has let go of it.
    pg_refused(&mut third, "SELECT 1/0").await;
    scene.becomes("/in_flight", 1).await;
    assert_eq!(pg_open(&scene.probe, &APP).await.transactions, 0);
    pg_done(&mut third, "ROLLBACK").await;
    scene.has_open(0).await;
    // Not yet begun on the server, it counts for neither.
    pg_done(&mut third, "BEGIN").await;
    scene.has_open(0).await;
    assert_eq!(scene.notes().await, [1]);
}

#[tokio::test]
async fn invariant_11_observing_counts_and_refuses_nothing() {
    // A time that no other statement takes, also where many tests run at once.
    let scene = Scene::set(
        "[class.default]\nmode = \"observe\"\nin_flight = 1\nqueue_length = 0\n\
         statement_time = \"2s\"\nidle_in_transaction_time = \"1ms\"",
    )
    .await;
    let (mut first, mut second) = (scene.writer(1).await, scene.writer(2).await);
    scene.has_open(2).await;
    // Both idle for longer than they may.
    tokio::time::sleep(Duration::from_millis(10)).await;
    pg_done(&mut second, "SELECT pg_sleep(2.3)").await;
    pg_done(&mut first, "COMMIT").await;
    pg_done(&mut second, "COMMIT").await;
    pg_done(&mut first, "SELECT pg_sleep(2.3)").await;
    let would = async |cause: &str| {
        let label = format!("cause=\"{cause}\"");
        scene.guard.metric("guard_would_cancel_total", &[&label]).await.unwrap()
    };
    assert_eq!(would("transaction_time").await, 2.0);
    assert_eq!(would("statement_time").await, 1.0);
    assert!(scene.guard.metric("guard_would_shed_total", &[]).await.unwrap() >= 1.0);
    assert_eq!(scene.guard.metric("guard_sheds_total", &[]).await.unwrap(), 0.0);
    assert_eq!(scene.notes().await, [1, 2]);
}

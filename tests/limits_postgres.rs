//! Time limits hold on PostgreSQL, say what they are, and leave nothing on the server.

#[path = "limits_postgres/scene.rs"]
mod scene;

use harness::*;
use wire::postgres::backend::TransactionStatus;
use wire::postgres::frontend::put_query;

use self::scene::{SOON, STATEMENT_TIME, Scene, WORDS, says};

#[tokio::test]
async fn statements_past_their_time_are_cancelled_by_either_protocol() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut client = scene.client().await;
    let failure = pg_refused(&mut client, "SELECT pg_sleep(20)").await;
    says(&failure, "57014", &WORDS);
    let reply = client.execute("SELECT pg_sleep($1)", &["20"]).await.unwrap();
    says(&reply.failure.unwrap(), "57014", &WORDS);
    assert_eq!(reply.status, TransactionStatus::Idle);
    // As a whole: no statement of it takes as long.
    let parts = "INSERT INTO note VALUES (1); SELECT pg_sleep(0.3); SELECT pg_sleep(0.3)";
    says(&pg_refused(&mut client, parts).await, "57014", &WORDS);
    client
        .send(|out| {
            put_unsynced(out, "INSERT INTO note VALUES (2)", &[]);
            put_unsynced(out, "SELECT pg_sleep(0.3)", &[]);
            put_series(out, "SELECT pg_sleep(0.3)", &[]);
        })
        .await
        .unwrap();
    let reply = client.reply().await.unwrap();
    says(&reply.failure.unwrap(), "57014", &WORDS);
    scene.has_open(0).await;
    assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
    assert_eq!(scene.notes().await, [0_i32; 0]);
}

#[tokio::test]
async fn a_cancel_leaves_what_was_pipelined_behind_it_alone() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut client = scene.client().await;
    for round in 0..4 {
        client
            .send(|out| {
                match round % 2 {
                    0 => put_query(out, b"SELECT pg_sleep(20)"),
                    _ => put_series(out, "SELECT pg_sleep(20)", &[]),
                }
                put_series(out, "SELECT $1::text", &["mine"]);
                put_query(out, format!("SELECT {round}").as_bytes());
            })
            .await
            .unwrap();
        says(&client.reply().await.unwrap().failure.unwrap(), "57014", &WORDS);
        assert_eq!(client.reply().await.unwrap().value(), Some("mine"));
        assert_eq!(client.reply().await.unwrap().value(), Some(&*round.to_string()));
    }
}

/// Its client sees it failed until it ends it; the server has nothing of it any more.
#[tokio::test]
async fn a_cancelled_transaction_is_rolled_back_and_stays_aborted_until_it_is_ended() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut holder = scene.holder().await;
    let mut client = scene.client().await;
    for (steps, end) in [
        (&["BEGIN"][..], "ROLLBACK"),
        (&["BEGIN"], "COMMIT"),
        (&["BEGIN", "INSERT INTO note VALUES (1)", "SAVEPOINT one"], "ROLLBACK"),
        (&["START TRANSACTION", "LOCK TABLE note", "SAVEPOINT one"], "END"),
        (&["BEGIN ISOLATION LEVEL SERIALIZABLE", "SAVEPOINT one", "LOCK TABLE note"], "ABORT"),
    ] {
        for sql in steps {
            pg_done(&mut client, sql).await;
        }
        let reply = client.query("UPDATE hot SET id = 1").await.unwrap();
        says(&reply.failure.unwrap(), "57014", &WORDS);
        assert_eq!(reply.status, TransactionStatus::Failed);
        scene.has_open(0).await;
        pg_done(&mut holder, "ROLLBACK").await;
        assert!(scene.is_unlocked().await, "{steps:?} left a lock");
        holder = scene.holder().await;
        for sql in ["SELECT 1", "ROLLBACK TO SAVEPOINT one", "SAVEPOINT two"] {
            says(&pg_refused(&mut client, sql).await, "25P02", &["current transaction is aborted"]);
        }
        let reply = client.execute("SELECT 1", &[]).await.unwrap();
        says(&reply.failure.unwrap(), "25P02", &["current transaction is aborted"]);
        assert_eq!(reply.status, TransactionStatus::Failed);
        let reply = pg_done(&mut client, end).await;
        assert_eq!((reply.tags, reply.status), (vec!["ROLLBACK".into()], TransactionStatus::Idle));
        assert_eq!(scene.notes().await, [0_i32; 0]);
    }
    assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
}

#[tokio::test]
async fn a_transaction_that_idles_is_rolled_back_and_its_client_told() {
    let scene = Scene::set("[class.default]\nidle_in_transaction_time = \"300ms\"").await;
    let mut client = scene.writer(1).await;
    scene.has_open(0).await;
    assert!(scene.is_unlocked().await);
    let failure = pg_refused(&mut client, "SELECT 1").await;
    says(&failure, "25P03", &["rolled back", "reason=idle_in_transaction_time", "limit_ms=300"]);
    says(&pg_refused(&mut client, "SELECT 1").await, "25P02", &[]);
    assert_eq!(pg_done(&mut client, "COMMIT").await.tags, ["ROLLBACK"]);
    pg_done(&mut client, "INSERT INTO note VALUES (2)").await;
    assert_eq!(scene.notes().await, [2]);
}

/// A rollback leaves advisory locks of the session: they go with their client, and with nobody else.
#[tokio::test]
async fn what_a_rollback_leaves_stays_with_its_client() {
    let scene = Scene::set("[class.default]\nidle_in_transaction_time = \"300ms\"").await;
    let mut client = scene.writer(1).await;
    pg_done(&mut client, "SELECT pg_advisory_lock(7)").await;
    scene.has_open(0).await;
    let held = async || {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        scene.probe.client().query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(held().await, 1);
    drop(client);
    eventually("the lock is gone", SOON, async || (held().await == 0).then_some(())).await;
}

#[tokio::test]
async fn a_transaction_past_its_time_is_rolled_back() {
    let scene = Scene::set("[class.default]\ntransaction_time = \"500ms\"").await;
    let mut client = scene.writer(1).await;
    let failure = pg_refused(&mut client, "SELECT pg_sleep(20)").await;
    says(&failure, "57014", &["reason=transaction_time", "limit_ms=500"]);
    scene.has_open(0).await;
    pg_done(&mut client, "ROLLBACK").await;
    // The same while the client is silent.
    let mut client = scene.writer(2).await;
    scene.has_open(0).await;
    says(&pg_refused(&mut client, "SELECT 1").await, "57014", &["transaction_time"]);
    pg_done(&mut client, "ROLLBACK").await;
    assert_eq!(scene.notes().await, [0_i32; 0]);
}

#[tokio::test]
async fn a_wait_for_a_lock_has_its_own_limit() {
    let scene = Scene::set(
        "[class.default]\nlock_wait_time = \"300ms\"\n[class.patient]\nlock_wait_time = \"1m\"\n\
         [[rule]]\nname = \"patient\"\nclass = \"patient\"\ntag = { job = \"patient\" }",
    )
    .await;
    let mut holder = scene.holder().await;
    let (mut client, mut patient) = (scene.client().await, scene.client().await);
    patient.send(|out| put_query(out, b"UPDATE hot SET id = 1 /*job='patient'*/")).await.unwrap();
    for sql in ["UPDATE hot SET id = 1", "LOCK TABLE hot"] {
        for _ in 0..2 {
            pg_done(&mut client, "BEGIN").await;
            says(&pg_refused(&mut client, sql).await, "55P03", &["lock timeout"]);
            pg_done(&mut client, "ROLLBACK").await;
        }
    }
    scene.has_open(1).await;
    pg_done(&mut holder, "ROLLBACK").await;
    assert_eq!(patient.reply().await.unwrap().failure, None);
    pg_done(&mut client, "UPDATE hot SET id = 1").await;
}

//! What stops a statement on PostgreSQL where the usual order does no good: it is caught, refused, cannot be given, or
//! nobody is there to give it.

#[path = "limits_postgres/scene.rs"]
mod scene;

use std::time::{Duration, Instant};

use harness::*;
use serde_json::Value;
use wire::postgres::frontend::put_query;

use self::scene::{SOON, STATEMENT_TIME, Scene, WORDS, says};

/// How long the guard waits for a cancel to do its work.
const GRACE: Duration = Duration::from_secs(5);

/// A function that goes on whatever it is told, but to end altogether.
const STUBBORN: &str = "CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql SECURITY INVOKER AS $$ BEGIN LOOP BEGIN \
     PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";

impl Scene {
    async fn as_root(&self, sql: &str) {
        self.probe.client().batch_execute(sql).await.unwrap();
    }

    async fn client_of(&self, account: &Account) -> PgClient {
        let mut client = PgClient::login(self.guard.addr(), account).await.unwrap();
        client.set_patience(4 * SOON);
        client
    }

    /// How many run `stubborn()`.
    async fn stubborn(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT stubborn()'";
        self.probe.client().query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Has a client run `stubborn()` past its limit. It is counted until its backend is gone, and that is not
    /// before the grace time.
    async fn is_counted_until_it_is_gone(&self, account: &Account) {
        let mut client = self.client_of(account).await;
        let began = Instant::now();
        let asked = tokio::spawn(async move { ends(&mut client, "SELECT stubborn()").await });
        eventually("it runs", SOON, async || (self.stubborn().await == 1).then_some(())).await;
        eventually("its backend is gone", 2 * SOON, async || {
            let counted = status(&self.guard, "/in_flight").await;
            // Looked at second: it was there when it was counted.
            let runs = self.stubborn().await > 0;
            assert!(!runs || counted == 1, "it runs, and {counted} are counted");
            (!runs).then_some(())
        })
        .await;
        assert!(began.elapsed() > GRACE, "after {:?}", began.elapsed());
        asked.await.unwrap();
        self.becomes("/in_flight", 0).await;
        let mut next = self.client_of(account).await;
        assert_eq!(pg_done(&mut next, "SELECT 1").await.value(), Some("1"));
    }
}

/// A client is told that its statement is over, by an error or by the end of its connection.
async fn ends(client: &mut PgClient, sql: &str) {
    match client.query(sql).await {
        Ok(reply) => assert!(reply.failure.is_some(), "{sql} succeeded"),
        Err(PgError::Closed(words)) => assert!(words.is_none_or(|words| words.is_fatal)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_statement_that_takes_no_cancel_is_ended_with_its_backend() {
    let scene = Scene::set(STATEMENT_TIME).await;
    scene.as_root(STUBBORN).await;
    scene.is_counted_until_it_is_gone(&APP).await;
}

/// The reserved connections may cancel nothing of a superuser's. The connection's own key does.
#[tokio::test]
async fn a_superusers_statement_is_cancelled_all_the_same() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut root = scene.client_of(&ROOT).await;
    let backend = pg_done(&mut root, "SELECT pg_backend_pid()").await.value().map(str::to_owned);
    for _ in 0..3 {
        says(&pg_refused(&mut root, "SELECT pg_sleep(60)").await, "57014", &WORDS);
        // Nothing that was sent hits what comes next.
        for _ in 0..20 {
            assert_eq!(pg_done(&mut root, "SELECT 7").await.value(), Some("7"));
        }
    }
    let after = pg_done(&mut root, "SELECT pg_backend_pid()").await.value().map(str::to_owned);
    assert_eq!(after, backend, "its backend was not ended");
    assert!(scene.guard.log().contains("stopped by a CancelRequest"), "{}", scene.guard.log());
    scene.becomes("/in_flight", 0).await;
}

/// It cannot be ended either: it is left, and finds out by itself that nobody is there.
#[tokio::test]
async fn a_superusers_statement_that_takes_no_cancel_is_left_and_counted_until_it_is_gone() {
    let scene = Scene::set(STATEMENT_TIME).await;
    scene.as_root(STUBBORN).await;
    scene.is_counted_until_it_is_gone(&ROOT).await;
    assert!(scene.guard.log().contains("it is left"), "{}", scene.guard.log());
}

/// A database that lets the control account in no more.
#[tokio::test]
async fn limits_hold_while_no_reserved_connection_works() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut client = scene.client_of(&APP).await;
    assert_eq!(pg_done(&mut client, "SELECT 1").await.value(), Some("1"));
    scene.as_root("ALTER ROLE control NOLOGIN").await;
    scene
        .as_root("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'control'")
        .await;
    scene.becomes("/upstream/control", 0).await;
    says(&pg_refused(&mut client, "SELECT pg_sleep(60)").await, "57014", &WORDS);
    assert_eq!(pg_open(&scene.probe, &APP).await.transactions, 0, "nothing runs on the server");
    // The order is still in line, and may hit what comes next on that connection: it is another's now.
    assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
    scene.as_root("ALTER ROLE control LOGIN").await;
    scene.has_open(0).await;
    assert_eq!(pg_done(&mut client, "SELECT 8").await.value(), Some("8"));
}

/// The server's own limit holds while the guard does nothing: its sockets are open, so nobody looks gone.
#[tokio::test]
async fn the_server_ends_a_statement_by_itself_while_the_guard_stands_still() {
    let scene = Scene::set("[class.default]\nstatement_time = \"2s\"").await;
    let mut client = scene.client_of(&APP).await;
    client.send(|out| put_query(out, b"SELECT pg_sleep(120)")).await.unwrap();
    eventually("it runs", SOON, async || {
        (pg_open(&scene.probe, &APP).await.transactions == 1).then_some(())
    })
    .await;
    scene.guard.freeze().unwrap();
    eventually("the server has ended it", SOON, async || {
        (pg_open(&scene.probe, &APP).await.transactions == 0).then_some(())
    })
    .await;
    scene.guard.thaw().unwrap();
    assert_eq!(client.reply().await.unwrap().failure.unwrap().code, "57014");
    assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
    scene.becomes("/in_flight", 0).await;
}

/// Without a limit of the server's, it looks whether its client is there.
#[tokio::test]
async fn the_server_ends_a_statement_by_itself_when_the_guard_is_gone() {
    let mut scene = Scene::set("").await;
    let mut client = scene.client_of(&APP).await;
    client.send(|out| put_query(out, b"SELECT pg_sleep(120)")).await.unwrap();
    eventually("it runs", SOON, async || {
        (pg_open(&scene.probe, &APP).await.transactions == 1).then_some(())
    })
    .await;
    scene.guard.crash();
    eventually("the server has ended it", SOON, async || {
        (pg_open(&scene.probe, &APP).await.transactions == 0).then_some(())
    })
    .await;
}

/// PostgreSQL has committed by then: it says so with a warning, and that is what the client is told.
#[tokio::test]
async fn a_commit_that_waits_for_a_standby_past_its_limit_is_told_as_the_server_tells_it() {
    let scene = Scene::set(STATEMENT_TIME).await;
    let mut writer = scene.writer(1).await;
    scene.as_root("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    scene.as_root("SELECT pg_reload_conf()").await;
    eventually("commits wait", SOON, async || {
        let sql = "SELECT setting FROM pg_settings WHERE name = 'synchronous_standby_names'";
        let row = scene.probe.client().query_one(sql, &[]).await.unwrap();
        (row.get::<_, &str>(0) == "nobody").then_some(())
    })
    .await;
    let reply = writer.query("COMMIT").await.unwrap();
    assert_eq!((reply.failure, &*reply.tags), (None, &["COMMIT".to_owned()][..]));
    assert_eq!(scene.notes().await, [1]);
    scene.has_open(0).await;
    assert_eq!(pg_done(&mut writer, "SELECT 7").await.value(), Some("7"));
}

/// Nobody's session holds the row: there is nothing to end, and who waits is ended in time.
#[tokio::test]
async fn who_waits_for_a_prepared_transaction_sees_it_and_is_ended_in_time() {
    let scene = Scene::set("[class.default]\nlock_wait_time = \"4s\"").await;
    let mut holder = scene.holder().await;
    pg_done(&mut holder, "PREPARE TRANSACTION 'left behind'").await;
    let mut client = scene.client().await;
    client.set_patience(4 * SOON);
    client.send(|out| put_query(out, b"SELECT FROM hot FOR UPDATE")).await.unwrap();
    let mut seen = Value::Null;
    let is_seen = eventually("it is seen who holds the row", SOON, async || {
        seen = scene.guard.json("/api/v1/locks").await.unwrap();
        seen["roots"].get(0).map(drop)
    });
    is_seen.await;
    let root = &seen["roots"][0];
    assert_eq!(root["activity"], "prepared", "{seen}");
    assert!(root.to_string().contains("left behind"), "{seen}");
    let failure = client.reply().await.unwrap().failure.unwrap();
    says(&failure, "55P03", &["canceling statement due to lock timeout"]);
    scene.as_root("ROLLBACK PREPARED 'left behind'").await;
    pg_done(&mut client, "SELECT FROM hot FOR UPDATE").await;
    scene.has_open(0).await;
}

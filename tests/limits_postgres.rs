//! Limits hold on PostgreSQL, say what they are, and leave nothing on the server.

use std::time::Duration;

use harness::*;
use wire::postgres::backend::{Kind, TransactionStatus};
use wire::postgres::frontend::{put_copy_data, put_copy_done, put_flush, put_query, put_sync};

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(20);

struct Scene {
    guard: Guard,
    probe: PostgresProbe,
    server: Server,
}

impl Scene {
    /// A table `note`, and `hot` with one row.
    async fn set(sections: &str) -> Self {
        let server = Server::start(Engine::Postgres).await.unwrap();
        let mut app = PgClient::login(server.addr(), &APP).await.unwrap();
        pg_done(&mut app, "CREATE TABLE note (id int PRIMARY KEY)").await;
        pg_done(&mut app, "CREATE TABLE hot (id int PRIMARY KEY)").await;
        pg_done(&mut app, "INSERT INTO hot VALUES (1)").await;
        let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
        let probe = server.postgres_probe().await.unwrap();
        Self { guard, probe, server }
    }

    async fn client(&self) -> PgClient {
        PgClient::login(self.guard.addr(), &APP).await.unwrap()
    }

    /// A client in a transaction that wrote the row `id`.
    async fn writer(&self, id: u32) -> PgClient {
        let mut client = self.client().await;
        pg_done(&mut client, "BEGIN").await;
        pg_done(&mut client, &format!("INSERT INTO note VALUES ({id})")).await;
        client
    }

    /// A session beside the guard that holds the row of `hot`.
    async fn holder(&self) -> PgClient {
        let mut holder = PgClient::login(self.server.addr(), &ROOT).await.unwrap();
        pg_done(&mut holder, "BEGIN").await;
        pg_done(&mut holder, "SELECT FROM hot FOR UPDATE").await;
        holder
    }

    async fn becomes(&self, pointer: &str, value: u64) {
        eventually(&format!("{pointer} is {value}"), SOON, async || {
            (status(&self.guard, pointer).await == value).then_some(())
        })
        .await;
    }

    /// Waits until both the guard and the server count that many transactions.
    async fn has_open(&self, count: u32) {
        self.becomes("/in_flight", count.into()).await;
        eventually(&format!("the server has {count} transactions"), SOON, async || {
            (pg_open(&self.probe, &APP).await.transactions == count).then_some(())
        })
        .await;
    }

    async fn notes(&self) -> Vec<i32> {
        let rows = self.probe.client().query("SELECT id FROM note ORDER BY id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Whether nobody holds the row of `hot`, nor what was written to `note`.
    async fn is_unlocked(&self) -> bool {
        let sql = "BEGIN; SELECT FROM hot FOR UPDATE NOWAIT; LOCK TABLE note NOWAIT; ROLLBACK";
        let tried = self.probe.client().batch_execute(sql).await;
        self.probe.client().batch_execute("ROLLBACK").await.unwrap();
        tried.is_ok()
    }

    /// Kills all connections of the application's account on the server, and waits until they are
    /// gone.
    async fn kill(&self) {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1";
        self.probe.client().query(sql, &[&APP.name]).await.unwrap();
    }
}

fn says(failure: &PgFailure, code: &str, words: &[&str]) {
    assert_eq!(failure.code, code, "{failure}");
    for word in words {
        assert!(failure.message.contains(word), "{word} is missing: {failure}");
    }
}

const STATEMENT_TIME: &str = "[class.default]\nstatement_time = \"400ms\"";
/// What an error of `statement_time` says.
const WORDS: [&str; 6] = [
    "canceling statement due to statement timeout",
    "class=default",
    "reason=statement_time",
    "limit_ms=400",
    "measured_ms=",
    "retry_after_ms=",
];

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
    let scene = Scene::set(
        "[class.default]\nmode = \"observe\"\nin_flight = 1\nqueue_length = 0\n\
         statement_time = \"100ms\"\nidle_in_transaction_time = \"1ms\"",
    )
    .await;
    let (mut first, mut second) = (scene.writer(1).await, scene.writer(2).await);
    scene.has_open(2).await;
    pg_done(&mut second, "SELECT pg_sleep(0.3)").await;
    pg_done(&mut first, "COMMIT").await;
    pg_done(&mut second, "COMMIT").await;
    pg_done(&mut first, "SELECT pg_sleep(0.3)").await;
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

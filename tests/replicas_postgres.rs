//! Reads that hot standbys of PostgreSQL answer: which go there and which never do, what who wrote finds, and what
//! becomes of reads when a standby is behind, paused, slow, frozen, killed or promoted.

#[path = "replicas_postgres/scene.rs"]
mod scene;

#[path = "replicas_postgres/transactions.rs"]
mod transactions;

#[path = "replicas_postgres/trouble.rs"]
mod trouble;

use harness::*;
use wire::postgres::backend::Kind;
use wire::postgres::frontend::{Target, put_close, put_execute, put_flush, put_parse, put_sync};

use self::scene::{AT_ONCE, SOON, Scene, WHO};

/// Runs each scene before PostgreSQL 15 and 18.
macro_rules! on_each {
    ($($(#[$doc:meta])* $module:ident :: $test:ident,)*) => {
        mod on_15 {
            $($(#[$doc])* #[tokio::test] async fn $test() {
                super::$module::$test(harness::Engine::Postgres).await;
            })*
        }

        mod on_18 {
            $($(#[$doc])* #[tokio::test] async fn $test() {
                if harness::Engine::Postgres18.available() {
                    super::$module::$test(harness::Engine::Postgres18).await;
                }
            })*
        }
    };
}

mod reads {
    pub(super) use super::{
        reads_go_to_a_standby_and_nothing_else_does, series_go_as_a_whole_or_not_at_all,
        what_a_session_is_set_to_goes_along, what_writes_after_all_is_answered_by_the_primary,
        who_wrote_finds_it_and_goes_to_the_primary_until_a_standby_has_it,
        who_wrote_may_wait_for_a_standby_or_be_refused,
    };
}

on_each! {
    reads::reads_go_to_a_standby_and_nothing_else_does,
    reads::what_a_session_is_set_to_goes_along,
    reads::series_go_as_a_whole_or_not_at_all,
    reads::what_writes_after_all_is_answered_by_the_primary,
    reads::who_wrote_finds_it_and_goes_to_the_primary_until_a_standby_has_it,
    reads::who_wrote_may_wait_for_a_standby_or_be_refused,
    transactions::one_that_only_reads_goes_as_well,
    transactions::one_that_asks_for_more_goes_on_at_the_primary,
    transactions::one_that_failed_has_failed,
    transactions::one_whose_standby_dies_goes_on,
    trouble::one_whose_replay_is_paused_leaves_and_returns,
    trouble::one_that_is_frozen_fails_no_read_and_returns,
    trouble::one_that_answers_slowly_leaves_and_returns,
    trouble::one_that_is_killed_in_the_middle_of_a_read_fails_none,
    trouble::one_that_is_promoted_is_none,
    trouble::one_that_is_behind_by_bytes_or_time_is_not_read_from,
    trouble::what_is_in_the_way_of_replay_is_answered_elsewhere,
    trouble::reads_away_are_cancelled_there,
    trouble::one_of_another_cluster_is_none,
}

async fn reads_go_to_a_standby_and_nothing_else_does(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let (primary, standby) = (scene.primary(), scene.standby(0));
    let mut client = scene.client().await;
    assert_eq!(client.who().await, standby);
    for sql in [
        "SELECT current_setting('port') FROM place FOR UPDATE",
        "SELECT current_setting('port') FROM place WHERE pg_backend_pid() > 0",
        "SELECT current_setting('port') FROM place, pg_try_advisory_xact_lock(1)",
        "SELECT current_setting('port') FROM place WHERE nextval('numbers') > 0",
        "SELECT current_setting('port') FROM place, pg_stat_activity LIMIT 1",
        "WITH w AS (INSERT INTO note VALUES (-1, 1) RETURNING n) SELECT current_setting('port') FROM w",
        "SELECT current_setting('port') FROM place; SELECT 1",
    ] {
        assert_eq!(scene.client().await.value(sql).await, primary, "{sql}");
    }
    pg_done(&mut client, "BEGIN").await;
    assert_eq!(client.who().await, primary, "it may come to write");
    pg_done(&mut client, "COMMIT").await;
    assert_eq!(client.who().await, standby);
    pg_done(&mut client, "CREATE TEMP TABLE own (a int)").await;
    assert_eq!(client.who().await, primary, "pinned");

    // By a driver: what it prepares at one server is there at the other.
    let driver = drill::server::postgres::connect(&APP.config(scene.guard.addr())).await.unwrap();
    let read =
        driver.prepare("SELECT current_setting('port') FROM place WHERE 1 = $1").await.unwrap();
    let write = driver.prepare("UPDATE note SET n = n + $1 RETURNING n").await.unwrap();
    pg_done(&mut *scene.client().await, "INSERT INTO note VALUES (1, 0)").await;
    for round in 1..4 {
        eventually("a standby has it", SOON, async || {
            let row = driver.query_one(&read, &[&1_i32]).await.unwrap();
            (row.get::<_, String>(0) == standby).then_some(())
        })
        .await;
        // The row of WITH above is there as well.
        let rows = driver.query(&write, &[&1_i32]).await.unwrap();
        assert_eq!(rows.len(), 2, "round {round}");
        let sum = driver.query_one("SELECT sum(n) FROM note", &[]).await.unwrap();
        assert_eq!(sum.get::<_, i64>(0), 1 + 2 * round, "it finds what it wrote");
    }
    let labels = ["replica=\"r1\""];
    let reads = scene.guard.metric("guard_replica_reads_total", &labels).await.unwrap();
    assert!(reads >= 5.0, "{reads}");
    assert_eq!(scene.routed("failed_over").await, 0.0);
}

async fn what_a_session_is_set_to_goes_along(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let standby = scene.standby(0);
    let mut client = scene.client().await;
    pg_done(&mut client, "CREATE SCHEMA two").await;
    pg_done(&mut client, "CREATE TABLE two.place (a int)").await;
    pg_done(&mut client, "INSERT INTO two.place VALUES (1), (2)").await;
    pg_done(&mut client, "SET search_path = two").await;
    pg_done(&mut client, "SET TimeZone = 'Asia/Tokyo'").await;
    pg_done(&mut client, "SET tidegate.own = 'mine'").await;
    let told = "SELECT concat_ws(' ', current_setting('port'), current_setting('TimeZone'), \
                current_setting('tidegate.own'), count(*), current_user, current_database()) FROM place";
    client.settled(&scene).await;
    assert_eq!(client.value(told).await, format!("{standby} Asia/Tokyo mine 2 app app"));
    // Another session on the same connection has its own.
    let mut other = scene.client().await;
    let plain = "SELECT concat_ws(' ', current_setting('port'), current_setting('TimeZone'), count(*)) FROM place";
    assert_eq!(other.value(plain).await, format!("{standby} UTC 1"));
    pg_done(&mut client, "RESET search_path").await;
    let reset = "SELECT concat_ws(' ', current_setting('TimeZone'), count(*)) FROM place";
    assert_eq!(client.value(reset).await, "Asia/Tokyo 1");
}

async fn series_go_as_a_whole_or_not_at_all(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let (primary, standby) = (scene.primary(), scene.standby(0));
    let mut client = scene.client().await;
    assert_eq!(client.execute(WHO, &[]).await.unwrap().value(), Some(&*standby), "unnamed");
    // Named: prepared, and executed twice in one series.
    client
        .put(|out| {
            put_parse(out, b"named", WHO.as_bytes(), &[]);
            put_sync(out);
        })
        .await;
    client.replied().await;
    client
        .put(|out| {
            scene::put_bound(out, b"named");
            put_execute(out, b"", 0);
            scene::put_bound(out, b"named");
            put_execute(out, b"", 0);
            put_sync(out);
        })
        .await;
    let reply = client.replied().await;
    assert_eq!(reply.rows, [[Some(standby.clone())], [Some(standby.clone())]]);
    // What only the client forgets.
    client
        .put(|out| {
            put_close(out, Target::Statement(b"named"));
            put_sync(out);
        })
        .await;
    client.replied().await;

    // One that writes further on is not torn apart.
    client
        .put(|out| {
            put_unsynced(out, WHO, &[]);
            put_unsynced(out, "INSERT INTO note VALUES (1, 1)", &[]);
            put_sync(out);
        })
        .await;
    assert_eq!(client.replied().await.value(), Some(&*primary));
    client.settled(&scene).await;
    // Nor is one whose end is not there yet.
    client
        .put(|out| {
            put_unsynced(out, WHO, &[]);
            put_flush(out);
        })
        .await;
    let mut told = None;
    while told.is_none() {
        let (kind, body) = client.message().await.unwrap();
        told = (kind == Kind::DataRow).then_some(body);
    }
    assert!(told.unwrap().ends_with(primary.as_bytes()));
    client.put(|out| put_unsynced(out, "UPDATE note SET n = 2", &[])).await;
    client.put(put_sync).await;
    assert_eq!(client.replied().await.failure, None);
    // Pipelined, each by itself.
    client.settled(&scene).await;
    client
        .put(|out| {
            put_series(out, WHO, &[]);
            put_series(out, "UPDATE note SET n = 3", &[]);
            put_series(out, "SELECT n FROM note WHERE id = $1", &["1"]);
        })
        .await;
    assert_eq!(client.replied().await.value(), Some(&*standby));
    assert_eq!(client.replied().await.tags, ["UPDATE 1"]);
    assert_eq!(client.replied().await.value(), Some("3"));
}

async fn what_writes_after_all_is_answered_by_the_primary(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let mut client = scene.client().await;
    for sql in [
        "CREATE VIEW drawn AS SELECT nextval('numbers') AS number, current_setting('port') AS who FROM place",
        "CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS a",
    ] {
        pg_done(&mut client, sql).await;
    }
    client.settled(&scene).await;
    let before = scene.routed("failed_over").await;
    assert_eq!(client.value("SELECT who FROM drawn").await, scene.primary(), "25006");
    let fleeting = "SELECT current_setting('port') FROM fleeting";
    assert_eq!(client.value(fleeting).await, scene.primary(), "0A000");
    let by_series =
        client.execute("SELECT who FROM drawn WHERE number > $1", &["0"]).await.unwrap();
    assert_eq!((by_series.value(), &by_series.failure), (Some(&*scene.primary()), &None));
    assert_eq!(scene.routed("failed_over").await, before + 3.0);
    // What is wrong everywhere is told, once, by the primary.
    let error = pg_refused(&mut client, "SELECT nothing FROM place").await;
    assert_eq!(error.code, "42703");
    // What fails with the data, by the standby.
    let error = pg_refused(&mut client, "SELECT 1 / (count(*) - 1) FROM place").await;
    assert_eq!(error.code, "22012");
    assert_eq!(client.who().await, scene.standby(0));
    assert_eq!(scene.routed("failed_over").await, before + 4.0);
}

async fn who_wrote_finds_it_and_goes_to_the_primary_until_a_standby_has_it(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let (primary, standby) = (scene.primary(), scene.standby(0));
    let (mut writer, mut other) = (scene.client().await, scene.client().await);
    let count = "SELECT count(*) FROM note";
    let held = scene.hold_back(0).await;
    pg_done(&mut writer, "INSERT INTO note VALUES (1, 1)").await;
    assert_eq!(writer.value(count).await, "1");
    assert_eq!(writer.who().await, primary);
    assert_eq!(other.who().await, standby, "it has written nothing");
    assert_eq!(other.value(count).await, "0");
    // A transaction that only read does not count; one that wrote does, by the extended protocol as well.
    for sql in ["BEGIN", count, "COMMIT"] {
        pg_done(&mut other, sql).await;
    }
    assert_eq!(other.who().await, standby);
    pg_done(&mut other, "BEGIN").await;
    other.execute("INSERT INTO note VALUES ($1, 1)", &["2"]).await.unwrap();
    pg_done(&mut other, "COMMIT").await;
    assert_eq!(other.value(count).await, "2");
    drop(held);
    for client in [&mut writer, &mut other] {
        client.settled(&scene).await;
        assert_eq!(client.value(count).await, "2");
    }
}

async fn who_wrote_may_wait_for_a_standby_or_be_refused(engine: Engine) {
    let waits = format!("{AT_ONCE}wait = \"60s\"\notherwise = \"refuse\"\n");
    let mut scene = Scene::fit(engine, 1, &waits).await;
    let mut writer = scene.client().await;
    let held = scene.hold_back(0).await;
    pg_done(&mut writer, "INSERT INTO note VALUES (1, 1)").await;
    let both = "SELECT concat(current_setting('port'), ' ', count(*)) FROM note";
    writer.say(both).await;
    eventually("it waits", SOON, async || {
        let waiting = "guard_client_connections";
        let now = scene.guard.metric(waiting, &["state=\"waiting\""]).await.unwrap();
        (now == 1.0).then_some(())
    })
    .await;
    drop(held);
    assert_eq!(writer.replied().await.value(), Some(&*format!("{} 1", scene.standby(0))));

    scene.guard_anew(&format!("{AT_ONCE}otherwise = \"refuse\"\n")).await;
    let mut writer = scene.client().await;
    let _held = scene.hold_back(0).await;
    pg_done(&mut writer, "INSERT INTO note VALUES (2, 1)").await;
    let refusal = pg_refused(&mut writer, WHO).await;
    assert_eq!(refusal.code, shed_code(engine));
    assert!(refusal.message.contains("reason=replica"), "{}", refusal.message);
    assert!(refusal.message.contains("changed_by=routing.otherwise"), "{}", refusal.message);
    pg_done(&mut writer, "UPDATE note SET n = 3").await;
}

//! READ ONLY transactions at a standby.

use harness::*;
use wire::postgres::backend::TransactionStatus;

use crate::scene::{AT_ONCE, Scene, WHO};

pub(crate) async fn one_that_only_reads_goes_as_well(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let standby = scene.standby(0);
    let mut client = scene.client().await;
    for begin in ["BEGIN READ ONLY", "START TRANSACTION READ ONLY"] {
        let begun = pg_done(&mut client, begin).await;
        assert_eq!(begun.status, TransactionStatus::Open);
        assert_eq!(client.who().await, standby, "{begin}");
        assert_eq!(client.execute(WHO, &[]).await.unwrap().value(), Some(&*standby));
        let end = pg_done(&mut client, "COMMIT").await;
        assert_eq!((&*end.tags[0], end.status), ("COMMIT", TransactionStatus::Idle));
    }
    // By what the session is set to.
    pg_done(&mut client, "SET default_transaction_read_only = on").await;
    client.settled(&scene).await;
    pg_done(&mut client, "BEGIN").await;
    assert_eq!(client.who().await, standby);
    pg_done(&mut client, "ROLLBACK").await;
    // Who wrote finds it there, too.
    pg_done(&mut client, "SET default_transaction_read_only = off").await;
    let held = scene.hold_back(0).await;
    pg_done(&mut client, "INSERT INTO note VALUES (1, 1)").await;
    pg_done(&mut client, "BEGIN READ ONLY").await;
    assert_eq!(client.value("SELECT count(*) FROM note").await, "1");
    pg_done(&mut client, "COMMIT").await;
    drop(held);
    // Each statement need not see the newest at other levels.
    client.settled(&scene).await;
    for begin in [
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET default_transaction_isolation = 'repeatable read'; BEGIN READ ONLY",
    ] {
        for sql in begin.split("; ") {
            pg_done(&mut client, sql).await;
        }
        assert_eq!(client.who().await, scene.primary(), "{begin}");
        pg_done(&mut client, "COMMIT").await;
    }
}

pub(crate) async fn one_that_asks_for_more_goes_on_at_the_primary(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let (primary, standby) = (scene.primary(), scene.standby(0));
    // The last is for no standby.
    for more in
        ["SELECT pg_advisory_xact_lock(1)", "SAVEPOINT s", "LOCK TABLE note IN EXCLUSIVE MODE"]
    {
        let mut client = scene.client().await;
        pg_done(&mut client, "BEGIN READ ONLY").await;
        assert_eq!(client.who().await, standby);
        let reply = pg_done(&mut client, more).await;
        assert_eq!(reply.status, TransactionStatus::Open, "{more}");
        assert_eq!(client.who().await, primary, "{more}");
        pg_done(&mut client, "COMMIT").await;
        client.settled(&scene).await;
    }
    // It is read-only there as well, and what it is told is the primary's.
    let mut client = scene.client().await;
    pg_done(&mut client, "BEGIN READ ONLY").await;
    assert_eq!(client.who().await, standby);
    let error = pg_refused(&mut client, "INSERT INTO note VALUES (1, 1)").await;
    assert_eq!(error.code, "25006");
    assert!(error.message.contains("read-only transaction"), "{}", error.message);
    pg_done(&mut client, "ROLLBACK").await;
    assert_eq!(scene.routed("failed_over").await, 0.0);
}

pub(crate) async fn one_that_failed_has_failed(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let mut client = scene.client().await;
    pg_done(&mut client, "BEGIN READ ONLY").await;
    assert_eq!(client.who().await, scene.standby(0));
    let error = pg_refused(&mut client, "SELECT 1 / (count(*) - 1) FROM place").await;
    assert_eq!(error.code, "22012");
    for sql in [WHO, "INSERT INTO note VALUES (1, 1)"] {
        let error = pg_refused(&mut client, sql).await;
        assert_eq!(error.code, "25P02", "{sql}");
    }
    let end = pg_done(&mut client, "COMMIT").await;
    assert_eq!((&*end.tags[0], end.status), ("ROLLBACK", TransactionStatus::Idle));
    assert_eq!(client.who().await, scene.standby(0));
}

pub(crate) async fn one_whose_standby_dies_goes_on(engine: Engine) {
    let mut scene = Scene::fit(engine, 1, AT_ONCE).await;
    let mut client = scene.client().await;
    pg_done(&mut client, "BEGIN READ ONLY").await;
    assert_eq!(client.who().await, scene.standby(0));
    scene.servers.replicas[0].crash();
    assert_eq!(client.who().await, scene.primary());
    let end = pg_done(&mut client, "COMMIT").await;
    assert_eq!(end.status, TransactionStatus::Idle);
    pg_done(&mut client, "INSERT INTO note VALUES (1, 1)").await;
}

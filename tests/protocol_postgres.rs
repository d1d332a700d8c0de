//! What PostgreSQL's protocol asks of whoever stands in its middle, where no other test has it.

use std::time::Duration;

use harness::*;
use wire::postgres::backend::Kind;
use wire::postgres::frontend::{put_copy_data, put_copy_done, put_parse, put_query, put_sync};

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(20);

async fn scene(engine: Engine, sections: &str) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let setup = Setup { connections: 1, sections: sections.into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

/// A driver may wait for the error before it sends its Sync.
#[tokio::test]
async fn an_error_comes_before_the_sync_of_its_series() {
    let (_server, guard) = scene(Engine::Postgres, "").await;
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    for sql in ["SELECT missing", "BEGIN; SELECT 1"] {
        client.send(|out| put_parse(out, b"", sql.as_bytes(), &[])).await.unwrap();
        let (kind, _) = client.message().await.unwrap();
        assert_eq!(kind, Kind::ErrorResponse, "{sql}");
        client.send(put_sync).await.unwrap();
        assert_eq!(client.reply().await.unwrap().failure, None, "{sql}: one error, one end");
    }
}

/// A value of many megabytes goes through, in a parameter, a row, or a COPY either way, and is never all
/// in the guard.
#[tokio::test]
async fn a_large_value_passes_without_being_kept() {
    const VALUE: usize = 64 << 20;
    /// What the guard may have taken at any moment.
    const ROOM_KIB: u64 = (VALUE as u64 >> 10) / 4;
    let (_server, guard) = scene(Engine::Postgres, "").await;
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    client.set_patience(4 * SOON);
    pg_done(&mut client, "CREATE TABLE large (value text)").await;
    let before = memory_peak_kib(guard.id());
    let kept_little = |what: &str| {
        let now = memory_peak_kib(guard.id());
        assert!(now < before + ROOM_KIB, "{what}: {before} KiB became {now} KiB");
    };
    let value = "y".repeat(VALUE);
    let counted = client.execute("SELECT length($1::text)", &[&value]).await.unwrap();
    assert_eq!(counted.value(), Some(&*VALUE.to_string()));
    kept_little("a parameter");

    let sql = format!("SELECT repeat('y', {VALUE})");
    client.send(|out| put_query(out, sql.as_bytes())).await.unwrap();
    // Before the value stand the number of columns and its length.
    assert_eq!(client.skim(Kind::DataRow).await.unwrap(), 2 + 4 + VALUE);
    kept_little("a row");

    client.send(|out| put_query(out, b"COPY large FROM STDIN")).await.unwrap();
    assert_eq!(client.message().await.unwrap().0, Kind::CopyInResponse);
    let sent = client.send(|out| {
        put_copy_data(out, value.as_bytes());
        put_copy_done(out);
    });
    sent.await.unwrap();
    assert_eq!(client.reply().await.unwrap().tags, ["COPY 1"]);
    kept_little("a COPY in");

    client.send(|out| put_query(out, b"COPY large TO STDOUT")).await.unwrap();
    // A newline is behind it.
    assert_eq!(client.skim(Kind::CopyData).await.unwrap(), VALUE + 1);
    kept_little("a COPY out");
}

/// Since PostgreSQL 17 it ends the session, not the statement.
#[tokio::test]
async fn a_session_that_the_servers_own_limit_ends_is_told_so() {
    if !Engine::Postgres18.available() {
        return;
    }
    let (server, guard) = scene(Engine::Postgres18, "").await;
    for is_idle in [false, true] {
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        pg_done(&mut client, "SET transaction_timeout = '300ms'").await;
        pg_done(&mut client, "BEGIN").await;
        if is_idle {
            pg_done(&mut client, "SELECT 1").await;
            eventually("the server has ended it", SOON, async || {
                (open_on(&server, &APP).await.connections == 0).then_some(())
            })
            .await;
        }
        client.send(|out| put_query(out, b"SELECT pg_sleep(60)")).await.unwrap();
        let words = client.closed().await.unwrap().expect("it is told why");
        assert!(words.is_fatal, "{words}");
        assert!(matches!(&*words.code, "25P04" | "08006"), "{words}");
        let mut next = PgClient::login(guard.addr(), &APP).await.unwrap();
        assert_eq!(pg_done(&mut next, "SHOW transaction_timeout").await.value(), Some("0"));
    }
    eventually("nothing is open", SOON, async || {
        (status(&guard, "/in_flight").await == 0).then_some(())
    })
    .await;
}

/// A client may define `=` as it likes and have its schema searched first: what the guard asks means
/// PostgreSQL's own.
#[tokio::test]
async fn operators_of_a_client_do_not_deceive_the_guard() {
    let (_server, guard) = scene(Engine::Postgres, "").await;
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    pg_done(&mut client, "CREATE SCHEMA evil").await;
    for (name, kind) in [("texts", "text"), ("oids", "oid"), ("ints", "int")] {
        for sql in [
            format!(
                "CREATE FUNCTION evil.{name}({kind}, {kind}) RETURNS bool LANGUAGE sql AS 'SELECT false'"
            ),
            format!(
                "CREATE OPERATOR evil.= (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.{name})"
            ),
        ] {
            pg_done(&mut client, &sql).await;
        }
    }
    pg_done(&mut client, "SET search_path = evil, pg_catalog").await;
    assert_eq!(pg_done(&mut client, "SELECT 'a'::text = 'a'::text").await.value(), Some("f"));
    pg_done(&mut client, "SET work_mem = '3MB'").await;
    pg_done(&mut client, "SELECT pg_advisory_lock(7)").await;
    pg_done(&mut client, "CREATE TEMP TABLE mine (id int)").await;
    eventually("it is pinned", SOON, async || {
        let pins = guard.json("/api/v1/pins").await.unwrap();
        let reasons = pins[0]["reasons"].to_string();
        (reasons.contains("temporary_table") && reasons.contains("named_lock")).then_some(())
    })
    .await;
    assert_eq!(pg_done(&mut client, "SHOW work_mem").await.value(), Some("3MB"));
}

//! A pause: what runs goes on to its end, what comes is held, and the database may be restarted.

use std::process::{Child, Command};
use std::time::Duration;

use harness::*;
use serde_json::json;
use wire::postgres::frontend::put_query;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(20);

on_both_engines! {
    a_restart_of_the_database_between_pause_and_resume_fails_nothing,
    a_pause_holds_no_more_than_it_may_and_ends_by_itself,
}

async fn world(engine: Engine, sections: &str) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
    (server, guard)
}

async fn client(engine: Engine, guard: &Guard) -> Caller {
    Caller::login(engine, guard.addr(), &APP).await.unwrap()
}

fn tidegate(guard: &Guard, arguments: &[&str]) -> Child {
    let admin = format!("http://{}", guard.admin());
    Command::new(program().unwrap()).args(arguments).args(["--admin", &admin]).spawn().unwrap()
}

/// Waits for a program without holding up the tests beside it.
async fn ends_well(mut program: Child) {
    let status = tokio::task::spawn_blocking(move || program.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
}

async fn held(guard: &Guard, count: u64) {
    eventually(&format!("{count} are held"), SOON, async || {
        let status = guard.json("/api/v1/pause").await.unwrap();
        (status["held"] == count).then_some(())
    })
    .await;
}

async fn pause(guard: &Guard, ttl_ms: u64, length: u32) -> u16 {
    let order = json!({ "ttl_ms": ttl_ms, "length": length }).to_string();
    guard.http("POST", "/api/v1/pause", &order).await.unwrap().status
}

async fn a_restart_of_the_database_between_pause_and_resume_fails_nothing(engine: Engine) {
    let (mut server, guard) = world(engine, "").await;
    let mut open = client(engine, &guard).await;
    open.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    open.done("BEGIN").await;
    open.done("INSERT INTO note VALUES (1)").await;
    let mut pausing = tidegate(&guard, &["pause", "--for", "10m"]);
    eventually("it is paused", SOON, async || {
        let status = guard.json("/api/v1/status").await.unwrap();
        status["pause_ends_in_ms"].is_u64().then_some(())
    })
    .await;
    let mut waiting = Vec::new();
    for number in 2..6 {
        let mut client = client(engine, &guard).await;
        client.say(&format!("INSERT INTO note VALUES ({number})")).await;
        waiting.push(client);
    }
    held(&guard, 4).await;
    assert!(pausing.try_wait().unwrap().is_none(), "a transaction still runs");
    open.done("INSERT INTO note VALUES (0)").await;
    open.done("COMMIT").await;
    ends_well(pausing).await;
    let settled = guard.json("/api/v1/pause").await.unwrap();
    assert_eq!(
        (&settled["connections"], &settled["in_flight"]),
        (&json!(0), &json!(0)),
        "{settled}"
    );
    server.restart().await.unwrap();
    eventually("the guard is back", SOON, async || {
        (status(&guard, "/upstream/control").await >= 1).then_some(())
    })
    .await;
    ends_well(tidegate(&guard, &["resume"])).await;
    for client in &mut waiting {
        client.hear().await.unwrap();
    }
    assert_eq!(open.done("SELECT count(*) FROM note").await.as_deref(), Some("6"));
}

async fn a_pause_holds_no_more_than_it_may_and_ends_by_itself(engine: Engine) {
    let (_server, guard) =
        world(engine, "[class.default]\nin_flight = 1\nqueue_length = 0\n").await;
    let (mut first, mut second) = (client(engine, &guard).await, client(engine, &guard).await);
    first.done("SELECT 1").await;
    second.done("SELECT 1").await;
    assert_eq!(pause(&guard, 3_600_000, 1).await, 200);
    first.say("SELECT 2").await;
    held(&guard, 1).await;
    let refusal = second.refused("SELECT 3").await;
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in ["reason=paused", "limit=1", "measured=1", "changed_by=resume"] {
        assert!(refusal.message.contains(word), "{word}: {refusal:?}");
    }
    // COMMIT passes.
    second.done("COMMIT").await;
    assert_eq!(guard.metric("guard_paused", &[]).await.unwrap(), 1.0);
    assert_eq!(pause(&guard, 1, 1).await, 200);
    assert_eq!(first.hear().await.unwrap().as_deref(), Some("2"));
    assert_eq!(guard.json("/api/v1/pause").await.unwrap()["ends_in_ms"], json!(null));
    assert_eq!(guard.http("POST", "/api/v1/resume", "").await.unwrap().status, 409);
    assert_eq!(pause(&guard, 0, 1).await, 422);
    second.done("SELECT 4").await;
}

#[tokio::test]
async fn the_console_pauses_and_says_who_is_pinned() {
    let console = "users = [\"app\"]\n";
    let (_server, guard) = world(Engine::Postgres, console).await;
    let login = async || PgClient::login(guard.addr(), &APP).await.unwrap();
    let mut pinned = login().await;
    pg_done(&mut pinned, "SELECT pg_advisory_lock(1)").await;
    let mut config = APP.config(guard.addr());
    config.dbname("tidegate");
    let operator = drill::server::postgres::connect(&config).await.unwrap();
    operator.batch_execute("BEGIN; SET application_name = 'x'; COMMIT; PAUSE").await.unwrap();
    let mut other = login().await;
    other.send(|out| put_query(out, b"SELECT 2")).await.unwrap();
    held(&guard, 1).await;
    // It may hold locks: whoever waits for them would wait for the pause as well.
    pg_done(&mut pinned, "SELECT 1").await;
    operator.batch_execute("RESUME").await.unwrap();
    assert_eq!(other.reply().await.unwrap().value(), Some("2"));
}

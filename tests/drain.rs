//! SIGTERM: nobody new comes in, what is open may end, and nothing is left behind on the database.

use std::time::Duration;

use harness::*;

/// Longest any of this may take beyond the configured times, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(8);

on_both_engines! {
    an_open_transaction_may_end_while_the_guard_drains,
    what_does_not_end_in_time_is_ended_on_the_database_too,
    draining_can_be_asked_for_over_http,
}

/// A server, a guard before it, and root beside it.
async fn scene(engine: Engine, sections: &str) -> (Server, Guard, Caller) {
    let server = Server::start(engine).await.unwrap();
    let mut app = Caller::login(engine, server.addr(), &APP).await.unwrap();
    app.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
    let root = Caller::login(engine, server.addr(), &ROOT).await.unwrap();
    (server, guard, root)
}

/// What was committed: the sum of the ids, of which each is another power of two.
async fn notes(root: &mut Caller) -> Option<String> {
    root.done("SELECT SUM(id) FROM note").await
}

async fn ends(guard: &mut Guard) {
    eventually("the guard ends", SOON, async || (!guard.runs()).then_some(())).await;
}

/// Last words say that the guard ends.
fn is_told(engine: Engine, last_words: &str) {
    let due = if engine.is_postgres() { "administrator command" } else { "shutdown" };
    assert!(last_words.contains(due), "{last_words}");
}

async fn an_open_transaction_may_end_while_the_guard_drains(engine: Engine) {
    let (_server, mut guard, mut root) = scene(engine, "").await;
    let mut idle = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    client.done("BEGIN").await;
    client.done("INSERT INTO note VALUES (1)").await;
    guard.begin_drain().unwrap();
    is_told(engine, &idle.closed().await);
    let nobody = async || Caller::login(engine, guard.addr(), &APP).await.err();
    eventually("nobody new comes in", SOON, nobody).await;
    client.done("INSERT INTO note VALUES (2)").await;
    client.done("COMMIT").await;
    client.closed().await;
    ends(&mut guard).await;
    assert_eq!(notes(&mut root).await.as_deref(), Some("3"));
}

async fn what_does_not_end_in_time_is_ended_on_the_database_too(engine: Engine) {
    let (server, mut guard, mut root) = scene(engine, "[guard]\ndrain_timeout = \"1s\"").await;
    let mut idle = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    idle.done("BEGIN").await;
    idle.done("INSERT INTO note VALUES (1)").await;
    let mut busy = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    busy.say(if engine.is_postgres() { "SELECT pg_sleep(60)" } else { "SELECT SLEEP(60)" }).await;
    eventually("both run", SOON, async || (status(&guard, "/in_flight").await == 2).then_some(()))
        .await;
    guard.begin_drain().unwrap();
    // Interrupted, or told that its connection was killed.
    let _told = busy.try_hear().await;
    let last_words = idle.closed().await;
    if engine.is_postgres() {
        is_told(engine, &last_words);
    }
    busy.closed().await;
    ends(&mut guard).await;
    assert_eq!(open_on(&server, &APP).await, Open::default(), "left behind on the database");
    assert_eq!(notes(&mut root).await, None);
}

async fn draining_can_be_asked_for_over_http(engine: Engine) {
    let (_server, mut guard, _root) = scene(engine, "").await;
    assert_eq!(guard.http("POST", "/api/v1/drain", "").await.unwrap().status, 202);
    ends(&mut guard).await;
}

//! The limit that finds its place by itself, on real servers: it holds, moves, is shown, and can be
//! turned on and off while clients are in. What it finds is the simulator's to show.

use std::time::Duration;

use harness::*;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(10);

on_both_engines! {
    it_holds_what_is_beyond_and_says_so,
    it_climbs_while_more_brings_more,
    a_reload_turns_it_on_and_off,
    a_restart_does_not_begin_from_the_bottom,
}

async fn scene(engine: Engine, sections: &str) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let mut app = Caller::login(engine, server.addr(), &APP).await.unwrap();
    app.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    let setup = Setup { connections: 24, ..Setup::with(sections) };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

/// A client in a transaction that wrote the row `id`.
async fn writer(server: &Server, guard: &Guard, id: u32) -> Caller {
    let mut client = Caller::login(server.engine(), guard.addr(), &APP).await.unwrap();
    client.done("BEGIN").await;
    client.done(&format!("INSERT INTO note VALUES ({id})")).await;
    client
}

async fn it_holds_what_is_beyond_and_says_so(engine: Engine) {
    let limit = "[limit]\nmode = \"enforce\"\nstart = 2\nmax = 2\n[class.impatient]\nqueue_length = 0\n\
                 [[rule]]\nname = \"other\"\nuser = \"other\"\nclass = \"impatient\"";
    let (server, guard) = scene(engine, limit).await;
    let mut writers = [writer(&server, &guard, 1).await, writer(&server, &guard, 2).await];
    let mut impatient = Caller::login(engine, guard.addr(), &OTHER).await.unwrap();
    let refusal = impatient.refused("SELECT 1").await;
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in ["reason=in_flight", "limit=2", "measured=2", "changed_by=limit.max"] {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    let mut third = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    third.say("SELECT 1").await;
    eventually("the third waits", SOON, async || {
        (status(&guard, "/queued").await == 1).then_some(())
    })
    .await;
    assert_eq!(open_on(&server, &APP).await.transactions, 2);
    writers[0].done("COMMIT").await;
    assert_eq!(third.hear().await.unwrap().as_deref(), Some("1"));
    writers[1].done("COMMIT").await;
    assert_eq!(status(&guard, "/limit/limit").await, 2);
    assert_eq!(guard.metric("guard_limit", &[]).await.unwrap(), 2.0);
}

/// Sleeping costs the database nothing, so twice as many at once is twice the work.
async fn it_climbs_while_more_brings_more(engine: Engine) {
    let (_server, guard) = scene(engine, "[limit]\nmode = \"enforce\"\nstart = 2").await;
    let sleep = if engine.is_postgres() { "SELECT pg_sleep(0.02)" } else { "DO SLEEP(0.02)" };
    let mut crowd = JoinSet::new();
    for _ in 0..40 {
        let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
        crowd.spawn(async move {
            loop {
                client.done(sleep).await;
            }
        });
    }
    eventually("the limit has found more room", Duration::from_secs(30), async || {
        (status(&guard, "/limit/limit").await >= 12).then_some(())
    })
    .await;
    assert!(status(&guard, "/in_flight").await <= 24, "never more than there are connections");
    crowd.shutdown().await;
}

async fn a_reload_turns_it_on_and_off(engine: Engine) {
    let (server, guard) = scene(engine, "[limit]\nmode = \"observe\"\nstart = 1\nmax = 1").await;
    let _first = writer(&server, &guard, 1).await;
    let mut second = writer(&server, &guard, 2).await;
    second.done("COMMIT").await;
    let would = guard.metric("guard_would_wait_total", &[]).await.unwrap();
    assert!(would >= 1.0, "what enforce would have made wait is counted: {would}");
    let text = std::fs::read_to_string(guard.config()).unwrap();
    guard.reload(&text.replace("\"observe\"", "\"enforce\"")).unwrap();
    eventually("it is enforced", SOON, async || {
        let status = guard.json("/api/v1/status").await.unwrap();
        (status["limit"]["mode"] == "enforce").then_some(())
    })
    .await;
    second.say("SELECT 1").await;
    eventually("the second waits", SOON, async || {
        (status(&guard, "/queued").await == 1).then_some(())
    })
    .await;
    guard.reload(&text.replace("\"observe\"", "\"off\"")).unwrap();
    assert_eq!(second.hear().await.unwrap().as_deref(), Some("1"), "off lets it go");
    assert!(guard.json("/api/v1/status").await.unwrap()["limit"].is_null());
}

async fn a_restart_does_not_begin_from_the_bottom(engine: Engine) {
    let folder = Scratch::new().unwrap();
    let file = folder.path().join("limit.json");
    let sections =
        |start: u32| format!("[limit]\nmode = \"enforce\"\nstart = {start}\nmemory = {file:?}");
    let (server, mut guard) = scene(engine, &sections(20)).await;
    guard.drain(SOON).unwrap();
    let setup = Setup { connections: 24, ..Setup::with(sections(2)) };
    let again = Guard::start(&server, &setup).await.unwrap();
    // Seven tenths, and an untested limit falls by a hundredth each second.
    let limit = status(&again, "/limit/limit").await;
    assert!((10..=14).contains(&limit), "{limit}: {}", again.log());
    std::fs::write(&file, "{}").unwrap();
    let afresh = Guard::start(&server, &setup).await.unwrap();
    assert_eq!(status(&afresh, "/limit/limit").await, 2);
    assert!(afresh.log().contains("not what a guard wrote"), "{}", afresh.log());
}

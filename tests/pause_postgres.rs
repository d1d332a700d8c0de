//! A pause: what runs goes on to its end, what comes is held, and the database may be restarted.

use std::process::Command;
use std::time::Duration;

use harness::*;
use serde_json::json;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(20);

async fn world(sections: &str) -> (Server, Guard) {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
    (server, guard)
}

async fn client(guard: &Guard) -> PgClient {
    PgClient::login(guard.addr(), &APP).await.unwrap()
}

fn tidegate(guard: &Guard, arguments: &[&str]) -> std::process::Child {
    Command::new(program().unwrap())
        .args(arguments)
        .args(["--admin", &format!("http://{}", guard.admin())])
        .spawn()
        .unwrap()
}

async fn held(guard: &Guard, count: u64) {
    eventually(&format!("{count} are held"), SOON, async || {
        let status = guard.json("/api/v1/pause").await.unwrap();
        (status["held"] == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_database_between_pause_and_resume_fails_nothing() {
    let (mut server, guard) = world("").await;
    let mut open = client(&guard).await;
    pg_done(&mut open, "CREATE TABLE note (id int)").await;
    pg_done(&mut open, "BEGIN").await;
    pg_done(&mut open, "INSERT INTO note VALUES (1)").await;
    let mut pause = tidegate(&guard, &["pause", "--for", "10m"]);
    eventually("it is paused", SOON, async || {
        let status = guard.json("/api/v1/status").await.unwrap();
        status["pause_ends_in_ms"].is_u64().then_some(())
    })
    .await;
    let waiting: Vec<_> = {
        let mut waiting = Vec::new();
        for number in 2..6 {
            let mut client = client(&guard).await;
            waiting.push(tokio::spawn(async move {
                client.set_patience(Duration::from_secs(120));
                pg_done(&mut client, &format!("INSERT INTO note VALUES ({number})")).await;
            }));
        }
        waiting
    };
    held(&guard, 4).await;
    assert!(pause.try_wait().unwrap().is_none(), "a transaction still runs");
    pg_done(&mut open, "INSERT INTO note VALUES (0)").await;
    pg_done(&mut open, "COMMIT").await;
    assert!(tokio::task::block_in_place(|| pause.wait().unwrap()).success());
    let probe = server.postgres_probe().await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
    let open: i64 = probe.client().query_one(sql, &[&APP.name]).await.unwrap().get(0);
    assert_eq!(open, 0, "connections of clients at the server");
    drop(probe);
    server.restart().await.unwrap();
    eventually("the guard is back", SOON, async || {
        (status(&guard, "/upstream/control").await >= 1).then_some(())
    })
    .await;
    let resume = tokio::task::block_in_place(|| tidegate(&guard, &["resume"]).wait().unwrap());
    assert!(resume.success());
    for client in waiting {
        client.await.unwrap();
    }
    let mut last = client(&guard).await;
    assert_eq!(pg_done(&mut last, "SELECT count(*) FROM note").await.value(), Some("6"));
}

#[tokio::test]
async fn a_pause_holds_no_more_than_it_may_and_ends_by_itself() {
    let (_server, guard) = world("[class.default]\nin_flight = 1\nqueue_length = 0\n").await;
    let (mut first, mut second) = (client(&guard).await, client(&guard).await);
    for client in [&mut first, &mut second] {
        pg_done(client, "SELECT 1").await;
    }
    let order = json!({ "ttl_ms": 3_600_000, "length": 1 }).to_string();
    assert_eq!(guard.http("POST", "/api/v1/pause", &order).await.unwrap().status, 200);
    first.send(|out| wire::postgres::frontend::put_query(out, b"SELECT 2")).await.unwrap();
    held(&guard, 1).await;
    let failure = pg_refused(&mut second, "SELECT 3").await;
    assert_eq!(failure.code, "53400", "{failure}");
    for word in ["reason=paused", "limit=1", "measured=1", "changed_by=resume"] {
        assert!(failure.message.contains(word), "{word}: {failure}");
    }
    // COMMIT passes, and so does what may hold locks.
    pg_done(&mut second, "COMMIT").await;
    assert_eq!(guard.metric("guard_paused", &[]).await.unwrap(), 1.0);
    let order = json!({ "ttl_ms": 1, "length": 1 }).to_string();
    assert_eq!(guard.http("POST", "/api/v1/pause", &order).await.unwrap().status, 200);
    assert_eq!(first.reply().await.unwrap().value(), Some("2"));
    assert_eq!(guard.json("/api/v1/pause").await.unwrap()["ends_in_ms"], json!(null));
    assert_eq!(guard.http("POST", "/api/v1/resume", "").await.unwrap().status, 409);
    let order = json!({ "ttl_ms": 0 }).to_string();
    assert_eq!(guard.http("POST", "/api/v1/pause", &order).await.unwrap().status, 422);
    pg_done(&mut second, "SELECT 4").await;
}

#[tokio::test]
async fn the_console_pauses_and_says_who_is_pinned() {
    let console = "users = [\"app\"]\n";
    let (_server, guard) = world(console).await;
    let mut pinned = client(&guard).await;
    pg_done(&mut pinned, "SELECT pg_advisory_lock(1)").await;
    let mut config = APP.config(guard.addr());
    config.dbname("tidegate");
    let operator = drill::server::postgres::connect(&config).await.unwrap();
    operator.batch_execute("BEGIN; SET application_name = 'x'; COMMIT; PAUSE").await.unwrap();
    let mut other = client(&guard).await;
    other.send(|out| wire::postgres::frontend::put_query(out, b"SELECT 2")).await.unwrap();
    held(&guard, 1).await;
    // It may hold locks: whoever waits for them would wait for the pause as well.
    pg_done(&mut pinned, "SELECT 1").await;
    operator.batch_execute("RESUME").await.unwrap();
    assert_eq!(other.reply().await.unwrap().value(), Some("2"));
}

//! How pressed the database is, told to those who can wait: by real servers, once and as a stream, and to tools
//! in the words of freno.

use std::time::Duration;

use harness::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

/// As many as may follow at a time.
const FOLLOWERS: usize = 32;

const NARROW: &str = "[overall]\nin_flight = 2\nqueue_time = \"30s\"\n[pressure]\nstore = \"orders\"\n\
                      [class.default]\nqueue_time = \"30s\"\ntransaction_time = \"off\"\nidle_in_transaction_time = \"off\"";

on_both_engines! {
    it_rises_while_the_gate_queues_and_falls_again,
    who_waits_for_locks_is_pressure_too,
    a_tool_is_told_by_status_code,
    a_reader_of_the_stream_that_does_not_read_blocks_nobody,
}

async fn scene(engine: Engine, sections: &str) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let mut app = Caller::login(engine, server.addr(), &APP).await.unwrap();
    app.done("CREATE TABLE note (id INT PRIMARY KEY, n INT)").await;
    app.done("INSERT INTO note VALUES (1, 0)").await;
    let setup = Setup { connections: 16, ..Setup::with(sections) };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

/// A client in a transaction that wrote the row `id`.
async fn writer(engine: Engine, guard: &Guard, id: u32) -> Caller {
    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    client.done("BEGIN").await;
    client.done(&format!("INSERT INTO note VALUES ({id}, 0)")).await;
    client
}

/// A part, or with "" the whole.
async fn pressure(guard: &Guard, part: &str) -> f64 {
    let told = guard.json("/api/v1/pressure").await.unwrap();
    let pointer = if part.is_empty() { "/pressure".into() } else { format!("/parts/{part}") };
    told.pointer(&pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{part}: {told}"))
}

async fn becomes(guard: &Guard, part: &str, what: &str, so: impl Fn(f64) -> bool) {
    eventually(what, SOON, async || so(pressure(guard, part).await).then_some(())).await;
}

/// What a tool is told.
async fn check(guard: &Guard, tool: &str, store: &str) -> u16 {
    guard.get(&format!("/check/{tool}/{store}")).await.unwrap().status
}

fn store(engine: Engine) -> &'static str {
    if engine.is_postgres() { "postgresql/orders" } else { "mysql/orders" }
}

/// Before the first reading the pressure is not known, and shown as 0.
async fn is_read(guard: &Guard, engine: Engine) {
    let is_told = async || (check(guard, "gh-ost", store(engine)).await == 200).then_some(());
    eventually("the pressure is read", SOON, is_told).await;
}

async fn it_rises_while_the_gate_queues_and_falls_again(engine: Engine) {
    let (_server, guard) = scene(engine, NARROW).await;
    is_read(&guard, engine).await;
    assert!(pressure(&guard, "").await < 0.05, "it is nothing while nothing runs");

    let mut writers = [writer(engine, &guard, 2).await, writer(engine, &guard, 3).await];
    becomes(&guard, "limit", "the limit is used up", |used| used > 0.9).await;
    let mut third = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    third.say("SELECT 1").await;
    becomes(&guard, "queue", "somebody waits for long", |waits| waits > 1.0).await;
    assert!(pressure(&guard, "").await >= pressure(&guard, "limit").await);
    assert_eq!(check(&guard, "gh-ost", store(engine)).await, 429);
    let shown = guard.metric("guard_pressure_part", &["part=\"queue\""]).await.unwrap();
    assert!(shown > 1.0, "{shown}");

    for writer in &mut writers {
        writer.done("COMMIT").await;
    }
    assert_eq!(third.hear().await.unwrap().as_deref(), Some("1"));
    becomes(&guard, "", "it is nothing again", |pressure| pressure < 0.05).await;
    assert_eq!(check(&guard, "gh-ost", store(engine)).await, 200);
    assert!(guard.metric("guard_pressure", &[]).await.unwrap() < 0.05);
}

async fn who_waits_for_locks_is_pressure_too(engine: Engine) {
    let patient = "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                   idle_in_transaction_time = \"off\"\nlock_wait_time = \"50s\"";
    let (_server, guard) = scene(engine, patient).await;
    let mut holder = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    holder.done("BEGIN").await;
    holder.done("UPDATE note SET n = 1 WHERE id = 1").await;
    let mut waiters = Vec::new();
    for _ in 0..6 {
        let mut waiter = Caller::login(engine, guard.addr(), &APP).await.unwrap();
        waiter.say("UPDATE note SET n = n + 1 WHERE id = 1").await;
        waiters.push(waiter);
    }
    becomes(&guard, "locks", "six of seven wait for a lock", |locks| locks > 1.0).await;
    holder.done("COMMIT").await;
    for mut waiter in waiters {
        waiter.hear().await.unwrap();
    }
    becomes(&guard, "", "nobody waits", |pressure| pressure < 0.05).await;
}

async fn a_tool_is_told_by_status_code(engine: Engine) {
    let (mut server, guard) = scene(engine, NARROW).await;
    let own = store(engine);
    is_read(&guard, engine).await;
    let other = if engine.is_postgres() { "mysql/orders" } else { "postgresql/orders" };
    for (tool, store, code) in [
        ("archive", own, 200),
        ("archive", other, 404),
        ("archive", &own.replace("orders", "main"), 404),
    ] {
        assert_eq!(check(&guard, tool, store).await, code, "{tool} {store}");
    }
    let answer = guard.json(&format!("/check/archive/{own}")).await.unwrap();
    assert_eq!(answer["StatusCode"], 200, "{answer}");
    assert_eq!(answer["Threshold"], 0.75, "{answer}");

    let order = r#"{"target": "tag application=archive", "reason": "incident 7", "author": "ann"}"#;
    assert_eq!(guard.http("POST", "/api/v1/switches", order).await.unwrap().status, 200);
    assert_eq!(check(&guard, "archive", own).await, 417);
    assert_eq!(check(&guard, "gh-ost", own).await, 200);

    server.stop();
    eventually("the database is lost", Duration::from_secs(30), async || {
        (check(&guard, "gh-ost", own).await == 500).then_some(())
    })
    .await;
    assert!(pressure(&guard, "").await >= 1.0);
}

/// Somebody who follows the pressure.
struct Follower {
    stream: TcpStream,
    heard: String,
}

impl Follower {
    async fn new(guard: &Guard) -> Self {
        let mut stream = TcpStream::connect(guard.admin()).await.unwrap();
        let request = "GET /api/v1/pressure/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, heard: String::new() }
    }

    /// Reads until it has been told something that is so.
    async fn hears(&mut self, what: &str, so: impl Fn(&str) -> bool) {
        let hearing = async {
            while !so(&self.heard) {
                let mut bytes = [0; 4096];
                let read = self.stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "{what}: it ended: {}", self.heard);
                self.heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        };
        let heard = tokio::time::timeout(SOON, hearing).await;
        assert!(heard.is_ok(), "{what}: {}", self.heard);
    }

    /// The readings that it was told.
    fn readings(&self) -> Vec<Value> {
        let lines = self.heard.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

async fn a_reader_of_the_stream_that_does_not_read_blocks_nobody(engine: Engine) {
    let (_server, guard) = scene(engine, NARROW).await;
    let mut silent = Vec::new();
    for _ in 1..FOLLOWERS {
        silent.push(Follower::new(&guard).await);
    }
    let mut reader = Follower::new(&guard).await;
    reader.hears("events", |heard| heard.matches("event: pressure").count() >= 5).await;
    assert!(reader.heard.contains("content-type: text/event-stream"), "{}", reader.heard);
    let mut one_more = Follower::new(&guard).await;
    one_more.hears("that there are too many", |heard| heard.starts_with("HTTP/1.1 503")).await;

    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    assert_eq!(client.done("SELECT 7").await.as_deref(), Some("7"));
    let _writers = [writer(engine, &guard, 2).await, writer(engine, &guard, 3).await];
    reader
        .hears("that the limit is used up", |heard| {
            let last = heard.rsplit("data: ").find(|event| event.contains('\n'));
            let last = last.and_then(|event| event.lines().next());
            let told = last.and_then(|line| serde_json::from_str::<Value>(line).ok());
            told.is_some_and(|told| told["parts"]["limit"].as_f64() > Some(0.9))
        })
        .await;
    let numbers: Vec<_> = reader.readings().iter().map(|told| told["number"].as_u64()).collect();
    assert!(numbers.is_sorted_by(|before, after| before < after), "{numbers:?}");

    drop(silent);
    eventually("a place is free again", SOON, async || {
        let mut follower = Follower::new(&guard).await;
        follower.hears("an answer", |heard| heard.contains("\r\n\r\n")).await;
        follower.heard.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

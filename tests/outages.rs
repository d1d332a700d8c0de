//! What the guard relies on goes away and comes back: control connections, the control account, the
//! database itself, a configuration that can be read. Limits hold all the while.

use std::time::{Duration, Instant};

use harness::*;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(5);

on_both_engines! {
    a_reload_changes_limits_for_those_who_are_in,
    invariant_8_control_connections_are_there_from_the_start_and_come_back,
    invariant_9_without_control_statements_flow_under_the_same_limits,
    a_database_that_is_down_is_told_in_time_and_found_again,
}

struct Scene {
    server: Server,
    guard: Guard,
}

impl Scene {
    async fn set(engine: Engine, sections: &str) -> Self {
        let server = Server::start(engine).await.unwrap();
        let mut app = Caller::login(engine, server.addr(), &APP).await.unwrap();
        app.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
        let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
        Self { server, guard }
    }

    async fn client(&self) -> Caller {
        Caller::login(self.server.engine(), self.guard.addr(), &APP).await.unwrap()
    }

    /// A client in a transaction that wrote the row `id`.
    async fn writer(&self, id: u32) -> Caller {
        let mut client = self.client().await;
        client.done("BEGIN").await;
        client.done(&format!("INSERT INTO note VALUES ({id})")).await;
        client
    }

    async fn root(&self) -> Caller {
        Caller::login(self.server.engine(), self.server.addr(), &ROOT).await.unwrap()
    }

    async fn becomes(&self, pointer: &str, value: u64) {
        eventually(&format!("{pointer} is {value}"), SOON, async || {
            (status(&self.guard, pointer).await == value).then_some(())
        })
        .await;
    }

    /// The guard's own connections, by the server's numbers.
    async fn control(&self) -> Vec<u64> {
        let threads = threads(&self.server).await;
        threads.into_iter().filter(|t| t.user == CONTROL.name).map(|thread| thread.id).collect()
    }

    async fn kill_control(&self) {
        let mut root = self.root().await;
        for id in self.control().await {
            // It may have gone by itself.
            let _told = root.ask(&end_of(self.server.engine(), id)).await;
        }
    }
}

/// What ends a connection.
fn end_of(engine: Engine, id: u64) -> String {
    if engine.is_postgres() {
        format!("SELECT pg_terminate_backend({id})")
    } else {
        format!("KILL CONNECTION {id}")
    }
}

fn says(refusal: &Refusal, engine: Engine, words: &[&str]) {
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in words {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
}

async fn a_reload_changes_limits_for_those_who_are_in(engine: Engine) {
    let scene = Scene::set(engine, "[class.default]\nin_flight = 1\nqueue_length = 0").await;
    let mut holder = scene.writer(1).await;
    let mut client = scene.client().await;
    says(&client.refused("SELECT 1").await, engine, &["limit=1"]);
    let text = std::fs::read_to_string(scene.guard.config()).unwrap();
    scene.guard.reload(&text.replace("in_flight = 1", "in_flight = 2")).unwrap();
    eventually("the new limit holds", SOON, async || {
        client.ask("SELECT 1").await.is_ok().then_some(())
    })
    .await;
    let wrong = text.replace("in_flight = 1", "in_flight = \"many\"");
    scene.guard.reload(&wrong).unwrap();
    eventually("the wrong file is counted", SOON, async || {
        let failed = scene.guard.metric("guard_reloads_total", &["failed"]).await.unwrap();
        (failed == 1.0).then_some(())
    })
    .await;
    client.done("SELECT 1").await;
    holder.done("COMMIT").await;
}

async fn invariant_8_control_connections_are_there_from_the_start_and_come_back(engine: Engine) {
    let scene = Scene::set(engine, "[class.default]\nstatement_time = \"500ms\"").await;
    scene.becomes("/upstream/control", 2).await;
    // Two that cancel, and one that observes.
    let before = eventually("all are there before any client came", SOON, async || {
        Some(scene.control().await).filter(|reserved| reserved.len() == 3)
    })
    .await;
    let mut client = scene.client().await;
    scene.kill_control().await;
    // The statement waits for a connection that can stop it, and is stopped.
    let (sleep, stopped) = match engine.is_postgres() {
        true => ("SELECT pg_sleep(20)", "57014"),
        false => ("SELECT SLEEP(20)", "1969"),
    };
    assert_eq!(client.refused(sleep).await.code, stopped);
    scene.becomes("/upstream/control", 2).await;
    assert!(scene.control().await.iter().all(|id| !before.contains(id)));
    client.done("SELECT 1").await;
    scene.becomes("/in_flight", 0).await;
    assert_eq!(open_on(&scene.server, &APP).await.transactions, 0);
}

async fn invariant_9_without_control_statements_flow_under_the_same_limits(engine: Engine) {
    let limits = "[class.default]\nin_flight = 2\nqueue_length = 0\nqueue_time = \"0s\"";
    let scene = Scene::set(engine, limits).await;
    scene.becomes("/upstream/control", 2).await;
    let (lock, unlock) = match engine.is_postgres() {
        true => ("ALTER ROLE control NOLOGIN", "ALTER ROLE control LOGIN"),
        false => ("ALTER USER control@'%' ACCOUNT LOCK", "ALTER USER control@'%' ACCOUNT UNLOCK"),
    };
    let mut root = scene.root().await;
    root.done(lock).await;
    scene.kill_control().await;
    scene.becomes("/upstream/control", 0).await;
    for id in [1, 11] {
        let mut first = scene.writer(id).await;
        let mut second = scene.writer(id + 1).await;
        let mut third = scene.client().await;
        let refusal = third.refused("SELECT 1").await;
        says(&refusal, engine, &["reason=in_flight", "limit=2"]);
        scene.becomes("/in_flight", 2).await;
        assert_eq!(open_on(&scene.server, &APP).await.transactions, 2);
        first.done("COMMIT").await;
        third.done("SELECT 1").await;
        second.done("ROLLBACK").await;
    }
    assert_eq!(root.done("SELECT SUM(id) FROM note").await.as_deref(), Some("12"));
    root.done(unlock).await;
    scene.becomes("/upstream/control", 2).await;
}

async fn a_database_that_is_down_is_told_in_time_and_found_again(engine: Engine) {
    let mut scene = Scene::set(engine, "").await;
    let (mut client, mut bystander) = (scene.writer(1).await, scene.client().await);
    bystander.done("SELECT 1").await;
    scene.server.crash();
    let began = Instant::now();
    client.say("SELECT 1").await;
    client.closed().await;
    for _ in 0..3 {
        let refusal = bystander.refused("SELECT 1").await;
        let unreachable = if engine.is_postgres() { "08006" } else { "1158" };
        assert!(*refusal.code == *unreachable || refusal.code == shed_code(engine), "{refusal:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    scene.becomes("/upstream/control", 0).await;
    assert_eq!(scene.guard.get("/ready").await.unwrap().status, 503);
    scene.server.restart().await.unwrap();
    eventually("service is back", Duration::from_secs(20), async || {
        bystander.ask("SELECT 1").await.is_ok().then_some(())
    })
    .await;
    scene.becomes("/upstream/control", 2).await;
    scene.becomes("/in_flight", 0).await;
    assert_eq!(scene.guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
}

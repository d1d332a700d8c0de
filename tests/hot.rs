//! A row that everybody wants, on real servers: few are let to it at a time, until they commit; the
//! others wait in the guard without a connection, and who wants something else does not notice.

use std::time::Duration;

use harness::*;
use serde_json::Value;
use tokio::task::JoinSet;
use wire::mysql::command::Command;

const SOON: Duration = Duration::from_secs(30);

/// Enough to be seen, and fewer than there are connections.
const CROWD: usize = 6;

/// Time limits that end nothing here, and long queues.
const PATIENT: &str = "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                       idle_in_transaction_time = \"off\"\nlock_wait_time = \"50s\"\n\
                       queue_time = \"50s\"\n[hot]\nmode = \"enforce\"\n";

const HOT: &str = "UPDATE account SET n = n + 1 WHERE id = 1";

/// A server with some rows, and a guard before it.
struct Scene {
    server: Server,
    guard: Guard,
    setup: Setup,
}

impl Scene {
    async fn set(engine: Engine, sections: &str) -> Self {
        let server = Server::start(engine).await.unwrap();
        let mut owner = Caller::login(engine, server.addr(), &APP).await.unwrap();
        owner.done("CREATE TABLE account (id INT PRIMARY KEY, n INT NOT NULL)").await;
        owner.done("INSERT INTO account VALUES (1, 0), (2, 0), (3, 0)").await;
        let setup = Setup { connections: 24, ..Setup::with(sections) };
        let guard = Guard::start(&server, &setup).await.unwrap();
        Self { server, guard, setup }
    }

    fn engine(&self) -> Engine {
        self.server.engine()
    }

    async fn client(&self) -> Caller {
        Caller::login(self.engine(), self.guard.addr(), &APP).await.unwrap()
    }

    /// A client in a transaction that has changed the row.
    async fn holder(&self) -> Caller {
        let mut holder = self.client().await;
        holder.done("BEGIN").await;
        holder.done(HOT).await;
        holder
    }

    /// Has many wait for the row in the database, until the guard has seen it; then all go on. Returns
    /// how often the row was changed.
    async fn heat(&self) -> usize {
        let mut holder = self.holder().await;
        let mut crowd = self.crowd(CROWD).await;
        self.hot("the row is found", |status| status["rows"][0]["is_gated"] == true).await;
        holder.done("COMMIT").await;
        all_are_done(&mut crowd).await;
        CROWD + 1
    }

    /// So many clients that each change the row once.
    async fn crowd(&self, size: usize) -> JoinSet<Told> {
        let mut crowd = JoinSet::new();
        for _ in 0..size {
            let mut client = self.client().await;
            crowd.spawn(async move { client.ask(HOT).await });
        }
        crowd
    }

    /// What the guard tells of rows, once it is `so`.
    async fn hot(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = Deadline::after(SOON);
        while !so(&last) {
            assert!(!deadline.is_over(), "{what}: {last:#}");
            last = self.guard.json("/api/v1/hot").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        last
    }

    async fn parked(&self, count: usize) -> Value {
        self.hot(&format!("{count} are parked"), |status| status["parked"] == count).await
    }

    /// What is left when all have gone: nobody.
    async fn is_quiet(&self) {
        let is_empty = |status: &Value| {
            status["parked"] == 0
                && status["rows"].as_array().unwrap().iter().all(|row| row["inside"] == 0)
        };
        self.hot("nobody is left", |status| status["rows"].is_array() && is_empty(status)).await;
    }

    async fn waiting(&self, count: u32) {
        eventually(&format!("{count} wait on the server"), SOON, async || {
            (open_on(&self.server, &APP).await.waiting == count).then_some(())
        })
        .await;
    }

    /// Connections that do something for clients.
    async fn leased(&self) -> f64 {
        self.guard.metric("guard_upstream_connections", &["state=\"leased\""]).await.unwrap()
    }

    async fn changes(&self) -> usize {
        let mut client = self.client().await;
        let n = client.done("SELECT n FROM account WHERE id = 1").await;
        n.unwrap().parse().unwrap()
    }
}

async fn all_are_done(crowd: &mut JoinSet<Told>) {
    while let Some(told) = crowd.join_next().await {
        told.unwrap().unwrap();
    }
}

/// Has a client change the row with a prepared statement; its answer is heard later.
async fn say_prepared(client: &mut Caller) {
    match client {
        Caller::MySql(client) => {
            let sql = "UPDATE account SET n = n + 1 WHERE id = ?";
            let prepare = [&[Command::StmtPrepare as u8], sql.as_bytes()].concat();
            let id = client.command(&prepare).await.unwrap().prepared().unwrap().statement;
            // Once, without NULLs, with types: one LONGLONG.
            let mut execute = vec![Command::StmtExecute as u8];
            execute.extend(id.to_le_bytes());
            execute.extend(b"\0\x01\0\0\0\0\x01\x08\0");
            execute.extend(1_i64.to_le_bytes());
            client.send_packet(0, &execute).await.unwrap();
        }
        Caller::Postgres(client) => {
            let sql = "UPDATE account SET n = n + $1::int WHERE id = $2";
            client.send(|out| put_series(out, sql, &["1", "1"])).await.unwrap();
        }
    }
}

async fn two_of_a_hot_row_are_at_the_server_and_others_go_on(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut changes = scene.heat().await;

    let mut holder = scene.holder().await;
    let mut crowd = scene.crowd(4).await;
    scene.parked(3).await;
    // By text or by parameter: it is the same row.
    for _ in 0..4 {
        let mut client = scene.client().await;
        say_prepared(&mut client).await;
        crowd.spawn(async move { client.hear().await });
    }
    let status = scene.parked(7).await;
    let rows = status["rows"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["is_gated"] == true).count(), 1, "{status:#}");
    assert_eq!(rows[0]["table"], "account", "{status:#}");
    assert_eq!(rows[0]["inside"], 2, "{status:#}");
    assert!(rows[0]["statement"].as_str().unwrap().contains('?'), "values are hidden: {status:#}");

    // The server's own list: one holds, one waits, and the parked have no connection.
    let open = open_on(&scene.server, &APP).await;
    assert_eq!((open.transactions, open.waiting), (2, 1));
    assert_eq!(scene.leased().await, 2.0);
    let page = scene.guard.metrics().await.unwrap();
    let row = page.lines().find(|line| line.starts_with("guard_hot_row_parked{row=\"account#"));
    assert!(row.is_some_and(|line| line.ends_with(" 7")), "{row:?}");

    // Other rows, readers, and whoever may hold locks are not parked.
    let mut other = scene.client().await;
    other.done("UPDATE account SET n = n + 1 WHERE id = 2").await;
    other.done("SELECT n FROM account WHERE id = 1").await;
    other.done("SELECT n FROM account WHERE id = 3 FOR UPDATE").await;
    scene.parked(7).await;

    holder.done("COMMIT").await;
    all_are_done(&mut crowd).await;
    changes += 1 + 8;
    assert_eq!(scene.changes().await, changes);
    scene.is_quiet().await;
    assert_eq!(scene.guard.metric("guard_hot_parked_total", &[]).await.unwrap(), 7.0);
}

async fn no_more_than_one_ever_waits_for_a_hot_row(engine: Engine) {
    const CLIENTS: usize = 10;
    const ROUNDS: usize = 40;
    let scene = Scene::set(engine, PATIENT).await;
    let before = scene.heat().await;
    let mut crowd = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = scene.client().await;
        crowd.spawn(async move {
            for _ in 0..ROUNDS {
                client.done("BEGIN").await;
                client.done(HOT).await;
                client.done("SELECT n FROM account WHERE id = 1").await;
                client.done("COMMIT").await;
            }
        });
    }
    let mut crowded = Vec::new();
    while !crowd.is_empty() {
        let open = open_on(&scene.server, &APP).await;
        // The server looks at one transaction behind the other: of two that follow each other it may see
        // both. Not each time.
        if open.waiting > 1 || open.transactions > 2 {
            crowded.push(open)
        } else {
            crowded.clear()
        }
        assert!(crowded.len() < 5, "{crowded:?}");
        while let Some(ended) = crowd.try_join_next() {
            ended.unwrap();
        }
    }
    assert_eq!(scene.changes().await, before + CLIENTS * ROUNDS);
    scene.is_quiet().await;
}

async fn who_leaves_is_forgotten_and_the_next_goes_on(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let changes = scene.heat().await;
    let mut holder = scene.holder().await;
    let mut inside = scene.crowd(1).await;
    scene.waiting(1).await;

    // One goes away, one is cancelled, one stays.
    let mut gone = scene.client().await;
    gone.say(HOT).await;
    scene.parked(1).await;
    let mut cancelled = scene.client().await;
    let id = match &cancelled {
        Caller::MySql(client) => client.connection_id(),
        Caller::Postgres(_) => 0,
    };
    cancelled.say(HOT).await;
    scene.parked(2).await;
    let mut stays = scene.crowd(1).await;
    scene.parked(3).await;
    drop(gone);
    scene.parked(2).await;
    if let Caller::Postgres(client) = &cancelled {
        client.canceller().cancel().await.unwrap();
    } else {
        scene.client().await.done(&format!("KILL QUERY {id}")).await;
    }
    let refusal = cancelled.hear().await.unwrap_err();
    let code = if engine.is_postgres() { "57014" } else { "1317" };
    assert_eq!(refusal.code, code, "{refusal:?}");
    scene.parked(1).await;
    assert_eq!(open_on(&scene.server, &APP).await.waiting, 1, "none of it reached the server");

    holder.done("COMMIT").await;
    all_are_done(&mut inside).await;
    all_are_done(&mut stays).await;
    cancelled.done(HOT).await;
    assert_eq!(scene.changes().await, changes + 4);
    scene.is_quiet().await;
}

async fn a_drain_ends_who_is_parked(engine: Engine) {
    let mut scene = Scene::set(engine, PATIENT).await;
    scene.heat().await;
    let mut holder = scene.holder().await;
    let mut inside = scene.crowd(1).await;
    scene.waiting(1).await;
    let mut parked = scene.client().await;
    parked.say(HOT).await;
    scene.parked(1).await;
    scene.guard.begin_drain().unwrap();
    // It may end, and lets the others in.
    holder.done("COMMIT").await;
    all_are_done(&mut inside).await;
    parked.hear().await.unwrap();
    assert!(scene.guard.drain(SOON).unwrap().success());
}

async fn too_many_are_refused(engine: Engine) {
    let scene = Scene::set(engine, &(PATIENT.to_owned() + "parked = 2\n")).await;
    let changes = scene.heat().await;
    let mut holder = scene.holder().await;
    let mut crowd = scene.crowd(3).await;
    scene.parked(2).await;
    let mut client = scene.client().await;
    let refusal = client.refused(HOT).await;
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in
        ["reason=hot_key", "limit=2", "measured=2", "retry_after_ms=", "changed_by=hot.parked"]
    {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    let shed = scene.guard.metric("guard_sheds_total", &["reason=\"hot_key\""]).await.unwrap();
    assert_eq!(shed, 1.0);
    // Its connection lives.
    client.done("UPDATE account SET n = n + 1 WHERE id = 2").await;
    holder.done("COMMIT").await;
    all_are_done(&mut crowd).await;
    client.done(HOT).await;
    assert_eq!(scene.changes().await, changes + 5);
    scene.is_quiet().await;
}

/// Counters are often written so: made by whoever comes first, and counted up by all others.
async fn an_insert_that_may_update_is_about_its_row(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let changes = scene.heat().await;
    let update = if engine.is_postgres() {
        "ON CONFLICT (id) DO UPDATE SET n = account.n + 1"
    } else {
        "ON DUPLICATE KEY UPDATE n = n + 1"
    };
    let upsert = |id: u8| format!("INSERT INTO account (id, n) VALUES ({id}, 1) {update}");
    let mut holder = scene.holder().await;
    let mut crowd = scene.crowd(1).await;
    scene.waiting(1).await;
    let (mut client, sql) = (scene.client().await, upsert(1));
    crowd.spawn(async move { client.ask(&sql).await });
    scene.parked(1).await;
    // Another row is nobody's business.
    scene.client().await.done(&upsert(2)).await;
    holder.done("COMMIT").await;
    all_are_done(&mut crowd).await;
    assert_eq!(scene.changes().await, changes + 3);
    scene.is_quiet().await;
}

async fn who_waits_too_long_is_refused(engine: Engine) {
    let hasty = PATIENT.replace("queue_time = \"50s\"", "queue_time = \"300ms\"");
    let scene = Scene::set(engine, &hasty).await;
    let changes = scene.heat().await;
    let mut holder = scene.holder().await;
    let mut inside = scene.crowd(1).await;
    scene.waiting(1).await;
    let mut client = scene.client().await;
    let refusal = client.refused(HOT).await;
    for word in ["reason=hot_key", "limit=0.3", "changed_by=class.default.queue_time"] {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    let refusal = client.refused(&format!("{HOT} /*deadline_ms='50'*/")).await;
    for word in ["reason=deadline", "limit=0.05", "changed_by=tag deadline_ms"] {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    holder.done("COMMIT").await;
    all_are_done(&mut inside).await;
    client.done(HOT).await;
    assert_eq!(scene.changes().await, changes + 3);
    scene.is_quiet().await;
}

/// What most transactions do that begin with the same statement, the next does too: it waits before it
/// holds anything.
async fn a_transaction_that_comes_to_the_row_later_waits_at_its_begin(engine: Engine) {
    const ROUNDS: usize = 12;
    const FIRST: &str = "UPDATE account SET n = n + 1 WHERE id = 2 AND n >= 0";
    let scene = Scene::set(engine, PATIENT).await;
    let changes = scene.heat().await;
    let mut client = scene.client().await;
    for _ in 0..ROUNDS {
        client.done("BEGIN").await;
        client.done(FIRST).await;
        client.done(HOT).await;
        client.done("COMMIT").await;
    }
    let mut holder = scene.holder().await;
    let mut inside = scene.crowd(1).await;
    scene.waiting(1).await;
    client.done("BEGIN").await;
    client.say(FIRST).await;
    scene.parked(1).await;
    // By itself the same statement is no beginning.
    let mut other = scene.client().await;
    other.done(FIRST).await;
    holder.done("COMMIT").await;
    all_are_done(&mut inside).await;
    client.hear().await.unwrap();
    client.done(HOT).await;
    client.done("COMMIT").await;
    assert_eq!(scene.changes().await, changes + ROUNDS + 3);
    scene.is_quiet().await;
}

/// Invariant 4, at a row's gate.
async fn invariant_4_who_may_hold_locks_is_not_parked(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    scene.heat().await;
    let mut holder = scene.holder().await;
    let mut inside = scene.crowd(2).await;
    scene.parked(1).await;
    let mut client = scene.client().await;
    client.done("BEGIN").await;
    client.done("UPDATE account SET n = n + 1 WHERE id = 2").await;
    client.say(HOT).await;
    scene.waiting(2).await;
    let status = scene.parked(1).await;
    assert_eq!(status["rows"][0]["inside"], 3, "it counts: {status:#}");
    holder.done("COMMIT").await;
    client.hear().await.unwrap();
    client.done("COMMIT").await;
    all_are_done(&mut inside).await;
    scene.is_quiet().await;
}

async fn observing_parks_nobody_and_a_reload_lets_go(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    scene.heat().await;
    let mut holder = scene.holder().await;
    let mut crowd = scene.crowd(5).await;
    scene.parked(4).await;
    let doors = Doors { listener: scene.guard.addr(), admin: scene.guard.admin() };
    let observe = Setup {
        sections: PATIENT.replace("[hot]\nmode = \"enforce\"", "[hot]\nmode = \"observe\""),
        ..scene.setup.clone()
    };
    scene.guard.reload(&observe.text(&scene.server, doors)).unwrap();
    scene.waiting(5).await;
    crowd.spawn({
        let mut client = scene.client().await;
        async move { client.ask(HOT).await }
    });
    scene.waiting(6).await;
    let status = scene.parked(0).await;
    assert_eq!(status["mode"], "observe");
    assert_eq!(status["counts"]["would_park"], 1, "{status:#}");
    holder.done("COMMIT").await;
    all_are_done(&mut crowd).await;
    scene.is_quiet().await;
}

on_both_engines! {
    two_of_a_hot_row_are_at_the_server_and_others_go_on,
    no_more_than_one_ever_waits_for_a_hot_row,
    who_leaves_is_forgotten_and_the_next_goes_on,
    a_drain_ends_who_is_parked,
    too_many_are_refused,
    an_insert_that_may_update_is_about_its_row,
    who_waits_too_long_is_refused,
    a_transaction_that_comes_to_the_row_later_waits_at_its_begin,
    invariant_4_who_may_hold_locks_is_not_parked,
    observing_parks_nobody_and_a_reload_lets_go,
}

mod on_mysql {
    use super::Engine;

    #[tokio::test]
    async fn two_of_a_hot_row_are_at_the_server_and_others_go_on() {
        if Engine::MySql.available() {
            super::two_of_a_hot_row_are_at_the_server_and_others_go_on(Engine::MySql).await;
        }
    }
}

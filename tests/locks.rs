//! Who holds the database up is seen while it happens, on every server: the root, how many wait behind
//! it, and whose client each of them is.

use std::time::Duration;

use harness::*;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(20);

/// A server with three rows, and a guard before it.
struct Scene {
    server: Server,
    guard: Guard,
    waiting: JoinSet<()>,
}

impl Scene {
    async fn set(engine: Engine) -> Self {
        let server = Server::start(engine).await.unwrap();
        let setup = Setup::with("[class.default]\nlock_wait_time = \"60s\"");
        let guard = Guard::start(&server, &setup).await.unwrap();
        let mut scene = Self { guard, server, waiting: JoinSet::new() };
        let mut owner = scene.direct().await;
        owner.run("CREATE TABLE account (id INT PRIMARY KEY, n INT)").await.unwrap();
        owner.run("INSERT INTO account VALUES (1, 0), (2, 0), (3, 0)").await.unwrap();
        scene
    }

    async fn direct(&mut self) -> Peer {
        let target = Target { engine: self.server.engine(), addr: self.server.addr() };
        Peer::login(target, &APP).await.unwrap()
    }

    async fn client(&mut self) -> Peer {
        let target = Target { engine: self.server.engine(), addr: self.guard.addr() };
        Peer::login(target, &APP).await.unwrap()
    }

    /// Has `peer` run something that waits.
    fn waits(&mut self, mut peer: Peer, sql: &'static str) {
        self.waiting.spawn(async move { peer.run(sql).await.unwrap() });
    }

    /// What the guard tells, once it is `so`.
    async fn locks(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = eventually(what, SOON, async || {
            last = self.guard.json("/api/v1/locks").await.unwrap();
            so(&last).then_some(())
        });
        seen.await;
        last
    }

    async fn ends(mut self) {
        self.locks("nobody waits", |locks| locks["blocked"] == 0).await;
        while let Some(done) = self.waiting.join_next().await {
            done.unwrap();
        }
    }
}

async fn a_chain_is_seen_from_its_root(engine: Engine) {
    let mut scene = Scene::set(engine).await;
    let mut holder = scene.direct().await;
    holder.run("BEGIN").await.unwrap();
    holder.run("UPDATE account SET n = 4711 WHERE id = 1").await.unwrap();

    let mut middle = scene.client().await;
    middle.run("BEGIN").await.unwrap();
    middle.run("UPDATE account SET n = 1 WHERE id = 2").await.unwrap();
    scene.waits(middle, "UPDATE account SET n = 2 WHERE id = 1");
    for _ in 0..2 {
        let client = scene.client().await;
        scene.waits(client, "UPDATE account SET n = n + 1 WHERE id = 1");
    }
    scene.locks("the first three wait", |locks| locks["blocked"] == 3).await;
    for _ in 0..3 {
        let client = scene.client().await;
        scene.waits(client, "UPDATE account SET n = n + 1 WHERE id = 2");
    }
    let is_whole = |locks: &Value| locks["roots"][0]["behind"] == 6;
    let locks = scene.locks("six wait behind the holder", is_whole).await;

    assert_eq!(locks["blocked"], 6, "{locks:#}");
    assert_eq!(locks["roots"].as_array().unwrap().len(), 1, "{locks:#}");
    let root = &locks["roots"][0];
    assert_eq!(root["activity"], "idle", "{locks:#}");
    assert_eq!(root["user"], APP.name, "{locks:#}");
    assert_eq!(root["client"], Value::Null, "it did not come through the guard: {locks:#}");
    assert!(!locks.to_string().contains("4711"), "values are nobody's business: {locks:#}");
    // On PostgreSQL only the first in line waits for the holder, and all others for the first.
    let waiters = below(root);
    assert_eq!(waiters.len(), 6, "{locks:#}");
    for waiter in &waiters {
        assert_eq!(waiter["activity"], "waits", "{locks:#}");
        assert_eq!(waiter["client"]["class"], "default", "{locks:#}");
        let statement = waiter["statement"].as_str().unwrap().to_lowercase();
        assert!(statement.starts_with("update account set n ="), "{locks:#}");
    }
    let in_the_middle = waiters.iter().any(|waiter| waiter["behind"].as_u64() >= Some(3));
    assert!(in_the_middle, "three wait behind one that waits: {locks:#}");
    let shares = scene.guard.metric("guard_database_blocked_share", &[]).await.unwrap();
    assert!(shares > 0.8, "{shares}");
    assert!(scene.guard.metric("guard_database_root_blockers", &[]).await.unwrap() >= 1.0);

    holder.run("ROLLBACK").await.unwrap();
    // The one in the middle leaves with its task, and its transaction is undone.
    scene.ends().await;
}

/// All who wait behind `holder`.
fn below(holder: &Value) -> Vec<&Value> {
    let waiters = holder["waiters"].as_array().unwrap().iter();
    waiters.flat_map(|waiter| std::iter::once(waiter).chain(below(waiter))).collect()
}

/// Somebody reads a table in an open transaction, somebody wants to alter it, and all others wait
/// behind that.
async fn a_wait_for_a_table_is_seen(engine: Engine) {
    let mut scene = Scene::set(engine).await;
    let mut reader = scene.direct().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT n FROM account").await.unwrap();
    let owner = scene.direct().await;
    scene.waits(owner, "ALTER TABLE account ADD COLUMN more INT");
    scene.locks("the change waits", |locks| locks["blocked"] == 1).await;
    let client = scene.client().await;
    scene.waits(client, "UPDATE account SET n = n + 1 WHERE id = 3");
    scene.locks("the client waits behind it", |locks| locks["blocked"] == 2).await;
    // MariaDB tells who holds a table only with a plugin.
    if !engine.is_mariadb() {
        let whole = |locks: &Value| locks["roots"][0]["behind"] == 2;
        let locks = scene.locks("both are behind the reader", whole).await;
        assert_eq!(locks["roots"][0]["activity"], "idle", "{locks:#}");
    } else {
        let is_told = |locks: &Value| locks["trouble"].is_string();
        let locks = scene.locks("what the server lacks is told", is_told).await;
        assert_eq!(locks["roots"], Value::Array(vec![]), "{locks:#}");
        let trouble = locks["trouble"].as_str().unwrap();
        assert!(trouble.ends_with("INSTALL SONAME 'metadata_lock_info'"), "{locks:#}");
    }
    reader.run("COMMIT").await.unwrap();
    scene.ends().await;
}

#[tokio::test]
async fn mariadb_tells_who_holds_a_table_with_a_plugin() {
    let mut scene = Scene::set(Engine::MariaDb).await;
    let mut root = Caller::login(Engine::MariaDb, scene.server.addr(), &ROOT).await.unwrap();
    root.done("INSTALL SONAME 'metadata_lock_info'").await;
    let mut reader = scene.direct().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT n FROM account").await.unwrap();
    let owner = scene.direct().await;
    scene.waits(owner, "ALTER TABLE account ADD COLUMN more INT");
    scene.locks("the change waits", |locks| locks["blocked"] == 1).await;
    let client = scene.client().await;
    scene.waits(client, "UPDATE account SET n = n + 1 WHERE id = 3");
    let whole = |locks: &Value| locks["roots"][0]["behind"] == 2;
    let locks = scene.locks("both are behind the reader", whole).await;
    let root = &locks["roots"][0];
    assert_eq!(root["activity"], "idle", "{locks:#}");
    let waits_for = root["waiters"][0]["waits_for"].as_str().unwrap();
    assert!(waits_for.starts_with("metadata app.account"), "{locks:#}");
    assert_eq!(locks["trouble"], Value::Null, "{locks:#}");
    reader.run("COMMIT").await.unwrap();
    scene.ends().await;
}

macro_rules! on_each_server {
    ($($module:ident $engine:expr;)*) => {$(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn a_chain_is_seen_from_its_root() {
                if $engine.available() {
                    super::a_chain_is_seen_from_its_root($engine).await;
                }
            }

            #[tokio::test]
            async fn a_wait_for_a_table_is_seen() {
                if $engine.available() {
                    super::a_wait_for_a_table_is_seen($engine).await;
                }
            }
        }
    )*};
}

on_each_server! {
    mariadb Engine::MariaDb;
    mysql Engine::MySql;
    postgres Engine::Postgres;
    postgres_18 Engine::Postgres18;
}

/// Without the privilege to see, the guard says so, and serves.
#[tokio::test]
async fn what_cannot_be_seen_is_said() {
    let mut scene = Scene::set(Engine::MariaDb).await;
    let mut probe = scene.server.probe().await.unwrap();
    let revoke = format!("REVOKE PROCESS ON *.* FROM {}@'%'", CONTROL.name);
    probe.conn().query_drop(&revoke).await.unwrap();
    // Privileges are read at login.
    for thread in probe.threads().await.unwrap() {
        if thread.user == CONTROL.name {
            probe.conn().query_drop(format!("KILL CONNECTION {}", thread.id)).await.unwrap();
        }
    }
    let is_said =
        |locks: &Value| locks["trouble"].as_str().is_some_and(|said| said.contains("PROCESS"));
    scene.locks("the missing privilege is named", is_said).await;
    let mut client = scene.client().await;
    client.run("UPDATE account SET n = 7 WHERE id = 1").await.unwrap();
}

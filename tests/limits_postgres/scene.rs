//! A server with two tables, and a guard with limits before it.

// Each of the files that use it needs a part of it.
#![allow(dead_code, reason = "three tests share it")]

use std::time::Duration;

use harness::*;

/// How soon what was ordered must be so, on a machine that is busy building.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A server, a guard before it, and what looks at the server beside the guard.
pub(crate) struct Scene {
    pub(crate) guard: Guard,
    pub(crate) probe: PostgresProbe,
    pub(crate) server: Server,
}

impl Scene {
    /// A table `note`, and `hot` with one row.
    pub(crate) async fn set(sections: &str) -> Self {
        let server = Server::start(Engine::Postgres).await.unwrap();
        let mut app = PgClient::login(server.addr(), &APP).await.unwrap();
        pg_done(&mut app, "CREATE TABLE note (id int PRIMARY KEY)").await;
        pg_done(&mut app, "CREATE TABLE hot (id int PRIMARY KEY)").await;
        pg_done(&mut app, "INSERT INTO hot VALUES (1)").await;
        let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
        let probe = server.postgres_probe().await.unwrap();
        Self { guard, probe, server }
    }

    pub(crate) async fn client(&self) -> PgClient {
        PgClient::login(self.guard.addr(), &APP).await.unwrap()
    }

    /// A client in a transaction that wrote the row `id`.
    pub(crate) async fn writer(&self, id: u32) -> PgClient {
        let mut client = self.client().await;
        pg_done(&mut client, "BEGIN").await;
        pg_done(&mut client, &format!("INSERT INTO note VALUES ({id})")).await;
        client
    }

    /// A session beside the guard that holds the row of `hot`.
    pub(crate) async fn holder(&self) -> PgClient {
        let mut holder = PgClient::login(self.server.addr(), &ROOT).await.unwrap();
        pg_done(&mut holder, "BEGIN").await;
        pg_done(&mut holder, "SELECT FROM hot FOR UPDATE").await;
        holder
    }

    pub(crate) async fn becomes(&self, pointer: &str, value: u64) {
        eventually(&format!("{pointer} is {value}"), SOON, async || {
            (status(&self.guard, pointer).await == value).then_some(())
        })
        .await;
    }

    /// Waits until both the guard and the server count that many transactions.
    pub(crate) async fn has_open(&self, count: u32) {
        self.becomes("/in_flight", count.into()).await;
        eventually(&format!("the server has {count} transactions"), SOON, async || {
            (pg_open(&self.probe, &APP).await.transactions == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn notes(&self) -> Vec<i32> {
        let rows = self.probe.client().query("SELECT id FROM note ORDER BY id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Whether nobody holds the row of `hot`, nor what was written to `note`.
    pub(crate) async fn is_unlocked(&self) -> bool {
        let sql = "BEGIN; SELECT FROM hot FOR UPDATE NOWAIT; LOCK TABLE note NOWAIT; ROLLBACK";
        let tried = self.probe.client().batch_execute(sql).await;
        self.probe.client().batch_execute("ROLLBACK").await.unwrap();
        tried.is_ok()
    }

    /// Kills all connections of the application's account on the server, and waits until they are
    /// gone.
    pub(crate) async fn kill(&self) {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1";
        self.probe.client().query(sql, &[&APP.name]).await.unwrap();
    }
}

/// What an error must be.
pub(crate) fn says(failure: &PgFailure, code: &str, words: &[&str]) {
    assert_eq!(failure.code, code, "{failure}");
    for word in words {
        assert!(failure.message.contains(word), "{word} is missing: {failure}");
    }
}

/// A limit of 400 ms for statements.
pub(crate) const STATEMENT_TIME: &str = "[class.default]\nstatement_time = \"400ms\"";
/// What an error of `statement_time` says.
pub(crate) const WORDS: [&str; 6] = [
    "canceling statement due to statement timeout",
    "class=default",
    "reason=statement_time",
    "limit_ms=400",
    "measured_ms=",
    "retry_after_ms=",
];

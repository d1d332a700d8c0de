use std::process::Command;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::server::Server;
use crate::server::account::{APP, Account, CONTROL, MD5, OPEN, OTHER, ROOT, TLS};
use crate::server::engine::Engine;
use crate::server::probe::Look;

async fn one(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// What `psql` prints when it asks over TLS who it is, or what it says of why it may not.
fn over_tls(server: &Server, account: &Account) -> String {
    let Account { name, password } = account;
    let connect = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user={name} password={password} dbname=app \
         sslmode=verify-full sslrootcert={}",
        server.addr().port(),
        server.ca().display(),
    );
    let sql = "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let mut psql = Command::new(server.engine().client().unwrap());
    let output = psql.args(["-XAtc", sql, &connect]).output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&both).trim().to_owned()
}

async fn every_account_logs_in(engine: Engine, version: &str) {
    if !engine.available() {
        return;
    }
    let server = Server::start(engine).await.unwrap();
    for account in [ROOT, APP, OTHER, OPEN, MD5, CONTROL] {
        let client = server.postgres(&account).await.unwrap();
        assert_eq!(one(&client, "SELECT current_user::text").await, account.name);
        let found = one(&client, "SHOW server_version").await;
        assert!(found.starts_with(version), "{found}");
    }
    let wrong = Account { password: "wrong", ..APP };
    let refusal = server.postgres(&wrong).await.unwrap_err().to_string();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    assert!(server.postgres(&TLS).await.is_err(), "an account that requires TLS got in without");
    assert_eq!(over_tls(&server, &TLS), "tls|t");
    let root = server.postgres_root().await.unwrap();
    let sql = "SELECT string_agg(rolname || ' ' || left(rolpassword, 3), ', ' ORDER BY rolname) \
               FROM pg_authid WHERE rolname IN ('app', 'md5', 'open')";
    assert_eq!(one(&root, sql).await, "app SCR, md5 md5");
    let control = server.postgres(&CONTROL).await.unwrap();
    assert_eq!(one(&control, sql).await, "app SCR, md5 md5");
}

#[tokio::test]
async fn every_account_of_postgres_logs_in() {
    every_account_logs_in(Engine::Postgres, "15.").await;
}

#[tokio::test]
async fn every_account_of_the_extended_matrix_logs_in() {
    for (engine, version) in [
        (Engine::Postgres14, "14."),
        (Engine::Postgres16, "16."),
        (Engine::Postgres17, "17."),
        (Engine::Postgres18, "18."),
    ] {
        every_account_logs_in(engine, version).await;
    }
}

#[tokio::test]
async fn what_one_application_makes_another_may_use() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let app = server.postgres(&APP).await.unwrap();
    app.batch_execute("CREATE TABLE shared (id serial, n int)").await.unwrap();
    let other = server.postgres(&OTHER).await.unwrap();
    other.batch_execute("INSERT INTO shared (n) VALUES (1)").await.unwrap();
    let control = server.postgres(&CONTROL).await.unwrap();
    assert!(control.batch_execute("SELECT * FROM shared").await.is_err());
}

#[tokio::test]
async fn data_of_postgres_outlives_a_restart_and_a_crash() {
    let mut server = Server::start(Engine::Postgres).await.unwrap();
    let client = server.postgres(&APP).await.unwrap();
    client.batch_execute("CREATE TABLE kept AS SELECT 'seven' AS id").await.unwrap();
    let addr = server.addr();
    // The client is still there: an end in order does not wait for it.
    server.restart().await.unwrap();
    assert!(client.batch_execute("SELECT 1").await.is_err());
    let client = server.postgres(&APP).await.unwrap();
    assert_eq!(one(&client, "SELECT id FROM kept").await, "seven");
    // A backend that works on does not keep the data from the next server.
    let works = tokio::spawn(async move { client.batch_execute(BUSY).await });
    let mut probe = server.postgres_probe().await.unwrap();
    until(&mut probe, |threads_running, _| threads_running == 2).await;
    server.crash();
    assert!(works.await.unwrap().is_err());
    assert!(server.postgres(&APP).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(server.addr(), addr);
    let client = server.postgres(&APP).await.unwrap();
    assert_eq!(one(&client, "SELECT id FROM kept").await, "seven");
}

/// A statement that looks at nothing but the processor until it is killed.
const BUSY: &str =
    "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";

async fn until(probe: &mut super::probe::Probe, is_so: impl Fn(u32, u32) -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let gauges = probe.gauges().await.unwrap();
        if is_so(gauges.threads_running, gauges.lock_waiters) {
            return;
        }
        assert!(Instant::now() < until, "{gauges:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_probe_of_postgres_sees_a_lock_waiter() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let holder = server.postgres(&APP).await.unwrap();
    holder.batch_execute("CREATE TABLE hot AS SELECT 1 AS id, 0 AS n").await.unwrap();
    holder.batch_execute("BEGIN; UPDATE hot SET n = n + 1").await.unwrap();
    let waiter = server.postgres(&APP).await.unwrap();
    let waiting = tokio::spawn(async move {
        waiter.batch_execute("UPDATE hot SET n = n + 10").await.unwrap();
    });
    let mut probe = server.postgres_probe().await.unwrap();
    until(&mut probe, |_, lock_waiters| lock_waiters == 1).await;
    let gauges = probe.gauges().await.unwrap();
    assert_eq!((gauges.transactions, gauges.threads_connected), (2, 3));
    let threads = probe.threads().await.unwrap();
    let waits = threads.iter().find(|thread| thread.state.as_deref() == Some("Lock")).unwrap();
    assert_eq!((waits.user.as_str(), waits.command.as_str()), ("app", "active"));
    assert_eq!(waits.statement.as_deref(), Some("UPDATE hot SET n = n + 10"));
    holder.batch_execute("COMMIT").await.unwrap();
    waiting.await.unwrap();
}

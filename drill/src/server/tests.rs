use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, SslOpts};

use super::account::{APP, CONTROL, ED25519, OPEN, OTHER, ROOT, TLS};
use super::engine::Engine;
use super::probe::Look;
use super::*;

async fn one(conn: &mut Conn, sql: &str) -> String {
    conn.query_first(sql).await.unwrap().unwrap()
}

async fn every_account_logs_in(engine: Engine) {
    if !engine.available() {
        return;
    }
    let server = Server::start(engine).await.unwrap();
    let mut accounts = vec![ROOT, APP, OTHER, OPEN, CONTROL];
    if engine.is_mariadb() {
        accounts.push(ED25519);
    }
    for account in accounts {
        let options = server.options(&account);
        // The control account may not use the schema.
        let schema = if account == CONTROL { None } else { Some("app") };
        let mut conn = Conn::new(options.db_name(schema)).await.unwrap();
        let user = one(&mut conn, "SELECT CURRENT_USER()").await;
        assert_eq!(user, format!("{}@%", account.name));
        conn.disconnect().await.unwrap();
    }
    assert!(server.connect(&TLS).await.is_err(), "an account that requires TLS got in without");
    let tls = SslOpts::default().with_root_certs(vec![server.ca().into()]);
    let mut conn = Conn::new(server.options(&TLS).ssl_opts(tls)).await.unwrap();
    let cipher = conn.query_first("SHOW STATUS LIKE 'Ssl_cipher'").await.unwrap();
    let (_name, cipher): (String, String) = cipher.unwrap();
    assert_ne!(cipher, "");
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn every_account_of_mariadb_logs_in() {
    every_account_logs_in(Engine::MariaDb).await;
}

#[tokio::test]
async fn every_account_of_the_extended_matrix_logs_in() {
    for engine in [Engine::MariaDb105, Engine::MariaDb118, Engine::MySql] {
        every_account_logs_in(engine).await;
    }
}

#[tokio::test]
async fn a_start_is_quick_once_the_template_is_there() {
    drop(Server::start(Engine::MariaDb).await.unwrap());
    let began = Instant::now();
    let _server = Server::start(Engine::MariaDb).await.unwrap();
    // Two seconds on an idle machine; the bound leaves room for a busy one.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    eprintln!("start: {:?}", began.elapsed());
}

#[tokio::test]
async fn data_outlives_a_restart_and_a_crash() {
    let mut server = Server::start(Engine::MariaDb).await.unwrap();
    let mut conn = server.connect(&APP).await.unwrap();
    conn.query_drop("CREATE TABLE kept (id INT PRIMARY KEY)").await.unwrap();
    conn.query_drop("INSERT INTO kept VALUES (7)").await.unwrap();
    let addr = server.addr();
    server.restart().await.unwrap();
    let mut conn = server.connect(&APP).await.unwrap();
    assert_eq!(one(&mut conn, "SELECT id FROM kept").await, "7");
    server.crash();
    assert!(server.connect(&APP).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(server.addr(), addr);
    let mut conn = server.connect(&APP).await.unwrap();
    assert_eq!(one(&mut conn, "SELECT id FROM kept").await, "7");
}

async fn the_probe_sees_a_lock_waiter(engine: Engine) {
    if !engine.available() {
        return;
    }
    let server = Server::start(engine).await.unwrap();
    let mut holder = server.connect(&APP).await.unwrap();
    holder.query_drop("CREATE TABLE hot (id INT PRIMARY KEY, n INT)").await.unwrap();
    holder.query_drop("INSERT INTO hot VALUES (1, 0)").await.unwrap();
    holder.query_drop("BEGIN").await.unwrap();
    holder.query_drop("UPDATE hot SET n = n + 1").await.unwrap();
    let mut waiter = server.connect(&APP).await.unwrap();
    let waiting = tokio::spawn(async move {
        waiter.query_drop("UPDATE hot SET n = n + 10").await.unwrap();
    });
    let mut probe = server.probe().await.unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while probe.gauges().await.unwrap().lock_waiters != 1 {
        assert!(Instant::now() < until, "{:?}", probe.gauges().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(probe.gauges().await.unwrap().transactions, 2);
    let threads = probe.threads().await.unwrap();
    assert!(threads.iter().any(|thread| thread.user == "app" && thread.statement.is_some()));
    holder.query_drop("COMMIT").await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test]
async fn the_probe_of_mariadb_sees_a_lock_waiter() {
    the_probe_sees_a_lock_waiter(Engine::MariaDb).await;
}

#[tokio::test]
async fn the_probe_of_mysql_sees_a_lock_waiter() {
    the_probe_sees_a_lock_waiter(Engine::MySql).await;
}

//! Unix sockets on both sides of the guard: clients come in by one, and the guard reaches the database
//! by the server's.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drill::server::postgres::connect;
use harness::*;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

/// A configuration with one more listener, on `socket`, and the server's own socket as its address.
/// What comes from 127.0.0.1 has a class of its own.
fn text(server: &Server, doors: Doors, socket: &Path) -> String {
    let listener = format!(
        "\n[[listener]]\naddress = \"{}\"\nsocket_mode = \"0600\"\nsocket_group = \"root\"\n",
        socket.display()
    );
    let sections =
        "[class.local]\n[[rule]]\nname = \"local\"\nnetwork = [\"127.0.0.1\"]\nclass = \"local\"\n";
    let setup = Setup { listener, ..Setup::with(sections) };
    let (tcp, unix) = (server.addr().to_string(), server.socket().display().to_string());
    setup.text(server, doors).replace(&tcp, &unix)
}

/// The name that clients of PostgreSQL look for.
fn postgres_socket(folder: &Scratch) -> PathBuf {
    folder.path().join(".s.PGSQL.6432")
}

fn config(socket: &Path, account: Account) -> Config {
    let mut config = Config::new();
    config.host_path(socket.parent().unwrap()).port(6432).dbname("app");
    config.user(account.name).password(account.password);
    config
}

#[tokio::test]
async fn clients_of_postgresql_come_and_go_by_unix_sockets() {
    for engine in
        [Engine::Postgres, Engine::Postgres18].into_iter().filter(|engine| engine.available())
    {
        let server = Server::start(engine).await.unwrap();
        let folder = Scratch::new().unwrap();
        let socket = postgres_socket(&folder);
        let guard = Guard::start_with(|doors| text(&server, doors, &socket)).await.unwrap();
        let file = fs::metadata(&socket).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, 0o600);

        // One that the guard knows, one that it asks the database for.
        for account in [APP, ROOT, OTHER] {
            let client = connect(&config(&socket, account)).await.unwrap();
            let sql =
                "SELECT client_addr IS NULL FROM pg_stat_activity WHERE pid = pg_backend_pid()";
            // Not prepared: that would be three transactions.
            let told = client.simple_query(sql).await.unwrap();
            let is_local = told.iter().any(
                |told| matches!(told, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")),
            );
            assert!(is_local, "{engine}: the server sees a Unix socket too");
        }
        let wrong = Account { password: "wrong", ..APP };
        assert!(connect(&config(&socket, wrong)).await.is_err());
        let labels = ["class=\"local\"", "outcome=\"committed\""];
        assert_eq!(guard.metric("guard_transactions_total", &labels).await.unwrap(), 3.0);

        // libpq asks a Unix socket for no TLS, whatever its mode.
        let psql = Command::new(engine.client().unwrap())
            .args([
                "-X",
                "-A",
                "-t",
                "-c",
                "SELECT 6 * 7",
                "-d",
                "app",
                "-U",
                APP.name,
                "-p",
                "6432",
            ])
            .arg("-h")
            .arg(folder.path())
            .env("PGPASSWORD", APP.password)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&psql.stdout), "42\n", "{psql:?}");
    }
}

#[tokio::test]
async fn a_statement_is_cancelled_by_a_unix_socket() {
    if !Engine::Postgres.available() {
        return;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let folder = Scratch::new().unwrap();
    let socket = postgres_socket(&folder);
    let guard = Guard::start_with(|doors| text(&server, doors, &socket)).await.unwrap();
    let client = connect(&config(&socket, APP)).await.unwrap();
    let token = client.cancel_token();
    let runs =
        tokio::spawn(async move { client.simple_query("SELECT pg_sleep(60)").await.map(drop) });
    let probe = server.postgres_probe().await.unwrap();
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'sleep\\(60'";
    eventually("it runs", PATIENCE, async || {
        let row = probe.client().query_one(count, &[]).await.unwrap();
        (row.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    token.cancel_query(NoTls).await.unwrap();
    let error = runs.await.unwrap().unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{error:?}");
    drop(guard);
}

#[tokio::test]
async fn clients_of_mysql_come_in_by_a_unix_socket() {
    for engine in [Engine::MariaDb, Engine::MySql].into_iter().filter(|engine| engine.available()) {
        let server = Server::start(engine).await.unwrap();
        let folder = Scratch::new().unwrap();
        let socket = folder.path().join("guard.sock");
        let guard = Guard::start_with(|doors| text(&server, doors, &socket)).await.unwrap();
        // The last is on no list: its password itself is asked for, and may be sent.
        for account in [APP, OTHER, ROOT] {
            let options = account.options(guard.addr()).socket(Some(socket.display().to_string()));
            let mut client = Conn::new(options).await.unwrap_or_else(|error| {
                panic!("{engine} {}: {error}\n{}", account.name, guard.log())
            });
            let user: Option<String> = client.query_first("SELECT USER()").await.unwrap();
            let expect = format!("{}@localhost", account.name);
            assert_eq!(user, Some(expect), "{engine}: the server sees a Unix socket too");
            client.disconnect().await.unwrap();
        }
        let labels = ["class=\"local\""];
        assert!(guard.metric("guard_transactions_total", &labels).await.unwrap() >= 3.0);
    }
}

#[tokio::test]
async fn what_a_crash_leaves_is_replaced_and_a_drain_leaves_nothing() {
    if !Engine::Postgres.available() {
        return;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let folder = Scratch::new().unwrap();
    let socket = postgres_socket(&folder);
    let mut guard = Guard::start_with(|doors| text(&server, doors, &socket)).await.unwrap();
    // While it is in use, a second guard does not start; and it takes nothing away.
    let second = Guard::start_with(|doors| text(&server, doors, &socket)).await;
    assert!(second.unwrap_err().to_string().contains("in use"));
    let client = connect(&config(&socket, APP)).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    guard.crash();
    assert!(socket.exists());

    let mut guard = Guard::start_with(|doors| text(&server, doors, &socket)).await.unwrap();
    let client = connect(&config(&socket, APP)).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    // A reload leaves the socket and its clients alone.
    guard.reload(&fs::read_to_string(guard.config()).unwrap()).unwrap();
    eventually("it is reloaded", PATIENCE, async || {
        let done = guard.metric("guard_reloads_total", &["outcome=\"ok\""]).await.unwrap();
        (done == 1.0).then_some(())
    })
    .await;
    client.simple_query("SELECT 1").await.unwrap();
    drop(client);
    assert!(guard.drain(Duration::from_secs(30)).unwrap().success());
    assert!(!socket.exists());
}

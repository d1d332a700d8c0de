//! Replication through the guard: bytes as they are, by a connection of its own for each client.

use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use guard::account;
use guard::postgres::connect::{ConnectError, Connected, Wishes, connect};
use guard::postgres::messages::Messages;
use guard::secret::Secret;
use guard::stream::Stream;
use guard::upstream::target::{ClearPassword, Target};
use harness::*;
use tokio::process::Command;
use wire::postgres::backend::{Kind, data_row};
use wire::postgres::frontend::{put_copy_done, put_query};

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(10);

/// How soon a backup of a few megabytes must be made.
const BACKUP: Duration = Duration::from_secs(120);

async fn world(upstream: &str) -> (Server, Guard) {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let setup = Setup { upstream: upstream.to_owned(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

/// Logs in to replicate; `database` is one, or `true`.
async fn replicate(
    guard: &Guard,
    account: &Account,
    database: &str,
) -> Result<Connected, ConnectError> {
    let account = account::Account::new(account.name, Secret::from(account.password));
    let parameters = vec![(Box::from(*b"replication"), database.as_bytes().into())];
    let wishes = Wishes { database: Some(b"app".to_vec()), parameters };
    let target = Target {
        address: guard.addr().into(),
        tls: None,
        connect_timeout: PATIENCE,
        clear_password: ClearPassword::Refused,
    };
    connect(&target, &account, &wishes).await
}

async fn becomes(guard: &Guard, count: f64) {
    eventually(&format!("{count} replicate"), SOON, async || {
        let now = guard.metric("guard_replication_connections", &[]).await.unwrap();
        (now == count).then_some(())
    })
    .await;
}

/// Reads up to a message of that kind.
async fn up_to(messages: &mut Messages<Stream>, wanted: Kind) -> BytesMut {
    loop {
        let read = tokio::time::timeout(PATIENCE, messages.read(Kind::of)).await;
        let (kind, body) = read.unwrap().unwrap();
        assert!(kind != Kind::ErrorResponse, "{}", String::from_utf8_lossy(&body));
        if kind == wanted {
            return body;
        }
    }
}

#[tokio::test]
async fn a_client_streams_what_is_written_and_goes_on_with_commands() {
    let (_server, guard) = world("").await;
    let connected = replicate(&guard, &ROOT, "database").await.unwrap();
    becomes(&guard, 1.0).await;
    let mut messages = Messages::new(connected.stream);
    messages.write(|out| put_query(out, b"IDENTIFY_SYSTEM")).await.unwrap();
    let row = up_to(&mut messages, Kind::DataRow).await;
    let position = data_row(&row).unwrap().nth(2).unwrap().unwrap();
    let position = String::from_utf8(position.to_vec()).unwrap();
    up_to(&mut messages, Kind::ReadyForQuery).await;

    let start = format!("START_REPLICATION PHYSICAL {position}");
    messages.write(|out| put_query(out, start.as_bytes())).await.unwrap();
    up_to(&mut messages, Kind::CopyBothResponse).await;
    let mut writer = PgClient::login(guard.addr(), &APP).await.unwrap();
    pg_done(&mut writer, "CREATE TABLE streamed (a text)").await;
    pg_done(&mut writer, "INSERT INTO streamed VALUES ('a word that is streamed')").await;
    loop {
        let data = up_to(&mut messages, Kind::CopyData).await;
        if data.windows(10).any(|window| window == b"a word tha") {
            break;
        }
    }
    messages.write(put_copy_done).await.unwrap();
    up_to(&mut messages, Kind::ReadyForQuery).await;
    // Such a session runs SQL, too.
    messages.write(|out| put_query(out, b"SELECT a FROM streamed")).await.unwrap();
    let row = up_to(&mut messages, Kind::DataRow).await;
    assert_eq!(data_row(&row).unwrap().next(), Some(Some(&b"a word that is streamed"[..])));
    drop(messages);
    becomes(&guard, 0.0).await;
}

/// What each walsender does, for a backup that does not end.
async fn stuck(server: &Server) -> String {
    let probe = server.postgres_probe().await.unwrap();
    let sql = "SELECT string_agg(concat_ws(' ', pid, state, wait_event_type, wait_event, query), E'\\n') \
               FROM pg_stat_activity WHERE backend_type = 'walsender'";
    let walsenders: Option<String> = probe.client().query_one(sql, &[]).await.unwrap().get(0);
    walsenders.unwrap_or_default()
}

#[tokio::test]
async fn a_backup_is_made_and_streams_its_log() {
    let (server, guard) = world("").await;
    let program = Engine::Postgres.client().unwrap().with_file_name("pg_basebackup");
    let folder = Scratch::new().unwrap();
    let mut backup = Command::new(program);
    backup
        .args(["-h", "127.0.0.1", "-p", &guard.addr().port().to_string(), "-U", ROOT.name])
        .args(["-X", "stream", "-c", "fast", "-v", "-D"])
        .arg(folder.path().join("backup"))
        .env("PGPASSWORD", ROOT.password)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(BACKUP, backup.output()).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("no backup after {BACKUP:?}: {}\n{}", stuck(&server).await, guard.log()),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("backup/backup_manifest").exists());
    becomes(&guard, 0.0).await;
    drop(server);
}

#[tokio::test]
async fn who_may_is_for_the_server_to_say_and_how_many_for_the_guard() {
    let (_server, guard) = world("replication_connections = 1").await;
    let refused = async |account| match replicate(&guard, account, "true").await {
        Err(ConnectError::Refused(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused(&APP).await.contains("42501"), "an account without the right");
    assert!(refused(&Account { password: "wrong", ..ROOT }).await.contains("28P01"));
    let first = replicate(&guard, &ROOT, "true").await.unwrap();
    let words = refused(&ROOT).await;
    assert!(words.contains("53300") && words.contains("replication_connections"), "{words}");
    drop(first);
    becomes(&guard, 0.0).await;
    replicate(&guard, &ROOT, "true").await.unwrap();
}

/// A client that is gone takes what it ran with it; also a superuser, whom the control account may
/// not end.
#[tokio::test]
async fn what_a_client_ran_ends_with_it() {
    let (server, guard) = world("").await;
    let probe = server.postgres_probe().await.unwrap();
    let running = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(7%'";
        let count: i64 = probe.client().query_one(sql, &[]).await.unwrap().get(0);
        count
    };
    probe.client().batch_execute("ALTER ROLE app REPLICATION").await.unwrap();
    for account in [&APP, &ROOT] {
        let connected = replicate(&guard, account, "database").await.unwrap();
        let mut messages = Messages::new(connected.stream);
        messages.write(|out| put_query(out, b"SELECT pg_sleep(777)")).await.unwrap();
        eventually("it runs", SOON, async || (running().await == 1).then_some(())).await;
        drop(messages);
        eventually("it is gone", SOON * 2, async || (running().await == 0).then_some(())).await;
        becomes(&guard, 0.0).await;
    }
}

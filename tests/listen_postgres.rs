//! LISTEN and NOTIFY of PostgreSQL: many clients listen over one connection, and each hears what it
//! would on its own, once.

use std::time::Duration;

use bytes::BytesMut;
use harness::*;
use wire::postgres::backend::{Kind, NotificationResponse, TransactionStatus};
use wire::postgres::frontend::{put_query, put_sync};

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(10);

struct Scene {
    guard: Guard,
    probe: PostgresProbe,
    server: Server,
}

impl Scene {
    async fn set(setup: &Setup) -> Self {
        let server = Server::start(Engine::Postgres).await.unwrap();
        let guard = Guard::start(&server, setup).await.unwrap();
        let probe = server.postgres_probe().await.unwrap();
        Self { guard, probe, server }
    }

    async fn plain() -> Self {
        Self::set(&Setup::default()).await
    }

    async fn client(&self) -> PgClient {
        PgClient::login(self.guard.addr(), &APP).await.unwrap()
    }

    /// Somebody who is connected past the guard.
    async fn elsewhere(&self) -> PgClient {
        PgClient::login(self.server.addr(), &APP).await.unwrap()
    }

    async fn metric(&self, name: &str) -> f64 {
        self.guard.metric(name, &[]).await.unwrap()
    }

    async fn becomes(&self, name: &str, value: f64) {
        eventually(&format!("{name} is {value}"), SOON, async || {
            (self.metric(name).await == value).then_some(())
        })
        .await;
    }

    /// Ends the shared connection at the server.
    async fn end_shared(&self) {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                   WHERE application_name = 'tidegate' AND datname = 'app'";
        assert_eq!(self.probe.client().query(sql, &[]).await.unwrap().len(), 1);
    }

    /// Whether no client is pinned, once what they did is settled.
    async fn has_no_pins(&self) {
        eventually("nobody is pinned", SOON, async || {
            let pins = self.guard.json("/api/v1/pins").await.unwrap();
            pins.as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }
}

/// Channel and payload of a notification.
fn read(body: &BytesMut) -> (String, String) {
    let notified = NotificationResponse::parse(body).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(notified.channel), text(notified.payload))
}

/// The next message, which must notify.
async fn heard(client: &mut PgClient) -> (String, String) {
    let (kind, body) = client.message().await.unwrap();
    assert_eq!(kind, Kind::NotificationResponse, "{body:?}");
    read(&body)
}

/// What a query is answered with: what it notifies of, in the place where it does.
async fn told(client: &mut PgClient, sql: &str) -> (Vec<String>, TransactionStatus) {
    client.send(|out| put_query(out, sql.as_bytes())).await.unwrap();
    told_next(client).await
}

async fn told_next(client: &mut PgClient) -> (Vec<String>, TransactionStatus) {
    let mut told = Vec::new();
    loop {
        let (kind, body) = client.message().await.unwrap();
        match kind {
            Kind::NotificationResponse => told.push(read(&body).1),
            Kind::ErrorResponse => panic!("{}", String::from_utf8_lossy(&body)),
            Kind::ReadyForQuery => return (told, TransactionStatus::parse(&body).unwrap()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn many_clients_listen_over_one_connection_and_none_is_pinned() {
    let scene = Scene::set(&Setup { connections: 3, ..Setup::default() }).await;
    let mut listeners = Vec::new();
    for number in 0..40 {
        let mut client = scene.client().await;
        pg_done(&mut client, "LISTEN everybody").await;
        pg_done(&mut client, &format!("LISTEN \"Own {}\"", number % 4)).await;
        listeners.push(client);
    }
    scene.has_no_pins().await;
    scene.becomes("guard_listen_clients", 40.0).await;
    assert_eq!(scene.metric("guard_listen_connections").await, 1.0);
    assert_eq!(scene.metric("guard_listen_channels").await, 5.0);
    let mut speaker = scene.client().await;
    pg_done(&mut speaker, "NOTIFY everybody, 'one'").await;
    pg_done(&mut speaker, "SELECT pg_notify('Own 2', 'two')").await;
    for (number, client) in listeners.iter_mut().enumerate() {
        assert_eq!(heard(client).await, ("everybody".into(), "one".into()));
        if number % 4 == 2 {
            assert_eq!(heard(client).await, ("Own 2".into(), "two".into()));
        }
    }
    // They are served as ever, all of them by three connections.
    for client in &mut listeners {
        assert_eq!(pg_done(client, "SELECT 1").await.value(), Some("1"));
    }
    assert_eq!(scene.metric("guard_notifications_total").await, 50.0);
    drop(listeners);
    scene.becomes("guard_listen_clients", 0.0).await;
    scene.becomes("guard_listen_channels", 0.0).await;
}

#[tokio::test]
async fn listen_and_unlisten_take_effect_with_their_transaction() {
    let scene = Scene::plain().await;
    let (mut client, mut other) = (scene.client().await, scene.elsewhere().await);
    let mut hears = async |client: &mut PgClient, payload: &str, expect: bool| {
        pg_done(&mut other, &format!("NOTIFY a, '{payload}'")).await;
        let (told, _) = told(client, "SELECT 1").await;
        let expect = if expect { vec![payload.to_owned()] } else { Vec::new() };
        assert_eq!(told, expect, "{payload}");
    };
    for sql in ["BEGIN", "LISTEN a", "ROLLBACK"] {
        pg_done(&mut client, sql).await;
    }
    hears(&mut client, "rolled back", false).await;
    for sql in ["BEGIN", "SELECT 1", "LISTEN a", "COMMIT"] {
        pg_done(&mut client, sql).await;
    }
    hears(&mut client, "committed", true).await;
    scene.has_no_pins().await;
    for sql in ["BEGIN", "UNLISTEN a", "ROLLBACK"] {
        pg_done(&mut client, sql).await;
    }
    hears(&mut client, "unlisten rolled back", true).await;
    for sql in ["BEGIN", "SAVEPOINT s", "UNLISTEN *", "ROLLBACK TO s", "LISTEN b", "COMMIT"] {
        pg_done(&mut client, sql).await;
    }
    hears(&mut client, "unlisten rolled back to a savepoint", true).await;
    let channels = pg_done(&mut client, "SELECT pg_listening_channels()").await;
    assert_eq!(channels.rows, [[Some("a".to_owned())], [Some("b".to_owned())]]);
    client.query("UNLISTEN *; SELECT 1/0").await.unwrap().failure.unwrap();
    hears(&mut client, "unlisten that failed", true).await;
    for sql in ["BEGIN", "UNLISTEN a", "COMMIT"] {
        pg_done(&mut client, sql).await;
    }
    hears(&mut client, "unlisten committed", false).await;
    for end in [
        "UNLISTEN a",
        "UNLISTEN *",
        "DISCARD ALL",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
        "DO $$ BEGIN EXECUTE 'UNLISTEN a'; END $$",
    ] {
        pg_done(&mut client, "LISTEN a").await;
        hears(&mut client, "again", true).await;
        pg_done(&mut client, end).await;
        hears(&mut client, end.split('\'').next().unwrap(), false).await;
        scene.has_no_pins().await;
    }
}

/// A client is told between transactions only: before the ReadyForQuery that ends one, or at once
/// while it is idle. What it notifies of itself comes before the ReadyForQuery, too.
#[tokio::test]
async fn notifications_come_between_transactions_and_in_order() {
    let scene = Scene::plain().await;
    let (mut client, mut other) = (scene.client().await, scene.elsewhere().await);
    pg_done(&mut client, "LISTEN a").await;
    let idle = TransactionStatus::Idle;
    for (sql, payload) in [("NOTIFY a, 'own'", "own"), ("SELECT pg_notify('a', 'fn')", "fn")] {
        assert_eq!(told(&mut client, sql).await, (vec![payload.to_owned()], idle));
    }
    client.send(|out| put_series(out, "NOTIFY a, 'extended'", &[])).await.unwrap();
    assert_eq!(told_next(&mut client).await, (vec!["extended".to_owned()], idle));
    pg_done(&mut client, "BEGIN").await;
    for number in 0..3 {
        pg_done(&mut other, &format!("NOTIFY a, '{number}'")).await;
        let open = TransactionStatus::Open;
        assert_eq!(told(&mut client, "SELECT 1").await, (Vec::new(), open));
    }
    let all = vec!["0".to_owned(), "1".to_owned(), "2".to_owned()];
    assert_eq!(told(&mut client, "COMMIT").await, (all, idle));
    pg_done(&mut other, "BEGIN; NOTIFY a, 'x'; NOTIFY a, 'y'; COMMIT").await;
    assert_eq!(heard(&mut client).await.1, "x");
    assert_eq!(heard(&mut client).await.1, "y");
    // A transaction that the server never sees.
    pg_done(&mut client, "BEGIN").await;
    pg_done(&mut other, "NOTIFY a, 'z'").await;
    client.send(put_sync).await.unwrap();
    assert_eq!(told_next(&mut client).await, (Vec::new(), TransactionStatus::Open));
    pg_done(&mut client, "COMMIT").await;
}

/// From the answer to LISTEN on none is missed, and none comes twice while the channel changes hands.
#[tokio::test(flavor = "multi_thread")]
async fn none_is_lost_and_none_comes_twice_while_a_channel_is_handed_over() {
    const ROUNDS: u32 = 40;
    let scene = Scene::plain().await;
    let mut speaker = scene.elsewhere().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let speaking = tokio::spawn(async move {
        let mut number = 0_u64;
        while !*stopped.borrow() {
            number += 1;
            pg_done(&mut speaker, &format!("NOTIFY a, '{number}'")).await;
        }
        pg_done(&mut speaker, "NOTIFY a, 'over'").await;
        number
    });
    let mut clients = Vec::new();
    for _ in 0..ROUNDS {
        let mut client = scene.client().await;
        pg_done(&mut client, "LISTEN a").await;
        // The first that it hears of its own accord.
        let first: u64 = heard(&mut client).await.1.parse().unwrap();
        clients.push((client, first));
    }
    stop.send(true).unwrap();
    let last = speaking.await.unwrap();
    assert!(last > u64::from(ROUNDS), "{last} notifications");
    for (client, first) in &mut clients {
        for expect in *first + 1..=last {
            assert_eq!(heard(client).await.1, expect.to_string());
        }
        assert_eq!(heard(client).await.1, "over");
    }
    scene.has_no_pins().await;
}

#[tokio::test]
async fn who_listened_over_a_connection_that_is_lost_is_told_so() {
    let scene = Scene::plain().await;
    let (mut idle, mut busy, mut plain) =
        (scene.client().await, scene.client().await, scene.client().await);
    for client in [&mut idle, &mut busy] {
        pg_done(client, "LISTEN a").await;
    }
    scene.has_no_pins().await;
    pg_done(&mut busy, "BEGIN; SELECT 1").await;
    scene.end_shared().await;
    let words = idle.closed().await.unwrap().unwrap();
    assert_eq!((&*words.code, words.is_fatal), ("57P01", true), "{words}");
    assert!(words.message.contains("some may have been missed"), "{words}");
    // A transaction is not torn: it ends, and the client is told then.
    pg_done(&mut busy, "CREATE TABLE made (a int)").await;
    pg_done(&mut busy, "COMMIT").await;
    assert_eq!(busy.closed().await.unwrap().unwrap().code, "57P01");
    assert_eq!(pg_done(&mut plain, "SELECT count(*) FROM made").await.value(), Some("0"));
    pg_done(&mut plain, "LISTEN a").await;
    assert_eq!(told(&mut plain, "NOTIFY a, 'again'").await.0, ["again"]);
    scene.has_no_pins().await;
    scene.becomes("guard_listen_clients", 1.0).await;
    assert_eq!(scene.metric("guard_listen_connections").await, 1.0);
}

#[tokio::test]
async fn more_than_may_wait_ends_the_client_and_says_so() {
    let scene = Scene::plain().await;
    let (mut slow, mut well, mut other) =
        (scene.client().await, scene.client().await, scene.elsewhere().await);
    for client in [&mut slow, &mut well] {
        pg_done(client, "LISTEN a").await;
    }
    pg_done(&mut slow, "BEGIN; SELECT 1").await;
    let sql = "SELECT count(pg_notify('a', n || repeat('x', 7000))) FROM generate_series(1, 10) n";
    for _ in 0..20 {
        pg_done(&mut other, sql).await;
        for _ in 0..10 {
            heard(&mut well).await;
        }
    }
    pg_done(&mut slow, "COMMIT").await;
    let words = slow.closed().await.unwrap().unwrap();
    assert_eq!((&*words.code, words.is_fatal), ("53400", true), "{words}");
    assert!(words.message.contains("1 MiB of notifications"), "{words}");
    let labels = ["cause=\"notifications\""];
    let ended = scene.guard.metric("guard_client_disconnects_total", &labels).await.unwrap();
    assert_eq!(ended, 1.0);
}

/// What the shared connection cannot do for a client, its own does: it is pinned, as without.
#[tokio::test]
async fn who_cannot_share_a_connection_keeps_its_own() {
    let upstream = "listen_connections = 0".to_owned();
    let scene = Scene::set(&Setup { upstream, ..Setup::default() }).await;
    let mut client = scene.client().await;
    pg_done(&mut client, "LISTEN a").await;
    assert_eq!(told(&mut client, "NOTIFY a, 'own'").await.0, ["own"]);
    let pins = scene.guard.json("/api/v1/pins").await.unwrap();
    assert_eq!(pins[0]["reasons"][0], "listen", "{pins}");
    assert_eq!(scene.metric("guard_listen_connections").await, 0.0);

    let scene = Scene::plain().await;
    let (mut other, mut latin) = (scene.elsewhere().await, scene.client().await);
    pg_done(&mut latin, "SET client_encoding = latin1").await;
    pg_done(&mut latin, "LISTEN a").await;
    pg_done(&mut latin, "SELECT 1").await;
    let pins = scene.guard.json("/api/v1/pins").await.unwrap();
    assert_eq!(pins[0]["reasons"][0], "listen", "{pins}");
    pg_done(&mut other, "SELECT pg_notify('a', chr(228))").await;
    let (kind, body) = latin.message().await.unwrap();
    assert_eq!((kind, &body[4..]), (Kind::NotificationResponse, &b"a\0\xe4\0"[..]));
}

//! Reads that replicas answer: which go there and which never do, what who wrote finds, and what becomes of reads
//! when a replica is behind, stopped, slow, frozen or killed.

use std::time::Duration;

use harness::*;
use mysql_async::prelude::Queryable;
use serde_json::Value;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(30);

/// Tells which server answers: each has its own row, made without a trace in the binary log.
const WHO: &str = "SELECT who FROM place";

/// What all scenes are configured with.
const READS: &str = "[class.default]\nreads = \"replica\"\nqueue_time = \"30s\"\n";
const AT_ONCE: &str = "[routing]\nslow_start = \"0s\"\nmax_lag = \"60s\"\n";

macro_rules! on_both {
    ($($(#[$doc:meta])* $test:ident,)*) => {
        mod on_mariadb {
            $($(#[$doc])* #[tokio::test] async fn $test() {
                super::$test(harness::Engine::MariaDb).await;
            })*
        }

        mod on_mysql {
            $($(#[$doc])* #[tokio::test] async fn $test() {
                if harness::Engine::MySql.available() {
                    super::$test(harness::Engine::MySql).await;
                }
            })*
        }
    };
}

on_both! {
    reads_go_to_a_replica_and_nothing_else_does,
    who_wrote_finds_it_and_goes_to_the_primary_until_a_replica_has_it,
    who_wrote_may_wait_for_a_replica_or_be_refused,
    one_that_does_not_replicate_leaves_and_returns,
    one_that_is_frozen_fails_no_read_and_returns,
    one_that_answers_slowly_leaves_and_returns,
    one_that_is_killed_in_the_middle_of_a_read_fails_none,
    one_that_is_not_there_harms_nobody,
    one_that_is_behind_is_pressure_and_is_not_read_from,
}

struct Scene {
    servers: Replicated,
    guard: Guard,
    engine: Engine,
}

impl Scene {
    async fn new(engine: Engine, replicas: u32, sections: &str) -> Self {
        let servers = Replicated::start(engine, replicas).await.unwrap();
        let mut app = Caller::login(engine, servers.primary.addr(), &APP).await.unwrap();
        app.done("CREATE TABLE place (who VARCHAR(20))").await;
        app.done("CREATE TABLE note (id INT PRIMARY KEY, n INT)").await;
        app.done("CREATE DATABASE app_two").await;
        let told = |number| format!("INSERT INTO app.place VALUES ('replica {number}')");
        for (number, replica) in (1..).zip(&servers.replicas) {
            eventually("the tables are there", SOON, async || {
                Replicated::quietly(replica, &told(number)).await.ok()
            })
            .await;
        }
        let here = "INSERT INTO app.place VALUES ('primary')";
        Replicated::quietly(&servers.primary, here).await.unwrap();
        let sections = format!("{}{READS}{sections}", servers.sections());
        let guard = Guard::start(&servers.primary, &Setup::with(sections)).await.unwrap();
        Self { servers, guard, engine }
    }

    async fn client(&self) -> Caller {
        Caller::login(self.engine, self.guard.addr(), &APP).await.unwrap()
    }

    /// The state of a replica, from 0, as `tidegate status` has it.
    async fn state(&self, number: usize) -> String {
        let status = self.guard.json("/api/v1/status").await.unwrap();
        status["replicas"][number]["state"].as_str().unwrap().to_owned()
    }

    async fn becomes(&self, number: usize, state: &str) {
        eventually(&format!("replica {number} is {state}"), SOON, async || {
            (self.state(number).await == state).then_some(())
        })
        .await;
    }

    async fn routed(&self, outcome: &str) -> f64 {
        let label = format!("outcome=\"{outcome}\"");
        self.guard.metric("guard_routed_reads_total", &[&label]).await.unwrap()
    }

    /// Keeps the table `note` from being changed at a replica, and replication running, until what is returned is
    /// dropped.
    async fn hold_back(&self, number: usize) -> mysql_async::Conn {
        let mut root = self.servers.replicas[number].root().await.unwrap();
        root.query_drop("LOCK TABLES app.note READ").await.unwrap();
        root
    }
}

async fn reads_go_to_a_replica_and_nothing_else_does(engine: Engine) {
    let scene = Scene::new(engine, 1, AT_ONCE).await;
    scene.becomes(0, "fit").await;
    let mut client = scene.client().await;
    let replica = Some("replica 1".to_owned());
    let primary = Some("primary".to_owned());
    assert_eq!(client.done(WHO).await, replica);

    // The session's own state goes along: its schema, its variables.
    client.done("SET lc_time_names = 'de_DE'").await;
    client.done("USE app_two").await;
    let day = "SELECT CONCAT(who, DATE_FORMAT('2026-01-05', '%W')) FROM app.place";
    assert_eq!(client.done(day).await.as_deref(), Some("replica 1Montag"));
    client.done("USE app").await;
    // What asks about a read is answered where that was.
    client.done("SELECT SQL_CALC_FOUND_ROWS who FROM place LIMIT 0").await;
    assert_eq!(client.done("SELECT FOUND_ROWS()").await.as_deref(), Some("1"));
    assert_eq!(client.done(WHO).await, replica);

    for sql in [
        "SELECT who FROM place FOR UPDATE",
        "SELECT who FROM place LOCK IN SHARE MODE",
        "SELECT who FROM place WHERE CONNECTION_ID() > 0",
    ] {
        assert_eq!(scene.client().await.done(sql).await, primary, "{sql}");
    }
    client.done("BEGIN").await;
    assert_eq!(client.done(WHO).await, primary, "in a transaction");
    client.done("COMMIT").await;
    client.done("SET autocommit = 0").await;
    assert_eq!(client.done(WHO).await, primary, "without autocommit");
    client.done("COMMIT").await;
    client.done("SET autocommit = 1").await;
    client.done("CREATE TEMPORARY TABLE own (a INT)").await;
    assert_eq!(client.done(WHO).await, primary, "pinned");

    // A write that a replica was given would be refused there, or lost.
    let mut writer = scene.client().await;
    writer.done("INSERT INTO note VALUES (1, 1)").await;
    writer.done("UPDATE note SET n = 2").await;
    let mut at_primary = Caller::login(engine, scene.servers.primary.addr(), &APP).await.unwrap();
    assert_eq!(at_primary.done("SELECT n FROM note").await.as_deref(), Some("2"));

    // Prepared ones go as well, by statements that the replica's connection has not seen.
    let mut driver = mysql_async::Conn::new(APP.options(scene.guard.addr())).await.unwrap();
    for _ in 0..3 {
        let who: Option<String> =
            driver.exec_first("SELECT who FROM place WHERE 1 = ?", (1,)).await.unwrap();
        assert_eq!(who, replica);
        let n: Option<i32> = driver.exec_first("UPDATE note SET n = n + ?", (1,)).await.unwrap();
        assert_eq!(n, None);
        // Until a replica has it, it is read from the primary.
        let n: Option<i32> =
            driver.exec_first("SELECT n FROM note WHERE 1 = ?", (1,)).await.unwrap();
        assert!(n.is_some());
        eventually("the replica has it", SOON, async || {
            let who: Option<String> = driver.query_first(WHO).await.unwrap();
            (who == replica).then_some(())
        })
        .await;
    }
    let reads = scene.guard.metric("guard_replica_reads_total", &["replica=\"r1\""]).await.unwrap();
    assert!(reads >= 6.0, "{reads}");
    assert_eq!(scene.routed("failed_over").await, 0.0);
}

async fn who_wrote_finds_it_and_goes_to_the_primary_until_a_replica_has_it(engine: Engine) {
    let scene = Scene::new(engine, 1, AT_ONCE).await;
    scene.becomes(0, "fit").await;
    let (mut writer, mut other) = (scene.client().await, scene.client().await);
    let held = scene.hold_back(0).await;
    writer.done("INSERT INTO note VALUES (1, 1)").await;
    assert_eq!(writer.done("SELECT COUNT(*) FROM note").await.as_deref(), Some("1"));
    assert_eq!(writer.done(WHO).await.as_deref(), Some("primary"));
    assert_eq!(other.done(WHO).await.as_deref(), Some("replica 1"), "it has written nothing");
    assert_eq!(other.done("SELECT COUNT(*) FROM note").await.as_deref(), Some("0"));
    // A transaction that was ended by COMMIT, too, and one that only read does not count.
    other.done("BEGIN").await;
    other.done("SELECT * FROM note").await;
    other.done("COMMIT").await;
    assert_eq!(other.done(WHO).await.as_deref(), Some("replica 1"));
    other.done("BEGIN").await;
    other.done("INSERT INTO note VALUES (2, 1)").await;
    other.done("COMMIT").await;
    assert_eq!(other.done("SELECT COUNT(*) FROM note").await.as_deref(), Some("2"));
    drop(held);
    for client in [&mut writer, &mut other] {
        eventually("a replica has it", SOON, async || {
            (client.done(WHO).await.as_deref() == Some("replica 1")).then_some(())
        })
        .await;
        assert_eq!(client.done("SELECT COUNT(*) FROM note").await.as_deref(), Some("2"));
    }
}

async fn who_wrote_may_wait_for_a_replica_or_be_refused(engine: Engine) {
    let waits = format!("{AT_ONCE}wait = \"60s\"\notherwise = \"refuse\"\n");
    let mut scene = Scene::new(engine, 1, &waits).await;
    scene.becomes(0, "fit").await;
    let mut writer = scene.client().await;
    let held = scene.hold_back(0).await;
    writer.done("INSERT INTO note VALUES (1, 1)").await;
    writer.say("SELECT CONCAT(MAX(who), ' ', COUNT(n)) FROM place, note").await;
    eventually("it waits", SOON, async || {
        let waiting = "guard_client_connections";
        let now = scene.guard.metric(waiting, &["state=\"waiting\""]).await.unwrap();
        (now == 1.0).then_some(())
    })
    .await;
    drop(held);
    assert_eq!(writer.hear().await.unwrap().as_deref(), Some("replica 1 1"));

    let refuses = format!("{AT_ONCE}otherwise = \"refuse\"\n");
    let sections = format!("{}{READS}{refuses}", scene.servers.sections());
    scene.guard = Guard::start(&scene.servers.primary, &Setup::with(sections)).await.unwrap();
    scene.becomes(0, "fit").await;
    let mut writer = scene.client().await;
    let _held = scene.hold_back(0).await;
    writer.done("INSERT INTO note VALUES (2, 1)").await;
    let refusal = writer.refused(WHO).await;
    assert_eq!(refusal.code, shed_code(engine));
    assert!(refusal.message.contains("reason=replica"), "{}", refusal.message);
    assert!(refusal.message.contains("changed_by=routing.otherwise"), "{}", refusal.message);
    writer.done("UPDATE note SET n = 3").await;
}

async fn one_that_does_not_replicate_leaves_and_returns(engine: Engine) {
    let scene = Scene::new(engine, 1, AT_ONCE).await;
    scene.becomes(0, "fit").await;
    let (stop, start) = match engine {
        Engine::MySql => ("STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD"),
        _ => ("STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD"),
    };
    let mut client = scene.client().await;
    let replica = &scene.servers.replicas[0];
    Replicated::quietly(replica, stop).await.unwrap();
    scene.becomes(0, "stopped").await;
    assert_eq!(client.done(WHO).await.as_deref(), Some("primary"));
    assert!(scene.routed("primary").await >= 1.0);
    Replicated::quietly(replica, start).await.unwrap();
    scene.becomes(0, "fit").await;
    assert_eq!(client.done(WHO).await.as_deref(), Some("replica 1"));
}

async fn one_that_is_frozen_fails_no_read_and_returns(engine: Engine) {
    let scene = Scene::new(engine, 2, AT_ONCE).await;
    scene.becomes(0, "fit").await;
    scene.becomes(1, "fit").await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(scene.client().await);
    }
    let mut seen = [false; 2];
    eventually("both answer", SOON, async || {
        for client in &mut clients {
            match client.done(WHO).await.as_deref() {
                Some("replica 1") => seen[0] = true,
                Some("replica 2") => seen[1] = true,
                Some("primary") => {}
                other => panic!("{other:?}"),
            }
        }
        (seen == [true; 2]).then_some(())
    })
    .await;
    scene.servers.replicas[0].freeze().unwrap();
    // Some of these go to the one that is frozen: it is silent before anybody knows.
    for client in &mut clients {
        client.say(WHO).await;
    }
    // On a machine that is busy building, the sibling may be silent for a moment, too.
    let others = [Some("replica 2"), Some("primary")];
    for client in &mut clients {
        let who = client.hear().await.unwrap();
        assert!(others.contains(&who.as_deref()), "{who:?}");
    }
    scene.becomes(0, "silent").await;
    for client in &mut clients {
        let who = client.done(WHO).await;
        assert!(others.contains(&who.as_deref()), "{who:?}");
    }
    // Writes never cared.
    clients[0].done("INSERT INTO note VALUES (1, 1)").await;
    scene.servers.replicas[0].thaw().unwrap();
    scene.becomes(0, "fit").await;
    eventually("it answers again", SOON, async || {
        (clients[1].done(WHO).await.as_deref() == Some("replica 1")).then_some(())
    })
    .await;
}

async fn one_that_answers_slowly_leaves_and_returns(engine: Engine) {
    let mut scene = Scene::new(engine, 2, AT_ONCE).await;
    let behind = scene.servers.replicas[0].addr();
    let proxy = FaultProxy::before(behind).await.unwrap();
    let sections = scene.servers.sections();
    let sections = sections.replace(&behind.to_string(), &proxy.addr().to_string());
    let setup = Setup::with(format!("{sections}{READS}{AT_ONCE}"));
    scene.guard = Guard::start(&scene.servers.primary, &setup).await.unwrap();
    scene.becomes(0, "fit").await;
    scene.becomes(1, "fit").await;
    let mut client = scene.client().await;
    // Late, and yet well below what counts as silence.
    proxy.delay(Duration::from_millis(300));
    eventually("it is told as slow", SOON, async || {
        client.done(WHO).await;
        (scene.state(0).await == "slow").then_some(())
    })
    .await;
    eventually("reads go elsewhere", SOON, async || {
        let mut told = Vec::new();
        for _ in 0..20 {
            told.push(client.done(WHO).await);
        }
        (!told.contains(&Some("replica 1".to_owned()))).then_some(())
    })
    .await;
    client.done("INSERT INTO note VALUES (1, 1)").await;
    proxy.delay(Duration::ZERO);
    eventually("it answers again", SOON, async || {
        (client.done(WHO).await.as_deref() == Some("replica 1")).then_some(())
    })
    .await;
}

async fn one_that_is_killed_in_the_middle_of_a_read_fails_none(engine: Engine) {
    let mut scene = Scene::new(engine, 1, AT_ONCE).await;
    scene.becomes(0, "fit").await;
    let mut client = scene.client().await;
    let waits = "SELECT CONCAT(who, SLEEP(2)) FROM place";
    client.say(waits).await;
    eventually("the replica runs it", SOON, async || {
        let threads = threads(&scene.servers.replicas[0]).await;
        threads.iter().any(|thread| thread.statement.as_deref() == Some(waits)).then_some(())
    })
    .await;
    scene.servers.replicas[0].crash();
    assert_eq!(client.hear().await.unwrap().as_deref(), Some("primary0"));
    assert_eq!(scene.routed("failed_over").await, 1.0);
    scene.becomes(0, "silent").await;
    assert_eq!(client.done(WHO).await.as_deref(), Some("primary"));
    scene.servers.replicas[0].restart().await.unwrap();
    // A private server is quick because it does not wait for the disk: a crash may have taken the row.
    let again = "INSERT INTO app.place SELECT 'replica 1' FROM DUAL \
                 WHERE NOT EXISTS (SELECT 1 FROM app.place)";
    Replicated::quietly(&scene.servers.replicas[0], again).await.unwrap();
    scene.becomes(0, "fit").await;
    assert_eq!(client.done(WHO).await.as_deref(), Some("replica 1"));
}

async fn one_that_is_not_there_harms_nobody(engine: Engine) {
    let server = Server::start(engine).await.unwrap();
    let port = free_port().unwrap();
    let absent = format!("[replica.r1]\naddress = \"127.0.0.1:{port}\"\n{READS}{AT_ONCE}");
    let guard = Guard::start(&server, &Setup::with(absent)).await.unwrap();
    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    client.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    client.done("INSERT INTO note VALUES (1)").await;
    assert_eq!(client.done("SELECT COUNT(*) FROM note").await.as_deref(), Some("1"));
    let status = guard.json("/api/v1/status").await.unwrap();
    assert_eq!(status["state"], "ready");
    eventually("it is told why", SOON, async || {
        let status = guard.json("/api/v1/status").await.unwrap();
        let one = &status["replicas"][0];
        (one["state"] == "silent" && one["trouble"].is_string()).then_some(())
    })
    .await;
}

async fn one_that_is_behind_is_pressure_and_is_not_read_from(engine: Engine) {
    let lag = "[routing]\nslow_start = \"0s\"\nmax_lag = \"1s\"\n";
    let scene = Scene::new(engine, 1, lag).await;
    scene.becomes(0, "fit").await;
    let _held = scene.hold_back(0).await;
    let mut writer = scene.client().await;
    writer.done("INSERT INTO note VALUES (1, 1)").await;
    scene.becomes(0, "behind").await;
    assert_eq!(scene.client().await.done(WHO).await.as_deref(), Some("primary"));
    eventually("the lag is pressure", SOON, async || {
        let pressure = scene.guard.json("/api/v1/pressure").await.unwrap();
        pressure["parts"]["lag"].as_f64().filter(|lag| *lag > 1.0)
    })
    .await;
    let status: Value = scene.guard.json("/api/v1/status").await.unwrap();
    assert!(status["replicas"][0]["lag_ms"].as_u64() > Some(1000), "{status}");
}

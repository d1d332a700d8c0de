//! What cannot be moved to another connection pins the session: counted, shown, and over when its
//! cause is.

use std::time::Duration;

use harness::*;
use wire::mysql::Capabilities;

const SOON: Duration = Duration::from_secs(5);

on_both_engines! {
    each_cause_pins_and_its_end_unpins,
    a_pinned_client_that_leaves_gives_its_connection_back_clean,
    an_id_that_a_client_asked_for_is_never_anothers,
    a_lock_of_a_statement_that_failed_is_not_left_behind,
}

async fn scene(engine: Engine) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let setup = Setup { connections: 3, upstream: "linger = \"0s\"".into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

/// The reasons of the only pinned session; none when there is no such session.
async fn reasons(guard: &Guard) -> Vec<String> {
    let pins = guard.json("/api/v1/pins").await.unwrap();
    let pins = pins.as_array().unwrap();
    assert!(pins.len() <= 1, "{pins:?}");
    let Some(pin) = pins.first() else { return Vec::new() };
    assert_eq!(pin["user"], "app");
    let reasons = pin["reasons"].as_array().unwrap().iter();
    reasons.map(|reason| reason.as_str().unwrap().to_owned()).collect()
}

/// The only pinned session has these reasons: at once, or on PostgreSQL soon, where the guard asks the
/// server for them when the client has its answer already.
async fn has_reasons(engine: Engine, guard: &Guard, due: &[&str], when: &str) {
    let patience = if engine.is_postgres() { SOON } else { Duration::ZERO };
    eventually(&format!("{due:?} {when}"), patience, async || {
        (reasons(guard).await == due).then_some(())
    })
    .await;
}

/// Others use the pool's connections, so that what is not kept would be lost.
async fn others_pass(engine: Engine, guard: &Guard) {
    let set = if engine.is_postgres() { "SET work_mem = '3MB'" } else { "SET @x = 'another'" };
    for _ in 0..4 {
        let mut other = Caller::login(engine, guard.addr(), &APP).await.unwrap();
        other.done(set).await;
        other.done("SELECT 1").await;
    }
    eventually("the others are gone", SOON, async || {
        (status(guard, "/clients/connected").await == 1).then_some(())
    })
    .await;
}

/// What pins: the reason, the statement by which it begins, one that works as long as it lasts, and
/// the one by which it ends.
type Cause = (&'static str, &'static str, &'static str, &'static str);

const ON_MARIADB: &[Cause] = &[
    (
        "temporary_table",
        "CREATE TEMPORARY TABLE mine (id INT)",
        "SELECT * FROM mine",
        "DROP TEMPORARY TABLE mine",
    ),
    (
        "named_lock",
        "SELECT GET_LOCK('l', 1)",
        "SELECT IS_USED_LOCK('l') + 0",
        "SELECT RELEASE_LOCK('l')",
    ),
    ("table_lock", "LOCK TABLES note WRITE", "INSERT INTO note VALUES (1)", "UNLOCK TABLES"),
    ("sql_prepared", "PREPARE p FROM 'SELECT 1'", "EXECUTE p", "DEALLOCATE PREPARE p"),
    ("handler", "HANDLER note OPEN", "HANDLER note READ FIRST", "HANDLER note CLOSE"),
];

const ON_POSTGRES: &[Cause] = &[
    ("temporary_table", "CREATE TEMP TABLE mine (id int)", "SELECT FROM mine", "DROP TABLE mine"),
    ("temporary_table", "CREATE TEMP VIEW mine AS SELECT 1", "SELECT FROM mine", "DROP VIEW mine"),
    ("temporary_table", "CREATE TEMP SEQUENCE s", "SELECT nextval('s')", "DISCARD TEMP"),
    (
        "named_lock",
        "SELECT pg_advisory_lock(7)",
        // It is taken a second time, so that one release is not its end.
        "SELECT pg_try_advisory_lock(7), pg_advisory_unlock(7)",
        "SELECT pg_advisory_unlock(7)",
    ),
    (
        "named_lock",
        "SELECT pg_try_advisory_lock_shared(1, 2)",
        "SELECT 1",
        "SELECT pg_advisory_unlock_all()",
    ),
    ("sql_prepared", "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p"),
    ("sql_prepared", "PREPARE p AS SELECT 1", "EXECUTE p", "DISCARD ALL"),
    ("cursor", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH ALL FROM c", "CLOSE c"),
    ("cursor", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH ALL FROM c", "CLOSE ALL"),
];

async fn each_cause_pins_and_its_end_unpins(engine: Engine) {
    let (_server, guard) = scene(engine).await;
    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    client.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    let causes = if engine.is_postgres() { ON_POSTGRES } else { ON_MARIADB };
    for (reason, begin, works, end) in causes {
        has_reasons(engine, &guard, &[], &format!("before {begin}")).await;
        client.done(begin).await;
        has_reasons(engine, &guard, &[reason], &format!("after {begin}")).await;
        if *reason != "table_lock" {
            others_pass(engine, &guard).await;
        }
        client.done(works).await;
        client.done("SELECT 1").await;
        has_reasons(engine, &guard, &[reason], &format!("after {works}")).await;
        client.done(end).await;
        has_reasons(engine, &guard, &[], &format!("after {end}")).await;
        let label = format!("reason=\"{reason}\"");
        let counted = guard.metric("guard_pins_total", &[&label]).await.unwrap();
        assert!(counted >= 1.0, "{reason}: {counted}");
    }
}

async fn a_pinned_client_that_leaves_gives_its_connection_back_clean(engine: Engine) {
    let (server, guard) = scene(engine).await;
    let (look, set, lock, locked) = if engine.is_postgres() {
        let look = "SELECT to_regclass('pg_temp.mine')::text";
        (look, "CREATE TEMP TABLE mine (id int)", "SELECT pg_try_advisory_lock(7)", "t")
    } else {
        ("SELECT @x", "SET @x = 7", "SELECT GET_LOCK('one', 0)", "1")
    };
    for round in 0..6 {
        let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
        assert_eq!(client.done(look).await, None, "round {round}");
        client.done(set).await;
        let lock = client.done(lock).await;
        assert_eq!(lock.as_deref(), Some(locked), "round {round}: the lock was left behind");
        drop(client);
        eventually("it is gone", SOON, async || {
            (status(&guard, "/clients/connected").await == 0).then_some(())
        })
        .await;
        assert_eq!(reasons(&guard).await, [""; 0]);
    }
    assert!(open_on(&server, &APP).await.connections <= 3);
}

/// How a client learns the server's id of its connection.
fn ways_to_learn_the_id(engine: Engine) -> &'static [&'static [&'static str]] {
    if engine.is_postgres() {
        return &[
            &["SELECT pg_backend_pid()"],
            &["SELECT 1; SELECT pg_backend_pid(); SELECT 1 / 0"],
            &["SELECT pg_backend_pid()::text::date"],
            &["PREPARE p AS SELECT pg_backend_pid()", "EXECUTE p", "DEALLOCATE p"],
            &["BEGIN", "SELECT pg_backend_pid()", "SELECT 1 / 0", "ROLLBACK"],
        ];
    }
    &[
        &["SELECT CONNECTION_ID()"],
        &["SELECT @@pseudo_thread_id"],
        &["SELECT EXTRACTVALUE('<a/>', CONCAT('~', CONNECTION_ID()))"],
        &["PREPARE p FROM 'SELECT CONNECTION_ID()'", "EXECUTE p", "DEALLOCATE PREPARE p"],
        &["BEGIN", "SELECT CONNECTION_ID()", "SELECT missing", "ROLLBACK"],
    ]
}

/// The server's ids of the connections that serve clients.
async fn ids(server: &Server) -> Vec<u64> {
    let threads = threads(server).await.into_iter();
    threads.filter(|thread| thread.user == APP.name).map(|thread| thread.id).collect()
}

/// Whoever has kept it may still KILL by it: that must hit nobody else.
async fn an_id_that_a_client_asked_for_is_never_anothers(engine: Engine) {
    let server = Server::start(engine).await.unwrap();
    let setup = Setup { connections: 1, ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    for way in ways_to_learn_the_id(engine) {
        let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
        for sql in *way {
            _ = client.ask(sql).await;
        }
        client.done("SELECT 1").await;
        let known = ids(&server).await;
        assert_eq!(known.len(), 1, "{way:?}");
        has_reasons(engine, &guard, &["connection_id"], &format!("after {way:?}")).await;
        drop(client);
        let mut other = Caller::login(engine, guard.addr(), &APP).await.unwrap();
        other.done("SELECT 1").await;
        eventually("the connection is gone", SOON, async || {
            (!ids(&server).await.contains(&known[0])).then_some(())
        })
        .await;
    }
}

/// As above, where the question is not the first statement that a client sends in one go.
#[tokio::test]
async fn an_id_asked_for_further_on_in_a_pipeline_is_never_anothers() {
    let (server, guard) = scene(Engine::Postgres).await;
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    let sent = client.send(|out| {
        put_unsynced(out, "SELECT 1", &[]);
        put_series(out, "SELECT pg_backend_pid()", &[]);
    });
    sent.await.unwrap();
    client.reply().await.unwrap();
    has_reasons(Engine::Postgres, &guard, &["connection_id"], "after the pipeline").await;
    let known = ids(&server).await;
    drop(client);
    eventually("the connection is gone", SOON, async || {
        ids(&server).await.iter().all(|id| !known.contains(id)).then_some(())
    })
    .await;
}

/// Its error takes back no lock of the session's.
async fn a_lock_of_a_statement_that_failed_is_not_left_behind(engine: Engine) {
    let (server, guard) = scene(engine).await;
    let (lock, is_free) = if engine.is_postgres() {
        ("SELECT pg_advisory_lock(7), 1 / (random() * 0)::int", "SELECT pg_try_advisory_lock(7)")
    } else {
        let lock = "SELECT GET_LOCK('l', 0), 9223372036854775807 + CAST(1 + RAND() * 0 AS SIGNED)";
        (lock, "SELECT GET_LOCK('l', 0)")
    };
    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    client.refused(lock).await;
    has_reasons(engine, &guard, &["named_lock"], "after the error").await;
    let mut direct = Caller::login(engine, server.addr(), &APP).await.unwrap();
    let is_taken = direct.done(is_free).await;
    assert!(matches!(is_taken.as_deref(), Some("f" | "0")), "{is_taken:?}");
    drop(client);
    eventually("the lock is free", SOON, async || {
        matches!(direct.done(is_free).await.as_deref(), Some("t" | "1")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reset_leaves_a_connection_behind_whose_id_is_known() {
    let (_server, guard) = scene(Engine::MariaDb).await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    let known = done(&mut client, "SELECT CONNECTION_ID()").await.value();
    assert!(client.command(&[0x1F]).await.unwrap().failure().is_none());
    assert_eq!(reasons(&guard).await, [""; 0]);
    assert_ne!(done(&mut client, "SELECT CONNECTION_ID()").await.value(), known);
    let known = done(&mut client, "SELECT CONNECTION_ID()").await.value();
    client.change_user(&Login::new(&APP)).await.unwrap();
    assert_ne!(done(&mut client, "SELECT CONNECTION_ID()").await.value(), known);
}

/// SQL in a value may do anything: LOCK TABLES can be executed at once, and no tracker tells of it.
#[tokio::test]
async fn sql_in_a_value_pins_unless_it_only_reads_and_writes() {
    let (_server, guard) = scene(Engine::MariaDb).await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut client, "CREATE TABLE note (id INT PRIMARY KEY)").await;
    done(&mut client, "EXECUTE IMMEDIATE 'INSERT INTO note VALUES (1)'").await;
    assert_eq!(reasons(&guard).await, [""; 0]);
    for sql in
        ["EXECUTE IMMEDIATE 'LOCK TABLES note WRITE'", "EXECUTE IMMEDIATE CONCAT('DO ', '1')"]
    {
        let mut client = Client::login(guard.addr(), &APP).await.unwrap();
        done(&mut client, sql).await;
        assert_eq!(reasons(&guard).await, ["unknown_state"], "{sql}");
        drop(client);
        // What it held ends with it: the next takes the lock at once.
        eventually("the pin is gone", SOON, async || {
            reasons(&guard).await.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_user_variable_is_kept_until_the_connection_is_reset() {
    let (_server, guard) = scene(Engine::MariaDb).await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut client, "SET @x = 'mine'").await;
    assert_eq!(reasons(&guard).await, ["user_variable"]);
    others_pass(Engine::MariaDb, &guard).await;
    assert_eq!(done(&mut client, "SELECT @x").await.value().as_deref(), Some("mine"));
    assert!(client.command(&[0x1F]).await.unwrap().failure().is_none());
    assert_eq!(reasons(&guard).await, [""; 0]);
    assert_eq!(done(&mut client, "SELECT @x").await.value(), None);
}

/// To a client without `DEPRECATE_EOF`, MySQL tells of a change in no result and in no error: what a
/// function or a trigger has set must not be found by the next one on that connection.
#[tokio::test]
async fn what_mysql_does_not_tell_pins_as_well() {
    if !Engine::MySql.available() {
        return;
    }
    let server = Server::start(Engine::MySql).await.unwrap();
    let mut root = Client::login(server.addr(), &ROOT).await.unwrap();
    for sql in [
        "CREATE FUNCTION notes(x INT) RETURNS INT NO SQL BEGIN SET @noted = x; RETURN x; END",
        "CREATE TABLE child (id INT PRIMARY KEY, parent INT REFERENCES child (id))",
        "CREATE TRIGGER notes BEFORE INSERT ON child FOR EACH ROW SET @noted = NEW.id",
        "INSERT INTO child VALUES (1, NULL)",
        "CREATE VIEW noting AS SELECT notes(6) AS n",
        "CREATE FUNCTION to_char(x INT) RETURNS INT NO SQL BEGIN SET @noted = x; RETURN x; END",
    ] {
        done(&mut root, sql).await;
    }
    let setup = Setup { connections: 1, upstream: "linger = \"0s\"".into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut login = Login::new(&APP);
    login.capabilities = login.capabilities.without(Capabilities::DEPRECATE_EOF);
    for (steps, noted) in [
        (&["SELECT notes(4)"][..], "4"),
        (&["PREPARE p FROM 'SELECT notes(5)'", "EXECUTE p", "DEALLOCATE PREPARE p"], "5"),
        (&["BEGIN", "INSERT INTO child VALUES (1, NULL)", "USE app", "COMMIT"], "1"),
        // Nothing in the text says that a function is called.
        (&["SELECT n FROM noting"], "6"),
        (&["BEGIN", "SELECT n FROM noting", "COMMIT"], "6"),
        (&["SELECT to_char(7)"], "7"),
    ] {
        let mut client = Client::login_with(guard.addr(), &login).await.unwrap();
        assert_eq!(done(&mut client, "SELECT @noted").await.value(), None, "before {steps:?}");
        for sql in steps {
            client.query(sql).await.unwrap();
        }
        eventually("the session is pinned", SOON, async || {
            reasons(&guard).await.contains(&"unknown_state".to_owned()).then_some(())
        })
        .await;
        assert_eq!(done(&mut client, "SELECT @noted").await.value().as_deref(), Some(noted));
        drop(client);
        eventually("the session is over", SOON, async || {
            (status(&guard, "/clients/connected").await == 0).then_some(())
        })
        .await;
    }
}
